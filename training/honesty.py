"""What makes the scores of a retrained model honest: fitted on held-out photos, told with the number of photos."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import Accuracy, Calibration, Metadata, PredictionSet
from food_vision.model.scores import probabilities
from training.calibrate import COVERAGE, fit_temperature
from training.features import Start
from training.folders import Photos, display_name
from training.metrics import Share, class_mean, ece, top

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]
DOUBT = 30
"""So many photos, at temperature 1, are what is believed beforehand: a handful that are all right prove little."""
TESTED = "own test photos"


class Constants(NamedTuple):
    """Temperature, and the rule of prediction sets; ``None`` where photos are too few to promise anything."""

    temperature: float
    prediction_set: PredictionSet | None


def fit_constants(logits: Logits, labels: Labels) -> Constants:
    """Fit both on held-out photos, whose labels are taken to be right."""
    count = len(labels)
    temperature = round(fit_temperature(logits, labels) ** (count / (count + DOUBT)), 4)
    return Constants(temperature, fit_set(probabilities(logits, temperature), labels))


def fit_set(chances: NDArray[np.float64], labels: Labels, coverage: float = COVERAGE) -> PredictionSet | None:
    """Return the highest threshold whose sets hold the true dish often enough; ``None`` below 19 photos for 95 %.

    Args:
        chances: Calibrated, ``float64[N, classes]``.
        labels: ``int64[N]``.
        coverage: What is promised for the next photo, 0..1.
    """
    true = np.sort(chances[np.arange(len(labels)), labels])
    # One photo more in the count: the next one is as likely as any of these to be the hardest.
    spare = int(np.floor((1 - coverage) * (len(true) + 1) + 1e-9))
    if spare < 1:
        return None
    return PredictionSet(coverage=coverage, threshold=float(np.clip(true[spare - 1], 1e-6, 1 - 1e-6)))


def metadata_of(
    name: str, photos: Photos, start: Start, constants: Constants, logits: Logits, labels: Labels
) -> Metadata:
    """Return what the file says of itself; ``logits`` and ``labels`` are those of the test photos."""
    measures = {"top-1": top(logits, labels), "mean over classes": class_mean(logits, labels)}
    if len(photos.classes) > 5:
        measures["top-5"] = top(logits, labels, 5)
    error = round(ece(logits, labels, constants.temperature), 4)
    return Metadata(
        name=name,
        version="1",
        classes=photos.classes,
        display_names=tuple(map(display_name, photos.classes)),
        preprocessing=start.recipe,
        temperature=constants.temperature,
        prediction_set=constants.prediction_set,
        training_data=f"own photos: {len(photos.train):,} of {len(photos.classes)} dishes; {len(photos.held_out):,} "
        "held out for choices and calibration",
        accuracy=tuple(_measured(measure, share) for measure, share in measures.items()),
        calibration=(Calibration(photos=TESTED, error=error, count=len(labels)),),
        licence=start.licence,
        origin=f"trained on from {start.origin}",
    )


def _measured(measure: str, share: Share) -> Accuracy:
    value, low, high = (round(number, 4) for number in share[:3])
    return Accuracy(photos=TESTED, measure=measure, value=value, low=low, high=high, count=share.photos)
