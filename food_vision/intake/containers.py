"""What a photo's file says before any pixel is decoded, and the file without what does not make pixels.

A photo's file is mostly a list of labelled blocks. They are walked here, by length, and only those that the first
picture needs are handed on. Colour profiles, texts, thumbnails, comments and further frames never reach a parser, and
with them go the attacks that live there: compressed texts that unfold to gigabytes (zTXt, iTXt, iCCP), directories that
point at themselves (EXIF), a thousand frames, a million comments. Of the metadata only the orientation is read.

Every walk is bounded in steps, and all of them refuse a file that ends before its picture does.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from food_vision.errors import UndecodablePhoto
from food_vision.intake import memory, riff
from food_vision.intake.formats import Format, identify
from food_vision.intake.orientation import read_orientation
from food_vision.intake.webp_codes import Lossless

# A 20 MB photo of 64 kB segments has 310; Pillow reads each in Python, so a million empty ones would take seconds.
MAX_JPEG_SEGMENTS: Final = 2_000
# Photos have 1 scan, or about 10 when progressive. Each is a walk over the whole picture, however few its bytes: 17 ms
# at 50 megapixels, so that a file of 100,000 empty scans would hold a processor for half an hour.
MAX_JPEG_SCANS: Final = 64
# The decoder does not move on before such a run ends, and is given all of it again with every 64 kB that are read:
# 19 MB of them took seconds of copying, during which no other thread may run.
MAX_JPEG_FILL_BYTES: Final = 1_000
MAX_QUANTIZATION_SEGMENT: Final = 4 * 129 + 4
# A search lets no other thread run before its end: 19 MB of restart markers stopped the event loop for 220 ms.
JPEG_SLICE: Final = 262_144
MAX_PNG_CHUNKS: Final = 50_000
# Blocks of a GIF hold 255 bytes: these are 51 MB when filled.
MAX_GIF_BLOCKS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Container:
    """A photo before decoding.

    Attributes:
        format: ``JPEG``, ``PNG``, ``WEBP`` or ``GIF``; a phone's MPO is a JPEG with further pictures behind the first.
        width: Pixels per row as stored, before the orientation is applied.
        height: Rows as stored.
        orientation: 1 to 8 as in EXIF; 1 is upright.
        body: The file again, with the first picture only and no metadata.
        bytes_per_pixel: The memory that decoding it takes.
        is_animation: Whether it is a WebP of frames, if only of one.
        lossless: What a WebP has stored without loss: its picture or its alpha.
    """

    format: Format
    width: int
    height: int
    orientation: int
    body: bytes
    bytes_per_pixel: memory.BytesPerPixel
    is_animation: bool = False
    lossless: Lossless | None = None


def read_container(data: bytes) -> Container:
    """Walk the file and keep what its first picture needs.

    Raises:
        UnsupportedFormat: ``data`` is not one of the four formats.
        UndecodablePhoto: it is empty, damaged, cut short, or made of absurdly many blocks.
    """
    try:
        return _READERS[identify(data)](data)
    except (struct.error, IndexError):
        _cut_short("the header is incomplete")


def _cut_short(internal: str) -> NoReturn:
    raise UndecodablePhoto("The photo is cut short.", internal=internal)


def _broken(internal: str) -> NoReturn:
    raise UndecodablePhoto(internal=internal)


# JPEG: FF, a marker, two bytes of length, content; a scan (FF DA) is followed by data in which FF is written FF 00.

_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_JPEG_FILLING: Final = b"\xff" * (MAX_JPEG_FILL_BYTES + 1)
_SOI, _EOI, _SOS, _DQT, _DRI, _JFIF, _EXIF, _ADOBE = 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE
_JPEG_TABLES: Final = frozenset({0xC4, 0xCC, _DQT, _DRI, _SOS})
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _read_jpeg(data: bytes) -> Container:
    kept, orientation, frame, scan = [b"\xff\xd8"], None, b"", b""
    for marker, segment in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            if frame:  # the decoder goes by the first one, and what it takes must be known
                _broken("JPEG of two frames")
            frame = segment
        elif marker == _EXIF and segment[4:10] == b"Exif\0\0":
            orientation = orientation or read_orientation(segment[10:])
        elif marker == _SOS:
            scan = scan or segment
        if _makes_jpeg_pixels(marker, segment):
            kept.append(segment)
    if not frame or not scan:
        _broken("JPEG without a frame or without a scan")
    height, width = struct.unpack_from(">HH", frame, 5)
    body = b"".join([*kept, b"\xff\xd9"])
    return Container("JPEG", width, height, orientation or 1, body, memory.of_jpeg(frame, scan))


def _makes_jpeg_pixels(marker: int, segment: bytes) -> bool:
    if marker == _DQT and len(segment) > MAX_QUANTIZATION_SEGMENT:
        _broken(f"JPEG quantization segment of {len(segment)} bytes")
    # JFIF and Adobe tell how the colours are coded (YCbCr or RGB, CMYK or YCCK).
    is_colour_hint = (marker == _JFIF and segment[4:9] == b"JFIF\0") or (marker == _ADOBE and segment[4:9] == b"Adobe")
    return marker in _JPEG_FRAMES or marker in _JPEG_TABLES or is_colour_hint


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and bytes of each segment up to the end of the picture; a scan's come with its data."""
    position, scans = 2, 0
    for _ in range(MAX_JPEG_SEGMENTS):
        start = _next_jpeg_marker(data, position)
        marker = data[start + 1]
        if marker == _EOI:
            return
        position = _jpeg_segment_end(data, start, marker)
        if marker == _SOS:
            scans += 1
            position = _next_jpeg_marker(data, position)
            if data.find(_JPEG_FILLING, start, position) >= 0:
                _broken(f"JPEG of more than {MAX_JPEG_FILL_BYTES} fill bytes in a row")
        if scans > MAX_JPEG_SCANS:
            _broken(f"JPEG of more than {MAX_JPEG_SCANS} scans")
        yield marker, data[start:position]
    _broken(f"JPEG of more than {MAX_JPEG_SEGMENTS} segments")


