"""Which HTTP client fetches a photo for less: time, processor time, memory and disk.

    pip install aiohttp 'httpcore2[asyncio]'
    python -m benchmarks.http_clients

Fetches a body of 100 kB from a small server in a process of its own on loopback, a new connection each time, as the
fetcher does. The clients take turns within one run, so that a noisy neighbour hits them alike. Each is set up with the
guard that the fetcher needs: the address is looked at before it is dialled. Memory is the growth of a fresh process on
import; disk counts what comes on top of FastAPI and uvicorn, which bring h11, anyio and idna anyway. The last row is
what was made of h11: the fetcher itself, with look-up in a thread, slots, deadline and all checks.
"""

import asyncio
import multiprocessing
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from importlib.metadata import files
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import aiohttp
import h11
import httpcore2
import uvloop
from aiohttp.connector import AddrInfoType

from food_vision.intake.fetch import Fetcher
from food_vision.settings import Settings

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
Fetch = Callable[[str, int], Awaitable[int]]

PHOTO = b"\xff\xd8" + b"\x00" * 99_996 + b"\xff\xd9"
ROUNDS, FETCHES = 15, 60
MODULES = {"httpcore2": "httpcore2, anyio", "aiohttp": "aiohttp", "h11 on streams": "h11"}
DISTRIBUTIONS = {
    "httpcore2": ["httpcore2", "truststore"],
    "aiohttp": ["aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache", "yarl", "attrs"],
    "h11 on streams": [],
}


class Sample(NamedTuple):
    """Milliseconds per fetch in one round."""

    wall: float
    processor: float


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO)
    await writer.drain()
    writer.close()


async def serve_forever(pipe: Connection) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def serve(pipe: Connection) -> None:
    asyncio.run(serve_forever(pipe))


def judge(address: str) -> None:
    if not address.startswith("127."):
        raise PermissionError(address)


class Dialler(httpcore2.AnyIOBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the base class has it
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        judge(host)
        return await super().connect_tcp(host, port, timeout, local_address, socket_options)


async def with_httpcore2(host: str, port: int) -> int:
    origin = httpcore2.Origin(b"http", host.encode(), port)
    url = httpcore2.URL(scheme=b"http", host=host, port=port, target=b"/")
    connection = httpcore2.AsyncHTTPConnection(origin, network_backend=Dialler())
    async with connection, connection.stream("GET", url) as response:
        return sum([len(chunk) async for chunk in response.aiter_stream()])


def guarded_socket(addr_info: AddrInfoType) -> socket.socket:
    family, kind, proto, _, address = addr_info
    judge(str(address[0]))
    return socket.socket(family, kind, proto)


def guarded_session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(socket_factory=guarded_socket, force_close=True)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False)


async def with_aiohttp(session: aiohttp.ClientSession, host: str, port: int) -> int:
    async with session.get(f"http://{host}:{port}/") as response:
        return sum([len(chunk) async for chunk in response.content.iter_any()])


async def with_h11(host: str, port: int) -> int:
    judge(host)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        protocol = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target="/", headers=[("Host", host)])
        writer.write((protocol.send(request) or b"") + (protocol.send(h11.EndOfMessage()) or b""))
        return await h11_body(protocol, reader)
    finally:
        writer.close()


async def h11_body(protocol: h11.Connection, reader: asyncio.StreamReader) -> int:
    count = 0
    while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            protocol.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Data):
            count += len(event.data)
    return count


async def with_fetcher(fetcher: Fetcher, host: str, port: int) -> int:
    return len(await fetcher.fetch(f"http://{host}:{port}/"))


async def one_round(fetch: Fetch, port: int) -> Sample:
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(FETCHES):
        if await fetch("127.0.0.1", port) != len(PHOTO):
            raise RuntimeError("a fetch came back short")
    return Sample((time.perf_counter() - wall) * 1000 / FETCHES, (time.process_time() - processor) * 1000 / FETCHES)


async def measure(port: int) -> dict[str, list[Sample]]:
    async with guarded_session() as session:
        clients: dict[str, Fetch] = {
            "httpcore2": with_httpcore2,
            "aiohttp": partial(with_aiohttp, session),
            "h11 on streams": with_h11,
            "Fetcher": partial(with_fetcher, Fetcher(Settings(allow_networks="127.0.0.0/8"))),
        }
        samples: dict[str, list[Sample]] = {name: [] for name in clients}
        for turn in range(ROUNDS + 1):
            for name, fetch in clients.items():
                sample = await one_round(fetch, port)
                if turn:  # the first warms up
                    samples[name].append(sample)
    return samples


def import_megabytes(modules: str) -> float:
    script = (
        "import asyncio, ssl, socket, resource\n"
        "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 1e6\n"
        f"before = rss()\nimport {modules}\nprint(rss() - before)"
    )
    runs = [subprocess.check_output([sys.executable, "-c", script], text=True) for _ in range(5)]
    return statistics.median(map(float, runs))


def disk_megabytes(distributions: Iterable[str]) -> float:
    paths = (Path(str(path.locate())) for name in distributions for path in files(name) or [])
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc") / 1e6


def report(samples: dict[str, list[Sample]]) -> None:
    for name, rounds in samples.items():
        wall, processor = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:16}{wall:10.2f}{processor:9.2f}")


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    for loop, run in {"asyncio": asyncio.run, "uvloop": uvloop.run}.items():
        print(f"{loop:16}{'ms/fetch':>10}{'cpu ms':>9}")
        report(run(measure(port)))
    server.terminate()
    print(f"{'':16}{'import MB':>10}{'disk MB':>9}")
    for name, distributions in DISTRIBUTIONS.items():
        print(f"{name:16}{import_megabytes(MODULES[name]):10.1f}{disk_megabytes(distributions):9.1f}")


if __name__ == "__main__":
    main()
