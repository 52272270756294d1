"""Answers → figures, each with its sample size and 95 % interval.

Shares have Wilson's interval, means over photos the normal one, calibration errors one from the bootstrap's standard
deviation, and differences between groups of classes one from the bootstrap of each class's photos.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import Bundle
from training.evaluation.answers import Answers
from training.evaluation.facts import Coverage, Dishes, Gap, Gaps, NotFood, Reliability, Row
from training.metrics import (
    Z95,
    Figure,
    Floats,
    Labels,
    Share,
    binned_error,
    class_mean,
    hits,
    losses,
    mean,
    places_and_gaps,
    reliability,
    top,
    wilson,
)
from training.per_class import confusions, recall

RESAMPLED, DRAWS = 300, 20_000
"""How often photos are drawn anew for an interval: photos one by one, and whole classes at once, which is cheap."""
NINE_IN_TEN = (0.85, 0.95)


def row(photos: str, answers: Answers) -> Row:
    """Return the figures of a set."""
    chances, labels = answers.chances, answers.labels
    return Row(
        photos=photos,
        top1=top(chances, labels),
        top5=top(chances, labels, 5),
        class_mean=class_mean(chances, labels),
        nll=mean(losses(chances, labels)),
        ece=calibration_error(chances, labels),
    )


def rows_by_group(photos: str, answers: Answers, groups: Mapping[str, NDArray[np.int64]]) -> list[Row]:
    """Return the figures of a set, and of each group of classes that has photos in it."""
    chosen = {name: np.isin(answers.labels, classes) for name, classes in groups.items()}
    parts = [row(f"{photos}, {name}", answers.of(inside)) for name, inside in chosen.items() if inside.any()]
    return [row(photos, answers), *parts]


def calibration_error(chances: Floats, labels: Labels) -> Figure:
    """Return the calibration error of the first answer in 15 bins.

    Drawn anew, photos have a larger error than they have: chance adds to it. The interval therefore takes from the
    bootstrap how much the error varies, and lies around the error itself.
    """
    places, gaps = places_and_gaps(chances, labels)
    random, count = np.random.default_rng(0), len(labels)
    drawn = (random.integers(0, count, count) for _ in range(RESAMPLED))
    half = Z95 * float(np.std([binned_error(places[some], gaps[some]) for some in drawn]))
    value = binned_error(places, gaps)
    return Figure(value, max(0.0, value - half), value + half, count)


def reliability_of(photos: str, answers: Answers) -> Reliability:
    """Return what scores promise and hold, before and after calibration."""
    before, after, labels = answers.before, answers.chances, answers.labels
    return Reliability(
        photos=photos,
        ece_before=calibration_error(before, labels),
        ece=calibration_error(after, labels),
        nll_before=mean(losses(before, labels)),
        nll=mean(losses(after, labels)),
        bins_before=tuple(reliability(before, labels)),
        bins=tuple(reliability(after, labels)),
    )


def nine_in_ten(answers: Answers) -> Share | None:
    """Return how often answers with a score of about nine in ten are right; ``None`` where there are none."""
    score = answers.chances.max(axis=1)
    right = hits(answers.chances, answers.labels)[(score >= NINE_IN_TEN[0]) & (score < NINE_IN_TEN[1])]
    return wilson(int(right.sum()), len(right)) if len(right) else None


def coverage(photos: str, answers: Answers, classes: tuple[str, ...]) -> Coverage | None:
    """Return what the prediction sets hold; ``None`` where the model has none."""
    if answers.named is None or answers.promised is None:
        return None
    held, sizes = answers.named[np.arange(len(answers.labels)), answers.labels], answers.named.sum(axis=1)
    present = np.unique(answers.labels)
    return Coverage(
        photos=photos,
        promised=answers.promised,
        held=_share(held),
        size=mean(sizes),
        alone=_share(sizes == 1),
        empty=_share(sizes == 0),
        dishes={classes[label]: _share(held[answers.labels == label]) for label in present},
    )


def not_food(bundle: Bundle, food: Mapping[str, Answers], rest: Mapping[str, Answers]) -> NotFood | None:
    """Return what is kept and let through; ``None`` where the model cannot tell."""
    rule = bundle.metadata.not_food
    if rule is None:
        return None
    taken = [
        {name: _share(answers.food) for name, answers in some.items() if answers.food is not None}
        for some in (food, rest)
    ]
    return NotFood(score=rule.score, threshold=rule.threshold, food=taken[0], rest=taken[1])


def dishes(photos: str, answers: Answers, classes: tuple[str, ...]) -> Dishes:
    """Return how each dish fares."""
    found = recall(answers.chances, answers.labels, classes)
    return Dishes(
        photos=photos,
        recall=found,
        confusions=tuple(confusions(answers.chances, answers.labels, classes)),
    )


def gaps(sets: Mapping[str, Answers], many: NDArray[np.int64], sharp: str, small: str) -> Gaps:
    """Return how far classes with few sharp training photos are behind the others, set by set.

    Args:
        sets: By name.
        many: The classes with many sharp training photos.
        sharp: The set whose gap is in question.
        small: The set that says how hard the same classes are otherwise.
    """
    drawn = {name: _Drawn(answers, many, seed) for seed, (name, answers) in enumerate(sets.items())}
    found = tuple(Gap(photos=name, few=one.few, many=one.many, difference=one.gap) for name, one in drawn.items())
    values = drawn[sharp].gap.value - drawn[small].gap.value
    # Drawn apart, though some photos are in both sets: that makes the interval rather too wide.
    low, high = np.quantile(drawn[sharp].gaps - drawn[small].gaps, (0.025, 0.975))
    return Gaps(sets=found, beyond=Figure(values, float(low), float(high), drawn[sharp].gap.photos))


class _Drawn:
    """Shares of right answers by class, and the same with each class's photos drawn anew."""

    def __init__(self, answers: Answers, many: NDArray[np.int64], seed: int) -> None:
        right, labels = hits(answers.chances, answers.labels), answers.labels
        present = np.unique(labels)
        photos = np.array([(labels == label).sum() for label in present])
        shares = np.array([right[labels == label].mean() for label in present])
        drawn = np.random.default_rng(seed).binomial(photos, shares, (DRAWS, len(present))) / photos
        inside = np.isin(present, many)
        self.gaps = drawn[:, inside].mean(axis=1) - drawn[:, ~inside].mean(axis=1)
        self.few = class_mean(*_chosen(answers, ~np.isin(labels, many)))
        self.many = class_mean(*_chosen(answers, np.isin(labels, many)))
        low, high = np.quantile(self.gaps, (0.025, 0.975))
        self.gap = Figure(self.many.value - self.few.value, float(low), float(high), len(labels))


def _chosen(answers: Answers, inside: NDArray[np.bool_]) -> tuple[NDArray[np.float64], Labels]:
    return answers.chances[inside], answers.labels[inside]


def _share(held: NDArray[np.bool_]) -> Share:
    return wilson(int(held.sum()), len(held))
