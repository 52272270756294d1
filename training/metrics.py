"""What is measured on logits, ``float[N, classes]``, and labels, ``int[N]``."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.model.scores import probabilities

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
Z95 = 1.959964


class Share(NamedTuple):
    """A share of so many ``photos`` with its 95 % interval, all 0..1."""

    value: float
    low: float
    high: float
    photos: int


def wilson(hits: int, count: int) -> Share:
    """Return the share with Wilson's interval, which stays sensible near 0 and 1."""
    share, square = hits / count, Z95**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Share(share, centre - half, centre + half, count)


def hits(logits: Floats, labels: Labels, k: int = 1) -> NDArray[np.bool_]:
    """Return for each photo whether its dish is among the first ``k``."""
    true = logits[np.arange(len(labels)), labels]
    return np.asarray((logits > true[:, np.newaxis]).sum(axis=1) < k)


def top(logits: Floats, labels: Labels, k: int = 1) -> Share:
    """Return the share of photos whose dish is among the first ``k``."""
    right = hits(logits, labels, k)
    return wilson(int(right.sum()), len(right))


def class_mean(logits: Floats, labels: Labels) -> Share:
    """Return the mean over classes of the share of right answers; the interval adds the classes' own variances."""
    right, present = hits(logits, labels), np.unique(labels)
    shares = [right[labels == label] for label in present]
    value = float(np.mean([share.mean() for share in shares]))
    # One success and one failure more keep a class that was all right from counting as known exactly.
    guesses = [(share.sum() + 1) / (len(share) + 2) for share in shares]
    variance = sum(p * (1 - p) / len(share) for p, share in zip(guesses, shares, strict=True)) / len(shares) ** 2
    half = Z95 * math.sqrt(variance)
    return Share(value, max(0.0, value - half), min(1.0, value + half), len(right))


def nll(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood in nats."""
    true = probabilities(logits, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, 1e-300)).mean())


def ece(logits: Floats, labels: Labels, temperature: float = 1.0, bins: int = 15) -> float:
    """Return the expected calibration error of the first answer, 0..1, over bins of equal width."""
    confidence = probabilities(logits, temperature).max(axis=1)
    right = hits(logits, labels)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float((right[place == b] - confidence[place == b]).sum())) for b in range(bins)]
    return sum(gaps) / len(labels)


def auroc(positive: Floats, negative: Floats) -> float:
    """Return the chance that a positive's score is above a negative's; equals count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / 2 / len(negative))
