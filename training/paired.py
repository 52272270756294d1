"""Two answers to the same photos: how much more often is one right, and how sure is that."""

import numpy as np
from numpy.typing import NDArray

from training.metrics import Share

ROUNDS = 2_000
Hits = NDArray[np.bool_]


def paired_difference(first: Hits, second: Hits, seed: int = 0) -> Share:
    """Return by how much more often ``first`` is right than ``second``, -1..1, with its 95 % bootstrap interval.

    Args:
        first: Whether each photo was named right, ``bool[N]``.
        second: The same of the same photos in the same order.
        seed: Of the photos that are drawn anew.
    """
    differences = first.astype(np.float64) - second
    drawn = np.random.default_rng(seed).integers(len(differences), size=(ROUNDS, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), (0.025, 0.975))
    return Share(float(differences.mean()), float(low), float(high), len(differences))


def percent(share: Share) -> str:
    """Return a share and its interval in percent, as tables have them."""
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"


def points(difference: Share) -> str:
    """Return a difference and its interval in percentage points, with their signs."""
    return f"{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
