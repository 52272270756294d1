"""Train the network: ``python -m training.train RECIPE [--run FOLDER]``; started again, it goes on where it was.

The folder of the run (``runs/RECIPE`` by default) gets ``state.pt`` every few minutes, ``best.npz``, the averaged
weights that did best on held-out training photos, and ``last.npz``. What is drawn depends on seed and step only.
"""

import argparse
import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import recipes
from training.arrays import Arrays, read_arrays, write_arrays
from training.averaging import Average
from training.batches import Pools, batches
from training.classes import CLASSES
from training.data import held_out, require_photos
from training.imagenet import imagenet_arrays
from training.judge import Judge
from training.losses import Loss
from training.memory import keep_freed_memory
from training.network import Network
from training.pools import held_out_ids, sharp_pool, tile_pool
from training.recipes import IMAGENET, Phase, Recipe
from training.stages import backbone_of

SAVE_EVERY, LOOK_EVERY, TELL_EVERY = 3 * 60, 10 * 60, 50  # seconds, seconds, steps
COUNTS = ("step", "photos", "seconds", "best")


class Trainer:
    """Network, averaged network and optimizer, and how far they are.

    Raises:
        ValueError: if the arrays are not of the recipe's backbone.
    """

    def __init__(self, recipe: Recipe, arrays: Arrays) -> None:
        if (found := backbone_of(arrays)) != recipe.backbone:
            raise ValueError(f"The recipe is for {recipe.backbone}, the weights are of {found}.")
        self.recipe = recipe
        self.network = Network(arrays, dropout=recipe.dropout)
        self.average = Average(self.network, recipe.averaging)
        self.optimizer = torch.optim.AdamW(_groups(self.network, recipe.decay), fused=True)
        teachers = [Network(read_arrays(Path(file))).requires_grad_(False).eval() for file in recipe.teachers]
        self.loss = Loss(recipe, self.average.network, teachers)
        self.step, self.photos, self.seconds, self.best = 0, 0, 0.0, math.inf

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0..1."""
        return min(1.0, max(self.step / self.recipe.steps, self.seconds / 60 / self.recipe.minutes))

    @property
    def phase(self) -> Phase:
        """The part of the run that this is."""
        return self.recipe.phase(self.progress)

    def learn(self, photos: Tensor, targets: Tensor) -> float:
        """Take one step and return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.recipe, self.progress)
        self.network.frozen_blocks = self.phase.frozen_blocks
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.loss(self.network(photos), photos, targets, self.phase.least_area, self.step)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.network, self.step)
        self.step += 1
        self.photos += len(photos)
        return loss.item()

    def save(self, path: Path) -> None:
        """Write everything that going on needs; a write cut short leaves the last file whole."""
        parts = {"network": self.network, "average": self.average.network, "optimizer": self.optimizer}
        state = {name: part.state_dict() for name, part in parts.items()}
        fresh = path.with_suffix(".new")
        torch.save(state | {name: getattr(self, name) for name in COUNTS}, fresh)
        fresh.replace(path)

    def restore(self, path: Path) -> None:
        """Read what ``save`` wrote."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in COUNTS:
            setattr(self, name, state.get(name, 0))  # files from before photos were counted have no number of them


def main() -> None:
    """Train until the recipe's time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=recipes.names(), metavar="RECIPE")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--start", help="the file of the weights to start from, in place of the recipe's")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    arguments = parser.parse_args()
    require_photos(arguments.data)
    keep_freed_memory()
    folder: Path = arguments.run or folder_of(arguments.recipe)
    recipe = recipes.load(arguments.recipe)
    if arguments.start:
        recipe = dataclasses.replace(recipe, start=arguments.start)
    trainer = trainer_of(recipe, folder)
    pools = pools_of(recipe, arguments.data, arguments.held_out)
    run(trainer, pools, judge_of(recipe, arguments.data, arguments.held_out), folder)


