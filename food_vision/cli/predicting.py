"""``food-vision predict``."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from food_vision.cli.answering import AT_ONCE, Outcome, outcomes
from food_vision.cli.local import Local
from food_vision.cli.output import CsvReport, JsonReport, Report, TableReport, printable
from food_vision.cli.sources import Source, find_sources
from food_vision.results import FoodVisionError
from food_vision.settings import Settings

if TYPE_CHECKING:
    from food_vision.cli.remote import Remote

Failures = list[tuple[str, FoodVisionError]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for, beside the photos."""

    top_k: int
    min_score: float
    form: str
    """``table``, ``json`` or ``csv``."""
    server: str | None
    api_key: str | None


def predict(words: Sequence[str], wishes: Wishes, settings: Settings) -> int:
    """Answer for all that was named; return how many photos failed.

    Raises:
        StartupError, Problem, FoodVisionError: when nothing can be answered at all.
    """
    sources = list(find_sources(words, settings.max_photo_bytes))
    failures = asyncio.run(_answer(sources, wishes, settings))
    if failures:
        print(f"{len(failures)} of {len(sources)} failed:", file=sys.stderr)
    for name, error in failures:
        print(f"  {printable(name)}: {printable(error.detail)}", file=sys.stderr)
    return len(failures)


async def _answer(sources: list[Source], wishes: Wishes, settings: Settings) -> Failures:
    at_once = min(AT_ONCE, settings.queue_limit, settings.fetch_slots, settings.fetch_slots_per_host)
    async with _answerer(wishes, settings) as answerer:
        return await _report(outcomes(sources, answerer.answer, at_once), len(sources), wishes)


def _answerer(wishes: Wishes, settings: Settings) -> "Local | Remote":
    if not wishes.server:
        return Local(settings, wishes.top_k, wishes.min_score)
    # Late: it needs a package that nothing else here needs.
    from food_vision.cli.remote import Remote

    return Remote(wishes.server, wishes.api_key, settings.max_photo_bytes, wishes.top_k, wishes.min_score)


async def _report(outcomes: AsyncGenerator[Outcome, None], total: int, wishes: Wishes) -> Failures:
    report, failures = _new_report(wishes), Failures()
    with _progress(total, wishes.form) as progress:
        task = progress.add_task("", total=total)
        async with aclosing(outcomes):
            async for outcome in outcomes:
                progress.advance(task)
                report.add(outcome)
                if isinstance(outcome.result, FoodVisionError):
                    failures.append((outcome.name, outcome.result))
    report.end()
    return failures


def _new_report(wishes: Wishes) -> Report:
    if wishes.form == "json":
        return JsonReport()
    return CsvReport(wishes.top_k) if wishes.form == "csv" else TableReport()


def _progress(total: int, form: str) -> Progress:
    # On the way to a file or a pipe; in a terminal, lines that run by show the progress themselves.
    shown = total > 1 and sys.stderr.isatty() and (form == "table" or not sys.stdout.isatty())
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not shown,
    )
