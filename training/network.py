"""The network of ``training.backbone`` in PyTorch, which trains faster on processors: same arrays, same answers.

Batch norm is written as what it is while its statistics stand still: a factor and a summand per channel, folded into
the convolution at every step. That saves a pass over every activation, forwards and backwards; gamma and beta still
learn, by way of kernel and bias. The statistics stay those of the weights that training starts from.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as nn
from numpy.typing import NDArray
from torch import Tensor

from training.arrays import Arrays
from training.stages import BN_EPSILON, backbone_of, blocks

FROZEN_BLOCKS = 3
STATISTICS = ("bn/mean", "bn/variance")


class Network(torch.nn.Module):
    """EfficientNet-Lite from RGB ``float[N, 3, S, S]`` in 0..255 to logits ``float32[N, classes]``.

    Args:
        arrays: By the names of ``training.backbone``, in Keras' layout; they tell which of the networks it is.
        frozen_blocks: So many blocks, and with the first of them the stem, do not learn.
        dropout: Share of the pooled features that are set to zero while training.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[np.float32]], frozen_blocks: int = FROZEN_BLOCKS, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.frozen_blocks = frozen_blocks
        self.strides = [stride for _, stride in blocks(backbone_of(arrays))]
        self.weights = torch.nn.ParameterDict({name: _to_torch(name, array) for name, array in arrays.items()})
        frozen = ("stem/",) * (frozen_blocks > 0) + tuple(f"blocks/{number:02}/" for number in range(frozen_blocks))
        for name, weight in self.weights.items():
            weight.requires_grad_(not name.startswith(frozen) and not name.endswith(STATISTICS))

    def forward(self, photos: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen_blocks == 0):
            x = nn.relu6(self._convolved((photos - 127) / 128, "stem", 2))
        for number, stride in enumerate(self.strides):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= self.frozen_blocks):
                x = self._block(x, f"blocks/{number:02}", stride)
        features = nn.relu6(self._convolved(x, "head", 1)).mean((2, 3))
        features = nn.dropout(features, self.dropout, self.training)
        return nn.linear(features, self.weights["classifier/kernel"], self.weights["classifier/bias"]).float()

    def arrays(self) -> Arrays:
        """Return the weights by name, in Keras' layout."""
        return {name: _to_keras(name, weight) for name, weight in self.weights.items()}

    def _block(self, x: Tensor, name: str, stride: int) -> Tensor:
        shortcut = x
        if f"{name}/expand/kernel" in self.weights:
            x = nn.relu6(self._convolved(x, f"{name}/expand", 1))
        x = nn.relu6(self._convolved(x, f"{name}/depthwise", stride, groups=x.shape[1]))
        x = self._convolved(x, f"{name}/project", 1)
        return x + shortcut if x.shape == shortcut.shape else x

    def _convolved(self, x: Tensor, name: str, stride: int, groups: int = 1) -> Tensor:
        gamma, beta, mean, variance = (
            self.weights[f"{name}/bn/{part}"] for part in ("gamma", "beta", "mean", "variance")
        )
        factor = gamma * torch.rsqrt(variance + BN_EPSILON)
        kernel = self.weights[f"{name}/kernel"] * factor[:, None, None, None]
        x, padding = _padded(x, kernel.shape[-1], stride)
        convolve = _depthwise if groups > 1 else nn.conv2d
        return convolve(x, kernel, beta - mean * factor, stride, padding, groups=groups)


def _depthwise(x: Tensor, kernel: Tensor, bias: Tensor, stride: int, padding: int, groups: int) -> Tensor:
    """Convolve in float32: in bfloat16 the way back through a depthwise convolution takes three times as long."""
    with torch.autocast("cpu", enabled=False):
        return nn.conv2d(x.float(), kernel, bias, stride, padding, groups=groups).to(x.dtype)


def _padded(x: Tensor, kernel: int, stride: int) -> tuple[Tensor, int]:
    """Pad as Keras' ``same`` does, the odd pixel behind; what is even is left to the convolution."""
    side = x.shape[-1]
    pad = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    if pad % 2 == 0:
        return x, pad // 2
    return nn.pad(x, (pad // 2, pad - pad // 2) * 2), 0


def _to_torch(name: str, array: NDArray[np.float32]) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.from_numpy(array.transpose(_axes(name, array.ndim)).copy()))


def _to_keras(name: str, weight: Tensor) -> NDArray[np.float32]:
    axes = _axes(name, weight.ndim)
    return weight.detach().numpy().transpose(np.argsort(axes)).copy()


def _axes(name: str, dimensions: int) -> tuple[int, ...]:
    """Return in which order PyTorch has the axes of a Keras array."""
    if dimensions == 4:
        return (2, 3, 0, 1) if "/depthwise/" in name else (3, 2, 0, 1)
    return tuple(reversed(range(dimensions)))
