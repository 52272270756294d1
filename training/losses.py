"""What a step is judged by: labels, perhaps softened by teachers, and agreement with a photo's own 64-pixel version."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from training.augment import Random, reduced
from training.classes import CLASSES
from training.data import TILE
from training.network import Network
from training.recipes import Recipe

FAR = -1e4
"""A logit that no probability comes of; minus infinity would make the loss of a label of zero undefined."""
SHOWN = 0.02
"""Least part of a label that says that a class is in the photo; label smoothing gives less to each."""


class Loss:
    """The loss of a recipe's steps.

    Args:
        average: The averaged network, as it is at each step.
        teachers: Whose answers soften the labels.
    """

    def __init__(self, recipe: Recipe, average: Network, teachers: Sequence[Network]) -> None:
        self.recipe, self.average, self.teachers = recipe, average, teachers
        self.spared = [CLASSES.index(name) for name in recipe.left_out] if recipe.spare_left_out else []

    def __call__(self, logits: Tensor, photos: Tensor, targets: Tensor, least_area: float, step: int) -> Tensor:
        sharp, recipe = self.recipe.sharp_count(len(photos)), self.recipe
        if self.teachers:
            targets = softened(targets, photos, self.teachers, recipe.distil)
        of_labels = labels_loss(logits, targets, self.spared, sharp)
        if recipe.consistency == 0 or sharp == 0:
            return of_labels
        detail = _detail(np.random.default_rng((recipe.seed, step, 1)), least_area)
        return of_labels + recipe.consistency * consistency(logits[:sharp], photos[:sharp], self.average, detail)


def labels_loss(logits: Tensor, targets: Tensor, spared: list[int], sharp: int) -> Tensor:
    """Return the cross-entropy, where ``spared`` classes do not compete for the first ``sharp`` photos.

    Unless part of such a photo shows one of them: a rectangle of a tile that was pasted into it.
    """
    if not spared:
        return nn.cross_entropy(logits, targets)
    away = torch.zeros_like(targets, dtype=torch.bool)
    away[:sharp, spared] = targets[:sharp, spared] < SHOWN
    kept = targets.masked_fill(away, 0)
    return nn.cross_entropy(logits.masked_fill(away, FAR), kept / kept.sum(1, keepdim=True))


@torch.no_grad()
def softened(targets: Tensor, photos: Tensor, teachers: Sequence[Network], share: float) -> Tensor:
    """Return the targets, a share of them taken from the mean of the teachers' answers."""
    answers = torch.stack([teacher(photos).softmax(1) for teacher in teachers]).mean(0)
    return torch.lerp(targets, answers, share)


def consistency(logits: Tensor, photos: Tensor, average: Network, detail: int) -> Tensor:
    """Return the cross-entropy of answers to what ``average`` answers to the same photos at ``detail`` pixels."""
    with torch.no_grad():
        wanted = average(reduced(photos, detail)).softmax(1)
    return nn.cross_entropy(logits, wanted)


def _detail(random: Random, least_area: float) -> int:
    """Return how many pixels of a tile a random crop has; one for the batch, since its crops differ as much."""
    return round(TILE * math.sqrt(random.uniform(least_area, 1)))
