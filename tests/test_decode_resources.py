"""Decoding: memory of large photos, process-wide state, and files changed at random."""

import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from food_vision.errors import PhotoTooSmall, Problem, TooManyPixels, UndecodablePhoto, UnsupportedFormat
from food_vision.intake.decode import Photo, PhotoLimits, decode
from food_vision.preprocessing import Preprocessing
from tests import lossless, photos
from tests.photos import CUTTABLE

RECIPE = Preprocessing()
SQUARE = Preprocessing(size=64)
BUDGET = PhotoLimits().decode_bytes


def run_python(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_four_parsers_are_ever_loaded() -> None:
    script = """
import sys
from PIL import Image
from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from tests import lossless, photos
for format in ("JPEG", "PNG", "WEBP", "GIF"):
    decode(photos.photo(format), Preprocessing())
jpeg = photos.photo("JPEG")
decode(photos.with_jpeg_segments(jpeg, photos.jpeg_segment(0xE1, b"Exif\\0\\0" + photos.exif(6))), Preprocessing())
print(*sorted(name for name in sys.modules if name.startswith("PIL.") and name.endswith("ImagePlugin")))
"""
    loaded = run_python(script).split()
    # BMP and PPM are registered by Pillow itself whenever anything is opened or saved; formats= keeps them out.
    taken = {f"PIL.{name}ImagePlugin" for name in ("Gif", "Jpeg", "Png", "WebP")}
    assert taken <= set(loaded) <= taken | {"PIL.BmpImagePlugin", "PIL.PpmImagePlugin"}


def test_a_limit_above_pillows_own_needs_one_switch() -> None:
    script = """
from PIL import Image
from food_vision.intake.decode import PhotoLimits, prepare_pillow
before = Image.MAX_IMAGE_PIXELS
prepare_pillow(PhotoLimits())
assert Image.MAX_IMAGE_PIXELS == before
prepare_pillow(PhotoLimits(max_pixels=400_000_000))
assert Image.MAX_IMAGE_PIXELS == 400_000_000
"""
    run_python(script)


# Memory

PAGES = """
import resource
from concurrent.futures import ThreadPoolExecutor
from food_vision.server import MMAP_THRESHOLD_BYTES, give_memory_back
give_memory_back()
from food_vision.intake.decode import BLOCK_BYTES, PhotoLimits, decode, prepare_pillow
from food_vision.preprocessing import Preprocessing
from tests import lossless, photos

def pages(photo: bytes) -> int:
    for _ in range(5):
        decode(photo, RECIPE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        decode(photo, RECIPE)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20

RECIPE = Preprocessing(low_pass=160)
assert BLOCK_BYTES >= 2 * MMAP_THRESHOLD_BYTES
photo = photos.photo("JPEG", 640, 480)
with ThreadPoolExecutor(1) as decoder:
    without = decoder.submit(pages, photo).result()
    prepare_pillow(PhotoLimits())
    print(without, decoder.submit(pages, photo).result())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted as Linux does")
def test_memory_of_one_photo_serves_the_next() -> None:
    without, prepared = map(int, run_python(PAGES).split())
    assert prepared < without / 2, "pages that the system must clear for each photo"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_memory_of_large_photos_goes_back() -> None:
    script = """
from pathlib import Path
from food_vision.server import give_memory_back
give_memory_back()
from food_vision.intake.decode import BLOCK_BYTES, BLOCKS_KEPT, PhotoLimits, decode, prepare_pillow
from food_vision.preprocessing import Preprocessing
from tests import lossless, photos

def resident() -> int:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024

prepare_pillow(PhotoLimits())
decode(photos.photo("PNG", 640, 480), Preprocessing())
large = photos.photo("PNG", 5000, 4000)
before = resident()
for _ in range(3):
    decode(large, Preprocessing())
print(resident() - before - BLOCK_BYTES * BLOCKS_KEPT)
"""
    assert int(run_python(script)) < 2_000_000


MEASURE = """
import sys
from pathlib import Path
from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from tests import photos

def memory(kind: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) // 1024

decode(photos.photo("JPEG", 500, 400), Preprocessing())
data = Path(sys.argv[1]).read_bytes()
before = memory("VmRSS")
decode(data, Preprocessing())
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize(
    ("width", "height", "options", "megabytes"),
    [
        pytest.param(4000, 3000, {}, 20, id="12 MP"),
        pytest.param(8600, 5800, {}, 30, id="50 MP"),
        pytest.param(4000, 3000, {"progressive": True}, 80, id="12 MP progressive"),
    ],
)
def test_large_jpegs_take_little_memory(
    tmp_path: Path, width: int, height: int, options: dict[str, object], megabytes: int
) -> None:
    used = memory_to_decode(tmp_path, photos.large_jpeg(width, height, quality=85, **options))
    print(f"{width} x {height} {options}: {used} MB on top")
    assert used <= megabytes


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            lambda: photos.large_jpeg(side(6.3), side(6.3), quality=30, progressive=True, subsampling=0),
            id="progressive JPEG",
        ),
        pytest.param(
            lambda: photos.encoded(Image.new("CMYK", (side(8.6), side(8.6))), "JPEG", progressive=True),
            id="progressive CMYK JPEG",
        ),
        pytest.param(
            lambda: photos.encoded(square("RGBA", 8), "WEBP", lossless=True, method=0, quality=0),
            id="lossless WebP with alpha",
        ),
        pytest.param(lambda: photos.encoded(square("RGB", 4), "WEBP", method=0, quality=10), id="lossy WebP"),
        pytest.param(lambda: photos.encoded(square("RGBA", 9), "WEBP", method=0, quality=10), id="WebP with alpha"),
        pytest.param(lambda: lossless.with_plain_alpha(side(9), side(9)), id="WebP with alpha of any kind"),
        pytest.param(
            lambda: photos.encoded(
                photos.picture(64, 64).resize((side(8), side(8))), "WEBP", lossless=True, method=0, quality=0
            ),
            id="lossless WebP",
        ),
        pytest.param(lambda: photos.encoded(square("RGBA", 8), "PNG", compress_level=1), id="PNG with alpha"),
        pytest.param(
            lambda: photos.encoded(square("RGB", 8), "PNG", compress_level=1, transparency=(1, 2, 3)),
            id="PNG with a colour key",
        ),
        pytest.param(lambda: photos.encoded(square("P", 6), "GIF", transparency=1), id="transparent GIF"),
    ],
)
def test_the_largest_of_each_kind_takes_about_the_budget(tmp_path: Path, data: Callable[[], bytes]) -> None:
    used = memory_to_decode(tmp_path, data())
    assert 0.7 * BUDGET / 2**20 < used < BUDGET / 2**20 + 20


