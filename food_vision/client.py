"""Ask a Food Vision server from Python: ``pip install '.[client]'``.

    with FoodVision("http://localhost:5000") as server:
        print(server.predict("ramen.jpg").dish)

``AsyncFoodVision`` has the same methods, to be awaited. Whatever goes wrong is a ``FoodVisionError``.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

try:
    import httpx2
except ImportError as missing:
    raise ImportError("The client needs httpx2: `pip install '.[client]'`.", name="httpx2") from missing

from food_vision import __version__
from food_vision.calls import (
    Call,
    Patience,
    PhotoSource,
    Results,
    get_labels,
    get_model,
    is_link,
    photo_call,
    read_answer,
)
from food_vision.results import FoodVisionError, ModelCard, Prediction

__all__ = ["AsyncFoodVision", "FoodVision", "FoodVisionError", "PhotoSource", "Prediction"]

T = TypeVar("T")
AT_ONCE = 4
UNSENDABLE = (httpx2.InvalidURL, UnicodeError)
"""An option that no address can hold: too long, or half of a character."""
FAILURES = (FoodVisionError, httpx2.RequestError, *UNSENDABLE)
LOST = (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ConnectTimeout)


class _Client(ABC):
    """What both clients are made of.

    Args:
        url: Where the server is, such as ``http://localhost:5000``.
        api_key: Sent as ``X-API-Key``.
        timeout: Seconds without progress after which a try is given up.
        retries: Further tries after ``429``, ``503`` and lost connections; a ``Retry-After`` is honoured.
        patience: Seconds from the first try to the start of the last; a ``Retry-After`` beyond is not waited for.

    Raises:
        FoodVisionError: ``invalid_server``.
    """

    def __init__(
        self,
        url: str = "http://localhost:5000",
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        patience: float = 60.0,
    ) -> None:
        headers = {"User-Agent": f"food-vision/{__version__}"} | ({"X-API-Key": api_key} if api_key else {})
        self._retries, self._seconds = retries, patience
        if not is_link(url):
            raise FoodVisionError("invalid_server", "The server's URL must be like http://localhost:5000.")
        try:
            self._connect({"base_url": url, "headers": headers, "timeout": timeout})
        except (httpx2.InvalidURL, ValueError, TypeError) as error:
            raise FoodVisionError("invalid_server", "The server's URL or the key cannot be used.") from error

    @abstractmethod
    def _connect(self, settings: dict[str, Any]) -> None: ...

    def _patience(self) -> Patience:
        return Patience(self._retries, self._seconds)


class FoodVision(_Client):
    """A server to ask; safe to share between threads."""

    def predict(self, photo: PhotoSource, *, top_k: int | None = None, min_score: float | None = None) -> Prediction:
        """Tell the dish on one photo: a path, bytes, an open binary file, or a link for the server to follow."""
        return self._ask(photo_call("predict", photo, top_k=top_k, min_score=min_score))

    def predict_many(
        self, photos: Iterable[PhotoSource], *, top_k: int | None = None, min_score: float | None = None
    ) -> Results:
        """Tell the dishes on many photos: in their order, a prediction or the error of that photo alone."""

        def one(photo: PhotoSource) -> Prediction | FoodVisionError:
            try:
                return self.predict(photo, top_k=top_k, min_score=min_score)
            except FoodVisionError as error:
                return error

        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(one, photos))

    def explain(self, photo: PhotoSource, *, dish: str | None = None) -> Prediction:
        """As ``predict``, with an ``explanation`` of the likeliest dish, or of another."""
        return self._ask(photo_call("explain", photo, dish=dish))

    def labels(self) -> tuple[str, ...]:
        """Name the dishes that the model knows."""
        return self._ask(get_labels())

    def model(self) -> ModelCard:
        """Tell what the model is, and how good."""
        return self._ask(get_model())

    def _ask(self, call: Call[T]) -> T:
        patience = self._patience()
        while True:
            try:
                return _read(self._http.request(**_request(call)), call)
            except FAILURES as error:
                time.sleep(patience.pause(_explain(error)))

    def _connect(self, settings: dict[str, Any]) -> None:
        self._http = httpx2.Client(**settings)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFoodVision(_Client):
    """``FoodVision`` for asyncio."""

    async def predict(
        self, photo: PhotoSource, *, top_k: int | None = None, min_score: float | None = None
    ) -> Prediction:
        """See ``FoodVision.predict``."""
        # In a thread: files are read there.
        return await self._ask(await asyncio.to_thread(photo_call, "predict", photo, top_k=top_k, min_score=min_score))

    async def predict_many(
        self, photos: Iterable[PhotoSource], *, top_k: int | None = None, min_score: float | None = None
    ) -> Results:
        """See ``FoodVision.predict_many``."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(photo: PhotoSource) -> Prediction | FoodVisionError:
            try:
                async with places:
                    return await self.predict(photo, top_k=top_k, min_score=min_score)
            except FoodVisionError as error:
                return error

        return list(await asyncio.gather(*map(one, photos)))

    async def explain(self, photo: PhotoSource, *, dish: str | None = None) -> Prediction:
        """See ``FoodVision.explain``."""
        return await self._ask(await asyncio.to_thread(photo_call, "explain", photo, dish=dish))

    async def labels(self) -> tuple[str, ...]:
        """See ``FoodVision.labels``."""
        return await self._ask(get_labels())

    async def model(self) -> ModelCard:
        """See ``FoodVision.model``."""
        return await self._ask(get_model())

    async def _ask(self, call: Call[T]) -> T:
        patience = self._patience()
        while True:
            try:
                return _read(await self._http.request(**_request(call)), call)
            except FAILURES as error:
                await asyncio.sleep(patience.pause(_explain(error)))

    def _connect(self, settings: dict[str, Any]) -> None:
        self._http = httpx2.AsyncClient(**settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _request(call: Call[T]) -> dict[str, Any]:
    return {"method": call.method, "url": call.path, "params": call.params, **call.body}


def _read(response: httpx2.Response, call: Call[T]) -> T:
    return read_answer(call, response.status_code, response.content, response.headers.get("Retry-After"))


def _explain(error: Exception) -> FoodVisionError:
    if isinstance(error, FoodVisionError):
        return error
    if isinstance(error, UNSENDABLE):
        return FoodVisionError("invalid_parameter", "An option cannot be sent.")
    if isinstance(error, LOST):
        return FoodVisionError("no_connection", "The server cannot be reached, or it hung up.")
    if isinstance(error, httpx2.TimeoutException):
        return FoodVisionError("timeout", "The server did not answer in time.")
    return FoodVisionError("unexpected_answer", f"The server could not be spoken to: {error}.")
