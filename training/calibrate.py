"""Fit the constants that make scores honest: ``python -m training.calibrate``.

On held-out training photos (sharp where known so, else as tiles): a temperature that makes the logits' probabilities
likeliest. On these against ``not-food/fit``: which score tells food best, and the threshold that keeps 95 % of the
food. Constants go into the Keras file's metadata, and the derived file is made anew. Prints what they are worth on
photos that fitted nothing.
"""

import argparse
from pathlib import Path
from typing import get_args

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
    _print_calibration(engine, bundle.preprocessing, arguments.data, temperature)
    rule = _fit_not_food(engine, bundle.preprocessing, arguments.data, logits, temperature)
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


def _print_calibration(engine: Engine, recipe: Preprocessing, data: Path, temperature: float) -> None:
    for name, samples in (
        ("sharp/test", list(sharp(data, "test"))),
        ("tiles, 1 in 10", list(tiles(data, "test", every=10))),
    ):
        logits, labels = run(engine, recipe, samples), labels_of(samples)
        for t in (1.0, temperature):
            print(f"{name}, T={t}: ECE {100 * ece(logits, labels, t):.2f} %, NLL {nll(logits, labels, t):.3f}")
        print(f"  (least NLL of its own at T={fit_temperature(logits, labels):.3f})")


def _fit_not_food(engine: Engine, recipe: Preprocessing, data: Path, food: Logits, temperature: float) -> NotFood:
    """Choose score and threshold on ``fit``; print what ``holdout`` and the test photos make of them."""
    fit = run(engine, recipe, list(not_food(data, "fit")))
    fresh = run(engine, recipe, list(not_food(data, "holdout")))
    test = run(engine, recipe, list(sharp(data, "test")))
    print("| score | AUROC on fit | threshold | not-food/fit let through | not-food/holdout | sharp/test kept |")
    print("|---|---|---|---|---|---|")
    areas: dict[ScoreName, float] = {}
    for name in get_args(ScoreName):
        known, *others = (food_scores(logits, name, temperature) for logits in (food, fit, fresh, test))
        areas[name], least = auroc(known, others[0]), threshold(known)
        shares = (_percent(wilson(int((scores >= least).sum()), len(scores))) for scores in others)
        print(f"| {name} | {areas[name]:.4f} | {least:.4f} | {' | '.join(shares)} |")
    best = max(areas, key=areas.__getitem__)
    return NotFood(score=best, threshold=round(threshold(food_scores(food, best, temperature)), 4))


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f}) of {share.photos}"


if __name__ == "__main__":
    main()
