"""The tricks of ``tests.origin``: each route writes one good, broken or hostile answer."""

import asyncio
import gzip
import io
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from PIL import Image


def make_photo(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


PHOTO, OTHER_PHOTO = make_photo("sienna"), make_photo("olive")


class Ask(NamedTuple):
    """A request as it arrived."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    tls: bool
    reader: asyncio.StreamReader

    @property
    def last(self) -> str:
        """The last part of the path: the argument of routes like ``/status/404``."""
        return self.path.rsplit("/", 1)[-1]


def parse_ask(head: bytes, tls: bool, reader: asyncio.StreamReader) -> Ask:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    target = urlsplit("http://origin" + first.split(" ")[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Ask(target.path, dict(parse_qsl(target.query)), headers, tls, reader)


Writer = asyncio.StreamWriter
Route = Callable[[Ask, Writer], Awaitable[None]]


def answer(body: bytes = PHOTO, *headers: str, status: int = 200, declared: int | None = None) -> bytes:
    length = f"Content-Length: {len(body) if declared is None else declared}"
    head = "\r\n".join([f"HTTP/1.1 {status} Whatever", length, *headers, "", ""])
    return head.encode("latin-1") + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def fixed(reply: bytes) -> Route:
    """A route that always answers the same."""

    async def route(_: Ask, writer: Writer) -> None:
        writer.write(reply)

    return route


async def size(ask: Ask, writer: Writer) -> None:
    """So many bytes, declared."""
    writer.write(answer(bytes(int(ask.last))))


async def chunked(ask: Ask, writer: Writer) -> None:
    """So many bytes, in chunks of ``?each=``, undeclared."""
    each = int(ask.query.get("each", "1000"))
    whole, rest = divmod(int(ask.last), each)
    parts = [bytes(each)] * whole + ([bytes(rest)] if rest else [])
    writer.write(CHUNKED + b"".join(map(chunk, parts)) + b"0\r\n\r\n")


async def until_close(ask: Ask, writer: Writer) -> None:
    """So many bytes, their end told by closing the connection, as HTTP/1.0 does."""
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(int(ask.last)))


async def status(ask: Ask, writer: Writer) -> None:
    code = int(ask.last)
    writer.write(f"HTTP/1.1 {code} X\r\n\r\n".encode() if code in (204, 304) else answer(status=code))


async def redirect(ask: Ask, writer: Writer) -> None:
    """``?to=`` any text, ``&status=`` any status."""
    location = ask.query["to"].encode("utf-8").decode("latin-1")
    writer.write(answer(b"", f"Location: {location}", "Set-Cookie: a=b", status=int(ask.query.get("status", "302"))))


async def chain(ask: Ask, writer: Writer) -> None:
    """So many redirects, then a photo."""
    left = int(ask.last)
    writer.write(answer(b"", f"Location: /chain/{left - 1}", status=302) if left else answer())


async def circle(ask: Ask, writer: Writer) -> None:
    writer.write(answer(b"", f"Location: /circle/{1 - int(ask.last)}", status=302))


async def encoded(ask: Ask, writer: Writer) -> None:
    """A compressed photo, labelled as the last part says; what is not in the standard library is only labelled so."""
    packers = {"gzip": gzip.compress, "deflate": zlib.compress, "gzip,gzip": lambda d: gzip.compress(gzip.compress(d))}
    body = packers.get(ask.last, bytes)(PHOTO)
    writer.write(answer(body, f"Content-Encoding: {ask.last}"))


async def endless(_: Ask, writer: Writer) -> None:
    await _repeat(writer, CHUNKED, chunk(bytes(50_000)))


async def crumbs(_: Ask, writer: Writer) -> None:
    """A body in chunks of one byte, without end."""
    await _repeat(writer, CHUNKED, chunk(b"a") * 5_000)


async def interim(_: Ask, writer: Writer) -> None:
    await _repeat(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)


async def endless_headers(_: Ask, writer: Writer) -> None:
    await _repeat(writer, b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 1_000)


async def _repeat(writer: Writer, head: bytes, again: bytes) -> None:
    writer.write(head)
    while not writer.is_closing():
        writer.write(again)
        await writer.drain()


async def drip(ask: Ask, writer: Writer) -> None:
    """A byte of the body every so often; ``?pause=`` in seconds."""
    writer.write(answer(b"", declared=len(PHOTO)))
    await _trickle(ask, writer, PHOTO)


async def drip_headers(ask: Ask, writer: Writer) -> None:
    await _trickle(ask, writer, answer())


async def _trickle(ask: Ask, writer: Writer, data: bytes) -> None:
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(float(ask.query.get("pause", "1")))


async def stall(ask: Ask, _: Writer) -> None:
    """Say nothing until the caller leaves."""
    await ask.reader.read()


async def stall_in_body(ask: Ask, writer: Writer) -> None:
    writer.write(answer(PHOTO[:100], declared=len(PHOTO)))
    await ask.reader.read()


async def almost(ask: Ask, writer: Writer) -> None:
    """So many bytes, but the last one never comes."""
    count = int(ask.last)
    writer.write(answer(bytes(count - 1), declared=count))
    await ask.reader.read()


async def slow(ask: Ask, writer: Writer) -> None:
    """A photo, but only after ``?pause=`` seconds."""
    await asyncio.sleep(float(ask.query.get("pause", "1")))
    writer.write(answer())


async def reset(_: Ask, writer: Writer) -> None:
    writer.write(answer(PHOTO[:100], declared=len(PHOTO)))
    writer.transport.abort()


ROUTES: Mapping[str, Route] = {
    "photo.jpg": fixed(answer(PHOTO, "Content-Type: image/jpeg")),
    "one/photo.jpg": fixed(answer(PHOTO, "Content-Type: image/jpeg")),
    "two/photo.jpg": fixed(answer(OTHER_PHOTO, "Content-Type: image/jpeg")),
    "large.jpg": fixed(answer(make_photo("teal", (4_000, 3_000)), "Content-Type: image/jpeg")),
    "page.html": fixed(answer(b"<html>no photo</html>", "Content-Type: text/html")),
    "photo-as-text": fixed(answer(PHOTO, "Content-Type: text/plain")),
    "html-as-photo": fixed(answer(b"<html>no photo</html>", "Content-Type: image/jpeg")),
    "empty": fixed(answer(b"")),
    "size": size,
    "chunked": chunked,
    "until-close": until_close,
    "status": status,
    "redirect": redirect,
    "chain": chain,
    "circle": circle,
    "no-location": fixed(answer(b"", status=302)),
    "two-locations": fixed(answer(b"", "Location: /photo.jpg", "Location: /empty", status=302)),
    "encoded": encoded,
    "identity": fixed(answer(PHOTO, "Content-Encoding: identity")),
    "declared-too-long": fixed(answer(PHOTO, declared=10**15)),
    "declared-short": fixed(answer(PHOTO, declared=100)),
    "declared-twice": fixed(answer(PHOTO, "Content-Length: 7")),
    "cut-short": fixed(answer(PHOTO[:-10], declared=len(PHOTO))),
    "cut-chunked": fixed(CHUNKED + chunk(PHOTO)),
    "endless": endless,
    "crumbs": crumbs,
    "interim": interim,
    "one-interim": fixed(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer()),
    "endless-headers": endless_headers,
    "many-headers": fixed(answer(PHOTO, *[f"X-{number}: {'x' * 90}" for number in range(1_000)])),
    "half-as-many-headers": fixed(answer(PHOTO, *[f"X-{number}: {'x' * 90}" for number in range(500)])),
    "huge-header": fixed(answer(PHOTO, "X-Huge: " + "x" * 100_000)),
    "garbage": fixed(b"\x00\x01SSH-2.0-OpenSSH\r\n\r\n"),
    "silent-close": fixed(b""),
    "drip.jpg": drip,
    "drip-headers": drip_headers,
    "stall": stall,
    "stall-in-body": stall_in_body,
    "almost": almost,
    "slow": slow,
    "reset": reset,
}