def _next_jpeg_marker(data: bytes, position: int) -> int:
    for start in range(position, len(data), JPEG_SLICE):
        # One byte more: a marker has two.
        if found := _JPEG_MARKER.search(data, start, start + JPEG_SLICE + 1):
            return found.start()
    _cut_short("JPEG without an end marker")


def _jpeg_segment_end(data: bytes, start: int, marker: int) -> int:
    # A marker that cannot stand here is damaged data, which the decoder would paint over in grey.
    if marker < 0xC0 or marker == _SOI:
        _broken(f"JPEG marker {marker:02X} out of place")
    (length,) = struct.unpack_from(">H", data, start + 2)
    end = start + 2 + int(length)
    if length < 2 or end > len(data):
        _cut_short(f"JPEG segment {marker:02X} of {length} bytes")
    return end


# PNG: length, four letters, content, checksum.

_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _read_png(data: bytes) -> Container:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if data[8:16] != b"\0\0\0\rIHDR":
        _broken("PNG without a header")
    kept, names, orientation = [data[:8]], set[bytes](), 1
    for name, chunk in _png_chunks(data):
        if name == b"IHDR" and name in names:  # the decoder goes by the last one
            _broken("PNG of two headers")
        if name == b"eXIf":
            orientation = read_orientation(chunk[8:-4])
        # A colour key of 16 bits would be compared with pixels of which the decoder keeps 8: left out.
        if name in _PNG_KEPT and not (name == b"tRNS" and depth == 16):
            kept.append(_verified(name, chunk))
            names.add(name)
    bytes_per_pixel = memory.of_png(depth, colour, b"tRNS" in names)
    return Container("PNG", width, height, orientation, b"".join(kept), bytes_per_pixel)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    for _ in range(MAX_PNG_CHUNKS):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            _cut_short(f"PNG chunk of {length} bytes")
        yield name, data[position:end]
        if name == b"IEND":
            return
        position = end
    _broken(f"PNG of more than {MAX_PNG_CHUNKS} chunks")


def _verified(name: bytes, chunk: bytes) -> bytes:
    # Pillow does not check the sums of pixel data.
    if zlib.crc32(memoryview(chunk)[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
        _broken(f"PNG checksum of {name!r} does not match")
    return chunk


# WebP: its blocks, told by four letters, are walked in riff.py.

_WEBP_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"ANIM"})
_WEBP_ALPHA, _WEBP_ANIMATION = 0x10, 0x02  # Flags. Alpha without its own counts for the plain decoder, not for Pillow.


def _read_webp(data: bytes) -> Container:
    width, height = riff.size_of(data)
    orientation, frames, kept = 1, 0, list[bytes]()
    names = _WEBP_KEPT | {b"ALPH"} if data[20] & _WEBP_ALPHA else _WEBP_KEPT
    for name, chunk in riff.chunks(data):
        if name == b"EXIF":
            orientation = read_orientation(chunk[8:].removeprefix(b"Exif\0\0"))
        elif name == b"VP8X":
            # Its flags promise chunks that are left out.
            kept.append(chunk[:8] + bytes([chunk[8] & (_WEBP_ALPHA | _WEBP_ANIMATION)]) + chunk[9:])
        elif name == b"ANMF":
            frames += 1
            if frames == 1:
                kept.append(riff.frame_of_pixels(chunk))
        elif name in names:
            kept.append(chunk)
    body = b"".join([b"RIFF", struct.pack("<I", sum(map(len, kept)) + 4), b"WEBP", *kept])
    bytes_per_pixel, is_animation = memory.of_webp(kept, frames > 0), frames > 0
    return Container("WEBP", width, height, orientation, body, bytes_per_pixel, is_animation, riff.lossless_part(body))


# GIF: screen, palette; then extensions ("!") and pictures (","), their content in blocks of up to 255 bytes.


def _read_gif(data: bytes) -> Container:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _palette_bytes(flags)
    head, control = data[:position], b""
    for _ in range(MAX_GIF_BLOCKS):
        kind, start = data[position], position
        if kind == ord("!"):
            position = _end_of_blocks(data, position + 2)
            control = data[start:position] if data[start + 1] == 0xF9 else control
        elif kind == ord(","):
            left, top, columns, rows, flags = struct.unpack_from("<HHHHB", data, position + 1)
            end = _end_of_blocks(data, position + 10 + _palette_bytes(flags) + 1)
            # A picture may reach over the edge of the screen: the decoder then makes the screen larger.
            size = max(width, left + columns), max(height, top + rows)
            body = b"".join([head, control, data[start:end], b";"])
            return Container("GIF", *size, 1, body, memory.OF_GIF)
        else:
            break
    _broken("GIF without a picture")


def _palette_bytes(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, position: int) -> int:
    for _ in range(MAX_GIF_BLOCKS):
        length = data[position]
        position += 1 + length
        if length == 0:
            return position
    _broken(f"GIF of more than {MAX_GIF_BLOCKS} blocks")


_READERS: Final[Mapping[Format, Callable[[bytes], Container]]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "WEBP": _read_webp,
    "GIF": _read_gif,
}
