"""The running mean of a network's weights, which answers better than the weights of any one step."""

import copy

import torch

from training.network import Network


class Average:
    """A network whose weights follow another's.

    Args:
        kept: How much of the mean stays at each step; less in the first steps, so that it does not cling to the start.
    """

    def __init__(self, network: Network, kept: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.kept = kept

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Move towards ``network``; ``step`` counts from 0."""
        kept = min(self.kept, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - kept)
