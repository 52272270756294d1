"""How much memory a lossless WebP picture takes beside its pixels, told from its head before it is decoded.

Such a picture may have other codes for every 16 pixels, each with tables of its own in the decoder: 280 kB had 347 MB
of them for one megapixel (``docs/decisions/014-lossless-webp.md``). How many there are is the greatest number in a
small picture, which stands behind up to four transforms, of which three may be small pictures as well:

    transforms ─▶ colour cache ─▶ picture of numbers ─▶ the codes of each number ─▶ pixels
    ╰──────────────── walked here ─────────────────╯

They are walked bit by bit, as RFC 9649 has it in section 3, and nothing of them is kept: neither what is copied nor
what comes from a colour cache brings a number that was not there before.
"""

import time
from typing import Final, NamedTuple

from food_vision.intake.prefix_codes import Bits, broken, read_code, read_prefixed, read_symbol, too_long

# What libwebp takes: for one code of each kind by the bits of the colour cache, in entries of 4 bytes, and around them.
_ENTRIES: Final = (2954, 2956, 2958, 2962, 2970, 2986, 3018, 3082, 3212, 3468, 3980, 5004)
_ENTRY, _GROUP, _PIXEL = 4, 568, 4

_PREDICTOR, _CROSS_COLOUR, _COLOUR_INDEXING = 0, 1, 3
_LITERALS, _LENGTHS, _DISTANCES = 256, 24, 40
_A_COPY: Final = 4  # steps, by the time that it takes
_STEPS_PER_TURN: Final = 1_000
"""Steps after which other threads get their turn: else each walk keeps it for 5 ms, four of them for 20 and more."""


class Lossless(NamedTuple):
    """A picture or its alpha, not decoded.

    Attributes:
        stream: What follows the size, or what says how alpha is stored.
        width: Pixels per row.
        height: Rows.
    """

    stream: memoryview
    width: int
    height: int


class Codes(NamedTuple):
    """What the decoder keeps beside the pixels.

    Attributes:
        groups: How many times five codes there are.
        size: The most bytes that their tables and the small pictures take.
    """

    groups: int
    size: int


def codes_of(picture: Lossless) -> Codes:
    """Walk the head of a lossless picture.

    Raises:
        UndecodablePhoto: it is damaged or cut short.
        TooManyPixels: its small pictures are larger than those of any photo.
    """
    return _codes(Bits(picture.stream), picture.width, picture.height)


def _codes(bits: Bits, width: int, height: int) -> Codes:
    size, transforms = 0, set[int]()
    while bits.read(1):
        transform = bits.read(2)
        if transform in transforms:
            broken("a transform that comes twice")
        transforms.add(transform)
        if transform in (_PREDICTOR, _CROSS_COLOUR):
            size += _PIXEL * _small_picture(bits, width, height).pixels
        elif transform == _COLOUR_INDEXING:
            colours = bits.read(8) + 1
            _greatest_number(bits, colours)
            width = _divided(width, 0 if colours > 16 else 1 if colours > 4 else 2 if colours > 2 else 3)
    cache, groups = _cache(bits), 1
    if bits.read(1):
        numbers = _small_picture(bits, width, height)
        size += _PIXEL * numbers.pixels
        groups += numbers.greatest
    return Codes(groups, size + groups * (_ENTRY * _ENTRIES[cache] + _GROUP))


class _SmallPicture(NamedTuple):
    pixels: int
    greatest: int


def _small_picture(bits: Bits, width: int, height: int) -> _SmallPicture:
    """Walk a picture that has one pixel for a square of the large one."""
    shift = bits.read(3) + 2
    pixels = _divided(width, shift) * _divided(height, shift)
    return _SmallPicture(pixels, _greatest_number(bits, pixels))


def _divided(length: int, shift: int) -> int:
    return (length + (1 << shift) - 1) >> shift


def _cache(bits: Bits) -> int:
    """Return how many bits a number in the colour cache has; 0 where there is none."""
    if not bits.read(1):
        return 0
    cache = bits.read(4)
    if not 0 < cache < len(_ENTRIES):
        broken(f"a colour cache of {cache} bits")
    return cache


def _greatest_number(bits: Bits, pixels: int) -> int:
    """Walk a picture that has one code of each kind; return the greatest number that red and green are together."""
    cache = _cache(bits)
    first = _LITERALS + _LENGTHS + (1 << cache if cache else 0)
    codes = [read_code(bits, symbols) for symbols in (first, _LITERALS, _LITERALS, _LITERALS, _DISTANCES)]
    (green_mask, green), (red_mask, red), (blue_mask, blue), (alpha_mask, alpha), distances = codes
    position, steps, greatest = bits.position, bits.steps, 0
    turn = steps - _STEPS_PER_TURN
    data, end, window_of = bits.data, 8 * len(bits.data), int.from_bytes  # nearly all the time goes to this loop
    while pixels > 0 and steps > 0 and position <= end:  # behind it there are zeros, without end
        if steps <= turn:
            time.sleep(0)
            turn = steps - _STEPS_PER_TURN
        byte = position >> 3
        window = window_of(data[byte : byte + 9], "little") >> (position & 7)
        found = green[window & green_mask]
        symbol, taken, copied = found >> 4, found & 15, 1
        if symbol < _LITERALS:
            found = red[window >> taken & red_mask]
            number = (found >> 4) << 8 | symbol
            if number > greatest:
                greatest = number
            taken += found & 15
            taken += blue[window >> taken & blue_mask] & 15
            taken += alpha[window >> taken & alpha_mask] & 15
        elif symbol < _LITERALS + _LENGTHS:
            bits.position = position + taken
            copied = read_prefixed(bits, symbol - _LITERALS)
            read_prefixed(bits, read_symbol(bits, distances))
            taken, steps = bits.position - position, steps - _A_COPY + 1
        # Where one takes no bits, none does, and all are alike.
        pixels = pixels - copied if taken else 0
        position += taken
        steps -= 1
    bits.steps = steps
    bits.advance(position)
    if pixels > 0:
        too_long()
    return greatest