def folder_of(recipe: str) -> Path:
    """Return the folder of a recipe's run."""
    return Path("runs", *recipe.split(":"))


def trainer_of(recipe: Recipe, folder: Path) -> Trainer:
    """Return a trainer at the beginning, or where the run in the folder was left."""
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, start_of(recipe))
    if (folder / "state.pt").exists():
        trainer.restore(folder / "state.pt")
    return trainer


def start_of(recipe: Recipe) -> Arrays:
    """Return the weights that a run begins with."""
    if recipe.start == IMAGENET:
        return imagenet_arrays(recipe.backbone, len(CLASSES))
    return read_arrays(Path(recipe.start))


def pools_of(recipe: Recipe, data: Path, held_out_file: Path) -> Pools:
    """Decode the photos that a recipe may learn from."""
    but = held_out_ids(held_out_file)
    pools = Pools(sharp_pool(data, but, recipe.left_out), tile_pool(data, but))
    print(f"{len(pools.sharp.ids):,} sharp photos, {len(pools.tiles.ids):,} tiles", flush=True)
    return pools


def judge_of(recipe: Recipe, data: Path, held_out_file: Path) -> Judge:
    """Return a judge by held-out photos; of classes left out it sees tiles only, since it chooses weights."""
    sharp, small = held_out(data, held_out_file)
    return Judge([one for one in sharp if CLASSES[one.label] not in recipe.left_out], small)


def run(trainer: Trainer, pools: Pools, judge: Judge, folder: Path) -> None:
    """Train, save, look, until the time is over."""
    saved = looked = trainer.seconds
    losses, mark = [], (trainer.step, trainer.seconds)
    ahead = batches(trainer.recipe, pools, trainer.step, lambda: trainer.phase)
    while trainer.progress < 1:
        begin = time.monotonic()
        photos, targets = next(ahead)
        losses.append(trainer.learn(photos, targets))
        trainer.seconds += time.monotonic() - begin
        if trainer.step % TELL_EVERY == 0:
            _tell(trainer, losses, len(photos) * (trainer.step - mark[0]) / (trainer.seconds - mark[1]))
            losses, mark = [], (trainer.step, trainer.seconds)
        if trainer.seconds - looked > LOOK_EVERY:
            _look(trainer, judge, folder)
            looked = trainer.seconds
        if trainer.seconds - saved > SAVE_EVERY:
            trainer.save(folder / "state.pt")
            saved = trainer.seconds
    trainer.save(folder / "state.pt")
    write_arrays(folder / "last.npz", trainer.average.network.arrays())
    _look(trainer, judge, folder)


def rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate: straight up, then down as half a cosine."""
    if progress < recipe.warm_up:
        return recipe.rate * (0.02 + 0.98 * progress / recipe.warm_up)
    return recipe.rate * (1 + math.cos(math.pi * (progress - recipe.warm_up) / (1 - recipe.warm_up))) / 2


def _groups(network: Network, decay: float) -> list[dict[str, object]]:
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    kernels, others = [w for w in learning if w.ndim > 1], [w for w in learning if w.ndim == 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _look(trainer: Trainer, judge: Judge, folder: Path) -> None:
    likelihood = judge(trainer.average.network)
    if likelihood < trainer.best:
        trainer.best = likelihood
        write_arrays(folder / "best.npz", trainer.average.network.arrays())
    print(f"held out: {likelihood:.4f}, best {trainer.best:.4f}", flush=True)


def _tell(trainer: Trainer, losses: list[float], speed: float) -> None:
    print(
        f"{trainer.step}: {100 * trainer.progress:.0f} %, {trainer.seconds / 60:.1f} min, {trainer.phase.size} px, "
        f"loss {np.mean(losses):.3f}, rate {rate(trainer.recipe, trainer.progress):.1e}, {speed:.0f} photos/s",
        flush=True,
    )


if __name__ == "__main__":
    main()
