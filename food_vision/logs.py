"""The log: one JSON object per line, whoever writes it."""

import json
import logging
import sys
import time


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


def write(log: logging.Logger, level: int, **fields: object) -> None:
    """Write a line with the given members; within an ``except`` block of level error, with the trace."""
    log.log(level, "%s", fields, extra={"fields": fields}, exc_info=level >= logging.ERROR)


def set_up_logging(level: str) -> None:
    """Send our lines to standard error; uvicorn's access log is silenced: it would write links with their queries.

    So is the parser of forms, which warns of every broken one, and whose callers hear of it anyway.
    """
    # Where a line cannot be written, on a full disk or a closed pipe, the trace of it cannot either; only time is lost.
    logging.raiseExceptions = False
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    log = logging.getLogger("food_vision")
    log.setLevel(level.upper())
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
    log.propagate = False
