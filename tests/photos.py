"""Photos for tests, made in memory: every format and mode, and the hostile files. Deterministic; nothing is read."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def pixels(width: int, height: int) -> Pixels:
    """Return a smooth picture without any symmetry, so that no turn or flip of it looks like another."""
    down, right = np.mgrid[0:height, 0:width]
    red, green = 255 * right / max(width - 1, 1), 255 * down / max(height - 1, 1)
    blue = 128 + 100 * np.sin(right / 9) * np.cos(down / 7)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def picture(width: int = 320, height: int = 240, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(pixels(width, height)).convert(mode)


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def photo(format_: str = "JPEG", width: int = 320, height: int = 240, **options: object) -> bytes:
    return encoded(picture(width, height), format_, **options)


def large_jpeg(width: int, height: int, **options: object) -> bytes:
    """A JPEG as large as a camera's, with something in it; made by enlarging a small picture."""
    return encoded(picture(160, 120).resize((width, height), Image.Resampling.BILINEAR), "JPEG", **options)


# Orientation


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """A TIFF directory with the orientation as its only entry."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, kind, 1, orientation, 0, 0)


def as_stored(upright: Pixels, orientation: int) -> Pixels:
    """How a camera stores ``upright``, by the words of the EXIF standard for row 0 and column 0."""
    turned = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.swapaxes(0, 1),  # left, top
        6: upright[:, ::-1].swapaxes(0, 1),  # right, top
        7: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: upright[::-1].swapaxes(0, 1),  # left, bottom
    }
    return np.ascontiguousarray(turned[orientation])


# PNG, chunk by chunk


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes, interlaced: bool = False
) -> bytes:
    """A PNG of raw rows (each begins with its filter byte); ``extra`` chunks stand before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", zlib.compress(rows, 1)), png_chunk(b"IEND", b"")]
    return PNG_MAGIC + b"".join(chunks)


def plain_png(width: int, height: int, depth: int, colour: int, pixel: bytes, *extra: bytes) -> bytes:
    """A PNG of one colour; ``pixel`` is one pixel, or one byte of several."""
    row_bits = width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" + pixel * (-(-row_bits // 8) // len(pixel))
    return png(width, height, depth, colour, row * height, *extra)


def with_png_chunks(data: bytes, *extra: bytes) -> bytes:
    """Put chunks behind the header of a PNG."""
    behind_header = 8 + 25
    return data[:behind_header] + b"".join(extra) + data[behind_header:]


def with_right_checksums(data: bytes) -> bytes:
    """Mend the sums of a PNG's chunks as far as its lengths allow, so that the changes get past that check."""
    changed, position = bytearray(data), 8
    while position + 12 <= len(changed):
        end = position + 8 + int.from_bytes(changed[position : position + 4], "big")
        if end + 4 > len(changed):
            break
        changed[end : end + 4] = struct.pack(">I", zlib.crc32(changed[position + 4 : end]))
        position = end + 4
    return bytes(changed)


def text_bomb(name: bytes, size: int = 200_000_000) -> bytes:
    """A PNG chunk whose text unfolds to ``size`` bytes."""
    compressor = zlib.compressobj(9)
    block = bytes(1_000_000)
    packed = b"".join(compressor.compress(block) for _ in range(size // len(block))) + compressor.flush()
    head = {b"zTXt": b"a\0\0", b"iCCP": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}[name]
    return png_chunk(name, head + packed)


# JPEG, segment by segment


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_jpeg_segments(data: bytes, *segments: bytes) -> bytes:
    """Put segments behind the first two bytes of a JPEG."""
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_of_many_scans(scans: int, side: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(Image.new("RGB", (side, side), (200, 100, 50)), "JPEG", progressive=True, subsampling=0)
    last = data.rindex(b"\xff\xda")
    tables = data.rindex(b"\xff\xc4")
    return data[:-2] + data[min(last, tables) : -2] * scans + data[-2:]


# Many frames


def frames(count: int, side: int) -> Sequence[Image.Image]:
    return [picture(side, side).rotate(index % 360) for index in range(count)]


def animation(format_: str, count: int, side: int = 32, **options: object) -> bytes:
    first, *others = frames(count, side)
    return encoded(first, format_, save_all=True, append_images=others, duration=10, **options)


def gif(screen: tuple[int, int], place: tuple[int, int, int, int], blocks: bytes, *extensions: bytes) -> bytes:
    """A black-and-white GIF whose only picture stands at ``place`` (left, top, width, height) of its screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"".join(extensions) + b"," + struct.pack("<HHHHB", *place, 0) + b"\2" + blocks + b";"


# One good photo of each kind

CUTTABLE = {
    "JPEG": photo("JPEG"),
    "progressive JPEG": photo("JPEG", progressive=True),
    "PNG": photo("PNG"),
    "lossy WebP": photo("WEBP"),
    "lossless WebP": photo("WEBP", lossless=True),
    "GIF": photo("GIF"),
}
