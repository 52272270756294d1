"""Nothing is dialled that was not judged: as literal, by DNS, by redirect, as one of several answers, at any moment.

Every connect of this process is seen by an audit hook, so "nothing was dialled" is a fact here, not a belief.
"""
# ruff: noqa: RUF001 - look-alike characters are the point

import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from food_vision.errors import AddressNotAllowed, StartupError
from food_vision.intake.dial import MAX_ATTEMPTS, Resolver, system_resolver
from food_vision.intake.fetch import Fetcher
from food_vision.settings import Settings
from tests.bad_addresses import BAD_ADDRESSES
from tests.origin import Origin
from tests.tricks import PHOTO

pytestmark = pytest.mark.anyio

# All of 127.0.0.0/8 is this machine, so one address of it can be allowed while 127.0.0.1 stays refused.
GOOD_HOST = "127.77.7.7"
DEAD_HOST = "127.77.7.8"
# The long tables judge addresses, which no event loop changes; all else here runs on both.
ONE_LOOP = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Dials:
    """Addresses and ports that this process connected to, since ``forget``."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            self.seen.append(arguments[1][:2])


@pytest.fixture(scope="session")
def all_dials() -> Dials:
    return Dials()


@pytest.fixture
def dials(all_dials: Dials) -> list[tuple[str, int]]:
    all_dials.seen = []
    return all_dials.seen


@pytest.fixture(scope="module")
def good() -> Iterator[Origin]:
    """An origin on the one address that is allowed here."""
    with Origin(GOOD_HOST).running() as origin:
        yield origin


@asynccontextmanager
async def fetching(origin: Origin, resolver: Resolver = system_resolver, **settings: object) -> AsyncIterator[Fetcher]:
    chosen = Settings.model_validate(
        {"allow_networks": f"{GOOD_HOST}/32,{DEAD_HOST}/32", "fetch_timeout": 2.0, **settings}
    )
    fetcher = Fetcher(chosen, resolver, origin.client_context(), refusal_step=0)
    yield fetcher
    await fetcher.aclose()
    assert fetcher.in_flight == 0


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def answering(*answers: Sequence[str]) -> Resolver:
    """A resolver that gives one answer after the other, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@ONE_LOOP
@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_bad_literal(good: Origin, dials: list[tuple[str, int]], address: str) -> None:
    async with fetching(good) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(f"http://{bracketed(address)}/photo.jpg")
    assert dials == []


@ONE_LOOP
@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_bad_by_dns(good: Origin, dials: list[tuple[str, int]], address: str) -> None:
    async with fetching(good, answering([address])) as fetcher:
        with pytest.raises(AddressNotAllowed) as caught:
            await fetcher.fetch("http://photos.example/photo.jpg")
    assert dials == []
    assert caught.value.internal.startswith(f"photos.example is {address}: ")


@ONE_LOOP
@pytest.mark.parametrize("address", BAD_ADDRESSES)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_bad_as_one_of_several_answers(
    good: Origin, dials: list[tuple[str, int]], address: str, first: bool
) -> None:
    answers = [address, GOOD_HOST] if first else [GOOD_HOST, address]
    async with fetching(good, answering(answers)) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(good.url("/photo.jpg", host="photos.example"))
    assert dials == []


