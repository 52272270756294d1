"""How much memory decoding takes, told from a photo's header, and how photos decoded at once share what there is.

The figures are measured (``docs/decisions/004-decoding.md``).
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from food_vision.intake import webp

LIGHT: Final = 8_000_000
"""Photos that take less bytes than this do not wait and are not counted: nearly all that cameras write."""


class BytesPerPixel(NamedTuple):
    """What decoding takes.

    Attributes:
        kind: What to call photos that are stored like this one.
        picture: Bytes for each pixel of the picture as it is decoded, which for a JPEG may be at reduced scale.
        file: Bytes for each pixel in the file, at whatever scale it is decoded.
    """

    kind: str
    picture: float
    file: float = 0.0


_JPEG_IN_ONE_GO: Final = frozenset({0xC0, 0xC1, 0xC9})
_JPEG_PICTURE: Final = {1: 1, 3: 4}
_COEFFICIENT: Final = 2


def of_jpeg(frame: bytes, scan: bytes) -> BytesPerPixel:
    """Tell from the frame and the first scan, each with its marker.

    A progressive JPEG, and one whose first scan leaves colours out, keeps the coefficients of the whole picture.
    """
    planes = frame[9]
    picture = _JPEG_PICTURE.get(planes, 8)  # CMYK is decoded to 4 bytes and converted to 4 more
    if frame[1] in _JPEG_IN_ONE_GO and scan[4] >= planes:
        return BytesPerPixel("baseline JPEG", picture)
    sampling = [(factors >> 4, factors & 15) for factors in frame[11 : 10 + 3 * planes : 3]]
    cell = max((across for across, _ in sampling), default=1) * max((down for _, down in sampling), default=1)
    coefficients = sum(across * down for across, down in sampling) / max(cell, 1)
    return BytesPerPixel("progressive JPEG", picture, _COEFFICIENT * coefficients)


_PNG_OPAQUE: Final = {0: 1, 2: 4, 3: 5}
_PNG_MOST: Final = 8


def of_png(depth: int, colour: int, has_transparency_chunk: bool) -> BytesPerPixel:
    """Tell from the header's two bytes and from whether there is a ``tRNS`` chunk that is kept."""
    if has_transparency_chunk and colour in (0, 3):
        return BytesPerPixel("PNG", 5)
    if has_transparency_chunk:
        return BytesPerPixel("PNG", _PNG_MOST)
    if colour == 0 and depth in (1, 16):
        return BytesPerPixel("PNG", 2 if depth == 1 else 3)
    return BytesPerPixel("PNG", _PNG_OPAQUE.get(colour, _PNG_MOST))


def of_webp(chunks: Iterable[bytes], is_animation: bool) -> BytesPerPixel:
    """Tell from the chunks that are decoded, each with its name and length."""
    if is_animation or not webp.IS_THERE:
        return BytesPerPixel("WebP animation" if is_animation else "WebP", 17)
    return BytesPerPixel("WebP", max(map(_of_still, chunks), default=4))


def _of_still(chunk: bytes) -> int:
    # The decoder goes by what it finds in the file, not by the flag in its header.
    name = chunk[:4]
    if name == b"ALPH":
        return 9  # a byte before it is filled in, where it is stored without loss and has more than a few values
    return 8 if name == b"VP8L" or (name == b"VP8X" and chunk[8] & 0x10) else 4


OF_GIF: Final = BytesPerPixel("GIF", 6)


class MemoryBudget:
    """Bytes that photos decoded at once share. For any thread.

    Those who wait are served in the order in which they came, so that a heavy photo is not passed by for ever. Nobody
    waits while holding a share; therefore nobody waits for ever.

    Args:
        total: The bytes there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        """The bytes that nobody holds."""
        with self._changed:
            return self._free

    @contextmanager
    def share(self, size: int) -> Iterator[None]:
        """Hold ``size`` bytes while the block runs; wait for them first, if they are many.

        Raises:
            ValueError: there will never be that many.
        """
        if size < LIGHT:
            yield
            return
        self._take(size)
        try:
            yield
        finally:
            self._give_back(size)

    def _take(self, size: int) -> None:
        if size > self.total:
            raise ValueError(f"{size:,} bytes of a budget of {self.total:,}")
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and size <= self._free)
                self._free -= size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _give_back(self, size: int) -> None:
        with self._changed:
            self._free += size
            self._changed.notify_all()
