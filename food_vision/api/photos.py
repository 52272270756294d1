"""From what a caller sent to what a caller is told: fetch where needed, predict or explain, put into words."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import TypeVar

from food_vision.api.problems import problem_body
from food_vision.api.schemas import (
    BatchAnswer,
    BatchResult,
    Explanation,
    Options,
    Prediction,
    ProblemFacts,
    area_of,
    prediction_of,
    shown,
)
from food_vision.errors import DeadlineExceeded, InternalError, InvalidParameter, Problem
from food_vision.intake.fetch import Fetcher
from food_vision.intake.forms import Item, Source
from food_vision.logs import write
from food_vision.serving.predictor import Explained, Predictor

T = TypeVar("T")

log = logging.getLogger("food_vision")

AT_ONCE = 8
"""Photos of one batch that are worked on at once, so that a batch is not half the queue."""


class Photos:
    """Answers for photos, whatever form they came in.

    Args:
        fetcher: Follows links.
        predictor: Knows dishes.
        docs_url: Where ``/errors.md`` is served; for the problems of a batch.
    """

    def __init__(self, fetcher: Fetcher, predictor: Predictor, docs_url: str) -> None:
        self._fetcher = fetcher
        self._predictor = predictor
        self._docs_url = docs_url

    async def predict(self, source: Source, options: Options) -> Prediction:
        """Tell the dish, and what the answer rests on where that is asked for.

        Raises:
            Problem: whatever keeps the photo from being fetched, decoded or looked at.
        """
        data, fetched = await self._bytes_of(source)
        if options.explain:
            return self._in_words(await self._predictor.explain(data), options, fetched)
        return prediction_of(await self._predictor.predict(data), self._predictor.bundle, options, fetched)

    async def explain(self, source: Source, dish: str | None, options: Options) -> Prediction:
        """Tell the dish, and what it, or another one, rests on.

        Raises:
            Problem: as ``predict`` does.
            InvalidParameter: the model knows no such dish.
        """
        name = self._known(dish)
        data, fetched = await self._bytes_of(source)
        return self._in_words(await self._predictor.explain(data, name), options, fetched)

    async def draw(self, source: Source, dish: str | None) -> bytes:
        """Return the same as a picture, PNG.

        Raises:
            Problem: as ``explain`` does.
        """
        name = self._known(dish)
        data, _ = await self._bytes_of(source)
        return await self._predictor.draw(await self._predictor.explain(data, name))

    async def batch(self, items: list[Item], options: Options, request_id: str, seconds: float) -> BatchAnswer:
        """Answer for each photo by itself; what is not done after ``seconds`` has that as its problem."""
        turns = asyncio.Semaphore(self._predictor.admission.at_once(AT_ONCE))
        end = asyncio.get_running_loop().time() + seconds

        async def result(item: Item) -> BatchResult:
            try:
                async with in_time(end), turns:
                    return BatchResult(id=item.id, result=await self._answer(item, options, request_id))
            except Problem as problem:
                facts = problem_body(problem, request_id, self._docs_url)
                return BatchResult(id=item.id, problem=ProblemFacts.model_validate(facts))

        return BatchAnswer(results=await asyncio.gather(*map(result, items)))

    async def _answer(self, item: Item, options: Options, request_id: str) -> Prediction:
        if isinstance(item.source, Problem):
            raise item.source
        try:
            return await self.predict(item.source, options)
        except Problem:
            raise
        except Exception as error:
            # A bug that one photo finds must not cost the others their answers.
            write(log, logging.ERROR, id=request_id, outcome=InternalError.code)
            raise InternalError from error

    async def _bytes_of(self, source: Source) -> tuple[bytes, float]:
        """Return the photo's bytes, and how many seconds it took to fetch them."""
        if source.data is not None:
            return source.data, 0.0
        started = time.perf_counter()
        data = await self._fetcher.fetch(source.url or "")
        return data, time.perf_counter() - started

    def _known(self, dish: str | None) -> str | None:
        """Return the display name of a dish that is named by either of its names."""
        metadata = self._predictor.bundle.metadata
        if dish is None or dish in metadata.display_names:
            return dish
        if dish in metadata.classes:
            return metadata.display_names[metadata.classes.index(dish)]
        raise InvalidParameter("query.dish: is none of the dishes that the model knows; see /v1/labels.")

    def _in_words(self, explained: Explained, options: Options, fetched: float) -> Prediction:
        bundle = self._predictor.bundle
        prediction = prediction_of(explained.answer, bundle, options, fetched)
        prediction.explanation = Explanation(
            dish=explained.dish,
            score=shown(explained.score),
            grid=[[shown(cell) for cell in row] for row in explained.cells.tolist()],
            area=area_of(prediction.photo.width, prediction.photo.height, bundle.preprocessing),
        )
        return prediction


@contextlib.asynccontextmanager
async def in_time(end: float) -> AsyncIterator[None]:
    """Turn the loop's time running out into a problem.

    Raises:
        DeadlineExceeded: at ``end``, by the event loop's clock.
    """
    try:
        async with asyncio.timeout_at(end):
            yield
    except TimeoutError:
        raise DeadlineExceeded from None
