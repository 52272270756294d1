"""Photos as text: base64 in either alphabet, plain or in a data URI."""

import binascii
import re
from typing import Final

from food_vision.errors import MalformedBody, PhotoTooLarge

_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_DIGITS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_STRANGE: Final = re.compile(r"[^A-Za-z0-9+/_-]")
_DATA_URI: Final = re.compile(r"data:[^,]{0,200}?;base64,", re.IGNORECASE)
_PIECE: Final = 1 << 20
"""Characters decoded in one go, a multiple of four: between two pieces other threads have their turn."""


def decode_base64(text: str, most: int, name: str) -> bytes:
    """Decode base64: standard or url-safe alphabet, padding optional, no white space, or a data URI of such.

    Args:
        text: What was sent.
        most: Bytes that it may become.
        name: What to call the text in an error's sentence.

    Raises:
        MalformedBody: with the offset in the text, counted from 0, of what does not belong there.
        PhotoTooLarge: it would become more than ``most`` bytes.
    """
    start = _start(text, name)
    digits = text[start:].rstrip("=")
    if len(digits) * 3 // 4 > most:
        raise PhotoTooLarge(f"The photo has more than {most:,} bytes.")
    if not digits.isascii() or digits.encode("ascii").translate(None, _DIGITS):
        strange = _STRANGE.search(digits)
        assert strange is not None
        raise MalformedBody(f"{name}: {_name_of(strange[0])} at offset {start + strange.start()} is not base64.")
    _check_end(text[start:], digits, start, name)
    padded = (digits + "=" * (-len(digits) % 4)).encode("ascii").translate(_URL_SAFE)
    return b"".join(binascii.a2b_base64(padded[at : at + _PIECE]) for at in range(0, len(padded), _PIECE))


def _start(text: str, name: str) -> int:
    """Return where the digits begin."""
    if text[:5].lower() != "data:":
        return 0
    head = _DATA_URI.match(text)
    if head is None:
        raise MalformedBody(f"{name}: of data URIs only `data:…;base64,…` is taken.")
    return head.end()


def _check_end(text: str, digits: str, start: int, name: str) -> None:
    """Refuse a digit that stands alone, and padding that is none: both mean that something was lost."""
    padding = len(text) - len(digits)
    if len(digits) % 4 == 1:
        raise MalformedBody(f"{name}: the base64 ends at offset {start + len(digits)} within a byte.")
    if padding > 2 or (padding and (len(digits) + padding) % 4):
        raise MalformedBody(f"{name}: the padding at offset {start + len(digits)} does not fit the base64 before it.")


def _name_of(character: str) -> str:
    if character.isspace():
        return "white space"
    return f"{character!r}" if character.isascii() and character.isprintable() else "a character"
