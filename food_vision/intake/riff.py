"""The blocks of a WebP: four letters, length, content, padded to an even length."""

import struct
from collections.abc import Iterator
from itertools import chain
from typing import Final, NoReturn

from food_vision.errors import UndecodablePhoto
from food_vision.intake.webp_codes import Lossless

MAX_CHUNKS: Final = 10_000
_FILE, _FRAME = 12, 24
"""Where the first block stands."""
_IN_FRAMES: Final = frozenset({b"ALPH", b"VP8 ", b"VP8L"})


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and bytes of each block of a file."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        _cut_short(f"WebP of {end} bytes, of which {len(data)} came")
    for name, start, after in _places(data, _FILE, end):
        yield name, data[start:after]


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height as the first block has them."""
    name = data[12:16]
    if name == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if name == b"VP8L":
        return _lossless_size(data, 12)
    if name != b"VP8 ":
        _broken(f"WebP that begins with {name!r}")
    return _lossy_size(data, 12)


def frame_of_pixels(frame: bytes) -> bytes:
    """Return a frame of nothing but its picture and alpha.

    For the decoder a frame ends before the first block that it does not know, and the file goes on from there: a frame
    in that place, of which nobody knew, would be the one that it decodes.
    """
    if len(frame) < _FRAME:
        _cut_short(f"WebP frame of {len(frame)} bytes")
    blocks = [frame[start:end] for name, start, end in _places(frame, _FRAME, len(frame)) if name in _IN_FRAMES]
    content = frame[8:_FRAME] + b"".join(block + bytes(len(block) % 2) for block in blocks)
    return struct.pack("<4sI", frame[:4], len(content)) + content


def lossless_part(body: bytes) -> Lossless | None:
    """Return the picture, or else its alpha, if it is stored without loss; wherever it stands.

    Args:
        body: A file of nothing else than makes pixels, with one frame at most.
    """
    blocks = list(_places(body, _FILE, len(body)))
    in_frames = [_places(body, start + _FRAME, end) for name, start, end in blocks if name == b"ANMF"]
    parts = [*blocks, *chain.from_iterable(in_frames)]
    pictures = [part for part in parts if part[0] in (b"VP8 ", b"VP8L")]
    alphas = [part for part in parts if part[0] == b"ALPH"]
    if len(pictures) > 1 or len(alphas) > 1:  # which of them is decoded must be known
        _broken("WebP of two pictures")
    for name, start, end in pictures:
        if name == b"VP8L":
            return Lossless(memoryview(body)[start + 13 : end], *_lossless_size(body, start))
        for _, alpha, after in alphas:
            if body[alpha + 8] & 3 == 1:
                return Lossless(memoryview(body)[alpha + 9 : after], *_lossy_size(body, start))
    return None


def _places(data: bytes, position: int, end_of_all: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each block."""
    for _ in range(MAX_CHUNKS):
        if position + 8 > end_of_all:
            return
        name, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + (length & 1)
        if end > end_of_all + 1:
            _cut_short(f"WebP chunk {name!r} of {length} bytes")
        yield name, position, end
        position = end
    _broken(f"WebP of more than {MAX_CHUNKS} chunks")


def _lossless_size(data: bytes, start: int) -> tuple[int, int]:
    (bits,) = struct.unpack_from("<I", data, start + 9)
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _lossy_size(data: bytes, start: int) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, start + 14)
    return width & 0x3FFF, height & 0x3FFF


def _cut_short(internal: str) -> NoReturn:
    raise UndecodablePhoto("The photo is cut short.", internal=internal)


def _broken(internal: str) -> NoReturn:
    raise UndecodablePhoto(internal=internal)
