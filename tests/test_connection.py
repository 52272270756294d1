"""What comes over an open connection is read in order, whole, and not further ahead than is good."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable

import pytest
import trustme
import uvloop

from food_vision.admission import Admission
from food_vision.errors import SourceFailed
from food_vision.intake.connection import FRAMING, READ_AHEAD, Connection
from food_vision.intake.exchange import Exchange
from food_vision.intake.links import parse_link

MOST_BYTES = 2_000_000
LARGEST_READ = 262_144
"""Bytes that the event loops take from a socket at once."""


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": uvloop.new_event_loop if request.param == "uvloop" else None}


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[Connection, socket.socket]]:
    """A connection, and the other side of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
    here.setblocking(False)
    _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(MOST_BYTES), sock=here)
    with contextlib.closing(there):
        yield connection, there
        connection.abort()


async def rest_of(connection: Connection) -> bytes:
    pieces = []
    while piece := await connection.read():
        pieces.append(piece)
    return b"".join(pieces)


def break_off(there: socket.socket) -> None:
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    there.close()


@pytest.mark.anyio
async def test_what_comes_is_read_in_order_and_then_nothing() -> None:
    async with connected() as (connection, there):
        there.sendall(b"one")
        assert await connection.read() == b"one"
        connection.write(b"go on")
        assert await asyncio.to_thread(there.recv, 100) == b"go on"
        there.sendall(b"two")
        there.shutdown(socket.SHUT_WR)
        assert await rest_of(connection) == b"two"
        assert await connection.read() == b""


@pytest.mark.anyio
async def test_no_more_is_taken_ahead_than_may_wait() -> None:
    sent = bytes(range(256)) * 100_000
    async with connected() as (connection, there):
        sending = asyncio.create_task(asyncio.to_thread(there.sendall, sent))
        await asyncio.sleep(0.2)
        assert not sending.done()
        assert 0 < connection.ahead <= READ_AHEAD + LARGEST_READ
        sending.add_done_callback(lambda _: there.shutdown(socket.SHUT_WR))
        assert await rest_of(connection) == sent
        assert connection.ahead == 0


@pytest.mark.anyio
async def test_a_broken_connection_gives_what_came_before_and_then_its_error() -> None:
    async with connected() as (connection, there):
        there.sendall(b"one")
        await asyncio.sleep(0.05)
        break_off(there)
        await asyncio.sleep(0.05)
        assert await connection.read() == b"one"
        with pytest.raises(ConnectionResetError):
            await connection.read()


@pytest.mark.anyio
async def test_a_connection_that_breaks_wakes_who_waits() -> None:
    async with connected() as (connection, there):
        reading = asyncio.create_task(connection.read())
        await asyncio.sleep(0.05)
        break_off(there)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reading, 2)


@pytest.mark.anyio
async def test_who_gives_up_reading_loses_nothing() -> None:
    async with connected() as (connection, there):
        reading = asyncio.create_task(connection.read())
        await asyncio.sleep(0.05)
        reading.cancel()
        there.sendall(b"late")
        assert await connection.read() == b"late"


# Behind TLS

AUTHORITY = trustme.CA()
HERE, THERE = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
AUTHORITY.configure_trust(HERE)
AUTHORITY.issue_cert("photos.test").configure_cert(THERE)
PHOTO = bytes(range(256)) * 6_000
DECLARED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PHOTO)
UNDECLARED = b"HTTP/1.1 200 OK\r\n\r\n"
Ending = Callable[[ssl.SSLSocket], object]


def goodbye(there: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):  # the other side may not wait to answer it
        there.unwrap()


def leave(there: ssl.SSLSocket) -> None:
    there.shutdown(socket.SHUT_WR)


@contextlib.asynccontextmanager
async def connected_by_tls(sent: bytes, ending: Ending) -> AsyncIterator[Connection]:
    """A connection to a server that sends and leaves."""
    done = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), THERE.wrap_socket(listener.accept()[0], server_side=True) as there:
            there.sendall(sent)
            ending(there)
            done.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(MOST_BYTES), *listener.getsockname(), ssl=HERE, server_hostname="photos.test"
        )
        yield connection
        connection.abort()
        done.set()
        await asyncio.to_thread(server.join)


async def body_from(connection: Connection) -> bytes:
    exchange = Exchange(connection, parse_link("https://photos.test/"))
    await exchange.get()
    with Admission(1).place() as place:
        return await exchange.body(MOST_BYTES, place)


@pytest.mark.anyio
@pytest.mark.parametrize("pause", [0, 0.3], ids=["read at once", "read late"])
@pytest.mark.parametrize("ending", [goodbye, leave])
async def test_a_photo_that_tells_its_length_is_whole_however_its_server_leaves(ending: Ending, pause: float) -> None:
    async with connected_by_tls(DECLARED + PHOTO, ending) as connection:
        await asyncio.sleep(pause)
        assert await asyncio.wait_for(body_from(connection), 10) == PHOTO


@pytest.mark.anyio
async def test_the_end_of_a_photo_that_tells_none_is_a_goodbye() -> None:
    async with connected_by_tls(UNDECLARED + PHOTO, goodbye) as connection:
        assert await asyncio.wait_for(body_from(connection), 10) == PHOTO


@pytest.mark.anyio
@pytest.mark.parametrize("ending", [leave, break_off])
@pytest.mark.parametrize("pause", [0, 0.3], ids=["read at once", "read late"])
async def test_without_one_it_may_have_been_cut(ending: Ending, pause: float) -> None:
    async with connected_by_tls(UNDECLARED + PHOTO, ending) as connection:
        await asyncio.sleep(pause)
        with pytest.raises(SourceFailed):
            await asyncio.wait_for(body_from(connection), 10)


@pytest.mark.anyio
async def test_more_than_a_photo_has_is_not_kept() -> None:
    async with connected_by_tls(bytes(20_000_000), goodbye) as connection:
        await asyncio.sleep(0.5)
        assert MOST_BYTES + FRAMING < connection.ahead <= MOST_BYTES + FRAMING + 8_000_000
        with pytest.raises(ConnectionAbortedError):
            await rest_of(connection)
