"""What the full API answers, as types; FastAPI makes the document from them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from food_vision.model.bundle import Accuracy, Bundle, Calibration
from food_vision.model.scores import Ranked, Scores
from food_vision.preprocessing import Preprocessing
from food_vision.serving.predictor import Answer, Timings

PLACES = 4
Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]


class Options(BaseModel):
    """What a caller may ask of an answer."""

    model_config = ConfigDict(frozen=True)

    top_k: int
    min_score: float
    explain: bool = False


class RankedDish(BaseModel):
    """A dish and its calibrated probability."""

    dish: str = Field(examples=["ramen"])
    score: Share = Field(examples=[0.9341])


class PhotoFacts(BaseModel):
    """The photo that was looked at."""

    width: int = Field(ge=1, description="Pixels per row, upright.", examples=[4032])
    height: int = Field(ge=1, description="Rows, upright.", examples=[3024])
    format: Literal["JPEG", "PNG", "WEBP", "GIF"]
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the photo's bytes.", examples=["9f86d081" * 8])


class ModelVersion(BaseModel):
    """Which model answered."""

    name: str = Field(examples=["food-vision"])
    version: str = Field(examples=["1.3.1"])


class StageTimings(BaseModel):
    """Milliseconds by stage; ``fetch`` is 0 where nothing was fetched."""

    fetch: Milliseconds = Field(examples=[41.2])
    decode: Milliseconds = Field(examples=[6.1])
    queue: Milliseconds = Field(examples=[0.1])
    inference: Milliseconds = Field(examples=[2.9])


class Area(BaseModel):
    """A rectangle of the upright photo, in its pixels."""

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Explanation(BaseModel):
    """What the answer rests on."""

    dish: str = Field(description="The dish that is explained.", examples=["ramen"])
    score: Share = Field(description="Its calibrated probability.")
    grid: list[list[Share]] = Field(
        description="Rows of cells, from the top left. 1 is the part of the photo without which the model would be "
        "least sure of the dish; 0 speaks for no dish or for another."
    )
    area: Area = Field(description="The part of the photo that the grid covers; the model sees nothing else.")


class Prediction(BaseModel):
    """The dish on a photo."""

    dish: str = Field(description="The likeliest dish.", examples=["ramen"])
    score: Share = Field(description="Its calibrated probability.", examples=[0.9341])
    predictions: list[RankedDish] = Field(description="The likeliest dishes, best first, as many as were asked for.")
    prediction_set: list[str] | None = Field(
        description="Dishes among which the true one is in `coverage` of cases; null where the model's file has no "
        "threshold for it.",
        examples=[["ramen"]],
    )
    coverage: Share | None = Field(description="What `prediction_set` promises; null with it.", examples=[0.95])
    food: bool | None = Field(description="False where the photo is probably none of food; null where unknown.")
    food_score: Share | None = Field(
        description="Chance that the photo shows food, were every second photo one of food; null where not fitted.",
        examples=[0.998],
    )
    photo: PhotoFacts
    model: ModelVersion
    timings_ms: StageTimings
    explanation: Explanation | None = Field(default=None, description="Only where it was asked for.")
    calibrated: bool = Field(
        default=True,
        description="Only there, and false, where nothing is known of how scores are calibrated: then they rank "
        "dishes, and are no probabilities.",
    )


class ProblemFacts(BaseModel):
    """What went wrong with one photo; RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str


class BatchResult(BaseModel):
    """What became of one photo of a batch: an answer or a problem."""

    id: str | None = Field(description="As given; of a file in a form its name.")
    result: Prediction | None = None
    problem: ProblemFacts | None = None


class BatchAnswer(BaseModel):
    """A result per photo, in the order in which they were sent."""

    results: list[BatchResult]


class LabelOfModel(BaseModel):
    """A dish that the model knows."""

    index: int = Field(ge=0, description="Place in the model's output.")
    id: str = Field(examples=["apple_pie"])
    name: str = Field(examples=["apple pie"])


class Labels(BaseModel):
    """All dishes that the model knows."""

    model: ModelVersion
    labels: list[LabelOfModel]


