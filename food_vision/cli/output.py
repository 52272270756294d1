"""Outcomes as people and programs read them, on standard output."""

import csv
import io
import json
import sys
from abc import ABC, abstractmethod
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from food_vision.cli.answering import Outcome
from food_vision.results import FoodVisionError, Prediction

BAR = 30
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How cells begin that spreadsheets run: a photo may be named `=HYPERLINK(...)`."""
WIDE = 1_000
"""Columns where nobody looks at a terminal: nothing is cut."""


class Report(ABC):
    """Takes outcomes one after the other."""

    @abstractmethod
    def add(self, outcome: Outcome) -> None:
        """Take one."""

    @abstractmethod
    def end(self) -> None:
        """Write what was held back."""


class _Line(Report):
    def end(self) -> None:
        """Nothing was."""


class JsonReport(_Line):
    """A JSON object per line, in the words of the API, as soon as it is known."""

    def add(self, outcome: Outcome) -> None:
        # Flushed, so that whoever reads a pipe sees each line when it is there, and a reader who left is noticed.
        print(json.dumps({"source": outcome.name, **_as_json(outcome.result)}), flush=True)


class CsvReport(_Line):
    """A row per photo; the columns depend on how many dishes were asked for, the first row waits for an outcome.

    Args:
        top_k: How many.
    """

    def __init__(self, top_k: int) -> None:
        self._top_k, self._begun = top_k, False

    def add(self, outcome: Outcome) -> None:
        if not self._begun:
            self._begin()
        result = outcome.result
        if isinstance(result, FoodVisionError):
            row = ["", "", *[""] * (2 * self._top_k), result.detail]
        else:
            ranked = [value for item in result.predictions for value in (item.dish, item.score)]
            padding = [""] * (2 * self._top_k - len(ranked))
            row = [_yes_or_no(result.food), "|".join(result.prediction_set or ()), *map(str, ranked), *padding, ""]
        _write_row([_cell(outcome.name, is_path="://" not in outcome.name), *map(_cell, row)])

    def _begin(self) -> None:
        self._begun = True
        ranks = [f"{column}_{rank}" for rank in range(1, self._top_k + 1) for column in ("dish", "score")]
        _write_row(["source", "food", "prediction_set", *ranks, "error"])


def _write_row(cells: list[str]) -> None:
    line = io.StringIO(newline="")
    # Cells are quoted for the signs of this end: either of them in a name would begin a row.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    print(line.getvalue().removesuffix("\r\n"), flush=True)


def _cell(text: str, *, is_path: bool = False) -> str:
    """Return a text that no spreadsheet takes for a formula, and in a terminal without what would steer it."""
    shown = printable(text) if sys.stdout.isatty() else text
    if not shown.startswith(FORMULA):
        return shown
    return f"./{shown}" if is_path else f"'{shown}"


class TableReport(Report):
    """One photo: its dishes with bars. Several: a row for each. Failures are left to the list at the end."""

    def __init__(self) -> None:
        self._outcomes: list[tuple[str, Prediction]] = []

    def add(self, outcome: Outcome) -> None:
        if isinstance(outcome.result, Prediction):
            self._outcomes.append((outcome.name, outcome.result))

    def end(self) -> None:
        if self._outcomes:
            many = len(self._outcomes) > 1
            show(_rows(self._outcomes) if many else _ranking(self._outcomes[0][1]))
            if not many and (sentence := in_words(self._outcomes[0][1])):
                print(sentence)


def show(table: Table) -> None:
    """Print a table, as wide as the terminal, or as needed where there is none."""
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table)


def printable(text: str) -> str:
    """Return a text without what would steer a terminal, or cannot be written at all: file names hold anything."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def in_words(prediction: Prediction) -> str:
    """Say in a sentence what to make of a prediction."""
    if prediction.food is False:
        return "Probably no food at all."
    if prediction.prediction_set is None or prediction.coverage is None:
        return ""
    if not prediction.prediction_set:
        return "None of the dishes that the model knows fits well."
    names = printable(", ".join(prediction.prediction_set))
    return f"In {prediction.coverage:.0%} of cases the dish is among: {names}."


def _ranking(prediction: Prediction) -> Table:
    sign = "█" if sys.stdout.encoding.lower().startswith("utf") else "#"
    table = Table("dish", "score", "", box=None, pad_edge=False)
    for item in prediction.predictions:
        table.add_row(Text(printable(item.dish)), percent(item.score), sign * round(BAR * item.score))
    return table


def _rows(outcomes: list[tuple[str, Prediction]]) -> Table:
    table = Table("photo", "dish", "score", "next", box=None, pad_edge=False)
    for name, prediction in outcomes:
        others = ", ".join(f"{item.dish} {percent(item.score)}" for item in prediction.predictions[1:3])
        note = "probably no food" if prediction.food is False else others
        table.add_row(
            Text(printable(name), overflow="fold"),
            Text(printable(prediction.dish)),
            percent(prediction.score),
            Text(printable(note)),
        )
    return table


def percent(score: float) -> str:
    """Return a score as people read it."""
    return f"{100 * score:.1f} %"


def _as_json(result: Prediction | FoodVisionError) -> dict[str, Any]:
    if isinstance(result, Prediction):
        return result.to_json()
    return {"problem": {"code": result.code, "detail": result.detail, "status": result.status}}


def _yes_or_no(value: bool | None) -> str:
    return {True: "true", False: "false", None: ""}[value]
