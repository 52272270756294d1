"""What belongs to the weights besides the weights: labels, recipe, constants, and the graph that the fast engine runs.

    food-vision-model.h5      the weights: a Keras file, the source of truth, expected to be there
    food-vision-model.onnx    derived from it by ``python -m training.export``: the graph that the fast engine runs, and
                              among its ``metadata_props``, as ONNX calls them, ``food_vision.json``: the label

The label holds the metadata and the SHA-256 of the weights, and behind it stands that of the whole file, so that files
which do not belong together, or were cut short on the way, are noticed at start and never answer wrongly.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from food_vision.errors import StartupError
from food_vision.model.sealed import is_whole, sealed, text_of
from food_vision.preprocessing import Preprocessing

SUFFIX = ".onnx"
EXPORT = "python -m training.export"
Precision = Literal["float32", "int8"]
"""What the fast engine computes in."""
LogitScore = Literal["max_probability", "max_logit", "energy", "centred_max_logit", "centred_energy"]
ScoreName = Literal[LogitScore, "probe"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NotFood(_Frozen):
    """How a photo without food is told: by a score that falls below a threshold.

    Attributes:
        score: ``probe``, which the graph puts out behind the logits: a weighted sum of what the last layer sees, whose
            weights stand in the Keras file (docs/decisions/009-not-food.md). Or one of the logits' own:
            ``max_probability`` (calibrated), ``max_logit``, ``energy`` (their log-sum-exp), or one of the last two
            ``centred``: of the logits less their mean.
        threshold: Least score of food.
        chance: How the score becomes the chance of food; ``None`` where that was not fitted.
    """

    score: ScoreName
    threshold: float
    chance: "Logistic | None" = None


class Logistic(_Frozen):
    """``1 / (1 + exp(-slope * (score - midpoint)))``: a score of any scale as a chance, 0..1."""

    slope: float
    midpoint: float


class PredictionSet(_Frozen):
    """Which dishes an answer has to name so that the true one is among them as often as promised.

    Attributes:
        coverage: The promise: the share of photos whose true dish is in the set, 0..1.
        threshold: Least calibrated probability of a dish in the set.
    """

    coverage: float = Field(gt=0, lt=1)
    threshold: float = Field(gt=0, lt=1)


class Accuracy(_Frozen):
    """A share that was measured, with its 95 % interval.

    Attributes:
        photos: On which photos.
        measure: ``top-1``, ``top-5`` …
        value: The share, 0..1; ``low`` and ``high`` are the interval's ends.
        count: How many photos.
    """

    photos: str
    measure: str
    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    count: int = Field(ge=1)


class Calibration(_Frozen):
    """How far scores are from what they promise.

    Attributes:
        photos: On which photos.
        error: Expected calibration error of the first answer in 15 bins of equal width, 0..1.
        count: How many photos.
    """

    photos: str
    error: float = Field(ge=0, le=1)
    count: int = Field(ge=1)


class Metadata(_Frozen):
    """What a model says of itself; stands as JSON in the Keras file's attribute ``food_vision``.

    Attributes:
        classes: Class ids in the order of the outputs.
        display_names: What people read, in the same order.
        mirrored_below: Where the first dish leads the second by less, in logits, the answer is the mean of what the
            network says of the photo and of its mirror image; 0 never asks about that.
        temperature: What logits are divided by to make probabilities mean what they say.
        not_food: ``None`` where nothing was fitted: then nobody says whether a photo shows food.
        prediction_set: ``None`` where nothing was fitted: then answers have no set.
    """

    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=2)
    display_names: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing()
    mirrored_below: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=1.0, gt=0)
    not_food: NotFood | None = None
    prediction_set: PredictionSet | None = None
    training_data: str = ""
    accuracy: tuple[Accuracy, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    licence: str = ""
    origin: str = ""

    @property
    def calibrated(self) -> bool:
        """Whether scores mean what they say: only where their error was measured is that known."""
        return bool(self.calibration)

    @property
    def has_probe(self) -> bool:
        """Whether the graph puts out a score of food behind the logits."""
        return self.not_food is not None and self.not_food.score == "probe"

    @property
    def outputs(self) -> int:
        """How many numbers the graph puts out for a photo."""
        return len(self.classes) + self.has_probe

    @model_validator(mode="after")
    def _names_fit(self) -> "Metadata":
        if len(self.classes) != len(self.display_names):
            raise ValueError(f"{len(self.classes)} classes but {len(self.display_names)} display names")
        if len(set(self.classes)) < len(self.classes) or len(set(self.display_names)) < len(self.display_names):
            raise ValueError("a class is named twice")
        return self


class Label(_Frozen):
    """What stands behind the graph in the derived file: the metadata and which files it belongs to.

    Attributes:
        outputs: How many dishes the Keras file knows.
        precision: Of the graph; the Keras file is always in float32.
    """

    format: Literal[2] = 2
    weights_sha256: str
    outputs: int
    precision: Precision = "float32"
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model whose files were found, belong together and are whole.

    Attributes:
        weights: The Keras file.
        derived: The fast engine's file.
        sha256: Of the weights, hexadecimal.
        metadata: Labels, recipe and constants.
        precision: Of the fast engine's graph.
    """

    weights: Path
    derived: Path
    sha256: str
    metadata: Metadata
    precision: Precision = "float32"

    @property
    def name(self) -> str:
        """The model's name."""
        return self.metadata.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.metadata.version

    @property
    def display_names(self) -> tuple[str, ...]:
        """What people read, in the order of the outputs."""
        return self.metadata.display_names

    @property
    def preprocessing(self) -> Preprocessing:
        """How photos become the model's input."""
        return self.metadata.preprocessing


