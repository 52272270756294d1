"""The bits of a lossless WebP, and the prefix codes in which its numbers are written (RFC 9649, section 3.7)."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, NoReturn

from food_vision.errors import TooManyPixels, UndecodablePhoto

MOST_STEPS: Final = 200_000
"""Pixels that are walked, at half a microsecond each; before those of a photo of 16 megapixels are up to 120,000."""
MOST_BYTES: Final = 4_000_000
"""That are read: more than so many pixels take."""

_LENGTHS_IN_ORDER: Final = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_REPEATS: Final = {16: (2, 3), 17: (3, 3), 18: (7, 11)}
_LONGEST: Final = 15


class Bits:
    """Reads bits, the lowest of each byte first.

    Attributes:
        data: The bytes.
        position: The bit that is next.
        steps: How many pixels may still be walked.
    """

    def __init__(self, stream: memoryview) -> None:
        self.data = bytes(stream[:MOST_BYTES])
        self.is_all = len(self.data) == len(stream)
        self.position = 0
        self.steps = MOST_STEPS

    def read(self, count: int) -> int:
        """Return the number that the next bits are."""
        window = self.window(self.position)
        self.advance(self.position + count)
        return window & ((1 << count) - 1)

    def window(self, position: int) -> int:
        """Return what begins at a bit: 65 bits at least, and zeros after the end."""
        return int.from_bytes(self.data[position >> 3 : (position >> 3) + 9], "little") >> (position & 7)

    def advance(self, position: int) -> None:
        """Go on from there, if that is not behind the end."""
        self.position = position
        if position > 8 * len(self.data):
            if not self.is_all:
                too_long()
            raise UndecodablePhoto("The photo is cut short.", internal="lossless WebP that ends within its head")


class Code(NamedTuple):
    """A prefix code.

    Attributes:
        mask: Of the bits that the longest one takes.
        table: For these bits the symbol, and in the lower four bits how many it takes.
    """

    mask: int
    table: Sequence[int]


def read_symbol(bits: Bits, code: Code) -> int:
    """Return the number that stands there in the code."""
    found = code.table[bits.window(bits.position) & code.mask]
    bits.advance(bits.position + (found & 15))
    return found >> 4


def read_prefixed(bits: Bits, symbol: int) -> int:
    """Return a length or a distance, of which the symbol tells the first bits."""
    if symbol < 4:
        return symbol + 1
    more = (symbol - 2) >> 1
    return ((2 + (symbol & 1)) << more) + bits.read(more) + 1


def read_code(bits: Bits, symbols: int) -> Code:
    """Return the code that stands there, for numbers below ``symbols``."""
    lengths = dict(_simple_lengths(bits) if bits.read(1) else _coded_lengths(bits, symbols))
    return _code({symbol: length for symbol, length in lengths.items() if symbol < symbols})


def _simple_lengths(bits: Bits) -> Iterator[tuple[int, int]]:
    has_two = bits.read(1)
    yield bits.read(8 if bits.read(1) else 1), 1
    if has_two:
        yield bits.read(8), 1


def _coded_lengths(bits: Bits, symbols: int) -> Iterator[tuple[int, int]]:
    """Yield each symbol that has a code, and its length."""
    coded = ((length, bits.read(3)) for length in _LENGTHS_IN_ORDER[: bits.read(4) + 4])
    code = _code({length: bits_of_it for length, bits_of_it in coded if bits_of_it})
    left = 2 + bits.read(2 + 2 * bits.read(3)) if bits.read(1) else symbols
    if left > symbols:
        broken("a code of more lengths than symbols")
    symbol, before = 0, 8
    while symbol < symbols and left:
        left -= 1
        length = read_symbol(bits, code)
        times = 1
        if length in _REPEATS:
            more, least = _REPEATS[length]
            times = least + bits.read(more)
            length = before if length == 16 else 0
        elif length:
            before = length
        if symbol + times > symbols:
            broken("a code of more lengths than symbols")
        if length:
            yield from ((each, length) for each in range(symbol, symbol + times))
        symbol += times


def _code(lengths: dict[int, int]) -> Code:
    """Return the canonical code for symbols of these lengths; where there is only one, it takes no bits."""
    if len(lengths) == 1:
        return Code(0, [symbol << 4 for symbol in lengths])
    if sum(1 << (_LONGEST - length) for length in lengths.values()) != 1 << _LONGEST:
        broken("lengths that make no code")
    longest = max(lengths.values())
    table, code = [0] * (1 << longest), 0
    for symbol in sorted(lengths, key=lambda symbol: (lengths[symbol], symbol)):
        length = lengths[symbol]
        # Codes are counted from their highest bit, and come in the order of the stream.
        table[_reversed(code, longest) :: 1 << length] = [symbol << 4 | length] * (1 << (longest - length))
        code += 1 << (longest - length)
    return Code(len(table) - 1, table)


def _reversed(code: int, length: int) -> int:
    return int(f"{code:0{length}b}"[::-1], 2)


def broken(internal: str) -> NoReturn:
    """Say that no lossless WebP reads like this."""
    raise UndecodablePhoto(internal=f"lossless WebP: {internal}")


def too_long() -> NoReturn:
    """Say that it may be one, and is not read to its end."""
    raise TooManyPixels(
        "The photo is a WebP whose lossless part has a longer head than is read; saved anew, or as a JPEG, it is taken."
    )
