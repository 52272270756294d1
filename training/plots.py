"""What the notebook shows: every function returns a figure of matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from food_vision.model.scores import Scores
from training.evaluation.facts import Coverage, Row
from training.fitting import Epoch, best
from training.per_class import Confusion

Picture = Image.Image | NDArray[np.uint8] | Path
BLUE, RED = "#1f6f8b", "#c2703d"


def gallery(pictures: Sequence[Picture], titles: Sequence[str] = (), columns: int = 6) -> Figure:
    """Show pictures side by side, each under its title."""
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.8 * columns, 2.05 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for place, (axis, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        axis.imshow(_opened(picture))
        axis.set_title(titles[place] if titles else "", fontsize=9)
    return _done(figure)


def curves(stages: Mapping[str, Sequence[Epoch]]) -> Figure:
    """Show loss, held-out likelihood and right answers by epoch, one stage after the other."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    epochs = [epoch for history in stages.values() for epoch in history]
    number = np.arange(1, len(epochs) + 1)
    left.plot(number, [epoch.loss for epoch in epochs], color=RED, label="learnt from")
    left.plot(number, [epoch.held_out_nll for epoch in epochs], color=BLUE, label="held out")
    right.plot(number, [100 * epoch.held_out_top1 for epoch in epochs], color=BLUE, label="held out")
    begin = 0
    for history in stages.values():
        for axis in (left, right):
            axis.axvline(begin + best(list(history)) + 1, color="#888888", linestyle=":", label="best epoch")
        begin += len(history)
    for axis, title in ((left, "negative log-likelihood"), (right, "right, %")):
        axis.set(title=title, xlabel="epoch")
        axis.legend(fontsize=8)
    right.set_ylim(0, 102)
    return _done(figure)


def accuracies(rows: Sequence[Row]) -> Figure:
    """Show top-1 of sets of photos with its 95 % interval."""
    figure, axis = plt.subplots(figsize=(8, 0.4 * len(rows) + 0.8))
    for place, row in enumerate(reversed(rows)):
        top1 = row.top1
        axis.plot([100 * top1.low, 100 * top1.high], [place, place], color=BLUE, linewidth=2)
        axis.plot(100 * top1.value, place, "o", color=BLUE)
    axis.set_yticks(range(len(rows)), [f"{row.photos} ({row.top1.photos:,})" for row in reversed(rows)], fontsize=8)
    axis.set_xlabel("right, %")
    axis.grid(axis="x", alpha=0.4)
    return _done(figure)


def dishes_covered(sets: Sequence[Coverage], worst: int = 8) -> Figure:
    """Show how often prediction sets hold the dish: all of them, and the dishes for which that is rarest."""
    figure, axes = plt.subplots(1, len(sets), figsize=(5 * len(sets), 0.3 * worst + 1.2), squeeze=False)
    for axis, one in zip(axes.flat, sets, strict=True):
        rarest = sorted(one.dishes, key=lambda dish: one.dishes[dish].value)[:worst]
        named = {dish.replace("_", " "): one.dishes[dish] for dish in rarest} | {"all dishes": one.held}
        for place, share in enumerate(reversed(named.values())):
            axis.plot([100 * share.low, 100 * share.high], [place, place], color=BLUE)
            axis.plot(100 * share.value, place, "o", color=BLUE)
        axis.axvline(100 * one.promised, color=RED, linestyle="--")
        axis.set_yticks(range(len(named)), list(reversed(named)), fontsize=8)
        axis.set(title=f"{one.photos}: {one.size.value:.1f} dishes a set", xlabel="sets that hold the dish, %")
    return _done(figure)


def confused(pairs: Sequence[Confusion]) -> Figure:
    """Show which dish is taken for which, as a share of its photos."""
    figure, axis = plt.subplots(figsize=(7, 0.32 * len(pairs) + 0.8))
    names = [f"{pair.dish} → {pair.taken_for}".replace("_", " ") for pair in reversed(pairs)]
    axis.barh(names, [100 * pair.times / pair.photos for pair in reversed(pairs)], color=RED)
    axis.set_xlabel("% of the dish's photos")
    axis.tick_params(labelsize=8)
    return _done(figure)


def answer(picture: Picture, scores: Scores, rests_on: Picture, count: int = 5) -> Figure:
    """Show a picture, what it was taken for, and which part of it that rests on."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 2.8), width_ratios=(1, 1, 1.4))
    for axis, shown, title in ((left, picture, "the picture"), (middle, rests_on, "what the answer rests on")):
        axis.imshow(_opened(shown))
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    first = list(reversed(scores.ranked[:count]))
    inside = scores.prediction_set or ()
    colours = [BLUE if ranked.dish in inside else "#bbbbbb" for ranked in first]
    right.barh([ranked.dish for ranked in first], [100 * ranked.score for ranked in first], color=colours)
    right.set(xlabel="score, %", xlim=(0, 100), title=f"{len(inside)} dishes in the set (blue)")
    right.tick_params(labelsize=8)
    return _done(figure)


def _opened(picture: Picture) -> Image.Image | NDArray[np.uint8]:
    if isinstance(picture, Path):
        with Image.open(picture) as image:
            return image.convert("RGB")
    return picture


def _done(figure: Figure) -> Figure:
    """Lay the figure out; closed, so that it is shown once only, where it is the cell's last value."""
    figure.tight_layout()
    plt.close(figure)
    return figure