def load_bundle(weights: Path) -> Bundle:
    """Check the weights and the file derived from them, which stands beside them under the same name.

    Raises:
        StartupError: when either is missing or damaged, or when they do not belong together; says what mends it.
    """
    sha256 = hashlib.sha256(_read(weights, "set FOOD_VISION_MODEL to a Keras .h5 file.")).hexdigest()
    derived = weights.with_suffix(SUFFIX)
    label = read_label(_read(derived, _remedy(weights)), derived, weights)
    if label.weights_sha256 != sha256:
        raise StartupError(
            f"{derived} was made from other weights than {weights}, or one of the two is damaged; {_remedy(weights)}"
        )
    if label.outputs != len(label.metadata.classes):
        names = len(label.metadata.classes)
        raise StartupError(f"{weights} has {label.outputs} outputs but {names} labels; {_remedy(weights)}")
    return Bundle(weights, derived, sha256, label.metadata, label.precision)


def write_derived(
    path: Path,
    graph: bytes,
    weights_sha256: str,
    outputs: int,
    metadata: Metadata,
    precision: Precision = "float32",
) -> None:
    """Write the fast engine's file: the graph, the label, the seal; the same input gives the same bytes."""
    label = Label(weights_sha256=weights_sha256, outputs=outputs, precision=precision, metadata=metadata)
    path.write_bytes(sealed(graph, label.model_dump_json(indent=1)))


def read_label(data: bytes, derived: Path, weights: Path) -> Label:
    """Return the label of a derived file that is whole.

    Raises:
        StartupError: when there is none, or the file is damaged.
    """
    if not is_whole(data):
        raise StartupError(f"{derived} is damaged or no file of ours; {_remedy(weights)}")
    try:
        return Label.model_validate_json(text_of(data))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise StartupError(f"{derived} has a label of another format ({where}); {_remedy(weights)}") from error


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StartupError(f"{path} is missing; {remedy}") from None
    except OSError as error:
        raise StartupError(f"{path} cannot be read: {error.strerror}; {remedy}") from error


def _remedy(weights: Path) -> str:
    return f"make it with `{EXPORT} {weights}`."
