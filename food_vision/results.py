"""What there is to say about one photo, as callers hold it: the client and the command line share these types.

Only the standard library is needed here. Members that are not known yet are passed over, so that an older client reads
a newer server.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

Json = Mapping[str, Any]
T = TypeVar("T")
TEMPORARY = frozenset({429, 503})


class FoodVisionError(Exception):
    """There is no answer, and why.

    Attributes:
        code: What programs look at: a code of ``docs/errors.md``, or the client's own ``no_connection``, ``timeout``,
            ``unexpected_answer``, ``unreadable_file``, ``invalid_server``; ``invalid_url`` and ``invalid_parameter``
            without a ``status`` where they could not even be sent.
        detail: A sentence for people.
        status: The answer's status; ``None`` where there was no answer.
        request_id: Under which the server's log has more.
        retry_after: Seconds after which the server asks to try again.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, detail, status, request_id, retry_after)
        self.code, self.detail, self.status = code, detail, status
        self.request_id, self.retry_after = request_id, retry_after

    def __str__(self) -> str:
        return self.detail

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in TEMPORARY or self.code == "no_connection"

    @classmethod
    def from_problem(cls, problem: Json, retry_after: float | None = None) -> "FoodVisionError":
        """Read a problem answer (RFC 9457).

        Raises:
            LookupError, TypeError, ValueError: when it is none.
        """
        status = int(problem["status"])
        return cls(str(problem["code"]), str(problem["detail"]), status, problem.get("request_id"), retry_after)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A dish and its calibrated probability, 0..1."""

    dish: str
    score: float


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """The photo that was looked at: its size in pixels when upright, its format, and the SHA-256 of its bytes."""

    width: int
    height: int
    format: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Which model answered."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of the upright photo, in its pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an answer rests on.

    Attributes:
        dish: Which dish is explained; ``score`` is its calibrated probability.
        grid: Rows of cells over ``area``, 0..1, the weightiest 1.
    """

    dish: str
    score: float
    grid: tuple[tuple[float, ...], ...]
    area: Area

    @classmethod
    def from_json(cls, answer: Json) -> "Explanation":
        """Read the member ``explanation`` of an answer."""
        grid = tuple(tuple(map(float, row)) for row in answer["grid"])
        return cls(answer["dish"], float(answer["score"]), grid, _facts(Area, answer["area"]))


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the model is, and how good; ``accuracy``, ``calibration`` and ``preprocessing`` are as the API has them."""

    name: str
    version: str
    sha256: str
    engine: str
    classes: int
    input_size: int
    coverage: float | None
    tells_food: bool
    accuracy: tuple[Json, ...]
    calibration: tuple[Json, ...]
    preprocessing: Json
    training_data: str
    origin: str
    licence: str

    @classmethod
    def from_json(cls, answer: Json) -> "ModelCard":
        """Read an answer of ``/v1/model``."""
        return _facts(cls, answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The dish on a photo.

    Attributes:
        dish: The likeliest dish; ``score`` is its calibrated probability, 0..1.
        predictions: The likeliest dishes, best first, as many as were asked for.
        prediction_set: Dishes among which the true one is in ``coverage`` of cases; ``None`` where not measured.
        food: Whether the photo shows food at all; ``None`` where the model cannot tell.
        timings_ms: Milliseconds by stage.
        explanation: Only where it was asked for.
        calibrated: Whether scores are probabilities; where not, the model's own scores only rank.
    """

    dish: str
    score: float
    predictions: tuple[Ranked, ...]
    prediction_set: tuple[str, ...] | None = None
    coverage: float | None = None
    food: bool | None = None
    food_score: float | None = None
    photo: PhotoFacts
    model: ModelVersion
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    explanation: Explanation | None = None
    calibrated: bool = True

    @classmethod
    def from_json(cls, answer: Json) -> "Prediction":
        """Read an answer of ``/v1/predict``.

        Raises:
            LookupError, TypeError, ValueError: when it is no such answer.
        """
        names, explained = answer.get("prediction_set"), answer.get("explanation")
        return cls(
            dish=_text(answer["dish"]),
            score=_share(answer["score"]),
            predictions=tuple(Ranked(_text(item["dish"]), _share(item["score"])) for item in answer["predictions"]),
            photo=_facts(PhotoFacts, answer["photo"]),
            model=_facts(ModelVersion, answer["model"]),
            prediction_set=None if names is None else tuple(map(_text, names)),
            coverage=_share_or_none(answer.get("coverage")),
            food=_yes_or_no(answer.get("food")),
            food_score=_share_or_none(answer.get("food_score")),
            timings_ms=dict(answer.get("timings_ms") or {}),
            explanation=None if explained is None else Explanation.from_json(explained),
            calibrated=answer.get("calibrated") is not False,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the answer in the words of the API."""
        left_out = {"explanation"} if self.explanation is None else set()
        left_out |= {"calibrated"} if self.calibrated else set()
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _share(value: float) -> float:
    """Return what must be a number of 0..1: others are no score, and a bar of that length would fill the memory."""
    if not 0 <= (share := float(value)) <= 1:
        raise ValueError(value)
    return share


def _share_or_none(value: float | None) -> float | None:
    return None if value is None else _share(value)


def _yes_or_no(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError(value)
    return value


def _facts(kind: type[T], answer: Json) -> T:
    """Read the members that a dataclass names."""
    return kind(**{name: answer[name] for name in kind.__dataclass_fields__})  # type: ignore[attr-defined]
