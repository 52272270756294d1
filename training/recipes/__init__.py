"""What a training run does, as data: one module per run, each with a ``RECIPE`` and what came out in its docstring."""

import importlib
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run at one size.

    Attributes:
        until: Share of the run's time at which it ends, 0..1.
        size: Side in pixels of what the network sees.
        least_area: Random crops take from this share of the photo's area up to all of it.
        batch: Photos per step.
        mixed_share: Share of each batch into which a rectangle of another photo is pasted.
        frozen_blocks: So many blocks, and the stem, do not learn.
    """

    until: float
    size: int
    least_area: float
    batch: int
    mixed_share: float = 0.0
    frozen_blocks: int = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training run.

    Attributes:
        minutes: Wall time of the training itself; the learning rate falls to zero at its end.
        phases: In order; the last one ends at 1.
        sharp_share: Share of each batch that is drawn from the sharp photos, evenly over classes.
        blur_share: Share of the sharp photos that lose detail first, as if known at 64 to 200 pixels only.
        colour: Brightness, contrast and saturation vary by so much each way.
        smoothing: Label smoothing.
        dropout: Share of the pooled features that are set to zero.
        rate: Highest learning rate (AdamW); ``warm_up`` is the share of the time until it is reached.
        decay: Weight decay of kernels.
        averaging: How much of the averaged weights stays at each step.
        left_out: Classes whose sharp photos are not trained on.
    """

    minutes: float
    phases: tuple[Phase, ...]
    sharp_share: float = 0.5
    blur_share: float = 0.5
    colour: float = 0.2
    smoothing: float = 0.1
    dropout: float = 0.2
    rate: float = 4e-4
    warm_up: float = 0.03
    decay: float = 0.02
    averaging: float = 0.998
    left_out: tuple[str, ...] = ()
    seed: int = 1

    def phase(self, progress: float) -> Phase:
        """Return the phase at a share of the run's time."""
        return next((phase for phase in self.phases if progress < phase.until), self.phases[-1])


def load(name: str) -> Recipe:
    """Return the recipe of a module in this package."""
    return cast(Recipe, importlib.import_module(f"{__name__}.{name}").RECIPE)
