"""The log: one JSON object per line on standard error, whoever writes it; and nobody waits for those who read it."""

import contextlib
import json
import logging
import os
import select
import sys
import time

PIECE = 4_096
"""Bytes that a pipe which takes any takes without waiting."""
PATIENCE_MS = 100
"""For the rest of a line that is longer."""
NAMES = ("food_vision", "uvicorn", "asyncio")


class JsonLines(logging.Formatter):
    """Makes a record one line of JSON: time, level, then the record's ``fields`` or else its message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            **getattr(record, "fields", {"message": record.getMessage()}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Lines(logging.Handler):
    """Writes lines to a file descriptor, and goes without where that would mean to wait.

    A log collector that stalls lets the pipe run full; the next line would stop the event loop, and with it health
    checks and the end at SIGTERM. Neither do a full disk or a closed pipe matter. How many lines are lost is told with
    the first one that is not.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._lost = 0
        self._is_cut = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._lost and self._write(json.dumps({"level": "warning", "message": f"{self._lost:,} lines are lost."})):
            self._lost = 0
        if self._lost or not self._write(self.format(record)):
            self._lost += 1

    def _write(self, line: str) -> bool:
        # What was cut ends first: else this line would be lost as well.
        data = ("\n" * self._is_cut + line + "\n").encode()
        with contextlib.suppress(OSError):
            for start in range(0, len(data), PIECE):
                if not self._poll.poll(PATIENCE_MS if start else 0):
                    return False
                os.write(self._descriptor, data[start : start + PIECE])
                self._is_cut = start + PIECE < len(data)
            return True
        return False


def write(log: logging.Logger, level: int, **fields: object) -> None:
    """Write a line with the given members; within an ``except`` block of level error, with the trace."""
    log.log(level, "%s", fields, extra={"fields": fields}, exc_info=level >= logging.ERROR)


def set_up_logging(level: str) -> None:
    """Send all lines to standard error; uvicorn's access log is silenced: it would write links with their queries.

    So is the parser of forms, which warns of every broken one, and whose callers hear of it anyway.
    """
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    logging.getLogger("food_vision").setLevel(level.upper())
    for log in map(logging.getLogger, NAMES):
        if not log.handlers:
            # Who closes standard error wants no log, and its number belongs to another file then.
            handler = Lines(sys.stderr.fileno()) if sys.stderr else logging.NullHandler()
            handler.setFormatter(JsonLines())
            log.addHandler(handler)
        log.propagate = False
