"""What the bounds on heads and connections cost each request, beside uvicorn's own protocol.

    python -m benchmarks.request_heads

Two servers with the same small app, each in a process of its own on uvloop, take turns within one run, so that a noisy
neighbour hits them alike. Measured is the processor time of the server, from the kernel's count of nanoseconds.
"""

import multiprocessing
import socket
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from food_vision.http_protocol import BoundedHttp, HeadBounds

ROUNDS = 21
ANSWER = b"ok"
GET = b"GET /v1/predict?url=https://example.org/a.jpg HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: a\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b"\0" * 2_000_000
BOUNDS = HeadBounds(head_bytes=65_536, head_seconds=10.0, connections=800, docs_url="/docs")
PROTOCOLS: dict[str, Any] = {"uvicorn's": "httptools", "bounded": partial(BoundedHttp, BOUNDS)}


async def app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Read the body and answer with two bytes."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"%d" % len(ANSWER))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})


def serve(protocol: Any, listener: socket.socket) -> None:  # noqa: ANN401 - what uvicorn takes
    config = uvicorn.Config(app, http=protocol, loop="uvloop", lifespan="off", log_level="error", access_log=False)
    uvicorn.Server(config).run([listener])


def ask(connected: socket.socket, request: bytes) -> None:
    connected.sendall(request)
    received = b""
    while not received.endswith(b"\r\n\r\n" + ANSWER):
        received += connected.recv(65_536)


def kept_alive(address: tuple[str, int], count: int = 300) -> int:
    with socket.create_connection(address) as connected:
        for _ in range(count):
            ask(connected, GET)
    return count


def one_each(address: tuple[str, int], count: int = 150) -> int:
    return sum(kept_alive(address, 1) for _ in range(count))


def uploads(address: tuple[str, int], count: int = 10) -> int:
    with socket.create_connection(address) as connected:
        for _ in range(count):
            ask(connected, UPLOAD)
    return count


def processor_time(pid: int) -> float:
    """Return the microseconds that a process has had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1_000


def microseconds(pid: int, address: tuple[str, int], load: Callable[[tuple[str, int]], int]) -> float:
    before = processor_time(pid)
    count = load(address)
    return (processor_time(pid) - before) / count


def main() -> None:
    """Print the table."""
    servers = {}
    for name, protocol in PROTOCOLS.items():
        listener = socket.create_server(("127.0.0.1", 0))
        process = multiprocessing.get_context("fork").Process(target=serve, args=(protocol, listener), daemon=True)
        process.start()
        servers[name] = (process.pid or 0, listener.getsockname())
    print("| µs of processor time per request | uvicorn's | bounded | ratio |\n|---|---|---|---|")
    for load in (kept_alive, one_each, uploads):
        samples: dict[str, list[float]] = {name: [] for name in servers}
        for turn in range(ROUNDS):
            for name, server in list(servers.items())[:: 1 if turn % 2 else -1]:
                samples[name].append(microseconds(*server, load))
        plain, bounded = (statistics.median(values[1:]) for values in samples.values())
        ratio = statistics.median(b / a for a, b in zip(*samples.values(), strict=True))
        print(f"| {load.__name__.replace('_', ' ')} | {plain:.1f} | {bounded:.1f} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
