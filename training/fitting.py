"""Epochs: learn, look at held-out photos, keep the best, write everything down; started again, it goes on.

The folder of a stage gets ``progress.json``, a line per epoch, ``state-N.keras`` behind epoch N, optimizer included,
and ``best.weights.h5``. What is drawn in an epoch depends on the seed and its number only.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.bars import bar
from training.metrics import nll, top

Labels = NDArray[np.int64]
LEAST_DRAWN = 2_000
"""Photos of an epoch, however few there are: so that twenty epochs teach something."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch brought: loss on what was learnt; negative log-likelihood and top-1, 0..1, on held-out photos."""

    loss: float
    held_out_nll: float
    held_out_top1: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stage of training goes.

    Attributes:
        name: Shown, and the name of its folder.
        epochs: How many; the learning rate falls to zero over them as half a cosine.
        rate: Its first value (AdamW).
        batch: Photos per step.
        seed: Of what is drawn.
    """

    name: str
    epochs: int
    rate: float
    batch: int = 64
    seed: int = 1


def learn(
    model: Any,  # noqa: ANN401 - Keras is untyped
    plan: Plan,
    draw: Callable[[NDArray[np.int64]], dict[str, Any]],
    labels: Labels,
    judge: Callable[[Any], tuple[NDArray[np.float32], Labels]],
    folder: Path,
) -> tuple[Any, list[Epoch]]:
    """Train a model that gives logits and return it as it was after its best epoch, with all epochs.

    Args:
        model: Not compiled.
        plan: What to do.
        draw: From places in ``labels`` to what ``fit`` takes.
        labels: ``int64[N]`` of what is learnt from.
        judge: Logits ``float32[M, classes]`` and labels of the held-out photos.
        folder: Of the run.
    """
    place = folder / plan.name
    place.mkdir(parents=True, exist_ok=True)
    history = _history(place)
    if history:
        model = keras.models.load_model(_state(place, len(history)))
    else:
        model.compile(keras.optimizers.AdamW(plan.rate, weight_decay=1e-3), _loss())
    with bar() as progress:
        task = progress.add_task(plan.name, total=plan.epochs, completed=len(history))
        for number in range(len(history), plan.epochs):
            model.optimizer.learning_rate = plan.rate * (1 + math.cos(math.pi * number / plan.epochs)) / 2
            places = drawn(labels, plan, number)
            loss = model.fit(**draw(places), epochs=1, verbose=0, shuffle=False).history["loss"][-1]
            logits, truth = judge(model)
            history.append(Epoch(float(loss), nll(logits, truth), top(logits, truth).value))
            _keep(model, history, place)
            progress.update(task, advance=1, description=f"{plan.name}: {_told(history)}")
    model.load_weights(place / "best.weights.h5")
    return model, history


def drawn(labels: Labels, plan: Plan, epoch: int) -> NDArray[np.int64]:
    """Return places of photos in whole batches, drawn so that every class is equally likely however many it has."""
    random = np.random.default_rng((plan.seed, epoch))
    count = -(-max(len(labels), LEAST_DRAWN) // plan.batch) * plan.batch
    by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    sizes = np.array([len(places) for places in by_class])
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    classes = random.integers(len(by_class), size=count)
    return np.concatenate(by_class)[first[classes] + random.integers(sizes[classes])]


def best(history: list[Epoch]) -> int:
    """Return the number of the best epoch, from 0: on so few photos the likelihood tells more than right answers."""
    return min(range(len(history)), key=lambda number: history[number].held_out_nll)


def _loss() -> Any:  # noqa: ANN401 - Keras is untyped
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _keep(model: Any, history: list[Epoch], place: Path) -> None:  # noqa: ANN401 - Keras is untyped
    if best(history) == len(history) - 1:
        model.save_weights(place / "best.weights.h5")
    model.save(_state(place, len(history)))
    fresh = place / "progress.new"
    fresh.write_text(json.dumps([asdict(epoch) for epoch in history], indent=1), encoding="utf-8")
    # From here on the new state counts; whoever stops it before goes on from the last one.
    fresh.replace(place / "progress.json")
    _state(place, len(history) - 1).unlink(missing_ok=True)


def _history(place: Path) -> list[Epoch]:
    path = place / "progress.json"
    return [Epoch(**epoch) for epoch in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _state(place: Path, epochs: int) -> Path:
    return place / f"state-{epochs}.keras"


def _told(history: list[Epoch]) -> str:
    last, chosen = history[-1], best(history)
    return (
        f"loss {last.loss:.3f}, held out {last.held_out_nll:.3f}, right {100 * last.held_out_top1:.0f} %; "
        f"best so far: epoch {chosen + 1}"
    )
