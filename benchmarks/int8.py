"""What eight bits cost and bring: ``python -m benchmarks.int8 [accuracy|speed|streams] [--test] [--short]``.

Without a part's name all three. Accuracy: eight bits made in two ways, on the same photos by the server's own
decoder, against floats: on held-out photos, to choose; with ``--test`` on ``sharp/test`` and every fifth tile of
``food64/test``, the last look. Speed: milliseconds and memory of the same graphs, each in a process of its own and
asked in turn, and the share of the processor's peak (``benchmarks.peak``). Streams: one process with two threads
against two with one. Expected on 2 vCPU AMD EPYC with AVX-512 VNNI: docs/decisions/011-int8.md; ten minutes, of which
``--short`` takes one.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import int8_accuracy, int8_speed
from benchmarks.quantised import graphs
from training.checkpoint import WEIGHTS
from training.data import require_photos

PARTS = ("accuracy", "speed", "streams")


def main() -> None:
    """Make the graphs, measure, print."""
    arguments = _arguments()
    require_photos(arguments.data)
    parts = [arguments.part] if arguments.part else PARTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = graphs(arguments.weights, folder, arguments.data, arguments.held_out)
        if "accuracy" in parts:
            sets = int8_accuracy.sets(arguments.data, arguments.held_out, test=arguments.test, short=arguments.short)
            int8_accuracy.print_tables(arguments.weights, made, sets)
        if "speed" in parts:
            int8_speed.print_speed(arguments.weights, made, folder, short=arguments.short)
        if "streams" in parts:
            int8_speed.print_streams(made, folder, short=arguments.short)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    parser.add_argument("--test", action="store_true", help="the last look, on test photos")
    parser.add_argument("--short", action="store_true", help="few photos and rounds, for a first impression")
    return parser.parse_args()


if __name__ == "__main__":
    main()
