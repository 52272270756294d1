"""What an evaluation finds out, as it stands in ``docs/evaluation.json``: the pages are made from nothing else."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from food_vision.preprocessing import Preprocessing
from training.metrics import Bin, Figure
from training.per_class import Confusion

PLACES = 5
"""Decimals kept: more than any sample here can settle."""


def _as_object(entry: Any) -> Any:  # noqa: ANN401 - JSON is what it is
    """Return named tuples as objects with their fields' names, numbers rounded."""
    if hasattr(entry, "_asdict"):
        return {name: _as_object(value) for name, value in entry._asdict().items()}
    return round(entry, PLACES) if isinstance(entry, float) else entry


def _as_figure(entry: Any) -> Any:  # noqa: ANN401
    return Figure(**entry) if isinstance(entry, dict) else entry


def _as_bin(entry: Any) -> Any:  # noqa: ANN401
    return Bin(**entry | {"right": _as_figure(entry["right"])}) if isinstance(entry, dict) else entry


def _as_confusion(entry: Any) -> Any:  # noqa: ANN401
    return Confusion(**entry) if isinstance(entry, dict) else entry


Measured = Annotated[Figure, BeforeValidator(_as_figure), PlainSerializer(_as_object)]
Binned = Annotated[Bin, BeforeValidator(_as_bin), PlainSerializer(_as_object)]
Confused = Annotated[Confusion, BeforeValidator(_as_confusion), PlainSerializer(_as_object)]
Rounded = Annotated[float, PlainSerializer(_as_object)]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Model(_Fact):
    """Which weights were measured: the pages' tests compare the SHA-256 with that of the file."""

    name: str
    version: str
    sha256: str
    engine: str
    preprocessing: Preprocessing
    origin: str
    training_data: str
    licence: str


class Row(_Fact):
    """A set of photos: ``ece`` is the calibration error of the first answer in 15 bins, ``nll`` is in nats."""

    photos: str
    top1: Measured
    top5: Measured
    class_mean: Measured
    nll: Measured
    ece: Measured


class Gap(_Fact):
    """Classes with few sharp training photos against those with many; means over classes, differences many less few."""

    photos: str
    few: Measured
    many: Measured
    difference: Measured


class Gaps(_Fact):
    """The gap on each set, and how much larger it is on sharp photos than for the same classes on ``food64/test``."""

    sets: tuple[Gap, ...]
    beyond: Measured


class Reliability(_Fact):
    """How far scores are from what they promise, before and after calibration."""

    photos: str
    ece_before: Measured
    ece: Measured
    nll_before: Measured
    nll: Measured
    bins_before: tuple[Binned, ...]
    bins: tuple[Binned, ...]


class Coverage(_Fact):
    """How often prediction sets hold the true dish, and how many dishes they name."""

    photos: str
    promised: Rounded
    held: Measured
    size: Measured
    alone: Measured
    empty: Measured
    dishes: dict[str, Measured]


class NotFood(_Fact):
    """What the hint that there is no food on a photo is worth: shares taken for food."""

    score: str
    threshold: Rounded
    food: dict[str, Measured]
    rest: dict[str, Measured]


class Dishes(_Fact):
    """How each dish fares, and which is taken for which."""

    photos: str
    recall: dict[str, Measured]
    confusions: tuple[Confused, ...]


class Tutorial(_Fact):
    """The tutorial's lines on the Keras file; ``difference`` in top-1: the server's own way less theirs."""

    row: Row
    difference: Measured


class Agreement(_Fact):
    """One engine against another: largest difference in any probability, and how often the first answer is the same."""

    photos: str
    engines: tuple[str, str]
    largest: Rounded
    same: Measured


class TwoPrecisions(_Fact):
    """The fast engine's file in another precision, same constants; ``differences`` in top-1 by set: served less other.

    ``served`` and ``other`` are ``FP32`` and ``INT8``, one way round or the other.
    """

    served: str
    other: str
    bytes_served: int
    bytes_other: int
    rows: tuple[Row, ...]
    differences: dict[str, Measured]
    agreement: Agreement


class Speed(_Fact):
    """Milliseconds of one photo through an engine: median over rounds, and the rounds' quartiles."""

    engine: str
    threads: int
    median: Rounded
    low: Rounded
    high: Rounded
    photos: int


class Report(_Fact):
    """Everything that ``python -m training.evaluate`` found out."""

    format: Literal[2] = 2
    model: Model
    machine: str
    rows: tuple[Row, ...]
    gaps: Gaps
    reliability: tuple[Reliability, ...]
    nine_in_ten: Measured | None
    """The share of right answers among sharp photos with a score from 0.85 to 0.95."""
    coverage: tuple[Coverage, ...]
    not_food: NotFood | None
    dishes: tuple[Dishes, ...]
    tutorial: Tutorial
    agreement: Agreement
    precision: TwoPrecisions | None
    speed: tuple[Speed, ...]


def read(path: Path) -> Report:
    """Read ``docs/evaluation.json``."""
    return Report.model_validate_json(path.read_bytes())


def write(path: Path, report: Report) -> None:
    """Write ``docs/evaluation.json``."""
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
