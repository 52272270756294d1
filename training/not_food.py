"""Which score tells photos of food from the rest: candidates compared, the probe fitted.

A network that knows dishes only has its own ideas of what a street looks like; the last layer's features still tell it
from food, once they are shown some of both. The probe is a weighted sum of these features, fitted by least squares with
a ridge. What it says of a photo that it was fitted on is never used: each is judged by the sum fitted on all others,
which least squares give in closed form.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import Logistic, LogitScore, NotFood, ScoreName
from food_vision.model.keras import PROBE
from food_vision.model.scores import chance_of_food, food_scores
from training.metrics import Share, auroc, wilson
from training.seen import Seen

FOOD_KEPT = 0.96
"""Share of the held-out food that passes for food. A point more than is promised, 95 %: a thousand photos may mislead
by about as much."""
RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
FAR = 5.0
"""What food is to get from a weighted sum, and the rest with a minus: of the size of logits, since a graph in eight
bits has one scale for all of its outputs."""
NEIGHBOURS = 10
CURVE_RIDGE = 1e-6
"""Keeps the curve finite where food and the rest do not overlap."""
Floats = NDArray[np.floating]
Scores = NDArray[np.float64]


class Photos(NamedTuple):
    """What food is told from the rest by.

    Attributes:
        learnt: Photos of food that the network was trained on, sharp and small: it is surer of them than of others.
        held_out: Photos of food that trained nothing; thresholds rest on them.
        rest: Photos without food.
        fresh: Photos that fit nothing, by name, those without food first.
    """

    learnt: Seen
    held_out: Seen
    rest: Seen
    fresh: dict[str, Seen]


class Line(NamedTuple):
    """A weighted sum and a bias, ``float64[F + 1]``, and what the photos it was fitted on get without themselves."""

    weights: NDArray[np.float64]
    held_out: Scores
    rest: Scores

    def __call__(self, inputs: Floats) -> Scores:
        return np.asarray(inputs @ self.weights[:-1] + self.weights[-1])


class Candidate(NamedTuple):
    """A score by the name that the table gives it; higher is more like food."""

    name: str
    held_out: Scores
    rest: Scores
    fresh: list[Scores]

    @property
    def auroc(self) -> float:
        """The chance that held-out food has a higher score than a photo without."""
        return auroc(self.held_out, self.rest)


def fit_not_food(photos: Photos, temperature: float) -> tuple[NotFood, NDArray[np.float32] | None]:
    """Choose the score on ``held_out`` against ``rest``, print what fresh photos make of it.

    Returns:
        The rule, and the probe ``float32[F + 1]`` where that is the rule's score.
    """
    probe, by_probe = _fitted("probe", photos, lambda seen: seen.features)
    candidates = [*_of_logits(photos, temperature), *_of_features(photos), by_probe]
    _print_table(candidates, list(photos.fresh))
    known: dict[str, ScoreName] = {name: name for name in get_args(LogitScore)} | {"probe": "probe"}
    best = max((one for one in candidates if one.name in known), key=lambda one: one.auroc)
    chance = fit_chance(best.held_out, best.rest)
    means = (
        (name, chance_of_food(scores, chance).mean()) for name, scores in zip(photos.fresh, best.fresh, strict=True)
    )
    print("mean chance of food:", ", ".join(f"{name} {mean:.2f}" for name, mean in means))
    rule = NotFood(score=known[best.name], threshold=round(threshold(best.held_out), 4), chance=chance)
    return rule, probe.weights.astype(np.float32) if rule.score == "probe" else None


def fit_line(learnt: Floats, held_out: Floats, rest: Floats, ridges: Sequence[float] = RIDGES) -> Line:
    """Return the weighted sum nearest to ``FAR`` for food and ``-FAR`` for the rest, each side weighing half.

    The ridge is the one that tells held-out food from the rest best, each photo judged without itself.

    Args:
        learnt: Food, ``float[N, F]``; helps to fit and judges nothing. ``held_out`` and ``rest`` are alike.
        ridges: To choose from.
    """
    inputs = np.concatenate([learnt, held_out, rest]).astype(np.float64)
    food = len(learnt) + len(held_out)
    wanted = np.repeat([FAR, -FAR], [food, len(rest)])
    root = np.sqrt(np.repeat([0.5 / food, 0.5 / len(rest)], [food, len(rest)]))
    mean = root**2 @ inputs
    spread = np.sqrt(root**2 @ (inputs - mean) ** 2) + 1e-6
    scaled = (inputs - mean) / spread * root[:, np.newaxis]
    values, axes = np.linalg.eigh(scaled.T @ scaled)
    turned = scaled @ axes
    pull = turned.T @ (wanted * root)

    def with_ridge(ridge: float) -> Line:
        fitted = turned @ (pull / (values + ridge)) / root
        leverage = (turned**2 / (values + ridge)).sum(axis=1)
        alone = wanted - (wanted - fitted) / (1 - leverage)
        slopes = axes @ (pull / (values + ridge)) / spread
        return Line(np.append(slopes, -mean @ slopes), alone[len(learnt) : food], alone[food:])

    return max(map(with_ridge, ridges), key=lambda line: auroc(line.held_out, line.rest))


def threshold(scores: Scores, kept: float = FOOD_KEPT) -> float:
    """Return the score that ``kept`` of the food reaches."""
    return float(np.quantile(scores, 1 - kept))


def fit_chance(food: Scores, rest: Scores, steps: int = 50) -> Logistic:
    """Return the logistic curve that tells both apart most likely, each side weighing half (Newton's method)."""
    scores = np.concatenate([food, rest])
    centre, spread = scores.mean(), scores.std()
    inputs = np.stack([(scores - centre) / spread, np.ones_like(scores)], axis=1)
    wanted = np.repeat([1.0, 0.0], [len(food), len(rest)])
    weights = np.repeat([0.5 / len(food), 0.5 / len(rest)], [len(food), len(rest)])
    line = np.zeros(2)
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ line, -30, 30)))
        slope = inputs.T @ (weights * (wanted - chance)) - CURVE_RIDGE * line
        bend = (inputs * (weights * chance * (1 - chance))[:, np.newaxis]).T @ inputs + CURVE_RIDGE * np.eye(2)
        line += np.linalg.solve(bend, slope)
    steepness = line[0] / spread
    return Logistic(slope=round(float(steepness), 4), midpoint=round(float(centre - line[1] / steepness), 4))


