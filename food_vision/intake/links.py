"""A link as text becomes a link in checked parts. Nothing is looked up here.

There is one parser in the house, and what it finds is what is dialled: attacks that live on two parsers reading one
link differently (``http://good@evil``, ``http://good\\@evil``, ``http://evil#@good``) find no second one.
Numeric hosts in odd spellings (``0x7f.1``, ``2130706433``) pass as names: only the resolver knows what they mean, and
the dialler judges what it answers.
"""

import re
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import idna

from food_vision.errors import InvalidUrl

MAX_LENGTH = 2_048
DEFAULT_PORTS = {"http": 80, "https": 443}

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_AUTHORITY = re.compile(r"(\[.*\]|[^:]*)(?::(.*))?", re.DOTALL)
_PORT = re.compile(r"[0-9]{1,5}")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


class Link(NamedTuple):
    """A link that can be followed, if its address may be dialled."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """ASCII, lower case, no trailing dot; an IPv6 address stands without brackets."""
    port: int
    """1 to 65,535."""
    target: str
    """Path and query in printable ASCII, from the first slash; the fragment is dropped."""

    @property
    def authority(self) -> str:
        """Host and port as a ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The whole link."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_link(text: str) -> Link:
    """Take a link apart.

    Raises:
        InvalidUrl: saying what is wrong, without repeating any of it.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidUrl(f"The link is longer than {MAX_LENGTH:,} characters.")
    _check_characters(text)
    scheme, netloc, path, query = _split(text)
    host, port = _authority(netloc)
    target = (path or "/") + (f"?{query}" if query else "")
    return Link(scheme, canonical_host(host), _port(port, scheme), quote(target, safe=_ASCII))


def follow(link: Link, location: str) -> Link:
    """Resolve a redirect's ``Location``, absolute or relative, against the link that gave it.

    Raises:
        InvalidUrl: where the result is no link that can be followed.
    """
    _check_characters(location)
    try:
        joined = urljoin(link.text, location)
    except ValueError:
        raise InvalidUrl from None
    return parse_link(joined)


def canonical_host(host: str) -> str:
    """Give a host the one spelling by which hosts are compared and certificates checked.

    Args:
        host: A name in any script, a dotted address, or an IPv6 address with or without brackets.

    Raises:
        InvalidUrl: where it is none of them.
    """
    if not host:
        raise InvalidUrl("The link names no host.")
    try:
        if ":" in host or host.startswith("["):
            return str(IPv6Address(host.removeprefix("[").removesuffix("]")))
        # UTS 46 is what browsers do: full-width and circled digits become digits here, ideographic dots become dots.
        name = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except ValueError:
        name = ""
    name = name.lower().removesuffix(".")
    if not _NAME.fullmatch(name):
        raise InvalidUrl("The link's host is not a valid name or address.")
    return name


def _check_characters(text: str) -> None:
    """Refuse what parsers silently drop or read as something else: controls, white space, backslashes, surrogates."""
    if not text.isprintable() or " " in text or "\\" in text:
        raise InvalidUrl(
            "The link contains white space, a control character or a backslash; such characters must be "
            "percent-encoded."
        )


def _split(text: str) -> tuple[str, str, str, str]:
    try:
        scheme, netloc, path, query, _ = urlsplit(text)
    except ValueError:
        raise InvalidUrl("The link's host is not a valid name or address.") from None
    if scheme not in DEFAULT_PORTS:
        raise InvalidUrl("The link does not begin with http:// or https://, and no other scheme is taken.")
    if "@" in netloc:
        raise InvalidUrl("The link carries a user name or password; only links without them are taken.")
    return scheme, netloc, path, query


def _authority(netloc: str) -> tuple[str, str]:
    match = _AUTHORITY.fullmatch(netloc)
    if match is None:
        raise InvalidUrl("The link's host is not a valid name or address.")
    return match[1], match[2] or ""


def _port(text: str, scheme: str) -> int:
    if not text:
        return DEFAULT_PORTS[scheme]
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65_535:
        raise InvalidUrl("The link's port is not a number from 1 to 65535.")
    return int(text)
