"""The plan of EfficientNet-Lite0, which Keras (``training.backbone``) and PyTorch (``training.network``) both build."""

from typing import NamedTuple

BN_EPSILON = 1e-3


class Stage(NamedTuple):
    """A run of inverted residual blocks that share width and kernel; the first of them takes the stride."""

    repeats: int
    channels: int
    kernel: int
    stride: int
    expansion: int


STAGES = (
    Stage(1, 16, 3, 1, 1),
    Stage(2, 24, 3, 2, 6),
    Stage(2, 40, 5, 2, 6),
    Stage(3, 80, 3, 2, 6),
    Stage(3, 112, 5, 1, 6),
    Stage(4, 192, 5, 2, 6),
    Stage(1, 320, 3, 1, 6),
)


def blocks() -> list[tuple[Stage, int]]:
    """Return stage and stride of every block, in order."""
    return [(stage, stage.stride if turn == 0 else 1) for stage in STAGES for turn in range(stage.repeats)]
