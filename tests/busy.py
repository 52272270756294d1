"""A small server that answers what it is told to, one answer after the other, and remembers what it was asked."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PREDICTION: dict[str, Any] = {
    "dish": "ramen",
    "score": 0.9341,
    "predictions": [{"dish": "ramen", "score": 0.9341}, {"dish": "pho", "score": 0.0312}],
    "prediction_set": ["ramen"],
    "coverage": 0.95,
    "food": True,
    "food_score": 0.998,
    "photo": {"width": 64, "height": 48, "format": "JPEG", "sha256": "0" * 64},
    "model": {"name": "food-vision", "version": "1.3.1"},
    "timings_ms": {"fetch": 0.0, "decode": 1.0, "queue": 0.0, "inference": 3.0},
    "not known yet": "to this client",
}
PROBLEM = {"status": 503, "code": "overloaded", "detail": "No room.", "request_id": "abc", "title": "Overloaded"}


@dataclass(frozen=True)
class Reply:
    """An answer to be given; ``hang_up`` gives none."""

    status: int = 200
    body: object = field(default_factory=lambda: PREDICTION)
    headers: tuple[tuple[str, str], ...] = ()
    hang_up: bool = False


def refusal(status: int = 503, retry_after: str | None = None) -> Reply:
    headers = () if retry_after is None else (("Retry-After", retry_after),)
    return Reply(status, PROBLEM | {"status": status}, headers)


@dataclass
class Busy:
    """The server; once its list is used up it repeats the last answer."""

    replies: list[Reply]
    url: str = ""
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """Path with query, headers in lower case, body."""

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextlib.contextmanager
def busy(*replies: Reply) -> Iterator[Busy]:
    server = Busy(list(replies))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            reply = server.next()
            if reply.hang_up:
                self.close_connection = True
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in (*reply.headers, ("Content-Length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - the base class's name

        def log_message(self, *_: object) -> None:
            """Say nothing: the record is what tests look at."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join(5)