@ONE_LOOP
@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_bad_by_redirect(good: Origin, dials: list[tuple[str, int]], address: str) -> None:
    async with fetching(good) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(good.url(f"/redirect?to=http://{bracketed(address).replace('%', '%25')}/"))
    assert dials == [(GOOD_HOST, good.port)]


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("0177.0.0.1", id="octal"),
        pytest.param("0x7f.0.0.1", id="hex part"),
        pytest.param("0x7f000001", id="hex"),
        pytest.param("2130706433", id="decimal"),
        pytest.param("017700000001", id="octal whole"),
        pytest.param("127.1", id="short"),
        pytest.param("127.0.1", id="short of three"),
        pytest.param("0", id="zero"),
        pytest.param("127.0.0.1.", id="trailing dot"),
        pytest.param("１２７.0.0.1", id="full-width digits"),
        pytest.param("①②⑦.⓪.⓪.①", id="circled digits"),
        pytest.param("127。0。0。1", id="ideographic dots"),
        pytest.param("localhost", id="localhost"),
        pytest.param("localhost.", id="localhost with dot"),
        pytest.param("LOCALHOST", id="upper case"),
        pytest.param("[::ffff:7f00:1]", id="v4-mapped in hex"),
        pytest.param("[0:0:0:0:0:0:0:1]", id="v6 in full"),
    ],
)
async def test_spellings_of_this_machine(good: Origin, origin: Origin, dials: list[tuple[str, int]], host: str) -> None:
    async with fetching(good) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(f"http://{host}:{origin.port}/photo.jpg")
    assert dials == []
    assert origin.connections == 0


async def test_spellings_lead_there_once_the_network_is_allowed(origin: Origin) -> None:
    async with fetching(origin, allow_networks="127.0.0.0/8") as fetcher:
        for host in ("0177.0.0.1", "0x7f000001", "2130706433", "127.1", "１２７.0.0.1", "[::ffff:127.0.0.1]"):
            assert await fetcher.fetch(f"http://{host}:{origin.port}/photo.jpg") == PHOTO


async def test_an_address_is_not_looked_up_and_a_name_is(origin: Origin) -> None:
    asked: list[str] = []

    def noting(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with fetching(origin, noting, allow_networks="127.0.0.0/8") as fetcher:
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "photos.example", "127.1"):
            assert await fetcher.fetch(f"http://{host}:{origin.port}/photo.jpg") == PHOTO
    assert asked == ["photos.example", "127.1"]


@pytest.mark.parametrize("port", [22, 25, 6379, 8080, 65535])
async def test_ports(good: Origin, dials: list[tuple[str, int]], port: int) -> None:
    async with fetching(good, answering(["8.8.8.8"])) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(f"http://photos.example:{port}/")
    assert dials == []


async def test_allowed_ports_do_not_allow_addresses(good: Origin, dials: list[tuple[str, int]]) -> None:
    async with fetching(good, answering(["10.0.0.1"]), allow_ports="6379") as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch("http://photos.example:6379/")
    assert dials == []


async def test_rebinding_finds_no_second_look_up(good: Origin, origin: Origin, dials: list[tuple[str, int]]) -> None:
    async with fetching(good, answering([GOOD_HOST], ["127.0.0.1"])) as fetcher:
        assert await fetcher.fetch(good.url("/photo.jpg", host="rebind.example")) == PHOTO
    assert dials == [(GOOD_HOST, good.port)]
    assert origin.connections == 0


async def test_rebinding_between_hops_is_judged_again(good: Origin, dials: list[tuple[str, int]]) -> None:
    async with fetching(good, answering([GOOD_HOST], ["127.0.0.1"])) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(good.url("/redirect?to=/photo.jpg", host="rebind.example"))
    assert dials == [(GOOD_HOST, good.port)]


async def test_a_connection_serves_one_fetch(good: Origin) -> None:
    good.forget()
    async with fetching(good, answering([GOOD_HOST])) as fetcher:
        for host in ("one.example", "one.example", "two.example"):
            await fetcher.fetch(good.url("/photo.jpg", host=host))
    assert good.connections == 3
    assert [ask.headers["host"].split(":")[0] for ask in good.requests] == ["one.example", "one.example", "two.example"]


async def test_redirect_to_a_private_name(good: Origin, dials: list[tuple[str, int]]) -> None:
    addresses = {"photos.example": [GOOD_HOST], "db.internal": ["10.0.0.5"]}
    async with fetching(good, lambda host: addresses[host]) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(good.url("/redirect?to=http://db.internal/", host="photos.example"))
    assert dials == [(GOOD_HOST, good.port)]


