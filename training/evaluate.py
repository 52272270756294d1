"""How good the model is: ``python -m training.evaluate [--record]``.

Every photo takes the server's way: decoder, recipe of the model file, fast engine. Prints tables and writes
``docs/evaluation.json``, bound to the weights by their SHA-256. With ``--record`` the figures go into the Keras file's
metadata as well, and the derived file is made anew.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import Accuracy, Bundle, Calibration, load_bundle
from food_vision.model.engine import Engine
from food_vision.preprocessing import Preprocessing
from training.checkpoint import WEIGHTS, write_metadata
from training.data import many_sharp, plain_ids, require_photos, sharp, tiles
from training.export import export
from training.inference import labels_of, open_model, run
from training.metrics import Share, class_mean, ece, nll, top
from training.per_class import Confusion, confusions, recall, worst

TUTORIAL = Preprocessing(fit="squash", filter="nearest")
REPORT = Path("docs/evaluation.json")
SMALL = 64
"""Pixels on a side of the small photos: sharp ones reduced to it tell how much of an answer hangs on detail."""
Logits = NDArray[np.float32]
Labels = NDArray[np.int64]


class Row(NamedTuple):
    """The figures of one set of photos; the calibration error is that of the first answer, in 15 bins."""

    photos: str
    top1: Share
    top5: Share
    class_mean: Share
    nll: float
    ece: float


class Dishes(NamedTuple):
    """How each dish fares on a set of photos."""

    photos: str
    recall: dict[str, Share]
    confusions: list[Confusion]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--record", action="store_true", help="write the figures into the weights' metadata")
    arguments = parser.parse_args()
    require_photos(arguments.data)
    bundle, engine = open_model(arguments.weights)
    rows, dishes = evaluate(bundle, engine, arguments.data)
    print(_table(rows), *map(_dishes_table, dishes), sep="\n\n")
    if arguments.record:
        measured = {"accuracy": _accuracy(rows), "calibration": _calibration(rows)}
        write_metadata(arguments.weights, bundle.metadata.model_copy(update=measured))
        export(arguments.weights)
    report = _report(load_bundle(arguments.weights), engine, rows, dishes)
    arguments.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def evaluate(bundle: Bundle, engine: Engine, data: Path) -> tuple[list[Row], list[Dishes]]:
    """Measure on the official test photos: sets of photos, and the dishes in the sharp and the small ones."""
    temperature, recipe, classes = bundle.metadata.temperature, bundle.preprocessing, bundle.metadata.classes
    samples, small = list(sharp(data, "test")), list(tiles(data, "test"))
    reduced = recipe.model_copy(update={"low_pass": SMALL})
    known_plain = plain_ids(data)
    plain = np.array([sample.id in known_plain for sample in samples])
    sets = {
        "sharp/test": (run(engine, recipe, samples), labels_of(samples)),
        f"sharp/test reduced to {SMALL} pixels": (run(engine, reduced, samples), labels_of(samples)),
        "food64/test": (run(engine, recipe, small), labels_of(small)),
    }
    rows = [row for name, both in sets.items() for row in _rows_by_class_group(name, *both, temperature, data)]
    logits, labels = sets["sharp/test"]
    for name, chosen in (("plainer photos", plain), ("the others", ~plain)):
        rows.append(_row(f"sharp/test, {name}", logits[chosen], labels[chosen], temperature))
    squashed = run(engine, TUTORIAL, samples)
    rows.append(_row("sharp/test as the tutorial's lines load it (squashed, nearest)", squashed, labels, temperature))
    return rows, [_dishes(name, *sets[name], classes) for name in ("sharp/test", "food64/test")]


def _rows_by_class_group(name: str, logits: Logits, labels: Labels, temperature: float, data: Path) -> list[Row]:
    """Return the figures of a set, and of its classes with few and with many sharp training photos."""
    many = np.isin(labels, list(many_sharp(data)))
    return [
        _row(name, logits, labels, temperature),
        _row(f"{name}, classes with few sharp training photos", logits[~many], labels[~many], temperature),
        _row(f"{name}, classes with many", logits[many], labels[many], temperature),
    ]


def _dishes(name: str, logits: Logits, labels: Labels, classes: tuple[str, ...]) -> Dishes:
    return Dishes(name, recall(logits, labels, classes), confusions(logits, labels, classes))


def _row(name: str, logits: Logits, labels: Labels, temperature: float) -> Row:
    shares = top(logits, labels), top(logits, labels, 5), class_mean(logits, labels)
    return Row(name, *shares, nll(logits, labels, temperature), ece(logits, labels, temperature))


def _table(rows: Sequence[Row]) -> str:
    head = "| photos | count | top-1 % | top-5 % | mean over classes % | NLL | ECE % |\n|---|---|---|---|---|---|---|"
    lines = [
        f"| {row.photos} | {row.top1.photos:,} | {_percent(row.top1)} | {_percent(row.top5)} "
        f"| {_percent(row.class_mean)} | {row.nll:.3f} | {100 * row.ece:.1f} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _dishes_table(dishes: Dishes) -> str:
    """Return the ten worst dishes and the ten most frequent confusions of a set."""
    lines = [f"{dishes.photos}, the worst dishes: right %", ""]
    lines += [f"- {dish}: {_percent(share)} of {share.photos}" for dish, share in worst(dishes.recall).items()]
    lines += ["", f"{dishes.photos}, the most frequent confusions", ""]
    lines += [f"- {one.dish}, taken for {one.taken_for}: {one.times} of {one.photos}" for one in dishes.confusions]
    return "\n".join(lines)


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _accuracy(rows: Sequence[Row]) -> tuple[Accuracy, ...]:
    return tuple(
        Accuracy(
            photos=row.photos,
            measure=measure,
            value=round(share.value, 4),
            low=round(share.low, 4),
            high=round(share.high, 4),
            count=share.photos,
        )
        for row in _recorded(rows)
        for measure, share in (("top-1", row.top1), ("top-5", row.top5), ("mean over classes", row.class_mean))
    )


def _calibration(rows: Sequence[Row]) -> tuple[Calibration, ...]:
    return tuple(
        Calibration(photos=row.photos, error=round(row.ece, 4), count=row.top1.photos) for row in _recorded(rows)
    )


def _recorded(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.photos in ("sharp/test", "food64/test")]


def _report(bundle: Bundle, engine: Engine, rows: Sequence[Row], dishes: Sequence[Dishes]) -> dict[str, Any]:
    return {
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "engine": engine.name,
        "preprocessing": bundle.preprocessing.model_dump(),
        "temperature": bundle.metadata.temperature,
        "sets": [_as_dict(row) for row in rows],
        "dishes": [_as_dict(one) for one in dishes],
    }


def _as_dict(figures: Any) -> Any:  # noqa: ANN401 - JSON is what it is
    """Return named tuples as dictionaries, all the way down."""
    if isinstance(figures, tuple) and hasattr(figures, "_asdict"):
        figures = figures._asdict()
    if isinstance(figures, dict):
        return {name: _as_dict(value) for name, value in figures.items()}
    return [_as_dict(value) for value in figures] if isinstance(figures, list) else figures


if __name__ == "__main__":
    main()
