"""Lossless WebPs of very many codes: small files and pictures, and hundreds of megabytes of tables in the decoder."""

import struct
import threading

import pytest

from food_vision.intake.decode import PhotoLimits, decode
from food_vision.intake.memory import MemoryBudget, of_webp_codes
from food_vision.preprocessing import Preprocessing
from tests import photos

RECIPE, LIMITS = Preprocessing(), PhotoLimits()
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


def bomb(width: int, height: int) -> bytes:
    """A black picture with codes of their own for each square of 4 x 4 pixels, all of them alike."""
    bits = Bits()
    for value, count in (0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 4), (0, 1), (0, 1):
        bits.put(value, count)
    cells = -(-width // CELL) * -(-height // CELL)
    for value, count in (1, 1), (0, 3), (0, 1):  # Many codes, one for each cell; no cache.
        bits.put(value, count)
    for _ in range(2):
        _put_code_of_all_bytes(bits)
    _put_empty_codes(bits, 3)
    for cell in range(cells):
        bits.put_code(cell & 0xFF)
        bits.put_code(cell >> 8)
    _put_empty_codes(bits, 5 * cells)
    chunk = bits.bytes()
    chunk = b"VP8L" + struct.pack("<I", len(chunk)) + chunk + bytes(len(chunk) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


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


BOMB = bomb(999, 1_000)


def test_how_much_the_tables_may_take_is_known() -> None:
    assert len(BOMB) < 300_000
    assert of_webp_codes(BOMB, 999 * 1_000) >= 347_000_000


@pytest.mark.parametrize(
    ("photo", "waits"),
    [
        pytest.param(BOMB, True, id="very many codes"),
        pytest.param(photos.encoded(photos.picture(900, 900), "WEBP"), False, id="lossy"),
        pytest.param(photos.encoded(photos.picture(90, 90), "WEBP", lossless=True), False, id="small"),
    ],
)
def test_who_may_take_more_than_there_is_has_all_of_it(photo: bytes, waits: bool) -> None:
    """Four at once would take 1.4 GB."""
    budget = MemoryBudget(LIMITS.decode_bytes)
    decoder = threading.Thread(target=decode, args=(photo, RECIPE, LIMITS, budget))
    with budget.share(10_000_000):
        decoder.start()
        decoder.join(2 if waits else 30)
        assert decoder.is_alive() == waits
    decoder.join(30)
    assert not decoder.is_alive()
    assert budget.free == budget.total
