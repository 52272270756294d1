"""How good the model is: ``python -m training.evaluate [--record] [--int8 FILE] [--sample N] [--render]``.

Every photo takes the server's way: decoder, recipe of the model file, fast engine, scorer. Writes
``docs/evaluation.json``, bound to the weights by their SHA-256, and from it ``docs/evaluation.md`` and the figures in
``README.md`` and ``MODEL_CARD.md``; with ``--render`` only these, without photos. With ``--record`` the figures go into
the Keras file's metadata as well; the derived file keeps its graph. ``--sample N`` looks at N photos of each set or a
few more, for a first impression: it prints, and writes only where ``--report`` says. Other ``--weights`` than the
project's get a report beside them and leave the pages alone.

Expected on 2 vCPU: ten minutes; with ``--sample 200`` one.
"""

import argparse
import platform
from pathlib import Path

from food_vision.model.bundle import Accuracy, Calibration, load_bundle
from food_vision.processors import usable_processors
from training.data import require_photos
from training.evaluation import pages
from training.evaluation.compare import Other
from training.evaluation.facts import Report, Row, write
from training.evaluation.run import Plan, evaluate
from training.evaluation.speed import ROUNDS

ROOT = Path()
WEIGHTS = Path("food-vision-model.h5")
FEW_ROUNDS = 3
"""Of the milliseconds' measurement, for a first impression."""


def main() -> None:
    """Measure, print, write."""
    arguments = _arguments()
    if arguments.render:
        pages.render(ROOT)
        return
    require_photos(arguments.data)
    report = evaluate(_plan(arguments), tuple(arguments.left_out))
    print(pages.page(report))
    if arguments.record:
        report = record(arguments.weights, report)
    if arguments.report or not arguments.sample:
        write(arguments.report or pages.FACTS, report)
    if not arguments.report and not arguments.sample:
        pages.render(ROOT)


def record(weights: Path, report: Report) -> Report:
    """Write accuracy and calibration into the weights' metadata; return the report bound to these weights."""
    # TensorFlow, late: the processes that take the time are made from this module, and only Keras's needs it.
    from training.export import relabel

    metadata = load_bundle(weights).metadata
    measured = {"accuracy": _accuracy(report), "calibration": _calibration(report)}
    relabel(weights, metadata.model_copy(update=measured))
    model = report.model.model_copy(update={"sha256": load_bundle(weights).sha256})
    return report.model_copy(update={"model": model})


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        weights=arguments.weights,
        data=arguments.data,
        machine=arguments.machine,
        sample=arguments.sample,
        other=_other(arguments),
        rounds=FEW_ROUNDS if arguments.sample else ROUNDS,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--int8", type=Path, metavar="FILE", help="compare with the fast engine's file in INT8")
    other.add_argument("--fp32", type=Path, metavar="FILE", help="the same in FP32, where INT8 is served")
    parser.add_argument("--left-out", nargs="*", default=[], metavar="CLASS", help="a group of classes by itself")
    parser.add_argument("--machine", default=_machine(), help="what the milliseconds were measured on, in words")
    parser.add_argument("--sample", type=int, metavar="N", help="photos of each set, or a few more")
    parser.add_argument("--report", type=Path, help=f"where to write instead of {pages.FACTS} and the pages")
    parser.add_argument("--record", action="store_true", help="write the figures into the weights' metadata")
    parser.add_argument("--render", action="store_true", help=f"only make the pages from {pages.FACTS}")
    arguments = parser.parse_args()
    if not arguments.report and arguments.weights != WEIGHTS:
        arguments.report = arguments.weights.with_suffix(".json")
    if arguments.sample and arguments.record:
        parser.error("what a sample says is not recorded: leave out --sample or --record")
    return arguments


def _other(arguments: argparse.Namespace) -> Other | None:
    if arguments.int8:
        return Other("int8", arguments.int8)
    return Other("float32", arguments.fp32) if arguments.fp32 else None


def _machine() -> str:
    return f"{usable_processors()} processors, {platform.machine()}"


def _accuracy(report: Report) -> tuple[Accuracy, ...]:
    return tuple(
        Accuracy(
            photos=row.photos,
            measure=measure,
            value=round(share.value, 4),
            low=round(share.low, 4),
            high=round(share.high, 4),
            count=share.photos,
        )
        for row in _recorded(report)
        for measure, share in (("top-1", row.top1), ("top-5", row.top5), ("mean over classes", row.class_mean))
    )


def _calibration(report: Report) -> tuple[Calibration, ...]:
    return tuple(
        Calibration(photos=row.photos, error=round(row.ece.value, 4), count=row.ece.photos) for row in _recorded(report)
    )


def _recorded(report: Report) -> list[Row]:
    return [row for row in report.rows if row.photos in ("sharp/test", "food64/test")]


if __name__ == "__main__":
    main()
