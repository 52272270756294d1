"""What comes over an open connection is read in order, whole, and not further ahead than is good."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import uvloop

from food_vision.intake.connection import READ_AHEAD, Connection

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
    _, connection = await asyncio.get_running_loop().create_connection(Connection, sock=here)
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
