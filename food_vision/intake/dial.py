"""The dialler: a host is looked up once, every answer is judged, and only what was judged is dialled.

A check before the request and a look-up inside the client would be two look-ups, and a name that answers
differently the second time (DNS rebinding) walks through. Here the socket is connected to the very address that was
judged, literal addresses and odd spellings included, and no library stands in between.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from food_vision.admission import Place, run_holding
from food_vision.errors import AddressNotAllowed, InvalidUrl, SourceFailed, StartupError
from food_vision.intake.addresses import is_address, is_listed, refusal
from food_vision.intake.connection import Connection
from food_vision.intake.links import Link, canonical_host
from food_vision.settings import Settings

Resolver = Callable[[str], Sequence[str]]

MAX_LOOKUP_THREADS = 64
MAX_ATTEMPTS = 4
"""A name may have hundreds of addresses; dialling them all would make the service someone's amplifier."""


def system_resolver(host: str) -> list[str]:
    """Look a host up as the system does; blocks.

    Raises:
        OSError: where there is no such name, or no name server answers.
    """
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(_with_scope(*address) for *_, address in answers))


def _with_scope(address: str | int, _port: int | bytes, _flow: int = 0, scope: int = 0) -> str:
    """The scope stands apart in what ``getaddrinfo`` gives; dropped, it would slip past the judgement."""
    return f"{address}%{scope}" if scope else str(address)


class Dialler:
    """Opens connections to links whose every address may be dialled."""

    def __init__(self, settings: Settings, resolver: Resolver, ssl_context: ssl.SSLContext) -> None:
        self._networks = settings.allow_networks
        self._ports = settings.allow_ports
        self._hosts = frozenset(map(_allowed_host, settings.allow_hosts))
        self._patience = settings.fetch_timeout / MAX_ATTEMPTS
        self._resolver = resolver
        self._ssl_context = ssl_context
        self._connection = partial(Connection, settings.max_photo_bytes)
        # getaddrinfo blocks, for half a minute if a name server says nothing, and cannot be interrupted. On the event
        # loop's own pool, names that stall would stop everything else that runs there. A thread per slot, started
        # when needed, so that they do not stop each other either.
        threads = min(settings.fetch_slots, MAX_LOOKUP_THREADS)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lookup")

    async def dial(self, link: Link, places: tuple[Place, ...]) -> Connection:
        """Connect to a link's host, with TLS for https.

        Args:
            link: Where to.
            places: Held until the look-up has ended. Given back at the caller's deadline, they would let in callers
                for whom no look-up thread is free, and who would only wait for their own deadline.

        Raises:
            AddressNotAllowed: a refused host, address or port, an unknown name, or nobody listening.
            SourceFailed: TLS cannot be set up, or the certificate is not the host's.
        """
        if self._hosts and link.host not in self._hosts:
            raise AddressNotAllowed(internal=f"{link.host}: not among the allowed hosts")
        addresses = await self._look_up(link.host, places)
        for address in addresses:
            self._judge(address, link)
        connected = await self._connect_any(addresses[:MAX_ATTEMPTS], link)
        return await self._open(connected, link)

    def close(self) -> None:
        """Take no more look-ups; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, host: str, places: tuple[Place, ...]) -> Sequence[str]:
        if is_address(host):
            return [host]
        try:
            addresses = await run_holding(places, self._pool, self._resolver, host)
        except (OSError, UnicodeError) as error:
            raise AddressNotAllowed(internal=f"{host}: look-up failed: {error}") from None
        if not addresses:
            raise AddressNotAllowed(internal=f"{host}: look-up gave no address")
        return addresses

    def _judge(self, address: str, link: Link) -> None:
        if reason := refusal(address, self._networks):
            raise AddressNotAllowed(internal=f"{link.host} is {address}: {reason}")
        if link.port not in self._ports and not is_listed(address, self._networks):
            raise AddressNotAllowed(internal=f"{link.host} is {address}: port {link.port} is not allowed")

    async def _connect_any(self, addresses: Sequence[str], link: Link) -> socket.socket:
        """Try addresses in order; one that says nothing gets a share of the deadline, the last one all the rest."""
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(self._patience):
                    return await _connect(address, link.port)
        try:
            return await _connect(addresses[-1], link.port)
        except OSError as error:
            raise AddressNotAllowed(internal=f"{link.host} is {_listing(addresses)}: {error}") from None

    async def _open(self, connected: socket.socket, link: Link) -> Connection:
        context, name = (self._ssl_context, link.host) if link.scheme == "https" else (None, None)
        open_on = asyncio.get_running_loop().create_connection
        try:
            _, connection = await open_on(self._connection, sock=connected, ssl=context, server_hostname=name)
        except OSError as error:
            connected.close()
            raise SourceFailed(
                "The link's server could not set up a secure connection, or has no valid certificate for its name.",
                internal=f"{link.host}: {error}",
            ) from None
        except BaseException:
            connected.close()
            raise
        return connection


def _allowed_host(host: str) -> str:
    try:
        return canonical_host(host)
    except InvalidUrl:
        raise StartupError(
            f"FOOD_VISION_ALLOW_HOSTS holds {host!r}: not a host name (without scheme, port or wildcard)."
        ) from None


async def _connect(address: str, port: int) -> socket.socket:
    connected = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    connected.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connected, (address, port))
    except BaseException:
        connected.close()
        raise
    return connected


def _listing(addresses: Iterable[str]) -> str:
    return ", ".join(addresses)
