"""Fit the constants that make scores honest: ``python -m training.calibrate``.

On held-out training photos (sharp where known so, else as tiles), of whose labels one in twenty is taken to be wrong: a
temperature that makes the labels likeliest, and the probability from which a dish belongs to the prediction set. On
these against ``not-food/fit``: which score tells food best, the threshold that keeps 95 % of the food, and the chance
of food that goes with a score. Constants go into the Keras file, and the derived file is made anew. Prints what they
are worth on photos that fitted nothing.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from food_vision.model.bundle import Metadata, PredictionSet
from food_vision.model.scores import probabilities
from training.checkpoint import WEIGHTS, read_metadata, write_metadata
from training.classes import CLASSES
from training.data import Sample, held_out, not_food, require_photos, sharp, sharpest, tiles
from training.export import export
from training.metrics import Share, ece, nll, wilson
from training.not_food import Photos, fit_not_food, write_probe
from training.seen import Eye, Seen

COVERAGE = 0.95
WRONG_LABELS = 0.05
"""Share of the official training photos, the held-out ones among them, whose label is wrong by design."""
EVERY_SHARP, EVERY_TILE = 14, 74
"""One training photo in so many shows what food looks like: about a thousand of each kind, as many as are held out."""
Logits = NDArray[np.float32]
Labels = NDArray[np.int64]
Chances = NDArray[np.float64]


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    parser.add_argument("--kept", type=Path, default=Path("runs/seen"), help="where what was seen is kept")
    parser.add_argument(
        "--mirrored-below", type=float, metavar="LEAD", help="look at mirror images where the first dish leads by less"
    )
    parser.add_argument("--dry-run", action="store_true", help="print only, write nothing")
    arguments = parser.parse_args()
    require_photos(arguments.data)
    metadata = read_metadata(arguments.weights)
    if metadata is None:
        sys.exit(f"{arguments.weights} has no metadata: `python -m training.checkpoint` writes it.")
    if arguments.mirrored_below is not None:
        metadata = _mirrored(metadata, arguments.mirrored_below)
    recipe, below = metadata.preprocessing, metadata.mirrored_below
    photos = look(Eye(arguments.weights, recipe, arguments.data, arguments.kept, mirrored_below=below), arguments)
    constants, probe = fit(photos)
    if not arguments.dry_run:
        write_probe(arguments.weights, probe)
        write_metadata(arguments.weights, metadata.model_copy(update=constants))
        export(arguments.weights)


def _mirrored(metadata: Metadata, below: float) -> Metadata:
    try:
        return Metadata.model_validate(metadata.model_dump() | {"mirrored_below": below})
    except ValidationError:
        sys.exit(f"--mirrored-below takes a lead in logits, 0 or more, not {below}.")


def look(eye: Eye, arguments: argparse.Namespace) -> Photos:
    """Return what the network sees on the photos that fit something, and on test photos that do not."""
    data, held = arguments.data, arguments.held_out
    return Photos(
        learnt=eye.look("learnt", lambda: _learnt(data, held)),
        held_out=eye.look("held-out", lambda: sharpest(*held_out(data, held))),
        rest=eye.look("not-food-fit", lambda: not_food(data, "fit")),
        fresh={
            "not-food/holdout": eye.look("not-food-holdout", lambda: not_food(data, "holdout")),
            "sharp/test": eye.look("sharp-test", lambda: sharp(data, "test")),
            "1 in 5 of food64/test": eye.look("food64-test", lambda: tiles(data, "test", every=5)),
        },
    )


def fit(photos: Photos) -> tuple[dict[str, object], NDArray[np.float32] | None]:
    """Return the constants for the metadata, and the probe if there is to be one; print what they are worth."""
    logits, labels = photos.held_out.logits, photos.held_out.labels
    dishes = {name: seen for name, seen in photos.fresh.items() if (seen.labels >= 0).all()}
    plain, temperature = (round(fit_temperature(logits, labels, wrong), 4) for wrong in (0.0, WRONG_LABELS))
    print(f"temperature {temperature}, and {plain} were all labels right")
    for name, seen in dishes.items():
        _print_calibration(name, seen, (1.0, plain, temperature))
    promise = fit_prediction_set(probabilities(logits, temperature), labels)
    print(f"prediction sets of {100 * promise.coverage:g} %: every dish from {promise.threshold}")
    for name, seen in dishes.items():
        _print_coverage(name, seen, promise, temperature)
    rule, probe = fit_not_food(photos, temperature)
    return {"temperature": temperature, "prediction_set": promise, "not_food": rule}, probe


def fit_temperature(logits: Logits, labels: Labels, wrong: float = 0.0, low: float = 0.2, high: float = 5.0) -> float:
    """Return the temperature that makes the labels likeliest; thirds find it, as there is one best.

    Args:
        logits: ``float32[N, classes]``.
        labels: ``int64[N]``.
        wrong: Share of the labels that are wrong, 0..1, each naming any other dish as likely as the next. Whoever takes
            wrong labels for right ones finds the network too sure of itself (docs/decisions/010-calibration.md).
        low: Least temperature; ``high`` is the greatest.
    """
    while high - low > 1e-5:
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if _surprise(logits, labels, wrong, left) < _surprise(logits, labels, wrong, right):
            high = right
        else:
            low = left
    return (low + high) / 2


def fit_prediction_set(chances: Chances, labels: NDArray[np.int64], coverage: float = COVERAGE) -> PredictionSet:
    """Return the highest threshold with which the sets of held-out photos hold the true dish often enough.

    Often enough is less than ``coverage`` on these labels: a wrong one is in the set only by chance, as one dish of
    many, and it must not be (docs/decisions/007-prediction-sets.md). And more than that by one standard error: aimed
    at the share itself, the sets of one fit in two would hold less.

    Args:
        chances: Calibrated, ``float64[N, classes]``.
        labels: ``int64[N]``, ``WRONG_LABELS`` of them wrong.
        coverage: For true labels, 0..1.
    """
    count, classes = chances.shape
    true = np.sort(chances[np.arange(count), labels])
    least = true[0]
    for left_out, candidate in enumerate(true):
        others = (float((chances >= candidate).sum(axis=1).mean()) - 1) / (classes - 1)
        wanted = (1 - WRONG_LABELS) * coverage + WRONG_LABELS * max(others, 0)
        # One photo more in the count: the next one is as likely as any of these to be the hardest.
        if (count - left_out) / (count + 1) < wanted + math.sqrt(wanted * (1 - wanted) / count):
            break
        least = candidate
    return PredictionSet(coverage=coverage, threshold=_rounded_down(least))


def _surprise(logits: Logits, labels: Labels, wrong: float, temperature: float) -> float:
    """Return the mean negative log-likelihood, in nats, of labels of which a share is ``wrong``."""
    chances = probabilities(logits, temperature)
    true = chances[np.arange(len(labels)), labels]
    known = (1 - wrong) * true + wrong * (1 - true) / (chances.shape[1] - 1)
    return float(-np.log(np.maximum(known, 1e-300)).mean())


def _learnt(data: Path, held: Path) -> list[Sample]:
    """Return some of the photos that the network was trained on."""
    out = {sample.id for sample in held_out(data, held)[1]}
    some = [*list(sharp(data, "train"))[::EVERY_SHARP], *tiles(data, "train", every=EVERY_TILE)]
    return [sample for sample in some if sample.id not in out]


def _print_calibration(name: str, seen: Seen, temperatures: tuple[float, ...]) -> None:
    for t in temperatures:
        error, surprise = ece(seen.logits, seen.labels, t), nll(seen.logits, seen.labels, t)
        print(f"{name}, T={t}: ECE {100 * error:.2f} %, NLL {surprise:.3f}")


def _print_coverage(name: str, seen: Seen, promise: PredictionSet, temperature: float) -> None:
    inside = probabilities(seen.logits, temperature) >= promise.threshold
    covered, sizes = inside[np.arange(len(seen.labels)), seen.labels], inside.sum(axis=1)
    print(f"{name}: hold the dish in {_percent(wilson(int(covered.sum()), len(covered)))}; {_spread(sizes)}")
    print(f"  worst classes: {_worst(covered, seen.labels)}")


def _spread(sizes: NDArray[np.int64]) -> str:
    alone, none = 100 * (sizes == 1).mean(), 100 * (sizes == 0).mean()
    middle = f"mean {sizes.mean():.2f}, median {np.median(sizes):g}, most {sizes.max()}"
    return f"dishes: {middle}, only one {alone:.0f} %, none {none:.1f} %"


def _worst(covered: NDArray[np.bool_], labels: NDArray[np.int64], count: int = 5) -> str:
    shares = {CLASSES[label]: 100 * covered[labels == label].mean() for label in np.unique(labels)}
    return ", ".join(f"{dish} {shares[dish]:.0f} %" for dish in sorted(shares, key=shares.__getitem__)[:count])


def _rounded_down(value: float, places: int = 6) -> float:
    """Return a value that is short to write and lets no dish out that the exact one lets in."""
    return float(math.floor(value * 10**places) / 10**places)


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f}) of {share.photos}"


if __name__ == "__main__":
    main()
