"""Whether the service can really answer: a built-in photo goes the whole way through decoder and model."""

import asyncio
import io
import time

from PIL import Image

from food_vision.errors import Draining, NotReady
from food_vision.serving.drain import Drain
from food_vision.serving.predictor import Predictor

FRESH = 5.0
"""Seconds for which an answer is believed, a caller's or a probe's: under load probes cost nothing, and being busy is
not being broken."""
PATIENCE = 1.0
"""Seconds a probe may take; longer means that the inference threads are stuck."""
STUCK = 10.0
"""Seconds of one inference after which its thread counts as stuck, though others may still answer."""


class Readiness:
    """Answers readiness probes from the last real prediction, or makes one.

    Args:
        predictor: The path that callers' photos take.
        drain: Whether the end has begun.
    """

    def __init__(self, predictor: Predictor, drain: Drain) -> None:
        self._predictor = predictor
        self._drain = drain
        self._photo = built_in_photo()
        self._probing = asyncio.Lock()

    async def check(self) -> None:
        """Return when the model answers.

        Raises:
            Draining: when the end has begun.
            NotReady: when it does not, or not within a second.
        """
        if self._drain.began:
            raise Draining("The service is being stopped.")
        if self._predictor.longest_inference() > STUCK:
            raise NotReady("An inference does not come to an end.")
        try:
            async with asyncio.timeout(PATIENCE), self._probing:
                if time.monotonic() - self._predictor.last_answer > FRESH:
                    await self._predictor.predict_anew(self._photo)
        except TimeoutError:
            raise NotReady("The model does not answer in time.") from None
        except Exception as error:
            # Whatever it is, a caller's photo would meet it too.
            raise NotReady(internal=f"the probe met {type(error).__name__}: {error}") from error


def built_in_photo() -> bytes:
    """Return a small JPEG of colour gradients; what is on it does not matter, only that it can be decoded."""
    red = Image.linear_gradient("L")
    photo = Image.merge("RGB", (red, red.rotate(90), Image.radial_gradient("L")))
    encoded = io.BytesIO()
    photo.save(encoded, "JPEG")
    return encoded.getvalue()
