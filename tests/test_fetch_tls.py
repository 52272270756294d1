"""TLS with real certificates on loopback: each names other hosts, and the link's host is the only one that counts."""

import asyncio
import contextlib
import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import trustme

from food_vision.errors import Problem, SourceFailed
from food_vision.intake.fetch import Fetcher, trust_certifi
from food_vision.settings import Settings
from tests.tricks import PHOTO, answer

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
Issue = Callable[[trustme.CA], trustme.LeafCert]
GOOD: Issue = lambda authority: authority.issue_cert("photos.test")  # noqa: E731 - the rows of the table are such too


@dataclass
class TlsOrigin:
    """A server that shows one certificate, and remembers for whom it was asked."""

    port: int
    asked_for: list[str | None] = field(default_factory=list)
    requests: int = 0


@contextlib.contextmanager
def serving(certificate: trustme.LeafCert, latest: ssl.TLSVersion | None = None) -> Iterator[TlsOrigin]:
    origin, ready, loop = TlsOrigin(0), threading.Event(), asyncio.new_event_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    context.sni_callback = lambda _, name, __: origin.asked_for.append(name)
    if latest:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = latest

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await reader.readuntil(b"\r\n\r\n")
            origin.requests += 1
            writer.write(answer())
            await writer.drain()
        writer.close()

    async def main() -> None:
        loop.set_exception_handler(lambda *_: None)  # refused handshakes are what most rows are for
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        origin.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await server.serve_forever()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(main())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield origin
    loop.call_soon_threadsafe(task.cancel)
    thread.join(10)


async def fetch(origin: TlsOrigin, host: str, trusted: trustme.CA) -> bytes | Problem:
    """Fetch by a fetcher that trusts one authority more than it does, and finds every name on this machine."""
    context = trust_certifi()
    trusted.configure_trust(context)
    settings = Settings.model_validate({"allow_networks": "127.0.0.0/8", "fetch_timeout": 20})
    fetcher = Fetcher(settings, lambda _: ["127.0.0.1"], context, refusal_step=0)
    try:
        return await fetcher.fetch(f"https://{host}:{origin.port}/photo.jpg")
    except Problem as problem:
        return problem
    finally:
        await fetcher.aclose()


@pytest.mark.parametrize(
    ("issue", "host", "name"),
    [
        pytest.param(GOOD, "photos.test", "photos.test", id="its name"),
        pytest.param(GOOD, "PHOTOS.TEST.", "photos.test", id="its name, upper case and with a dot"),
        pytest.param(lambda ca: ca.issue_cert("*.photos.test"), "a.photos.test", "a.photos.test", id="a wildcard"),
        pytest.param(
            lambda ca: ca.issue_cert("a.test", "photos.test"), "photos.test", "photos.test", id="the second name"
        ),
        pytest.param(lambda ca: ca.issue_cert("xn--bcher-kva.test"), "bücher.test", "xn--bcher-kva.test", id="an IDN"),
        pytest.param(lambda ca: ca.issue_cert("127.0.0.1"), "127.0.0.1", None, id="an address: no name is sent"),
    ],
)
def test_a_certificate_for_the_links_host_is_taken(issue: Issue, host: str, name: str | None) -> None:
    authority = trustme.CA()
    with serving(issue(authority)) as origin:
        assert asyncio.run(fetch(origin, host, authority)) == PHOTO
    assert origin.asked_for == [name]


@pytest.mark.parametrize(
    ("issue", "host"),
    [
        pytest.param(GOOD, "other.test", id="another name"),
        pytest.param(GOOD, "photos.test.evil.example", id="a name that begins alike"),
        pytest.param(GOOD, "a.photos.test", id="a name below"),
        pytest.param(GOOD, "127.0.0.1", id="an address that the certificate has not"),
        pytest.param(lambda ca: ca.issue_cert("127.0.0.2"), "127.0.0.1", id="another address"),
        pytest.param(
            lambda ca: ca.issue_cert("*.photos.test"), "a.b.photos.test", id="a wildcard for one label, not two"
        ),
        pytest.param(lambda ca: ca.issue_cert("*.photos.test"), "photos.test", id="a wildcard for one label, not none"),
        pytest.param(lambda ca: ca.issue_cert("*.test"), "photos.test", id="a wildcard for all that ends so"),
        pytest.param(lambda ca: ca.issue_cert(common_name="photos.test"), "photos.test", id="only a common name"),
        pytest.param(lambda ca: ca.issue_cert("photos.test", not_after=NOW - DAY), "photos.test", id="expired"),
        pytest.param(lambda ca: ca.issue_cert("photos.test", not_before=NOW + DAY), "photos.test", id="not valid yet"),
        pytest.param(lambda _: trustme.CA().issue_cert("photos.test"), "photos.test", id="of an unknown authority"),
    ],
)
def test_any_other_certificate_is_refused_before_a_byte_is_asked_for(issue: Issue, host: str) -> None:
    authority = trustme.CA()
    with serving(issue(authority)) as origin:
        problem = asyncio.run(fetch(origin, host, authority))
    assert type(problem) is SourceFailed
    assert "certificate" in problem.detail
    assert origin.requests == 0


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_protocols_are_refused() -> None:
    authority = trustme.CA()
    with serving(GOOD(authority), latest=ssl.TLSVersion.TLSv1_1) as origin:
        assert type(asyncio.run(fetch(origin, "photos.test", authority))) is SourceFailed
    assert origin.requests == 0
