"""What is measured on logits or probabilities, ``float[N, classes]``, and labels, ``int[N]``."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.model.scores import probabilities

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
Z95 = 1.959964
BINS = 15


class Figure(NamedTuple):
    """What was measured on so many ``photos``, with its 95 % interval."""

    value: float
    low: float
    high: float
    photos: int


Share = Figure
"""A figure between 0 and 1."""


class Bin(NamedTuple):
    """Photos whose first answer has a probability from ``low`` to ``high``: its mean, and how often it is right.

    ``right`` is ``None`` where there are no such photos.
    """

    low: float
    high: float
    confidence: float
    right: Share | None


def wilson(hits: int, count: int) -> Share:
    """Return the share with Wilson's interval, which stays sensible near 0 and 1."""
    share, square = hits / count, Z95**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Share(share, max(0.0, centre - half), min(1.0, centre + half), count)


def mean(values: NDArray[np.number] | NDArray[np.bool_]) -> Figure:
    """Return the mean of one value per photo; the interval is the normal one."""
    exact = values.astype(np.float64)
    value, half = float(exact.mean()), Z95 * float(exact.std()) / math.sqrt(len(exact))
    return Figure(value, value - half, value + half, len(exact))


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


def losses(chances: Floats, labels: Labels) -> NDArray[np.float64]:
    """Return each photo's negative log-likelihood in nats."""
    true = chances[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.maximum(true, 1e-300)))


def nll(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood in nats."""
    return float(losses(probabilities(logits, temperature), labels).mean())


def ece(logits: Floats, labels: Labels, temperature: float = 1.0, bins: int = BINS) -> float:
    """Return the expected calibration error of the first answer, 0..1, over bins of equal width."""
    places, gaps = places_and_gaps(probabilities(logits, temperature), labels, bins)
    return binned_error(places, gaps)


def places_and_gaps(chances: Floats, labels: Labels, bins: int = BINS) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each photo the bin of its first answer, and 1 or 0 for right or wrong less the probability."""
    confidence = chances.max(axis=1).astype(np.float64)
    places = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return places, hits(chances, labels) - confidence


def binned_error(places: NDArray[np.int64], gaps: NDArray[np.float64]) -> float:
    """Return the mean over photos of how far their bin is off."""
    return float(np.abs(np.bincount(places, gaps)).sum() / len(gaps))


def reliability(chances: Floats, labels: Labels, bins: int = BINS) -> list[Bin]:
    """Return what the calibration error is made of, a bin each."""
    confidence, right = chances.max(axis=1), hits(chances, labels)
    places, _ = places_and_gaps(chances, labels, bins)
    found = []
    for number in range(bins):
        inside = places == number
        share = wilson(int(right[inside].sum()), int(inside.sum())) if inside.any() else None
        middle = float(confidence[inside].mean()) if inside.any() else (number + 0.5) / bins
        found.append(Bin(number / bins, (number + 1) / bins, middle, share))
    return found


def auroc(positive: Floats, negative: Floats) -> float:
    """Return the chance that a positive's score is above a negative's; equals count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / 2 / len(negative))
