"""Photos at the edge of what there is, and files made to do harm: each by name, each made when its turn comes."""

import io
import itertools
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from food_vision.intake.containers import MAX_JPEG_SCANS
from tests import lossless, photos
from tests.corpus_damage import blocks_of
from tests.corpus_seeds import PALETTE, SEEDS, interlaced
from tests.photos import jpeg_segment, png_chunk, with_jpeg_segments, with_png_chunks

Make = Callable[[], bytes]
GOOD_JPEG, GOOD_PNG, GOOD_GIF, GOOD_WEBP = (photos.photo(kind) for kind in ("JPEG", "PNG", "GIF", "WEBP"))
SMALL_GIF = SEEDS["GIF"]()
EXIF_TAG, SUB_IFD, GPS_IFD, ORIENTATION = 0x010E, 0x8769, 0x8825, 0x0112


# Bombs


def blank_png(width: int, height: int, depth: int, colour: int, *extra: bytes) -> bytes:
    """A PNG of zeros; its pixels are packed in pieces, so that making it takes no memory either."""
    bits = width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row, packer = bytes(1 + -(-bits // 8)), zlib.compressobj(1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return photos.PNG_MAGIC + header + b"".join(extra) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def png_of_more_than_it_says(surplus: int) -> bytes:
    """A small PNG whose pixels unfold to far more than its header says."""
    return photos.png(64, 64, 8, 2, bytes(surplus))


def webp_of_size(width: int, height: int) -> bytes:
    """A lossless WebP of one colour: 36 bytes that name any size."""
    bits = struct.pack("<I", (width - 1) | (height - 1) << 14)
    chunk = b"VP8L" + struct.pack("<I", 15) + b"\x2f" + bits + bytes.fromhex("0710fd8f920522a2ff01") + b"\0"
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def gif_of_size(width: int, height: int, codes: bytes) -> bytes:
    parts = (codes[start : start + 255] for start in range(0, len(codes), 255))
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    return photos.gif((width, height), (0, 0, width, height), blocks + b"\0")


def jpeg_of_size(width: int, height: int, progressive: bool = False) -> bytes:
    """A small JPEG that claims to be large: its decoder paints what is missing in grey."""
    data = photos.photo("JPEG", 64, 64, progressive=progressive)
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


BOMBS: Mapping[str, Make] = {
    "PNG, 30,000 x 30,000 in 1 kB": lambda: photos.png(30_000, 30_000, 8, 2, bytes(900_000)),
    "PNG, 30,000 x 30,000, 1 bit, whole": lambda: blank_png(30_000, 30_000, 1, 0),
    "PNG, 7,000 x 7,000, 1 bit": lambda: blank_png(7_000, 7_000, 1, 0),
    "PNG, 7,000 x 7,000, grey": lambda: blank_png(7_000, 7_000, 8, 0),
    "PNG, 7,000 x 7,000": lambda: blank_png(7_000, 7_000, 8, 2),
    "PNG, 5,600 x 5,600": lambda: blank_png(5_600, 5_600, 8, 2),
    "PNG, 7,000 x 7,000, palette": lambda: blank_png(7_000, 7_000, 8, 3, PALETTE),
    "PNG, 4,000 x 4,000, 16 bits, alpha": lambda: blank_png(4_000, 4_000, 16, 6),
    "PNG, 2**31 x 2**31": lambda: photos.png(2**31 - 1, 2**31 - 1, 16, 6, b""),
    "PNG, pixels that unfold to 200 MB": lambda: png_of_more_than_it_says(200_000_000),
    "PNG, zTXt bomb": lambda: with_png_chunks(GOOD_PNG, photos.text_bomb(b"zTXt")),
    "PNG, iTXt bomb": lambda: with_png_chunks(GOOD_PNG, photos.text_bomb(b"iTXt")),
    "PNG, iCCP bomb": lambda: with_png_chunks(GOOD_PNG, photos.text_bomb(b"iCCP")),
    "PNG, 40,000 texts": lambda: with_png_chunks(GOOD_PNG, *[png_chunk(b"tEXt", b"a\0b")] * 40_000),
    "PNG, a million chunks": lambda: with_png_chunks(GOOD_PNG, *[png_chunk(b"tEXt", b"")] * 1_000_000),
    "PNG, 40,000 pieces of pixels": lambda: in_pieces(GOOD_PNG, 40_000),
    "WebP, 16,384 x 16,384 in 36 bytes": lambda: webp_of_size(16_384, 16_384),
    "WebP, 3,500 x 3,500 in 36 bytes": lambda: webp_of_size(3_500, 3_500),
    "WebP, 2**48 pixels": lambda: b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xff" * 6,
    "WebP, a million chunks": lambda: many_webp_chunks(1_000_000),
    "WebP, codes for each 16 pixels": lambda: lossless.still(999, 1_000),
    "WebP, codes for each 16 pixels of its alpha": lambda: lossless.with_alpha(999, 1_000),
    "WebP, codes for each 16 pixels of a frame": lambda: lossless.animated(999, 1_000),
    "WebP, as many codes as are taken": lambda: lossless.still(412, 412),
    "GIF, 65,535 x 65,535": lambda: gif_of_size(65_535, 65_535, b"\x44\1"),
    "GIF, 4,500 x 4,500, cleared all the time": lambda: gif_of_size(4_500, 4_500, b"\x24\x49\x92" * 1_000_000),
    "GIF, a picture far beyond its screen": lambda: photos.gif((10, 10), (65_000, 65_000, 10, 10), b"\1\0\0"),
    "GIF, 3 million comments": lambda: photos.gif((64, 64), (0, 0, 64, 64), b"\1\0\0", *[b"!\xfe\0"] * 3_000_000),
    "GIF, blocks of one byte": lambda: photos.gif((64, 64), (0, 0, 64, 64), b"\1\0" * 5_000_000 + b"\0"),
    "JPEG, 65,500 x 65,500 claimed": lambda: jpeg_of_size(65_500, 65_500),
    "JPEG, 7,000 x 7,000 claimed": lambda: jpeg_of_size(7_000, 7_000),
    "JPEG, 7,000 x 7,000 claimed, progressive": lambda: jpeg_of_size(7_000, 7_000, progressive=True),
    "JPEG, 50 MP": lambda: photos.large_jpeg(8_600, 5_800),
    "JPEG, the most scans, 4,500 x 4,500": lambda: photos.jpeg_of_many_scans(MAX_JPEG_SCANS - 10, 4_500),
    "JPEG, too many scans": lambda: photos.jpeg_of_many_scans(MAX_JPEG_SCANS, 64),
    "JPEG, 100,000 scans": lambda: photos.jpeg_of_many_scans(100_000, 64),
    "JPEG, a million comments": lambda: with_jpeg_segments(GOOD_JPEG, *[jpeg_segment(0xFE, b"")] * 1_000_000),
    "JPEG, 19 MB of EXIF": lambda: with_jpeg_segments(GOOD_JPEG, *[jpeg_segment(0xE1, bytes(65_000))] * 290),
    "JPEG, 15 MB of restart markers": lambda: GOOD_JPEG[:-2] + b"\xff\xd0" * 7_500_000 + GOOD_JPEG[-2:],
    "JPEG, 15 MB of fill bytes": lambda: GOOD_JPEG[:-2] + b"\xff" * 15_000_000 + GOOD_JPEG[-2:],
}


def in_pieces(data: bytes, most: int) -> bytes:
    """A PNG whose pixels come byte by byte, a chunk for each, and empty chunks up to ``most``."""
    start = data.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", data, start)
    pixels, rest = data[start + 8 : start + 8 + length], data[start + 12 + length :]
    chunks = [png_chunk(b"IDAT", pixels[place : place + 1]) for place in range(most)]
    return data[:start] + b"".join(chunks) + png_chunk(b"IDAT", pixels[most:]) + rest


def many_webp_chunks(count: int) -> bytes:
    chunks = b"VP8X\x0a\0\0\0" + bytes(4) + b"\x3f\0\0\x3f\0\0" + b"JUNK\0\0\0\0" * count
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


# Frames

FRAMES: Mapping[str, Make] = {
    "APNG, 1,000 frames": lambda: photos.animation("PNG", 1_000, 16),
    "WebP, 1,000 frames": lambda: photos.animation("WEBP", 1_000, 16, method=0),
    "GIF, 1,000 frames": lambda: SMALL_GIF[:-1] + b"".join(blocks_of(SMALL_GIF)[1][:-1]) * 999 + b";",
    "GIF, first frame in a corner": lambda: photos.gif((640, 480), (600, 440, 40, 40), b"\2\x44\1\0"),
    "MPO, 100 pictures": lambda: GOOD_JPEG * 100,
}


# EXIF


def ifd(*entries: tuple[int, int, int, int], after: int = 0) -> bytes:
    """A directory in little-endian order: tag, kind, count and value of each entry, and where the next one is."""
    return (
        struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + struct.pack("<I", after)
    )


def tiff(directory: bytes, at: int = 8) -> bytes:
    return b"II*\0" + struct.pack("<I", at) + bytes(max(at - 8, 0)) + directory


EXIF: Mapping[str, bytes] = {
    "a directory that is its own next": tiff(ifd((ORIENTATION, 3, 1, 6), after=8)),
    "a directory inside itself": tiff(ifd((SUB_IFD, 4, 1, 8), (GPS_IFD, 4, 1, 8), (ORIENTATION, 3, 1, 6))),
    "four billion values": tiff(ifd((EXIF_TAG, 2, 2**32 - 1, 8), (ORIENTATION, 3, 1, 6))),
    "four billion orientations": tiff(ifd((ORIENTATION, 3, 2**32 - 1, 6))),
    "values behind the end": tiff(ifd((EXIF_TAG, 2, 5_000, 2**32 - 2), (ORIENTATION, 3, 1, 6))),
    "65,535 entries, all but one missing": tiff(b"\xff\xff" + ifd((ORIENTATION, 3, 1, 6))[2:]),
    "a directory behind the end": tiff(b"", 8)[:4] + struct.pack("<I", 2**32 - 1),
    "a directory in the header": tiff(b"", 8)[:4] + struct.pack("<I", 0),
    "a kind that there is not": tiff(ifd((ORIENTATION, 99, 1, 6))),
    "a rational of zero": tiff(ifd((0x011A, 5, 1, 26)) + bytes(8)),
    "orientation 0": photos.exif(0),
    "orientation 9": photos.exif(9),
    "orientation 65,535": photos.exif(65_535),
    "orientation as text": photos.exif(6, kind=2),
    "two orientations": tiff(ifd((ORIENTATION, 3, 1, 6), (ORIENTATION, 3, 1, 8))),
    "no byte order": b"XX" + photos.exif(6)[2:],
    "nothing": b"",
    "60 kB of noise": bytes(range(256)) * 234,
}
EXIF_TURNS: Mapping[str, bytes] = {
    f"orientation {turn}, {order}": photos.exif(turn, order) for turn in range(1, 9) for order in "<>"
}


def exif_in(kind: str, block: bytes) -> bytes:
    if kind == "JPEG":
        return with_jpeg_segments(SEEDS["JPEG"](), jpeg_segment(0xE1, b"Exif\0\0" + block))
    if kind == "PNG":
        return with_png_chunks(SEEDS["PNG"](), png_chunk(b"eXIf", block))
    return photos.photo("WEBP", 64, 48, exif=block or b"\0")


# Profiles

PROFILES: Mapping[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)) * 4,
    "a length of four billion": b"\xff" * 4 + bytes(32) + b"acsp" + bytes(90),
    "four billion tags": struct.pack(">I", 500) + bytes(32) + b"acsp" + bytes(88) + b"\xff" * 4 + bytes(300),
    "cut short": struct.pack(">I", 100_000) + bytes(32) + b"acsp",
}


