"""What a mean over all dishes hides: how each dish fares, and which it is taken for."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.metrics import Floats, Labels, Share, hits, wilson


class Confusion(NamedTuple):
    """A dish of so many ``photos`` was taken for another dish so many ``times``."""

    dish: str
    taken_for: str
    times: int
    photos: int


def recall(logits: Floats, labels: Labels, classes: tuple[str, ...]) -> dict[str, Share]:
    """Return for each dish with photos the share of them that was named right."""
    right = hits(logits, labels)
    chosen = {classes[label]: right[labels == label] for label in np.unique(labels)}
    return {dish: wilson(int(found.sum()), len(found)) for dish, found in chosen.items()}


def worst(shares: dict[str, Share], count: int = 10) -> dict[str, Share]:
    """Return the dishes that were named right least often, the worst first."""
    return dict(sorted(shares.items(), key=lambda item: item[1].value)[:count])


def confusions(logits: Floats, labels: Labels, classes: tuple[str, ...], count: int = 10) -> list[Confusion]:
    """Return the pairs of dish and wrong answer that take the greatest share of the dish's photos."""
    table = _table(logits.argmax(axis=1), labels, len(classes))
    photos = table.sum(axis=1)
    shares = table / np.maximum(photos, 1)[:, np.newaxis]
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:count]
    places = zip(*np.unravel_index(order, shares.shape), strict=True)
    return [Confusion(classes[i], classes[j], int(table[i, j]), int(photos[i])) for i, j in places if shares[i, j]]


def _table(answers: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """Return how often each dish (row) was taken for each (column)."""
    return np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)
