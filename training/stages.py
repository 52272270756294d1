"""The plan of EfficientNet-Lite, which Keras (``training.backbone``) and PyTorch (``training.network``) both build."""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

Backbone = Literal["lite0", "lite2"]
BN_EPSILON = 1e-3
DIVISOR = 8


class Scale(NamedTuple):
    """How much wider and deeper a network is than Lite0. Stem (32) and head (1280) are the same in all."""

    width: float
    depth: float


class Stage(NamedTuple):
    """A run of inverted residual blocks that share width and kernel; the first of them takes the stride."""

    repeats: int
    channels: int
    kernel: int
    stride: int
    expansion: int


SCALES: dict[Backbone, Scale] = {"lite0": Scale(1.0, 1.0), "lite2": Scale(1.1, 1.2)}
STAGES = (
    Stage(1, 16, 3, 1, 1),
    Stage(2, 24, 3, 2, 6),
    Stage(2, 40, 5, 2, 6),
    Stage(3, 80, 3, 2, 6),
    Stage(3, 112, 5, 1, 6),
    Stage(4, 192, 5, 2, 6),
    Stage(1, 320, 3, 1, 6),
)


def stages(backbone: Backbone = "lite0") -> tuple[Stage, ...]:
    """Return the stages of a network. The first and the last are made wider but no deeper."""
    width, depth = SCALES[backbone]
    ends = (STAGES[0], STAGES[-1])
    return tuple(
        stage._replace(
            channels=_channels(stage.channels * width),
            repeats=stage.repeats if stage in ends else math.ceil(stage.repeats * depth),
        )
        for stage in STAGES
    )


def blocks(backbone: Backbone = "lite0") -> list[tuple[Stage, int]]:
    """Return stage and stride of every block, in order."""
    return [(stage, stage.stride if turn == 0 else 1) for stage in stages(backbone) for turn in range(stage.repeats)]


def backbone_of(names: Iterable[str]) -> Backbone:
    """Return which network arrays of these names belong to: the number of blocks tells.

    Raises:
        ValueError: if no network has so many.
    """
    count = len({name.split("/")[1] for name in names if name.startswith("blocks/")})
    for backbone in SCALES:
        if len(blocks(backbone)) == count:
            return backbone
    raise ValueError(f"{count} blocks: neither of {', '.join(SCALES)}")


def _channels(wanted: float) -> int:
    """Round to a multiple of eight, the nearest one unless that is more than a tenth less."""
    rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded if rounded >= 0.9 * wanted else rounded + DIVISOR
