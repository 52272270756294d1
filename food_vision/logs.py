"""The log: one JSON object per line on standard error, whoever writes it; and nobody waits for those who read it."""

import contextlib
import json
import logging
import os
import select
import stat
import sys
import time
import traceback

MOST_BYTES = 4_094
"""Of a line, beside the ends of this line and of one that was cut: a pipe that takes any takes 4,096 without waiting,
and with nothing of another worker's line in between."""
FRAMES = 12
"""Of each trace, the innermost; those around them are the same for every request."""
NAMES = ("food_vision", "uvicorn", "asyncio")


class JsonLines(logging.Formatter):
    """Makes a record one line of JSON: time, level, then the record's ``fields`` or else its message.

    What cannot be put into words is said to be so: whoever writes a line must never be the one who fails by it.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
        }
        try:
            return _fitting(line | self._said(record))
        except Exception as error:
            where = f"{record.filename}:{record.lineno}"
            return _fitting(line | {"message": f"The line of {where} cannot be written: {type(error).__name__}."})

    def _said(self, record: logging.LogRecord) -> dict[str, object]:
        said: dict[str, object] = getattr(record, "fields", None) or {"message": record.getMessage()}
        if record.exc_info:
            said = said | {"trace": "".join(traceback.format_exception(*record.exc_info, limit=-FRAMES)).rstrip()}
        return said


def _fitting(line: dict[str, object]) -> str:
    """Return the line in JSON; where it is too long, the longest members lose their beginnings."""
    while (over := len(text := json.dumps(line)) - MOST_BYTES) > 0:
        longest = max(line, key=lambda name: len(str(line[name])))
        rest = str(line[longest])
        # In JSON a letter may take six times what it takes in the text.
        line[longest] = "... " + rest[5 + over * len(rest) // len(json.dumps(rest)) :]
    return text


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
        self._can_refuse = hasattr(os, "RWF_NOWAIT") and stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        self._lost = 0
        self._is_cut = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._lost and self._write(json.dumps({"level": "warning", "message": f"{self._lost:,} lines are lost."})):
            self._lost = 0
        if self._lost or not self._write(self.format(record)):
            self._lost += 1

    def _write(self, line: str) -> bool:
        # What a full disk has cut ends first: else this line would be lost as well.
        data = ("\n" * self._is_cut + line + "\n").encode()
        with contextlib.suppress(OSError):
            if self._poll.poll(0):
                self._is_cut = self._put(data) < len(data)
                return not self._is_cut
        return False

    def _put(self, data: bytes) -> int:
        # Another worker may have filled the pipe since it was looked at. That this one write does not wait is asked of
        # Linux 6 alone; to have none wait would hold for all who share the pipe, and they may not expect it.
        if self._can_refuse:
            try:
                return os.pwritev(self._descriptor, [data], -1, os.RWF_NOWAIT)
            except (BlockingIOError, BrokenPipeError):
                raise
            except OSError:
                self._can_refuse = False
        return os.write(self._descriptor, data)


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
    # Who closes standard error wants no log, and its number belongs to another file then.
    handler = Lines(sys.stderr.fileno()) if sys.stderr else logging.NullHandler()
    handler.setFormatter(JsonLines())
    for log in map(logging.getLogger, NAMES):
        if not log.handlers:
            log.addHandler(handler)  # the same for all: what one has cut, the next must end
        log.propagate = False
