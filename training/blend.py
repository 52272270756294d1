"""Weights between two others: ``python -m training.blend FIRST.npz SECOND.npz BLEND.npz [--share 0.5]``.

Between the weights that a run started from and those it ended with lie some that answer better than either: what the
run forgot and what it learnt are kept both.
"""

import argparse
from pathlib import Path

from training.arrays import Arrays, read_arrays, write_arrays


def main() -> None:
    """Read, blend, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("first", "second", "blend"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second, 0 to 1")
    arguments = parser.parse_args()
    blended = blend(read_arrays(arguments.first), read_arrays(arguments.second), arguments.share)
    write_arrays(arguments.blend, blended)


def blend(first: Arrays, second: Arrays, share: float) -> Arrays:
    """Return the weights at ``share`` of the way from the first to the second.

    Raises:
        ValueError: if one has arrays that the other has not.
    """
    if odd := sorted(first.keys() ^ second.keys()):
        raise ValueError(f"only one has {', '.join(odd[:5])}")
    return {name: ((1 - share) * array + share * second[name]).astype(array.dtype) for name, array in first.items()}


if __name__ == "__main__":
    main()
