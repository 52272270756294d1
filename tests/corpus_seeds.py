"""One small good photo of every kind that is taken: what ``tests.corpus`` damages. Deterministic; nothing is read."""

import random
import struct
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

from tests import photos

WIDTH, HEIGHT = 64, 48
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, columns and rows between pixels of each pass of an interlaced PNG."""


def picture(mode: str = "RGB") -> Image.Image:
    return photos.picture(WIDTH, HEIGHT, mode)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    return photos.encoded(picture(mode), "JPEG", **options)


def png(mode: str = "RGB", **options: object) -> bytes:
    return photos.encoded(picture(mode), "PNG", **options)


def webp(mode: str = "RGB", **options: object) -> bytes:
    return photos.encoded(picture(mode), "WEBP", **options)


def gif(**options: object) -> bytes:
    return photos.encoded(picture(), "GIF", **options)


def clear(mode: str = "RGBA") -> Image.Image:
    """A picture that becomes transparent from left to right."""
    image = picture("RGBA")
    image.putalpha(Image.linear_gradient("L").rotate(90).resize((WIDTH, HEIGHT)))
    return image.convert(mode)


def mpo() -> bytes:
    return photos.encoded(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT), "red")])


def with_exif(data: bytes, orientation: int = 6) -> bytes:
    return photos.with_jpeg_segments(data, photos.jpeg_segment(0xE1, b"Exif\0\0" + photos.exif(orientation)))


def with_profile(data: bytes) -> bytes:
    return photos.with_jpeg_segments(data, photos.jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + PROFILE))


def arithmetic(frame: int = 0xC9) -> bytes:
    """A JPEG in arithmetic coding; any bytes are a picture to its decoder, so chance draws one."""
    data = jpeg("L").replace(b"\xff\xc0", bytes([0xFF, frame]))
    head = data[: data.index(b"\xff\xda")]
    # A progressive one begins with a scan of the coarsest coefficient alone.
    last_coefficient = 63 if frame == 0xC9 else 0
    scan = photos.jpeg_segment(0xDA, bytes([1, 1, 0, 0, last_coefficient, 0]))
    drawn = random.Random(frame).randbytes(2_000).replace(b"\xff", b"\xfe")
    return head + scan + drawn + b"\xff\xd9"


def ycck() -> bytes:
    data = jpeg("CMYK")
    return data.replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2")


def interlaced(depth: int, colour: int, pixel: bytes, *extra: bytes) -> bytes:
    """A PNG of one colour whose pixels come in seven passes."""
    rows = b""
    for left, top, across, down in ADAM7:
        columns, lines = -(-(WIDTH - left) // across), -(-(HEIGHT - top) // down)
        bits = columns * depth * {0: 1, 2: 3, 3: 1, 6: 4}[colour]
        rows += (b"\0" + (pixel * columns)[: -(-bits // 8)]) * lines
    return photos.png(WIDTH, HEIGHT, depth, colour, rows, *extra, interlaced=True)


def with_everything(data: bytes) -> bytes:
    """A PNG with the chunks that a camera, an editor and a screen leave in it."""
    chunks = {
        b"gAMA": struct.pack(">I", 45_455),
        b"cHRM": bytes(32),
        b"pHYs": struct.pack(">IIB", 2_835, 2_835, 1),
        b"tIME": struct.pack(">HBBBBB", 2026, 1, 1, 0, 0, 0),
        b"tEXt": b"Comment\0made for a test",
        b"zTXt": b"Comment\0\0" + zlib.compress(b"again " * 100),
        b"iTXt": b"Comment\0\0\0\0\0noch einmal",
        b"iCCP": b"profile\0\0" + zlib.compress(PROFILE),
        b"eXIf": photos.exif(8),
    }
    return photos.with_png_chunks(data, *[photos.png_chunk(name, content) for name, content in chunks.items()])


def sixteen(colour: int, pixel: bytes) -> bytes:
    return photos.plain_png(WIDTH, HEIGHT, 16, colour, pixel)


PROFILE = bytes(36) + b"acsp" + bytes(400)
PALETTE = photos.png_chunk(b"PLTE", bytes(range(48)))
SEEDS: Mapping[str, Callable[[], bytes]] = {
    "JPEG": jpeg,
    "JPEG, progressive": lambda: jpeg(progressive=True),
    "JPEG, 4:4:4": lambda: jpeg(subsampling=0, quality=95),
    "JPEG, optimized": lambda: jpeg(optimize=True),
    "JPEG, restart markers": lambda: jpeg(restart_marker_blocks=1),
    "JPEG, grey": lambda: jpeg("L"),
    "JPEG, grey, progressive": lambda: jpeg("L", progressive=True),
    "JPEG, CMYK": lambda: jpeg("CMYK"),
    "JPEG, YCCK": ycck,
    "JPEG, arithmetic": arithmetic,
    "JPEG, arithmetic, progressive": lambda: arithmetic(0xCA),
    "JPEG, with EXIF": lambda: with_exif(jpeg()),
    "JPEG, with a profile": lambda: with_profile(jpeg()),
    "MPO": mpo,
    "PNG": png,
    "PNG, grey": lambda: png("L"),
    "PNG, 1 bit": lambda: png("1"),
    "PNG, alpha": lambda: photos.encoded(clear(), "PNG"),
    "PNG, grey and alpha": lambda: photos.encoded(clear("LA"), "PNG"),
    "PNG, palette": lambda: photos.encoded(picture().quantize(16), "PNG"),
    "PNG, palette and alpha": lambda: photos.encoded(picture().quantize(16), "PNG", transparency=bytes(range(16))),
    "PNG, colour key": lambda: png(transparency=(1, 2, 3)),
    "PNG, 16 bits, grey": lambda: sixteen(0, b"\xab\xcd"),
    "PNG, 16 bits": lambda: sixteen(2, b"\x0a\xff\x14\xff\x1e\xff"),
    "PNG, 16 bits, alpha": lambda: sixteen(6, b"\x0a\0\x14\0\x1e\0\x7f\0"),
    "PNG, interlaced": lambda: interlaced(8, 2, b"\1\2\3"),
    "PNG, interlaced, 1 bit": lambda: interlaced(1, 0, b"\x55"),
    "PNG, interlaced, palette": lambda: interlaced(4, 3, b"\x12", PALETTE),
    "PNG, with everything": lambda: with_everything(png()),
    "APNG": lambda: photos.animation("PNG", 3),
    "WebP": webp,
    "WebP, lossless": lambda: webp(lossless=True),
    "WebP, alpha": lambda: photos.encoded(clear(), "WEBP"),
    "WebP, lossless, alpha": lambda: photos.encoded(clear(), "WEBP", lossless=True),
    "WebP, with EXIF and profile": lambda: webp(exif=photos.exif(6), icc_profile=PROFILE),
    "WebP, animated": lambda: photos.animation("WEBP", 3),
    "WebP, animated, lossless": lambda: photos.animation("WEBP", 3, lossless=True),
    "GIF": gif,
    "GIF, not interlaced": lambda: gif(interlace=0),
    "GIF, transparent": lambda: photos.encoded(picture().quantize(16), "GIF", transparency=1),
    "GIF, with a comment": lambda: gif(comment=b"made for a test"),
    "GIF, animated": lambda: photos.animation("GIF", 3),
}