def side(bytes_per_pixel: float) -> int:
    """Return the side of the largest square that is decoded."""
    return math.isqrt(int(BUDGET / bytes_per_pixel))


def square(mode: str, bytes_per_pixel: float) -> Image.Image:
    """Return the largest square that is decoded, in one colour."""
    return Image.new(mode, (side(bytes_per_pixel), side(bytes_per_pixel)))


def memory_to_decode(folder: Path, data: bytes) -> int:
    """Return the megabytes on top that a process of its own needs at its peak."""
    path = folder / "photo"
    path.write_bytes(data)
    return int(run_python(MEASURE, str(path)))


# Chance

FUZZED = CUTTABLE | {
    "animated WebP": photos.animation("WEBP", 3),
    "APNG": photos.animation("PNG", 3),
    "palette PNG": photos.encoded(photos.picture(64, 48).quantize(16), "PNG"),
    "CMYK JPEG": photos.encoded(photos.picture(64, 48, "CMYK"), "JPEG"),
    "EXIF JPEG": photos.with_jpeg_segments(
        photos.photo("JPEG", 64, 48), photos.jpeg_segment(0xE1, b"Exif\0\0" + photos.exif(6))
    ),
}


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    # Half of the changes hit the headers, where there is more to break.
    for _ in range(chance.randint(1, 8)):
        position = chance.randrange(min(len(changed), chance.choice([64, 1_000, 10**6])))
        how = chance.randrange(4)
        if how == 0:
            changed[position] ^= 1 << chance.randrange(8)
        elif how == 1:
            changed[position] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif how == 2:
            del changed[position : position + chance.randint(1, 16)]
        else:
            changed[position:position] = chance.randbytes(chance.randint(1, 16))
    return bytes(changed)


def outcome(data: bytes) -> Photo | Problem:
    try:
        return decode(data, SQUARE, PhotoLimits(max_pixels=2_000_000))
    except (UndecodablePhoto, UnsupportedFormat, TooManyPixels, PhotoTooSmall) as problem:
        return problem


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FUZZED)
def test_changed_at_random_gives_a_photo_or_a_problem(name: str) -> None:
    chance = random.Random(name)
    photos_seen = 0
    for attempt in range(300):
        data = mutated(FUZZED[name], chance)
        data = photos.with_right_checksums(data) if attempt % 2 and "PNG" in name else data
        photos_seen += isinstance(outcome(data), Photo)
    assert 0 < photos_seen < 300
