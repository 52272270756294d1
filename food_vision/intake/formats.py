"""What a file is, told by its first bytes: the four formats that are taken, and names for those that are not."""

from typing import Final, Literal, NamedTuple

from food_vision.errors import UndecodablePhoto, UnsupportedFormat

Format = Literal["JPEG", "PNG", "WEBP", "GIF"]

TAKEN: Final = "JPEG, PNG, WebP and GIF photos are taken"


class _Magic(NamedTuple):
    """``marker`` stands ``offset`` bytes into a file of the format ``name``."""

    name: str
    marker: bytes
    offset: int = 0


# Only to answer helpfully: no parser stands behind any of these rows.
_NAMED: Final = (
    _Magic("a PDF document", b"%PDF"),
    _Magic("a TIFF image", b"II*\0"),
    _Magic("a TIFF image", b"MM\0*"),
    _Magic("a TIFF image", b"II+\0"),
    _Magic("a TIFF image", b"MM\0+"),
    _Magic("a BMP image", b"BM"),
    _Magic("an EPS or PostScript file", b"%!PS"),
    _Magic("an EPS file", b"\xc5\xd0\xd3\xc6"),
    _Magic("a Photoshop document", b"8BPS"),
    _Magic("a FITS image", b"SIMPLE  ="),
    _Magic("a JPEG 2000 image", b"\0\0\0\x0cjP  \r\n\x87\n"),
    _Magic("a JPEG 2000 image", b"\xff\x4f\xff\x51"),
    _Magic("a JPEG XL image", b"\0\0\0\x0cJXL \r\n\x87\n"),
    _Magic("a JPEG XL image", b"\xff\x0a"),
    _Magic("an AVIF image", b"ftypavi", 4),
    _Magic("a HEIC image", b"ftyphe", 4),
    _Magic("a HEIC image", b"ftypmif1", 4),
    _Magic("a HEIC image", b"ftypmsf1", 4),
    _Magic("a video", b"ftyp", 4),
    _Magic("a video", b"\x1a\x45\xdf\xa3"),
    _Magic("an icon", b"\0\0\1\0"),
    _Magic("a ZIP archive or office document", b"PK\3\4"),
    _Magic("gzip-compressed data", b"\x1f\x8b"),
)
_MARKUP: Final = ((b"<svg", "an SVG drawing"), (b"<html", "a web page"), (b"<!doctype html", "a web page"))
_TEXT: Final = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r\f")


def identify(data: bytes) -> Format:
    """Return which of the four formats ``data`` begins as.

    Raises:
        UndecodablePhoto: ``data`` is empty.
        UnsupportedFormat: it is something else; the sentence says what, as far as the first bytes tell.
    """
    if not data:
        raise UndecodablePhoto("The photo is empty.")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    raise UnsupportedFormat(f"This is {_name(data)}; {TAKEN}.", internal=f"begins with {data[:16].hex(' ')}")


def _name(data: bytes) -> str:
    for magic in _NAMED:
        if data.startswith(magic.marker, magic.offset):
            return magic.name
    return _name_of_text(data[:1024]) or "not a photo in a known format"


def _name_of_text(head: bytes) -> str | None:
    lowered = head.removeprefix(b"\xef\xbb\xbf").lower()
    for marker, name in _MARKUP:
        if marker in lowered:
            return name
    if lowered.startswith(b"<?xml"):
        return "an XML document"
    return "plain text" if _TEXT.issuperset(head) else None
