"""Lossless WebPs of very many codes: small files and pictures, and hundreds of megabytes of tables in the decoder."""

import struct

from PIL import Image

from tests import photos

CELL = 4
"""Pixels on each side of the least square that may have codes of its own."""


class Bits:
    """Bits in the order in which lossless WebPs have them."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def put(self, value: int, count: int) -> None:
        """Write a number, its lowest bit first."""
        self._bits.append(f"{value:0{count}b}"[::-1])

    def put_code(self, code: int) -> None:
        """Write a code of 8 bits: codes begin with their highest."""
        self._bits.append(f"{code:08b}")

    def bytes(self) -> bytes:
        """Return all, and a reserve."""
        bits = "".join(self._bits)[::-1]
        return int(bits, 2).to_bytes(len(bits) // 8 + 16, "little")


def stream(width: int, height: int, most_groups: int = 1 << 16) -> bytes:
    """A black picture, without its size, that has codes of their own for each square of 4 x 4 pixels, all alike."""
    bits = Bits()
    cells = -(-width // CELL) * -(-height // CELL)
    groups = min(cells, most_groups)
    for value, count in (
        (0, 1),
        (0, 1),
        (1, 1),
        (0, 3),
        (0, 1),
    ):  # No transform, no cache; codes for each cell; no cache.
        bits.put(value, count)
    for _ in range(2):
        _put_code_of_all_bytes(bits)
    _put_empty_codes(bits, 3)
    for cell in range(cells):
        bits.put_code(cell % groups & 0xFF)
        bits.put_code(cell % groups >> 8)
    _put_empty_codes(bits, 5 * groups)
    return bits.bytes()


def stream_without_pixels() -> bytes:
    """A head that ends where the pixels of its first small picture begin, each of one bit."""
    bits = Bits()
    for value, count in (1, 1), (0, 2), (0, 3), (0, 1):  # A predictor for each cell; no cache.
        bits.put(value, count)
    for value, count in (1, 1), (1, 1), (0, 1), (0, 1), (1, 8):  # Green is 0 or 1.
        bits.put(value, count)
    _put_empty_codes(bits, 4)
    return bits.bytes()


def _put_code_of_all_bytes(bits: Bits) -> None:
    """256 codes of 8 bits each."""
    bits.put(0, 1)
    bits.put(8, 4)
    for length in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8):
        bits.put(length == 8, 3)
    for value, count in (1, 1), (3, 3), (254, 8):
        bits.put(value, count)


def _put_empty_codes(bits: Bits, count: int) -> None:
    """Codes of one value, which is 0 and takes no bits."""
    for _ in range(count):
        bits.put(1, 4)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def file_of(*chunks: bytes) -> bytes:
    content = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def head(width: int, height: int, flags: int) -> bytes:
    return chunk(b"VP8X", struct.pack("<I", flags) + _three(width - 1) + _three(height - 1))


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def picture(width: int, height: int) -> bytes:
    """The chunk of such a picture."""
    size = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return chunk(b"VP8L", b"\x2f" + size + stream(width, height))


def still(width: int, height: int) -> bytes:
    return file_of(picture(width, height))


def with_alpha(width: int, height: int) -> bytes:
    """A lossy photo whose alpha is such a picture."""
    lossy = photos.photo("WEBP", width, height)[12:]
    return file_of(head(width, height, 0x10), chunk(b"ALPH", b"\1" + stream(width, height)), lossy)


def with_plain_alpha(width: int, height: int) -> bytes:
    """A photo of one colour; its alpha has one value and no transform, so that it is decoded by four bytes a pixel."""
    bits = Bits()
    bits.put(0, 3)  # No transform, no cache, one code of each kind.
    _put_empty_codes(bits, 5)
    lossy = photos.encoded(Image.new("RGB", (width, height)), "WEBP", method=0)[12:]
    return file_of(head(width, height, 0x10), chunk(b"ALPH", b"\1" + bits.bytes()), lossy)


def animated(width: int, height: int) -> bytes:
    """A frame that is such a picture."""
    return animation(width, height, frame(width, height, picture(width, height)))


def nested(width: int, height: int) -> bytes:
    """Such a frame within a frame that has no picture."""
    return animation(width, height, frame(width, height, frame(width, height, picture(width, height))))


def nested_behind_unknown(width: int, height: int) -> bytes:
    """The same, behind a block that no decoder knows."""
    inner = frame(width, height, picture(width, height))
    return animation(width, height, frame(width, height, chunk(b"XXXX", b"") + inner))


def frame(width: int, height: int, content: bytes) -> bytes:
    place = bytes(6) + _three(width - 1) + _three(height - 1) + _three(100) + b"\0"
    return chunk(b"ANMF", place + content)


def animation(width: int, height: int, frame: bytes) -> bytes:
    return file_of(head(width, height, 0x02), chunk(b"ANIM", bytes(6)), frame)