async def test_the_next_address_is_tried_when_one_refuses(good: Origin, dials: list[tuple[str, int]]) -> None:
    async with fetching(good, answering([DEAD_HOST, GOOD_HOST])) as fetcher:
        assert await fetcher.fetch(good.url("/photo.jpg", host="photos.example")) == PHOTO
    assert dials == [(DEAD_HOST, good.port), (GOOD_HOST, good.port)]


async def test_a_name_with_many_addresses_is_no_amplifier(good: Origin, dials: list[tuple[str, int]]) -> None:
    async with fetching(good, answering([DEAD_HOST] * 100)) as fetcher:
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(good.url("/photo.jpg", host="photos.example"))
    assert len(dials) == MAX_ATTEMPTS


async def test_allowed_hosts_hold_on_every_hop(good: Origin, dials: list[tuple[str, int]]) -> None:
    async with fetching(good, answering([GOOD_HOST]), allow_hosts="Photos.Example.,bücher.example") as fetcher:
        assert await fetcher.fetch(good.url("/photo.jpg", host="photos.example")) == PHOTO
        assert await fetcher.fetch(good.url("/photo.jpg", host="BÜCHER.example")) == PHOTO
        for host in ("other.example", "sub.photos.example", GOOD_HOST):
            with pytest.raises(AddressNotAllowed):
                await fetcher.fetch(good.url("/photo.jpg", host=host))
        away = good.url("/photo.jpg", host="other.example")
        with pytest.raises(AddressNotAllowed):
            await fetcher.fetch(good.url(f"/redirect?to={away}", host="photos.example"))
    assert len(dials) == 3


def test_a_host_list_that_can_match_nothing_stops_the_start() -> None:
    with pytest.raises(StartupError, match="FOOD_VISION_ALLOW_HOSTS"):
        Fetcher(Settings(allow_hosts=("https://photos.example",)))


def unknown_name(_: str) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


REFUSALS = [
    pytest.param("http://10.0.0.1/?q=hunter2", system_resolver, id="refused address"),
    pytest.param("http://photos.example/", answering(["10.0.0.1"]), id="name of a refused address"),
    pytest.param("http://8.8.8.8:22/", system_resolver, id="refused port"),
    pytest.param("http://photos.example/", unknown_name, id="unknown name"),
    pytest.param("http://photos.example/", answering([]), id="name without address"),
    pytest.param(f"http://{DEAD_HOST}:1/", system_resolver, id="nobody listens"),
]


@pytest.mark.parametrize(("link", "resolver"), REFUSALS)
async def test_refusals_are_told_apart_by_the_log_only(good: Origin, link: str, resolver: Resolver) -> None:
    async with fetching(good, resolver) as fetcher:
        with pytest.raises(AddressNotAllowed) as caught:
            await fetcher.fetch(link)
    assert (caught.value.detail, caught.value.extra) == (AddressNotAllowed.detail, {})
    assert caught.value.internal
    assert "hunter2" not in caught.value.internal


@pytest.mark.parametrize(("link", "resolver"), REFUSALS)
async def test_refusals_take_the_same_time(good: Origin, link: str, resolver: Resolver) -> None:
    settings = Settings(allow_networks=f"{DEAD_HOST}/32")
    fetcher = Fetcher(settings, resolver, good.client_context(), refusal_step=0.3)
    started = time.monotonic()
    with pytest.raises(AddressNotAllowed):
        await fetcher.fetch(link)
    assert 0.29 < time.monotonic() - started < 0.45
    await fetcher.aclose()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"])
async def test_proxies_of_the_environment_are_not_used(
    good: Origin, origin: Origin, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, origin.url())
    async with fetching(good, answering([GOOD_HOST])) as fetcher:
        assert await fetcher.fetch(good.url("/photo.jpg")) == PHOTO
        assert await fetcher.fetch(good.tls_url("/photo.jpg")) == PHOTO
    assert origin.connections == 0
