"""A web server on loopback that misbehaves on demand: a route per trick.

    python -m tests.origin --port 8001 --photos DIR

serves the tricks, and the photos of a directory under ``/photos/NAME``. In tests it is the ``origin`` fixture, which
also tells what arrived, so that "nothing was dialled" can be asserted.
"""

import argparse
import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import trustme

from tests.tricks import ROUTES, Ask, Route, Writer, answer, fixed, parse_ask

HOST = "127.0.0.1"
TLS_NAME = "photos.test"


class Origin:
    """The server, in a thread and with an event loop of its own, so that any kind of test can use it."""

    def __init__(self, host: str = HOST, port: int = 0, photos: Path | None = None) -> None:
        self.host = host
        self.requests: list[Ask] = []
        self.names: list[str | None] = []
        self.connections = 0
        self.open_connections = 0
        self._photos = photos
        self._asked_port = port
        self._ready, self._loop, self._stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
        self._authority = trustme.CA()
        self.port = self.tls_port = self.silent_port = self.talking_port = 0

    def url(self, path: str = "", host: str | None = None) -> str:
        return f"http://{host or self.host}:{self.port}{path}"

    def tls_url(self, path: str = "", host: str = TLS_NAME) -> str:
        return f"https://{host}:{self.tls_port}{path}"

    def client_context(self) -> ssl.SSLContext:
        """Trusts this origin's certificates, and no others."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        return context

    def forget(self) -> None:
        self.requests, self.names, self.connections = [], [], 0

    def all_left(self, seconds: float = 2.0) -> bool:
        """Wait until every connection is closed, and tell whether that came about in time."""
        end = time.monotonic() + seconds
        while self.open_connections and time.monotonic() < end:
            time.sleep(0.01)
        return self.open_connections == 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Origin"]:
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),), daemon=True)
        thread.start()
        self._ready.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)
            self._loop.close()

    async def _main(self) -> None:
        plain = await asyncio.start_server(self._serve, self.host, self._asked_port)
        tls = await asyncio.start_server(self._serve, self.host, 0, ssl=self._server_context())
        silent = await asyncio.start_server(self._say_nothing, self.host, 0)
        talking = await asyncio.start_server(self._talk_first, self.host, 0)
        servers = (plain, tls, silent, talking)
        self.port, self.tls_port, self.silent_port, self.talking_port = map(_port_of, servers)
        self._ready.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        callers = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(TLS_NAME, self.host).configure_cert(context)
        context.sni_callback = lambda _, name, __: self.names.append(name)
        return context

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        with self._counted(writer):
            ask = parse_ask(await reader.readuntil(b"\r\n\r\n"), bool(writer.get_extra_info("ssl_object")), reader)
            self.requests.append(ask)
            await self._route(ask.path)(ask, writer)
            await writer.drain()

    async def _say_nothing(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        with self._counted(writer):
            await reader.read(-1)

    async def _talk_first(self, _: asyncio.StreamReader, writer: Writer) -> None:
        with self._counted(writer):
            writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
            await writer.drain()

    @contextlib.contextmanager
    def _counted(self, writer: Writer) -> Iterator[None]:
        self.connections += 1
        self.open_connections += 1
        try:
            # Callers that leave in the middle are what many of the tricks are for.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                yield
        finally:
            self.open_connections -= 1
            writer.close()

    def _route(self, path: str) -> Route:
        whole, _, rest = path.strip("/").partition("/")
        if whole == "photos" and (photo := self._photo(rest)):
            return fixed(answer(photo.read_bytes()))
        return ROUTES.get(path.strip("/")) or ROUTES.get(whole) or fixed(answer(b"no such trick", status=404))

    def _photo(self, name: str) -> Path | None:
        if self._photos is None:
            return None
        photo = (self._photos / name).resolve()
        return photo if photo.is_file() and photo.is_relative_to(self._photos.resolve()) else None


def _port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--photos", type=Path)
    arguments = parser.parse_args()
    with Origin(port=arguments.port, photos=arguments.photos).running() as origin:
        print(origin.url(), *sorted(ROUTES), sep="\n  /", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
