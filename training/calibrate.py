"""Fit the constants that make scores honest: ``python -m training.calibrate``.

On held-out training photos (sharp where known so, else as tiles): a temperature that makes the logits' probabilities
likeliest, and the probability from which a dish belongs to the prediction set. On these against ``not-food/fit``: which
score tells food best, the threshold that keeps 95 % of the food, and the chance of food that goes with a score.
Constants go into the Keras file's metadata, and the derived file is made anew. Prints what they are worth on photos
that fitted nothing.
"""

import argparse
import math
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import Logistic, NotFood, PredictionSet, ScoreName
from food_vision.model.engine import Engine
from food_vision.model.scores import chance_of_food, food_scores, probabilities
from food_vision.preprocessing import Preprocessing
from training.checkpoint import WEIGHTS, write_metadata
from training.classes import CLASSES
from training.data import held_out, not_food, require_photos, sharp, sharpest, tiles
from training.export import export
from training.inference import labels_of, open_model, run
from training.metrics import Share, auroc, ece, nll, wilson

FOOD_KEPT = 0.95
COVERAGE = 0.95
WRONG_LABELS = 0.05
"""Share of the official training photos, the held-out ones among them, whose label is wrong by design."""
RIDGE = 1e-6
"""Keeps the curve finite where food and the rest do not overlap."""
Logits = NDArray[np.float32]
Chances = NDArray[np.float64]


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    arguments = parser.parse_args()
    require_photos(arguments.data)
    bundle, engine = open_model(arguments.weights)
    food = sharpest(*held_out(arguments.data, arguments.held_out))
    logits, labels = run(engine, bundle.preprocessing, food), labels_of(food)
    temperature = round(fit_temperature(logits, labels), 4)
    print(
        f"temperature {temperature}: NLL {nll(logits, labels):.3f} -> {nll(logits, labels, temperature):.3f} held out"
    )
    fresh = Fresh.of(engine, bundle.preprocessing, arguments.data)
    fresh.print_calibration(temperature)
    promise = fit_prediction_set(probabilities(logits, temperature), labels)
    fresh.print_coverage(promise, temperature)
    fit = run(engine, bundle.preprocessing, list(not_food(arguments.data, "fit")))
    rule = _fit_not_food(logits, fit, fresh, temperature)
    constants = {"temperature": temperature, "prediction_set": promise, "not_food": rule}
    write_metadata(arguments.weights, bundle.metadata.model_copy(update=constants))
    export(arguments.weights)


def fit_temperature(logits: Logits, labels: NDArray[np.int64], low: float = 0.2, high: float = 5.0) -> float:
    """Return the temperature of least negative log-likelihood; it has one minimum, so that thirds find it."""
    while high - low > 1e-5:
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if nll(logits, labels, left) < nll(logits, labels, right):
            high = right
        else:
            low = left
    return (low + high) / 2


def fit_prediction_set(chances: Chances, labels: NDArray[np.int64], coverage: float = COVERAGE) -> PredictionSet:
    """Return the highest threshold with which the sets of held-out photos hold the true dish often enough.

    Often enough is less than ``coverage`` on these labels: a wrong one is in the set only by chance, as one dish of
    many, and it must not be (docs/decisions/007-prediction-sets.md).

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
        # One photo more in the count: the next one is as likely as any of these to be the hardest.
        if (count - left_out) / (count + 1) < (1 - WRONG_LABELS) * coverage + WRONG_LABELS * max(others, 0):
            break
        least = candidate
    return PredictionSet(coverage=coverage, threshold=_rounded_down(least))


def fit_chance(food: NDArray[np.float64], rest: NDArray[np.float64], steps: int = 50) -> Logistic:
    """Return the logistic curve that tells both apart most likely, each side weighing half (Newton's method)."""
    scores = np.concatenate([food, rest])
    centre, spread = scores.mean(), scores.std()
    inputs = np.stack([(scores - centre) / spread, np.ones_like(scores)], axis=1)
    wanted = np.repeat([1.0, 0.0], [len(food), len(rest)])
    weights = np.repeat([0.5 / len(food), 0.5 / len(rest)], [len(food), len(rest)])
    line = np.zeros(2)
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ line, -30, 30)))
        slope = inputs.T @ (weights * (wanted - chance)) - RIDGE * line
        bend = (inputs * (weights * chance * (1 - chance))[:, np.newaxis]).T @ inputs + RIDGE * np.eye(2)
        line += np.linalg.solve(bend, slope)
    steepness = line[0] / spread
    return Logistic(slope=round(float(steepness), 4), midpoint=round(float(centre - line[1] / steepness), 4))


