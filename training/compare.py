"""The table of short runs: ``python -m training.compare``; stopped and started again, it goes on where it was.

Trains the rows of ``training.recipes.rows`` that are not yet done, one after the other, judges each by held-out
training photos and keeps what it found in ``runs/rows/NAME.json``; then prints the table of docs/training.md. Photos
are judged at 160 pixels, which suits weights that were trained at 128. An hour for all ten; ``--only`` takes some.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from food_vision.preprocessing import Preprocessing
from training import train
from training.batches import Pools
from training.data import Sample, held_out, require_photos
from training.inference import labels_of
from training.judge import Judge, least_nll, logits_of
from training.memory import keep_freed_memory
from training.metrics import Share, class_mean, hits, top
from training.network import Network
from training.paired import paired_difference, percent, points
from training.recipes import Recipe
from training.recipes.rows import ROWS, SAID

JUDGED = Preprocessing(size=160)
FOLDER = Path("runs/rows")
HEAD = """\
| what differs | photos learnt | photos/s | sharp: top-1 % | against the first row, points | mean over classes % | NLL \
| tiles: top-1 % | against the first row, points | mean over classes % | NLL |
|---|---|---|---|---|---|---|---|---|---|---|"""
Found = dict[str, Any]
Sets = dict[str, list[Sample]]


def main() -> None:
    """Train what is not yet done, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--only", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--steps", type=int, help="for each row in place of its own, to try the command")
    arguments = parser.parse_args()
    todo = [name for name in arguments.only if not _file(arguments.folder, name).exists()]
    if todo:
        require_photos(arguments.data)
        keep_freed_memory()
        sets: Sets = dict(zip(("sharp", "tiles"), held_out(arguments.data, arguments.held_out), strict=True))
        # The rows differ in how they draw, not in what there is to draw from.
        pools = train.pools_of(ROWS[todo[0]], arguments.data, arguments.held_out)
        for name in todo:
            recipe = ROWS[name]
            if arguments.steps:
                recipe = dataclasses.replace(recipe, steps=arguments.steps)
            _run(name, recipe, pools, sets, arguments.folder)
    print(table({name: _read(arguments.folder, name) for name in ROWS if _file(arguments.folder, name).exists()}))


def table(rows: dict[str, Found]) -> str:
    """Return the markdown table of rows by name; the first of ``ROWS`` is what the others are compared with."""
    first = rows.get(next(iter(ROWS)))
    return "\n".join([HEAD, *(_line(name, found, first) for name, found in rows.items())])


def judged(network: Network, samples: list[Sample]) -> Found:
    """Return what a row of the table says of a set of photos, and which of them were named right."""
    logits, labels = logits_of(network, samples, JUDGED), labels_of(samples)
    return {
        "top1": top(logits, labels),
        "class_mean": class_mean(logits, labels),
        "nll": least_nll(logits, labels),
        "hits": hits(logits, labels).astype(int).tolist(),
    }


def _run(name: str, recipe: Recipe, pools: Pools, sets: Sets, folder: Path) -> None:
    print(f"\n{name}: {SAID[name]}", flush=True)
    trainer = train.trainer_of(recipe, folder / name)
    train.run(trainer, pools, Judge(sets["sharp"], sets["tiles"], JUDGED), folder / name)
    network = trainer.average.network
    found: Found = {"photos": trainer.photos, "seconds": trainer.seconds}
    found |= {kind: judged(network, samples) for kind, samples in sets.items()}
    _file(folder, name).write_text(json.dumps(found), encoding="utf-8")


def _line(name: str, found: Found, first: Found | None) -> str:
    cells = [SAID[name], f"{found['photos']:,}", f"{found['photos'] / found['seconds']:.0f}"]
    for kind in ("sharp", "tiles"):
        one, base = found[kind], first and first[kind]
        cells += [percent(Share(*one["top1"])), _against(one, base) if base and found is not first else ""]
        cells += [percent(Share(*one["class_mean"])), f"{one['nll']:.3f}"]
    return f"| {' | '.join(cells)} |"


def _against(one: Found, base: Found) -> str:
    return points(paired_difference(np.array(one["hits"], bool), np.array(base["hits"], bool)))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read(folder: Path, name: str) -> Found:
    found: Found = json.loads(_file(folder, name).read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
