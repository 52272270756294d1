"""Ways to damage a photo's file, each drawn by chance: bytes, blocks, and the size that its header names."""

import random
import struct
from collections.abc import Callable, Mapping

from tests import photos

Damage = Callable[[bytes, random.Random], bytes]

SIDES = (0, 1, 7, 8, 63, 65, 1_000, 16_383, 16_384, 30_000, 65_535)
"""Widths and heights to be claimed: too small, beside the truth, and the largest that each format can name."""


# Bytes


def cut_short(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(1, len(data))]


def cut_at_the_end(data: bytes, chance: random.Random) -> bytes:
    return data[: -chance.randint(1, 24)]


def bits_flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8, 64])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def head_changed(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(8, min(len(changed), 120))] = chance.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF])
    return bytes(changed)


def bytes_put_in(data: bytes, chance: random.Random) -> bytes:
    position = chance.randrange(len(data))
    more = chance.choice([chance.randbytes(chance.randint(1, 64)), bytes(64), b"\xff" * 64])
    return data[:position] + more + data[position:]


def bytes_taken_out(data: bytes, chance: random.Random) -> bytes:
    position = chance.randrange(len(data))
    return data[:position] + data[position + chance.choice([1, 2, 16, 200]) :]


def stretch_repeated(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.sample(range(len(data)), 2))
    return data[:end] + data[start:end] * chance.choice([1, 2, 20]) + data[end:]


def stretch_blank(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    blank = bytes([chance.choice([0, 0x55, 0xFF])]) * chance.randint(1, 400)
    return data[:start] + blank + data[start + len(blank) :]


# Blocks: JPEG segments, PNG and WebP chunks, GIF blocks. They are moved whole, so that their own sums stay right.


def blocks_in_another_order(data: bytes, chance: random.Random) -> bytes:
    head, blocks = blocks_of(data)
    one, other = chance.randrange(len(blocks)), chance.randrange(len(blocks))
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return head + b"".join(blocks)


def blocks_shuffled(data: bytes, chance: random.Random) -> bytes:
    head, blocks = blocks_of(data)
    chance.shuffle(blocks)
    return head + b"".join(blocks)


def block_left_out(data: bytes, chance: random.Random) -> bytes:
    head, blocks = blocks_of(data)
    del blocks[chance.randrange(len(blocks))]
    return head + b"".join(blocks)


def block_repeated(data: bytes, chance: random.Random) -> bytes:
    head, blocks = blocks_of(data)
    block, position = chance.choice(blocks), chance.randrange(len(blocks))
    return head + b"".join([*blocks[:position], *[block] * chance.choice([1, 3, 70]), *blocks[position:]])


def blocks_of(data: bytes) -> tuple[bytes, list[bytes]]:
    """Take a good file apart: what stands before its blocks, and the blocks; joined, they are the file again."""
    start, length = BLOCKS[data[:3]]
    if data.startswith(b"GIF"):
        start += 6 << (data[10] & 7)
    blocks, position = [], start
    while position < len(data):
        end = position + length(data, position)
        blocks.append(data[position:end])
        position = end
    return data[:start], blocks


def _jpeg_block(data: bytes, position: int) -> int:
    if data[position + 1] in (0xD8, 0xD9):
        return 2
    end = position + 2 + int(struct.unpack_from(">H", data, position + 2)[0])
    if data[position + 1] == 0xDA:
        while data[end] != 0xFF or data[end + 1] in (0, *range(0xD0, 0xD8)):
            end += 1
    return end - position


def _png_block(data: bytes, position: int) -> int:
    return 12 + int(struct.unpack_from(">I", data, position)[0])


def _webp_block(data: bytes, position: int) -> int:
    length = int(struct.unpack_from("<I", data, position + 4)[0])
    return 8 + length + (length & 1)


def _gif_block(data: bytes, position: int) -> int:
    if data[position] not in (0x21, 0x2C):
        return 1
    end = position + 2
    if data[position] == 0x2C:
        end = position + 11 + (6 << (data[position + 9] & 7) if data[position + 9] & 0x80 else 0)
    while data[end]:
        end += 1 + data[end]
    return end + 1 - position


BLOCKS: Mapping[bytes, tuple[int, Callable[[bytes, int], int]]] = {
    b"\xff\xd8\xff": (2, _jpeg_block),
    b"\x89PN": (8, _png_block),
    b"RIF": (12, _webp_block),
    b"GIF": (13, _gif_block),
}
"""Where the blocks begin, and how long the one at a place is, by a file's first bytes."""


# The size


def size_changed(data: bytes, chance: random.Random) -> bytes:
    """Have the header claim another width and height than the pixels have."""
    width, height = chance.choice(SIDES), chance.choice(SIDES)
    if data.startswith(b"\xff\xd8"):
        frame = min(found for marker in FRAMES if (found := data.find(bytes([0xFF, marker, 0]))) > 0)
        return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
    if data.startswith(b"\x89PNG"):
        return photos.with_right_checksums(data[:16] + struct.pack(">II", width, height) + data[24:])
    if data.startswith(b"GIF"):
        return data[:6] + struct.pack("<HH", width, height) + data[10:]
    return _webp_size_changed(data, width, height)


def _webp_size_changed(data: bytes, width: int, height: int) -> bytes:
    kind = data[12:16]
    if kind == b"VP8 ":
        return data[:26] + struct.pack("<HH", width, height) + data[30:]
    if kind == b"VP8L":
        return data[:21] + struct.pack("<I", (width & 0x3FFF) | (height & 0x3FFF) << 14) + data[25:]
    return data[:24] + width.to_bytes(3, "little") + height.to_bytes(3, "little") + data[30:]


FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)

DAMAGES: Mapping[str, tuple[Damage, int]] = {
    "cut short": (cut_short, 10),
    "cut at the end": (cut_at_the_end, 3),
    "bits flipped": (bits_flipped, 9),
    "head changed": (head_changed, 8),
    "bytes put in": (bytes_put_in, 4),
    "bytes taken out": (bytes_taken_out, 4),
    "stretch repeated": (stretch_repeated, 2),
    "stretch blank": (stretch_blank, 2),
    "blocks in another order": (blocks_in_another_order, 3),
    "blocks shuffled": (blocks_shuffled, 2),
    "block left out": (block_left_out, 2),
    "block repeated": (block_repeated, 3),
    "size changed": (size_changed, 6),
}
"""Each with the number of times that it is done to each good photo."""