def threshold(scores: NDArray[np.float64], kept: float = FOOD_KEPT) -> float:
    """Return the score that ``kept`` of the food reaches."""
    return float(np.quantile(scores, 1 - kept))


class Fresh(NamedTuple):
    """Photos that fit nothing: logits, and labels of the dishes."""

    sharp: Logits
    sharp_labels: NDArray[np.int64]
    small: Logits
    small_labels: NDArray[np.int64]
    not_food: Logits

    @classmethod
    def of(cls, engine: Engine, recipe: Preprocessing, data: Path) -> "Fresh":
        """Run the test photos, one tile in ten, and ``not-food/holdout``."""
        sharp_ones, small_ones = list(sharp(data, "test")), list(tiles(data, "test", every=10))
        rest = run(engine, recipe, list(not_food(data, "holdout")))
        return cls(
            run(engine, recipe, sharp_ones),
            labels_of(sharp_ones),
            run(engine, recipe, small_ones),
            labels_of(small_ones),
            rest,
        )

    def print_calibration(self, temperature: float) -> None:
        """Print what the temperature is worth on dishes."""
        for name, logits, labels in self._dishes():
            for t in (1.0, temperature):
                print(f"{name}, T={t}: ECE {100 * ece(logits, labels, t):.2f} %, NLL {nll(logits, labels, t):.3f}")

    def print_coverage(self, promise: PredictionSet, temperature: float) -> None:
        """Print how often the sets hold the true dish, and how large they are."""
        print(f"prediction sets of {100 * promise.coverage:g} %: every dish from {promise.threshold}")
        for name, logits, labels in self._dishes():
            inside = probabilities(logits, temperature) >= promise.threshold
            covered, sizes = inside[np.arange(len(labels)), labels], inside.sum(axis=1)
            print(f"{name}: hold the dish in {_percent(wilson(int(covered.sum()), len(covered)))}; {_spread(sizes)}")
            print(f"  worst classes: {_worst(covered, labels)}")

    def _dishes(self) -> list[tuple[str, Logits, NDArray[np.int64]]]:
        return [
            ("sharp/test", self.sharp, self.sharp_labels),
            ("1 in 10 of food64/test", self.small, self.small_labels),
        ]


def _fit_not_food(food: Logits, fit: Logits, fresh: Fresh, temperature: float) -> NotFood:
    """Choose score and threshold on ``food`` and ``fit``; print what fresh photos make of them."""
    print("| score | AUROC on fit | threshold | not-food/fit let through | not-food/holdout | sharp/test kept |")
    print("|---|---|---|---|---|---|")
    areas: dict[ScoreName, float] = {}
    for name in get_args(ScoreName):
        known, *others = (food_scores(logits, name, temperature) for logits in (food, fit, fresh.not_food, fresh.sharp))
        areas[name], least = auroc(known, others[0]), threshold(known)
        shares = (_percent(wilson(int((scores >= least).sum()), len(scores))) for scores in others)
        print(f"| {name} | {areas[name]:.4f} | {least:.4f} | {' | '.join(shares)} |")
    best = max(areas, key=areas.__getitem__)
    known, rest, unknown = (food_scores(logits, best, temperature) for logits in (food, fit, fresh.not_food))
    chance = fit_chance(known, rest)
    means = (float(chance_of_food(scores, chance).mean()) for scores in (known, rest, unknown))
    print("mean chance of food: held out {:.2f}, not-food/fit {:.2f}, not-food/holdout {:.2f}".format(*means))
    return NotFood(score=best, threshold=round(threshold(known), 4), chance=chance)


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
