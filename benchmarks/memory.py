"""How much memory the server takes: after start, and after many mixed photos by the contract route.

    python -m benchmarks.memory [--thousands 10]

Starts ``python main.py`` and sends it photos from a server on loopback, 8 at a time: of ten, one has 12 megapixels,
three 640 x 480 and six 300 x 224. Prints resident memory in MB after start, after every thousand, and at its
highest; the goal is 220 MB. Three minutes.
"""

import argparse
import io
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tests.origin import Origin
from tests.service import Service, running_service

PHOTOS, CALLERS = 1_000, 8
SIZES = {"large": (4032, 3024), "medium": (640, 480), "small": (300, 224)}
TURNS = ("large", *["medium"] * 3, *["small"] * 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thousands", type=int, default=10)
    rounds = parser.parse_args().thousands
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size, pixels in SIZES.items():
            (folder / f"{size}.jpg").write_bytes(photo(*pixels))
        settings = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}
        with Origin(photos=folder).running() as origin, running_service(folder, settings) as service:
            print(f"after start: {resident(service):.0f} MB")
            for turn in range(1, rounds + 1):
                ask_for_all(service, origin)
                print(f"after {turn * PHOTOS:,} photos: {resident(service):.0f} MB")
            print(f"at its highest: {resident(service, 'VmHWM'):.0f} MB")


def ask_for_all(service: Service, origin: Origin) -> None:
    def ask(number: int) -> None:
        answer = service.ask(origin.url(f"/photos/{TURNS[number % len(TURNS)]}.jpg"))
        assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(ask, range(PHOTOS)))


def photo(width: int, height: int) -> bytes:
    """Return a JPEG of soft colours; fixed seed."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


def resident(service: Service, kind: str = "VmRSS") -> float:
    """Return the server's resident memory in MB: now, or at its highest (``VmHWM``)."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
