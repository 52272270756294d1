"""What the client says to a server, how answers are read, and how long it goes on trying; nothing here is sent."""

import email.utils
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeGuard, TypeVar

from food_vision.results import FoodVisionError, ModelCard, Prediction

PhotoSource = str | bytes | bytearray | memoryview | PathLike[str] | BinaryIO
"""A path, the encoded bytes, an open binary file, or a link: a text that begins with ``http://`` or ``https://``."""
Results = list[Prediction | FoodVisionError]
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request as it will be sent, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, str | float] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    """``json``, or ``content`` and ``headers``."""


def photo_call(route: str, photo: PhotoSource, **options: str | float | None) -> Call[Prediction]:
    """Return the call that sends one photo to ``/v1/predict`` or ``/v1/explain``; options that are ``None`` stay out.

    Raises:
        FoodVisionError: ``unreadable_file``, ``invalid_url``.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return Call("POST", f"v1/{route}", Prediction.from_json, given, _body(photo))


def get_labels() -> Call[tuple[str, ...]]:
    """Return the call that asks for the dishes."""
    return Call("GET", "v1/labels", lambda answer: tuple(label["name"] for label in answer["labels"]))


def get_model() -> Call[ModelCard]:
    """Return the call that asks what the model is."""
    return Call("GET", "v1/model", ModelCard.from_json)


def read_answer(call: Call[T], status: int, body: bytes, retry_after: str | None) -> T:
    """Return what an answer says.

    Raises:
        FoodVisionError: the problem that it is, or ``unexpected_answer``.
    """
    pause = seconds_of(retry_after)
    try:
        answer = json.loads(body)
        if 200 <= status < 300:
            return call.read(answer)
        error = FoodVisionError.from_problem(answer, pause)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        # Somebody else answered: a proxy, a log-in page, another service; or numbers and depths without end.
        sentence = f"The answer, with status {status}, is none of Food Vision's."
        error = FoodVisionError("unexpected_answer", sentence, status, retry_after=pause)
    raise error


def is_link(photo: object) -> TypeGuard[str]:
    """Tell links from everything else."""
    return isinstance(photo, str) and photo.lower().startswith(("http://", "https://"))


def _body(photo: PhotoSource) -> Mapping[str, Any]:
    if is_link(photo):
        return {"json": {"url": _sendable(photo)}}
    return {"content": _bytes(photo), "headers": {"Content-Type": "application/octet-stream"}}


def _sendable(link: str) -> str:
    try:
        link.encode()
    except UnicodeError as error:
        # Half of a character, as the bytes of a file name or a list become that are no UTF-8.
        raise FoodVisionError("invalid_url", "The link holds what is no text.") from error
    return link


def _bytes(photo: PhotoSource) -> bytes:
    try:
        data = _content(photo)
        # A copy of what may change: a retry sends the same once more.
        return data if isinstance(data, bytes) else bytes(memoryview(data))
    except (TypeError, AttributeError) as error:
        sentence = "A photo is a path, bytes, an open binary file or a link."
        raise FoodVisionError("unreadable_file", sentence) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FoodVisionError("unreadable_file", f"The photo cannot be read: {reason}.") from error


def _content(photo: PhotoSource) -> bytes | bytearray | memoryview:
    if isinstance(photo, bytes | bytearray | memoryview):
        return photo
    return Path(photo).read_bytes() if isinstance(photo, str | PathLike) else photo.read()


class Patience:
    """How long to wait before the next try, and when enough is enough.

    Args:
        retries: Tries after the first.
        seconds: From now to the start of the last try.
    """

    def __init__(self, retries: int, seconds: float) -> None:
        self._retries = retries
        self._deadline = time.monotonic() + seconds
        self._pause = FIRST_PAUSE

    def pause(self, error: FoodVisionError) -> float:
        """Return the seconds to wait after an error.

        Raises:
            FoodVisionError: the error itself, when trying again is of no use, or would be once too often or too late.
        """
        pause = self._own_pause() if error.retry_after is None else error.retry_after
        if not error.temporary or self._retries == 0 or time.monotonic() + pause > self._deadline:
            raise error
        self._retries -= 1
        return pause

    def _own_pause(self) -> float:
        # By chance, so that callers who were refused together do not come back together.
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - nothing depends on its being guessed
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return pause


def seconds_of(retry_after: str | None) -> float | None:
    """Read a ``Retry-After`` header, seconds or a date; ``None`` where there is none that can be read."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
