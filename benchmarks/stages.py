"""Where a request's time goes, by the size of the photo: ``python -m benchmarks.stages [--short]``.

One caller at a time asks the contract route for photos on a host on loopback; the sizes take turns. The stages are the
server's own (``/metrics``), except that decoding is told apart from resizing by doing both again here, outside of the
server. ``framework`` is the rest of what the caller waits: HTTP, routing, scores, log line, the threads' hand-overs.
Expected: the table in docs/benchmarks.md, which it writes. Three minutes; ``--short`` writes nothing.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from benchmarks.harness.load import Photos
from benchmarks.harness.origin import running_origin
from benchmarks.harness.ours import BY_LINK, figures, running_ours
from benchmarks.harness.photos import write_photos
from benchmarks.harness.report import machine, table, write_section
from benchmarks.harness.servers import ROOT, Server, ask_once
from food_vision.intake.containers import Container, read_container
from food_vision.intake.decode import REDUCED_SCALE_MARGIN, to_square
from food_vision.model.bundle import load_bundle
from food_vision.preprocessing import Preprocessing

SIZES = {"64 x 64": (64, 64), "640 x 480": (640, 480), "12 MP": (4032, 3024), "36 MP": (7360, 4912)}
STAGES = ("fetch", "decode", "queue", "inference")
ROUNDS, REQUESTS, REPEATS = 20, 8, 15
EACH = 4
"""Photos of a size: about some of them the model asks twice."""


class Outside(NamedTuple):
    """Milliseconds of the parts of decoding, each by itself outside of the server."""

    walk: float
    jpeg: float
    resize: float
    sha256: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two rounds; writes nothing")
    short = parser.parse_args().short
    with tempfile.TemporaryDirectory(prefix="stages-") as name:
        files = [file for size in SIZES.values() for file in write_photos(Path(name), *size, EACH)]
        outside = [_outside(file.read_bytes(), 3 if short else REPEATS) for file in files[::EACH]]
        with running_origin(files) as origin:
            photos = Photos(origin, len(files))
            with running_ours(Path(name), (BY_LINK, photos.link(0, "first"))) as server:
                inside = _ask_in_turn(server, photos, 2 if short else ROUNDS)
        text = report(files[::EACH], inside, outside)
    print(text)
    if not short:
        write_section(ROOT / "docs" / "benchmarks.md", "stages", text)


def _ask_in_turn(server: Server, photos: Photos, rounds: int) -> list[dict[str, float]]:
    """Return for each size the milliseconds of each stage, and under ``whole`` what the caller waits: medians."""
    found: list[dict[str, list[float]]] = [{name: [] for name in (*STAGES, "whole")} for _ in SIZES]
    for turn in range(rounds + 1):
        for number, lists in enumerate(found):
            sample = _ask(server, photos, number, turn)
            if turn:  # the first warms up
                for name, milliseconds in sample.items():
                    lists[name].append(milliseconds)
    return [{name: statistics.median(values) for name, values in lists.items()} for lists in found]


def _ask(server: Server, photos: Photos, number: int, turn: int) -> dict[str, float]:
    """Ask some times for photos of one size, by its number; return means in milliseconds."""
    before, started = figures(server), time.perf_counter()
    for count in range(REQUESTS):
        status, body = ask_once(server.port, BY_LINK, photos.link(number * EACH + count % EACH, f"{turn}-{count}"))
        assert status == 200, body
    whole, after = time.perf_counter() - started, figures(server)
    sums = {stage: f"food_vision_stage_seconds_sum{{stage={stage}}}" for stage in STAGES}
    spent = {stage: after[name] - before[name] for stage, name in sums.items()} | {"whole": whole}
    return {name: 1000 * seconds / REQUESTS for name, seconds in spent.items()}


def _outside(data: bytes, repeats: int) -> Outside:
    recipe, container = load_bundle(ROOT / "food-vision-model.h5").preprocessing, read_container(data)
    image = _decoded(container, recipe)
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    box = (left, top, left + side, top + side)
    return Outside(
        walk=_milliseconds(lambda: read_container(data), repeats),
        jpeg=_milliseconds(lambda: _decoded(container, recipe), repeats),
        resize=_milliseconds(lambda: to_square(image, box, recipe), repeats),
        sha256=_milliseconds(lambda: hashlib.sha256(data).hexdigest(), repeats),
    )


def _decoded(container: Container, recipe: Preprocessing) -> Image.Image:
    needed = round(REDUCED_SCALE_MARGIN * (recipe.low_pass or recipe.size))
    with Image.open(BytesIO(container.body), formats=(container.format,)) as image:
        image.draft(None, (needed, needed))
        image.load()
        return image


def _milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Return the best of some times: parts are told apart, which noise would turn into nonsense."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def report(files: Sequence[Path], inside: Sequence[dict[str, float]], outside: Sequence[Outside]) -> str:
    """Return both tables."""
    names = list(SIZES)
    first = [_row(name, stages, found) for name, stages, found in zip(names, inside, outside, strict=True)]
    parts = [
        [name, f"{file.stat().st_size / 1e6:.2f}", *(f"{part:.2f}" for part in found)]
        for name, file, found in zip(names, files, outside, strict=True)
    ]
    head = ["photo", "fetch", "decode", "resize", "queue", "inference", "framework", "whole ms"]
    sizes = table(["photo", "file MB", "walk of the file", "JPEG", "resize", "SHA-256"], parts)
    return f"{machine()}. Milliseconds of one caller.\n\n{table(head, first)}\n\nOutside of the server:\n\n{sizes}"


def _row(name: str, inside: dict[str, float], outside: Outside) -> list[str]:
    framework = inside["whole"] - sum(inside[stage] for stage in STAGES)
    decode = inside["decode"] - outside.resize
    parts = [inside["fetch"], decode, outside.resize, inside["queue"], inside["inference"], framework, inside["whole"]]
    return [name, *(f"{part:.2f}" for part in parts)]


if __name__ == "__main__":
    main()
