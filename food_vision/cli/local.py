"""The model in this process answers: the server's own path, without the server."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cached_property
from types import TracebackType
from typing import Self

from food_vision.api.schemas import Options, prediction_of
from food_vision.cli.sources import Source, read_photo
from food_vision.errors import InvalidParameter, PhotoTooLarge, Problem
from food_vision.intake.fetch import Fetcher
from food_vision.results import FoodVisionError, Prediction
from food_vision.serving.build import build_predictor
from food_vision.settings import Settings


class Local:
    """Answers photos with the model and the fetching rules of the settings.

    Args:
        settings: Those that a server would have here.
        top_k: Most dishes to name.
        min_score: Least score of a dish that is named.

    Raises:
        StartupError: when the model's files cannot be used.
        InvalidParameter: when the model has fewer than ``top_k`` dishes.
    """

    def __init__(self, settings: Settings, top_k: int, min_score: float) -> None:
        self._settings, self._options = settings, Options(top_k=top_k, min_score=min_score)
        with hushed_engine():
            self._predictor = build_predictor(settings)
        self._model = self._predictor.bundle
        if top_k > len(self._model.display_names):
            raise InvalidParameter(
                f"top_k must be 1 to {len(self._model.display_names)}: the model has no more dishes."
            )

    async def answer(self, source: Source) -> Prediction:
        """Tell the dish on a photo.

        Raises:
            FoodVisionError: with the sentence of the problem, and for a link with what a server would only log.
        """
        is_link = isinstance(source.content, str)
        try:
            started = time.perf_counter()
            data = await self._bytes(source)
            fetched = time.perf_counter() - started if is_link else 0.0
            answer = await self._predictor.predict(data)
        except Problem as problem:
            # Who asks is who runs it: why a link failed is no secret here.
            reason = f" ({problem.internal})" if is_link and problem.internal else ""
            raise FoodVisionError(problem.code, f"{problem.detail}{reason}", problem.status) from problem
        return Prediction.from_json(prediction_of(answer, self._predictor.bundle, self._options, fetched).model_dump())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._predictor.close()
        if "_fetcher" in self.__dict__:
            await self._fetcher.aclose()

    @cached_property
    def _fetcher(self) -> Fetcher:
        # Only when a link comes: it reads the world's certificates.
        return Fetcher(self._settings)

    async def _bytes(self, source: Source) -> bytes:
        photo, limit = source.content, self._settings.max_photo_bytes
        if isinstance(photo, FoodVisionError):
            raise photo
        if isinstance(photo, str):
            return await self._fetcher.fetch(photo)
        data = photo if isinstance(photo, bytes) else await asyncio.to_thread(read_photo, photo, limit)
        if len(data) > limit:
            raise PhotoTooLarge(f"The photo is larger than {limit:,} bytes.")
        return data


@contextlib.contextmanager
def hushed_engine() -> Iterator[None]:
    """Keep what the engine's native code writes to standard error from the user, who asked for no such thing."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