def profile_in(kind: str, profile: bytes) -> bytes:
    if kind == "JPEG":
        pieces = [jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([place, 255]) + profile) for place in (1, 1, 200)]
        return with_jpeg_segments(SEEDS["JPEG"](), *pieces)
    if kind == "PNG":
        return with_png_chunks(SEEDS["PNG"](), png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    return photos.photo("WEBP", 64, 48, icc_profile=profile or b"\0")


# Files that are two things at once, or something else than they say


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("a.txt", "a")
    return file.getvalue()


SCRIPT = b"=1;alert(1)/*"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
POLYGLOTS: Mapping[str, Make] = {
    "JPEG and ZIP": lambda: GOOD_JPEG + archive(),
    "PNG and ZIP": lambda: GOOD_PNG + archive(),
    "PNG and PDF": lambda: with_png_chunks(GOOD_PNG, png_chunk(b"tEXt", b"a\0" + PDF)),
    "JPEG and PDF": lambda: with_jpeg_segments(GOOD_JPEG, jpeg_segment(0xFE, PDF)),
    "JPEG and web page": lambda: with_jpeg_segments(GOOD_JPEG, jpeg_segment(0xFE, b"--><script>alert(1)</script><!--")),
    "GIF and script": lambda: b"GIF89a" + SCRIPT + b"*/" + GOOD_GIF,
    "GIF whose size is a script": lambda: b"GIF89a/*" + GOOD_GIF[8:] + b"*/=1;alert(1)",
    "GIF and PHP": lambda: GOOD_GIF + b"<?php system($_GET['a']); ?>",
    "WebP and ZIP": lambda: GOOD_WEBP + archive(),
    "ZIP and JPEG": lambda: archive() + GOOD_JPEG,
    "JPEG inside a PNG": lambda: with_png_chunks(GOOD_PNG, png_chunk(b"juNk", GOOD_JPEG)),
    "JPEG inside a JPEG's EXIF": lambda: with_jpeg_segments(GOOD_JPEG, jpeg_segment(0xE1, b"Exif\0\0" + GOOD_JPEG)),
    "PNG that begins as JPEG": lambda: GOOD_JPEG[:4] + GOOD_PNG,
    "JPEG that begins as GIF": lambda: GOOD_GIF[:6] + GOOD_JPEG,
    "WebP that is a sound": lambda: b"RIFF" + GOOD_WEBP[4:8] + b"WAVE" + GOOD_WEBP[12:],
    **{kind: partial(photos.photo, kind) for kind in ("TIFF", "BMP", "EPS", "PPM", "ICO", "TGA")},
    "PSD": lambda: b"8BPS\0\1" + bytes(100),
    "FITS": lambda: b"SIMPLE  =                    T".ljust(2_880),
    "PDF": lambda: PDF,
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "XML of a billion laughs": lambda: b'<!DOCTYPE a [<!ENTITY a "aaa"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>',
    "HEIC": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "nothing": lambda: b"",
    "one byte": lambda: b"\xff",
    "a million zeros": lambda: bytes(1_000_000),
}


# Odd modes


def patched(data: bytes, place: int, *values: int) -> bytes:
    return data[:place] + bytes(values) + data[place + len(values) :]


def patched_png(place: int, *values: int) -> bytes:
    return photos.with_right_checksums(patched(GOOD_PNG, place, *values))


def odd_pngs() -> Iterator[tuple[str, Make]]:
    """Every depth with every colour type, those that there are and those that there are not."""
    for depth, colour in itertools.product((0, 1, 2, 3, 4, 8, 16, 32, 255), range(8)):
        yield f"PNG, depth {depth}, colour {colour}", partial(patched_png, 24, depth, colour)
    for place, what in ((26, "compression"), (27, "filter"), (28, "interlacing")):
        yield f"PNG, unknown {what}", partial(patched_png, place, 7)
    for depth, colour in ((1, 3), (2, 3), (8, 6), (16, 2), (16, 0)):
        yield f"PNG, interlaced, depth {depth}, colour {colour}", partial(interlaced, depth, colour, b"\1" * 8, PALETTE)


def odd_jpegs() -> Iterator[tuple[str, Make]]:
    """Every frame marker, precision, number of planes and sampling, patched into a good photo."""
    frame = GOOD_JPEG.index(b"\xff\xc0")
    for marker in (0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        yield f"JPEG, frame {marker:02X}", partial(patched, GOOD_JPEG, frame + 1, marker)
    for value in (0, 1, 2, 7, 9, 12, 16, 255):
        yield f"JPEG, {value} bits", partial(patched, GOOD_JPEG, frame + 4, value)
        yield f"JPEG, {value} planes", partial(patched, GOOD_JPEG, frame + 9, value)
    for value in (0, 0x01, 0x10, 0x33, 0x44, 0x55, 0xFF):
        yield f"JPEG, sampling {value:02X}", partial(patched, GOOD_JPEG, frame + 11, value)
        every = patched(patched(GOOD_JPEG, frame + 11, value), frame + 14, value)
        yield f"JPEG, all sampling {value:02X}", partial(patched, every, frame + 17, value)


def extremes() -> Iterator[tuple[str, Make]]:
    """Yield name and maker of every one."""
    for group in (BOMBS, FRAMES, POLYGLOTS):
        yield from group.items()
    for kind in ("JPEG", "PNG", "WEBP"):
        for name, block in {**EXIF, **EXIF_TURNS}.items():
            yield f"{kind}, EXIF: {name}", partial(exif_in, kind, block)
        for name, profile in PROFILES.items():
            yield f"{kind}, profile: {name}", partial(profile_in, kind, profile)
    yield from odd_pngs()
    yield from odd_jpegs()


def heavy() -> frozenset[str]:
    """Names of those that take long to make or to decode."""
    return frozenset(BOMBS) | frozenset(FRAMES)
