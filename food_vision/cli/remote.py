"""A server answers."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from food_vision.cli.sources import Source, read_photo
from food_vision.client import AsyncFoodVision
from food_vision.errors import InvalidParameter
from food_vision.results import FoodVisionError, Prediction

OPTIONS = ("query.top_k", "query.min_score")
"""How a server's sentence begins that refuses these."""


class Remote:
    """Sends photos to a server; links are for the server to follow.

    Args:
        url: Where it is.
        api_key: Its key, where it asks for one.
        max_bytes: Most bytes read from a file.
        top_k: Most dishes to name.
        min_score: Least score of a dish that is named.

    Raises:
        FoodVisionError: ``invalid_server``.
    """

    def __init__(self, url: str, api_key: str | None, max_bytes: int, top_k: int, min_score: float) -> None:
        self._client = AsyncFoodVision(url, api_key=api_key)
        self._max_bytes, self._top_k, self._min_score = max_bytes, top_k, min_score

    async def answer(self, source: Source) -> Prediction:
        """Tell the dish on a photo.

        Raises:
            FoodVisionError: the server's problem, or why there is no answer.
            InvalidParameter: when the server refuses the options, which are the same for every photo.
        """
        photo = source.content
        if isinstance(photo, FoodVisionError):
            raise photo
        if isinstance(photo, Path):
            photo = await asyncio.to_thread(read_photo, photo, self._max_bytes)
        try:
            return await self._client.predict(photo, top_k=self._top_k, min_score=self._min_score)
        except FoodVisionError as error:
            if error.code == InvalidParameter.code and error.detail.startswith(OPTIONS):
                raise InvalidParameter(error.detail) from error
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