class About(BaseModel):
    """What the model is, and how good."""

    name: str = Field(examples=["food-vision"])
    version: str = Field(examples=["1.3.1"])
    sha256: str = Field(description="Of the file with the weights.")
    engine: str = Field(examples=["ONNX Runtime 1.32.0, INT8"])
    classes: int = Field(ge=2)
    input_size: int = Field(description="Side of the square that the model sees, in pixels.")
    preprocessing: Preprocessing
    coverage: Share | None = Field(description="What prediction sets promise; null where there are none.")
    tells_food: bool = Field(description="Whether it can tell photos without food.")
    calibrated: bool = Field(description="Whether a score is a probability; false where that was never measured.")
    accuracy: list[Accuracy] = Field(description="As measured, with 95 % intervals.")
    calibration: list[Calibration] = Field(description="Expected calibration error, as measured.")
    training_data: str
    origin: str
    licence: str


def prediction_of(answer: Answer, bundle: Bundle, options: Options, fetched: float) -> Prediction:
    """Put an answer into words; ``fetched`` is how long the photo took to fetch, in seconds."""
    scores = answer.scores
    best, photo = scores.ranked[0], answer.photo
    doubt = {} if bundle.metadata.calibrated else {"calibrated": False}
    return Prediction(
        **doubt,
        dish=best.dish,
        score=shown(best.score),
        predictions=[_ranked(dish) for dish in _asked_for(scores, options)],
        prediction_set=None if scores.prediction_set is None else list(scores.prediction_set),
        coverage=scores.coverage,
        food=scores.food,
        food_score=None if scores.food_score is None else shown(scores.food_score),
        photo=PhotoFacts(width=photo.width, height=photo.height, format=photo.format, sha256=photo.sha256),
        model=ModelVersion(name=bundle.name, version=bundle.version),
        timings_ms=_timings(fetched, answer.timings),
    )


def area_of(width: int, height: int, recipe: Preprocessing) -> Area:
    """Return the part of a photo that the model sees."""
    if recipe.fit == "squash":
        return Area(left=0, top=0, width=width, height=height)
    side = min(width, height)
    return Area(left=(width - side) // 2, top=(height - side) // 2, width=side, height=side)


def labels_of(bundle: Bundle) -> Labels:
    """Return what the model knows."""
    names = zip(bundle.metadata.classes, bundle.display_names, strict=True)
    return Labels(
        model=ModelVersion(name=bundle.name, version=bundle.version),
        labels=[LabelOfModel(index=index, id=id_, name=name) for index, (id_, name) in enumerate(names)],
    )


def about(bundle: Bundle, engine: str) -> About:
    """Return what the model says of itself."""
    metadata = bundle.metadata
    return About(
        name=bundle.name,
        version=bundle.version,
        sha256=bundle.sha256,
        engine=engine,
        classes=len(metadata.classes),
        input_size=bundle.preprocessing.size,
        preprocessing=bundle.preprocessing,
        coverage=None if metadata.prediction_set is None else metadata.prediction_set.coverage,
        tells_food=metadata.not_food is not None,
        calibrated=metadata.calibrated,
        accuracy=list(metadata.accuracy),
        calibration=list(metadata.calibration),
        training_data=metadata.training_data,
        origin=metadata.origin,
        licence=metadata.licence,
    )


def shown(score: float) -> float:
    """Return a score as callers see it: more places than these would be noise."""
    return round(score, PLACES)


def _asked_for(scores: Scores, options: Options) -> list[Ranked]:
    return [ranked for ranked in scores.ranked[: options.top_k] if ranked.score >= options.min_score]


def _ranked(ranked: Ranked) -> RankedDish:
    return RankedDish(dish=ranked.dish, score=shown(ranked.score))


def _timings(fetched: float, timings: Timings) -> StageTimings:
    stages = (fetched, timings.decode, timings.queue, timings.inference)
    fetch, decode, queue, inference = (round(1000 * seconds, 1) for seconds in stages)
    return StageTimings(fetch=fetch, decode=decode, queue=queue, inference=inference)
