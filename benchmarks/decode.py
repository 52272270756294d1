"""What decoding costs, and what reduced-scale decoding of JPEGs saves and changes: ``python -m benchmarks.decode``.

The photos are made here: noise whose strength halves with every octave, as detail does in nature, plus a little grain.
Each row is a process of its own, for the sake of its peak of memory (on top of the file; from /proc: Linux only), and
shows the best of seven times. Expected on 2 vCPU AMD EPYC with AVX-512 VNNI: the table in
docs/decisions/004-decoding.md. About three minutes.
"""

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.harness.photos import scene
from food_vision.intake.containers import read_container
from food_vision.intake.decode import render
from food_vision.preprocessing import Preprocessing

RECIPE = Preprocessing(size=224)
REPEATS = 7
MARGINS = (None, 1.0, 1.5, 2.0, 3.0, 4.0)


class Sample(NamedTuple):
    """One kind of photo; ``margins`` are those it is decoded with, None for full scale."""

    label: str
    size: tuple[int, int]
    format: str
    options: dict[str, object]
    margins: Sequence[float | None] = (None,)


CAMERA: dict[str, object] = {"quality": 90}
PROGRESSIVE: dict[str, object] = {"quality": 90, "progressive": True}
SAMPLES = (
    Sample("JPEG 64 x 64", (64, 64), "JPEG", CAMERA, (None, 2.0)),
    Sample("JPEG 640 x 480", (640, 480), "JPEG", CAMERA, (None, 2.0)),
    Sample("JPEG 1600 x 1200", (1600, 1200), "JPEG", CAMERA, MARGINS),
    Sample("JPEG 12 MP", (4032, 3024), "JPEG", CAMERA, MARGINS),
    Sample("JPEG 12 MP, progressive", (4032, 3024), "JPEG", PROGRESSIVE, (None, 2.0)),
    Sample("JPEG 36 MP", (7360, 4912), "JPEG", CAMERA, (None, 2.0)),
    Sample("JPEG 48 MP", (8064, 6048), "JPEG", CAMERA, MARGINS),
    Sample("JPEG 48 MP, progressive", (8064, 6048), "JPEG", PROGRESSIVE, (None, 2.0)),
    Sample("PNG 12 MP", (4032, 3024), "PNG", {"compress_level": 1}),
    Sample("PNG 12 MP with alpha", (4032, 3024), "PNG", {"compress_level": 1, "alpha": True}),
    Sample("PNG 48 MP with alpha", (8064, 6048), "PNG", {"compress_level": 1, "alpha": True}),
    Sample("WebP 12 MP", (4032, 3024), "WEBP", {"quality": 80, "method": 0}),
    Sample("WebP 48 MP", (8064, 6048), "WEBP", {"quality": 80, "method": 0}),
    Sample("GIF 12 MP", (4032, 3024), "GIF", {}),
)


class Result(NamedTuple):
    """What one process found."""

    milliseconds: float
    megabytes: float
    pixels: list[int]


def encode(sample: Sample) -> bytes:
    options = dict(sample.options)
    picture = scene(*sample.size)
    if options.pop("alpha", False):
        picture.putalpha(200)
    buffer = io.BytesIO()
    picture.save(buffer, sample.format, **options)
    return buffer.getvalue()


def memory(kind: str) -> float:
    """Return the process's memory in MB: ``VmRSS`` now, ``VmHWM`` at its highest."""
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) / 1024


def measure(path: Path, margin: float | None) -> Result:
    """Decode one file again and again; runs in a process of its own."""
    data = path.read_bytes()
    before = memory("VmRSS")
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        pixels = render(read_container(data), RECIPE, margin)
        times.append(time.perf_counter() - started)
    return Result(1000 * min(times), memory("VmHWM") - before, pixels.ravel().tolist())


def in_own_process(path: Path, margin: float | None) -> Result:
    command = [sys.executable, "-m", "benchmarks.decode", str(path), json.dumps(margin)]
    return Result(*json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def report(sample: Sample, path: Path) -> None:
    path.write_bytes(encode(sample))
    results = {margin: in_own_process(path, margin) for margin in sample.margins}
    full = results[None]
    for margin, result in results.items():
        difference = np.abs(np.subtract(result.pixels, full.pixels))
        print(
            f"| {sample.label} | {path.stat().st_size / 1e6:.1f} | {margin or 'full'} | {result.milliseconds:.1f} "
            f"| {result.milliseconds / full.milliseconds:.2f} | {result.megabytes:.0f} "
            f"| {difference.mean():.2f} | {difference.max()} |",
            flush=True,
        )


def main() -> None:
    print("| photo | file MB | margin | ms | ratio | peak MB | mean difference | largest |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for sample in SAMPLES:
            report(sample, Path(folder) / "photo")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(Path(sys.argv[1]), json.loads(sys.argv[2]))))
    else:
        main()
