"""Fit the constants that make scores honest: ``python -m training.calibrate``.

On held-out training photos (sharp where known so, else as tiles): a temperature that makes the logits' probabilities
likeliest. On these against ``not-food/fit``: which score tells food best, and the threshold that keeps 95 % of the
food. Constants go into the Keras file's metadata, and the derived file is made anew. Prints what they are worth on
photos that fitted nothing.
"""

import argparse
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import NotFood, ScoreName
from food_vision.model.engine import Engine
from food_vision.model.scores import food_scores
from food_vision.preprocessing import Preprocessing
from training.checkpoint import WEIGHTS, write_metadata
from training.data import held_out, not_food, sharp, sharpest, tiles
from training.export import export
from training.inference import labels_of, open_model, run
from training.metrics import Share, auroc, ece, nll, wilson

FOOD_KEPT = 0.95
Logits = NDArray[np.float32]


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    arguments = parser.parse_args()
    bundle, engine = open_model(arguments.weights)
    food = sharpest(*held_out(arguments.data, arguments.held_out))
    logits, labels = run(engine, bundle.preprocessing, food), labels_of(food)
    temperature = round(fit_temperature(logits, labels), 4)
    print(
        f"temperature {temperature}: NLL {nll(logits, labels):.3f} -> {nll(logits, labels, temperature):.3f} held out"
    )
    fresh = Fresh.of(engine, bundle.preprocessing, arguments.data)
    fresh.print_calibration(temperature)
    fit = run(engine, bundle.preprocessing, list(not_food(arguments.data, "fit")))
    rule = _fit_not_food(logits, fit, fresh, temperature)
    metadata = bundle.metadata.model_copy(update={"temperature": temperature, "not_food": rule})
    write_metadata(arguments.weights, metadata)
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
        sets = {
            "sharp/test": (self.sharp, self.sharp_labels),
            "1 in 10 of food64/test": (self.small, self.small_labels),
        }
        for name, (logits, labels) in sets.items():
            for t in (1.0, temperature):
                print(f"{name}, T={t}: ECE {100 * ece(logits, labels, t):.2f} %, NLL {nll(logits, labels, t):.3f}")


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
    return NotFood(score=best, threshold=round(threshold(food_scores(food, best, temperature)), 4))


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f}) of {share.photos}"


if __name__ == "__main__":
    main()
