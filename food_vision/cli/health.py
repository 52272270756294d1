"""Ask a server whether it is ready: only the standard library, for a container asks every few seconds."""

import http.client
import json
from typing import NamedTuple
from urllib.parse import urlsplit

PATIENCE = 2.5
"""Seconds; the server itself gives its model one."""
LONGEST = 10_000


class Health(NamedTuple):
    """Whether a server is ready, and a sentence about it."""

    ready: bool
    sentence: str


def ask_health(url: str) -> Health:
    """Ask ``/readyz`` of the server at an ``http`` or ``https`` URL."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return Health(False, "A server's address looks like http://127.0.0.1:5000.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=PATIENCE)
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        answer = connection.getresponse()
        return _judge(answer.status, answer.read(LONGEST))
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Health(False, f"No answer: {reason}.")


def _judge(status: int, body: bytes) -> Health:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status == http.client.OK and answer == {"status": "ready"}:
        return Health(True, "The server is ready: its model answers.")
    if isinstance(answer, dict) and isinstance(answer.get("detail"), str):
        return Health(False, f"The server says: {answer['detail']}")
    return Health(False, f"Something else than Food Vision answers there, with status {status}.")
