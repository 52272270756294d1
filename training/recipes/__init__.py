"""What a training run does, as data: a module per run or per table of runs, with what came out in its docstring.

A module has a ``RECIPE``, which goes by the module's name, or ``ROWS``, recipes by name that go by ``module:name``.
"""

import importlib
import math
import pkgutil
from dataclasses import dataclass

from training.stages import Backbone

IMAGENET = "imagenet"
EVERY_BLOCK = 100
"""More blocks than any of the networks has: only head and classifier learn."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run at one size.

    Attributes:
        until: Share of the run's time at which it ends, 0..1.
        size: Side in pixels of what the network sees.
        least_area: Random crops take from this share of the photo's area up to all of it.
        batch: Photos per step.
        mixed_share: Share of each batch into which a rectangle of another photo is pasted.
        mixup_share: Share of each batch that another photo shines through.
        frozen_blocks: So many blocks, and the stem, do not learn; the first three never do.
    """

    until: float
    size: int
    least_area: float
    batch: int
    mixed_share: float = 0.0
    mixup_share: float = 0.0
    frozen_blocks: int = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training run.

    Attributes:
        phases: In order; the last one ends at 1.
        minutes: Wall time of the training itself; the learning rate falls to zero at its end.
        steps: The same in steps, for runs that are to be alike whatever else the machine does. What ends first counts.
        backbone: The network.
        start: The file of the weights that it starts from, or ``IMAGENET``, with a fresh classifier.
        sharp_share: Share of each batch that is drawn from the sharp photos.
        sharp_by_photo: Every sharp photo is equally likely, instead of every class.
        blur_share: Share of the sharp photos that lose detail first, as if known at 64 to 200 pixels only.
        colour: Brightness, contrast and saturation vary by so much each way.
        smoothing: Label smoothing.
        dropout: Share of the pooled features that are set to zero.
        consistency: Weight of a second loss: the answer to a sharp photo is to be what the averaged network answers to
            the same photo at 64 pixels.
        distil: Share of each label that is taken from the ``teachers`` instead, the mean of their answers.
        teachers: Files of weights.
        rate: Highest learning rate (AdamW); ``warm_up`` is the share of the time until it is reached.
        decay: Weight decay of kernels.
        averaging: How much of the averaged weights stays at each step.
        left_out: Classes whose sharp photos are not used: only their tiles are.
        spare_left_out: What a sharp photo of another class teaches is not that it is none of those left out: they do
            not compete for it.
    """

    phases: tuple[Phase, ...]
    minutes: float = math.inf
    steps: float = math.inf
    backbone: Backbone = "lite0"
    start: str = "../shared/model/efficientnet-lite0-food101.npz"
    sharp_share: float = 0.5
    sharp_by_photo: bool = False
    blur_share: float = 0.5
    colour: float = 0.2
    smoothing: float = 0.1
    dropout: float = 0.2
    consistency: float = 0.0
    distil: float = 0.0
    teachers: tuple[str, ...] = ()
    rate: float = 4e-4
    warm_up: float = 0.03
    decay: float = 0.02
    averaging: float = 0.998
    left_out: tuple[str, ...] = ()
    spare_left_out: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if math.isinf(self.minutes) and math.isinf(self.steps):
            raise ValueError("A run ends after some minutes or some steps: set either.")
        if self.left_out and (self.start != IMAGENET or self.teachers):
            raise ValueError("A run that leaves photos out starts from ImageNet: other weights have seen them.")
        if bool(self.distil) != bool(self.teachers):
            raise ValueError("To distil takes teachers, and teachers teach by a share: set both or neither.")

    def phase(self, progress: float) -> Phase:
        """Return the phase at a share of the run's time."""
        return next((phase for phase in self.phases if progress < phase.until), self.phases[-1])

    def sharp_count(self, batch: int) -> int:
        """Return how many photos of a batch are sharp ones; they come first in it."""
        return round(batch * self.sharp_share)


def load(name: str) -> Recipe:
    """Return the recipe that goes by a name."""
    return _recipes(name.partition(":")[0])[name]


def names() -> list[str]:
    """Return the names of all recipes."""
    return [name for module in pkgutil.iter_modules(__path__) for name in _recipes(module.name)]


def _recipes(module: str) -> dict[str, Recipe]:
    content = importlib.import_module(f"{__name__}.{module}")
    if hasattr(content, "ROWS"):
        return {f"{module}:{row}": recipe for row, recipe in content.ROWS.items()}
    return {module: content.RECIPE}