def write_probe(path: Path, probe: NDArray[np.float32] | None) -> None:
    """Put the probe into a Keras file, or take it out; what was derived from the file must be made anew."""
    with h5py.File(path, "r+") as file:
        if probe is not None:
            file.attrs[PROBE] = probe
        elif PROBE in file.attrs:
            del file.attrs[PROBE]


def _of_logits(photos: Photos, temperature: float) -> Iterator[Candidate]:
    def scored(name: LogitScore) -> Callable[[Seen], Scores]:
        return lambda seen: food_scores(seen.logits, name, temperature)

    for name in get_args(LogitScore):
        yield _told(name, photos, scored(name))
    yield _fitted("a weighted sum of the logits", photos, lambda seen: _centred(seen.logits))[1]


def _of_features(photos: Photos) -> Iterator[Candidate]:
    """Yield distances from what was learnt; neither needs a photo without food."""
    learnt = photos.learnt
    present = np.unique(learnt.labels)
    means = np.stack([learnt.features[learnt.labels == label].mean(axis=0) for label in present])
    apart = learnt.features - means[np.searchsorted(present, learnt.labels)]
    covariance = apart.T @ apart / len(apart)
    # A tenth of the mean variance on the diagonal: there are hardly more photos than features.
    values, axes = np.linalg.eigh(covariance + 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    whitening = axes / np.sqrt(values)
    centres, unit = means @ whitening, _unit(learnt.features)

    def near_a_dish(seen: Seen) -> Scores:
        places = seen.features @ whitening
        squares = (places**2).sum(axis=1)[:, np.newaxis] - 2 * places @ centres.T + (centres**2).sum(axis=1)
        return np.asarray(-squares.min(axis=1), np.float64)

    def near_others(seen: Seen) -> Scores:
        likeness = _unit(seen.features) @ unit.T
        return np.asarray(np.partition(likeness, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS], np.float64)

    yield _told("distance from the nearest dish (Mahalanobis)", photos, near_a_dish)
    yield _told(f"likeness to the {NEIGHBOURS}th nearest photo (cosine)", photos, near_others)


def _told(name: str, photos: Photos, score: Callable[[Seen], Scores]) -> Candidate:
    return Candidate(name, score(photos.held_out), score(photos.rest), [score(seen) for seen in photos.fresh.values()])


def _fitted(name: str, photos: Photos, inputs: Callable[[Seen], Floats]) -> tuple[Line, Candidate]:
    line = fit_line(inputs(photos.learnt), inputs(photos.held_out), inputs(photos.rest))
    fresh = [line(inputs(seen)) for seen in photos.fresh.values()]
    return line, Candidate(name, line.held_out, line.rest, fresh)


def _print_table(candidates: Sequence[Candidate], fresh: Sequence[str]) -> None:
    """Print for each score which share of the photos passes for food, at its own threshold."""
    print(f"| score | AUROC | held out | not-food/fit | {' | '.join(fresh)} |")
    print("|---" * (4 + len(fresh)) + "|")
    for one in candidates:
        least = threshold(one.held_out)
        sets = (one.held_out, one.rest, *one.fresh)
        shares = (_percent(wilson(int((scores >= least).sum()), len(scores))) for scores in sets)
        print(f"| {one.name} | {one.auroc:.4f} | {' | '.join(shares)} |")


def _centred(logits: Floats) -> Floats:
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def _unit(features: Floats) -> Floats:
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True))


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"
