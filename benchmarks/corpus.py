"""Broken and extreme photos by the ten thousand against a real server: how each was answered, how late, what it took.

    python -m benchmarks.corpus [--seeds 4] [--decode-bytes 128000000] [--extra DIR]...

Each seed damages the good photos of ``tests.corpus`` in other ways; what is made on purpose is sent once per seed. Of
an extra folder every file is sent, whatever it is. The suites of broken images that image libraries ship are got by

    pip download --no-deps --no-binary :all: pillow   # Tests/images in the archive
    apt-get source libpng1.6 libjpeg-turbo libwebp giflib

Prints a table, and ends with 1 if anything that docs/promises.md says was not kept.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from food_vision.settings import Settings
from tests.barrage import Barrage, bombard
from tests.corpus import Case, corpus, files_of
from tests.service import running_service

ALLOWANCE = 22
"""Megabytes beside what decoders may take; with the default, the 150 that are promised."""
COLUMNS = ("ok", "undecodable_photo", "unsupported_format", "too_many_pixels", "photo_too_small")


def main() -> None:
    """Print a row per seed and per folder."""
    arguments = _arguments()
    rows: list[tuple[str, Iterable[Case]]] = [(f"seed {seed}", corpus(seed)) for seed in range(1, arguments.seeds + 1)]
    rows += [(folder.name, files_of(folder)) for folder in arguments.extra]
    print("| corpus | files | " + " | ".join(COLUMNS) + " | slowest, s | MB more | MB kept |")
    print("|---|" + "---|" * (len(COLUMNS) + 4))
    broken = [sentence for name, cases in rows for sentence in _row(name, cases, arguments.decode_bytes)]
    print(*broken, sep="\n")
    sys.exit(bool(broken))


def _row(name: str, cases: Iterable[Case], decode_bytes: int) -> list[str]:
    settings = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "FOOD_VISION_DECODE_BYTES": str(decode_bytes)}
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder), settings) as service:
        barrage = bombard(service, Path(folder), cases, decode_bytes / 1e6 + ALLOWANCE)
    _print(name, barrage)
    return [f"{name}: {sentence}" for sentence in barrage.broken]


def _print(name: str, barrage: Barrage) -> None:
    counts = " | ".join(f"{barrage.codes[code]:,}" for code in COLUMNS)
    slowest = barrage.slowest[0]
    memory = f"{barrage.grown:.0f} | {barrage.kept:.0f}"
    print(
        f"| {name} | {len(barrage.outcomes):,} | {counts} | {slowest.seconds:.2f} ({slowest.name}) | {memory} |",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4, help="how many corpora are made by chance")
    parser.add_argument(
        "--decode-bytes",
        type=int,
        default=Settings.model_fields["decode_bytes"].default,
        help="FOOD_VISION_DECODE_BYTES of the server",
    )
    parser.add_argument("--extra", type=Path, action="append", default=[], help="a folder of files to be sent too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
