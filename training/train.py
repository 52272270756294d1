"""Train the network: ``python -m training.train RECIPE [--run FOLDER]``; started again, it goes on where it was.

The folder of the run (``runs/RECIPE`` by default) gets ``state.pt`` every few minutes, ``best.npz``, the averaged
weights that did best on held-out training photos, and ``last.npz``. What is drawn depends on seed and step only.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from training import recipes
from training.arrays import Arrays, read_arrays, write_arrays
from training.averaging import Average
from training.batches import Pools, batches
from training.data import held_out, require_photos
from training.judge import Judge
from training.memory import keep_freed_memory
from training.network import Network
from training.pools import held_out_ids, sharp_pool, tile_pool
from training.recipes import Phase, Recipe

SAVE_EVERY, LOOK_EVERY, TELL_EVERY = 3 * 60, 10 * 60, 50  # seconds, seconds, steps


class Trainer:
    """Network, averaged network and optimizer, and how far they are."""

    def __init__(self, recipe: Recipe, arrays: Arrays) -> None:
        self.recipe = recipe
        self.network = Network(arrays, dropout=recipe.dropout)
        self.average = Average(self.network, recipe.averaging)
        self.optimizer = torch.optim.AdamW(_groups(self.network, recipe.decay), fused=True)
        self.step, self.seconds, self.best = 0, 0.0, math.inf

    @property
    def progress(self) -> float:
        """Share of the run's time that is over, 0..1."""
        return min(1.0, self.seconds / 60 / self.recipe.minutes)

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
            loss = nn.cross_entropy(self.network(photos), targets)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.network, self.step)
        self.step += 1
        return loss.item()

    def save(self, path: Path) -> None:
        """Write everything that going on needs; a write cut short leaves the last file whole."""
        parts = {"network": self.network, "average": self.average.network, "optimizer": self.optimizer}
        state = {name: part.state_dict() for name, part in parts.items()}
        fresh = path.with_suffix(".new")
        torch.save(state | {"step": self.step, "seconds": self.seconds, "best": self.best}, fresh)
        fresh.replace(path)

    def restore(self, path: Path) -> None:
        """Read what ``save`` wrote."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]


def main() -> None:
    """Train until the recipe's time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a module of training.recipes")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--start", type=Path, default=Path("../shared/model/efficientnet-lite0-food101.npz"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    arguments = parser.parse_args()
    require_photos(arguments.data)
    keep_freed_memory()
    folder: Path = arguments.run or Path("runs", arguments.recipe)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = recipes.load(arguments.recipe)
    trainer = Trainer(recipe, read_arrays(arguments.start))
    if (folder / "state.pt").exists():
        trainer.restore(folder / "state.pt")
    but = held_out_ids(arguments.held_out)
    pools = Pools(sharp_pool(arguments.data, but, recipe.left_out), tile_pool(arguments.data, but))
    print(f"{len(pools.sharp.ids):,} sharp photos, {len(pools.tiles.ids):,} tiles", flush=True)
    run(trainer, pools, Judge(*held_out(arguments.data, arguments.held_out)), folder)


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
    minutes, size = trainer.seconds / 60, trainer.phase.size
    print(
        f"step {trainer.step}, {minutes:.1f} of {trainer.recipe.minutes:g} min, {size} px, loss {np.mean(losses):.3f}, "
        f"rate {rate(trainer.recipe, trainer.progress):.1e}, {speed:.0f} photos/s",
        flush=True,
    )


if __name__ == "__main__":
    main()
