"""The log: whoever writes a line never fails by it, and every line stays whole, whatever stands in it."""

import contextlib
import json
import logging
import os
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from food_vision.logs import MOST_BYTES, JsonLines, Lines, write
from tests.service import ROOT


class Unspeakable:
    """Cannot be put into words."""

    def __repr__(self) -> str:
        raise ValueError("no words")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[logging.Logger, Path]]:
    """A log of its own, which nobody else hears, and the file that it goes to."""
    path, log = tmp_path / "log", logging.Logger("a log")
    with path.open("wb") as file:
        handler = Lines(file.fileno())
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
        yield log, path


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"message": {1, 2}}, id="what JSON has no word for"),
        pytest.param({"message": Unspeakable()}, id="what has no words at all"),
    ],
)
def test_what_cannot_be_written_is_said_to_be_so(
    log: tuple[logging.Logger, Path], fields: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    write(log[0], logging.WARNING, **fields)
    write(log[0], logging.WARNING, message="next")
    spoilt, after = map(json.loads, log[1].read_text().splitlines())
    assert spoilt["message"].startswith("The line of logs.py:")
    assert (spoilt["level"], after["message"]) == ("warning", "next")
    assert capfd.readouterr().err == ""


def test_arguments_that_do_not_fit_the_message_cost_nothing_but_the_line(log: tuple[logging.Logger, Path]) -> None:
    """As a library may log."""
    log[0].warning("%d of %d", "one")
    assert "TypeError" in json.loads(log[1].read_text())["message"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"message": "a" * 1_000_000}, id="letters"),
        pytest.param({"message": "\n" * 10_000}, id="what grows in JSON"),
        pytest.param({"message": "é😀" * 10_000}, id="what grows more"),
        pytest.param({"path": "p" * 5_000, "message": "m" * 5_000, "id": "1"}, id="two long ones"),
        pytest.param({"message": "m", "stages_ms": {str(number): number for number in range(5_000)}}, id="no text"),
    ],
)
def test_a_long_line_is_cut_and_stays_json(log: tuple[logging.Logger, Path], fields: dict[str, object]) -> None:
    write(log[0], logging.WARNING, **fields)
    (line,) = log[1].read_bytes().splitlines()
    length = len(line)
    assert 0.9 * MOST_BYTES < length <= MOST_BYTES
    assert list(json.loads(line)) == ["time", "level", *fields]


def fall(depth: int) -> None:
    if depth == 0:
        raise KeyError("the root of it")
    fall(depth - 1)


def test_a_long_trace_keeps_what_tells_most(log: tuple[logging.Logger, Path]) -> None:
    """The innermost frames of each error in the chain, and what each says."""
    try:
        try:
            fall(40)
        except KeyError as error:
            raise ValueError("what came of it") from error
    except ValueError:
        write(log[0], logging.ERROR, id="1")
    (line,) = log[1].read_bytes().splitlines()
    trace = json.loads(line)["trace"]
    assert len(line) <= MOST_BYTES
    assert all(word in trace for word in ("KeyError: 'the root of it'", "ValueError: what came of it", "in fall"))


def test_lines_of_several_writers_on_one_pipe_stay_whole() -> None:
    """As of several workers: each has a handler of its own, and lines as long as they may be."""
    here, there = os.pipe()
    writers, lines = 4, 500

    def work(letter: str) -> None:
        handler = Lines(there)
        handler.setFormatter(JsonLines())
        record = logging.makeLogRecord({"levelname": "ERROR", "msg": letter * 10_000})
        for _ in range(lines):
            handler.emit(record)
            time.sleep(0.0005)  # else the pipe is full all the time, and few lines are written at all

    def read() -> bytes:
        pieces = []
        while piece := os.read(here, 65_536):
            pieces.append(piece)
        os.close(here)
        return b"".join(pieces)

    with ThreadPoolExecutor(writers + 1) as pool:
        reading = pool.submit(read)
        for done in [pool.submit(work, letter) for letter in "abcd"]:
            done.result(60)
        os.close(there)
        messages = [json.loads(line)["message"] for line in reading.result(60).splitlines()]
    whole = [message for message in messages if not message.endswith("are lost.")]
    assert len(whole) > 50
    assert all(set(message) == {*"... ", message[-1]} for message in whole)


class Ready:
    """Says that there is room, as it was a moment ago."""

    def poll(self, _: float) -> list[tuple[int, int]]:
        return [(0, select.POLLOUT)]


def can_refuse() -> bool:
    """Whether a single write to a pipe may be told not to wait: since Linux 6."""
    here, there = os.pipe()
    try:
        return os.pwritev(there, [b"a"], -1, os.RWF_NOWAIT) == 1
    except (OSError, AttributeError):
        return False
    finally:
        os.close(here)
        os.close(there)


@pytest.mark.skipif(not can_refuse(), reason="this system has no write that does not wait")
def test_a_pipe_that_another_worker_has_just_filled_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = os.pipe()
    os.set_blocking(there, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(there, bytes(4_096))
    os.set_blocking(there, True)
    handler = Lines(there)
    monkeypatch.setattr(handler, "_poll", Ready())
    record = logging.makeLogRecord({"msg": "one more"})
    writer = threading.Thread(target=handler.emit, args=(record,), daemon=True)
    writer.start()
    writer.join(10)
    is_waiting = writer.is_alive()
    os.read(here, 65_536)  # whoever does wait goes on
    assert not is_waiting
    assert os.get_blocking(there), "others who share it wait as ever"
    os.close(there)
    os.close(here)


def test_a_line_that_a_full_disk_cuts_spoils_no_other(log: tuple[logging.Logger, Path]) -> None:
    """A file that may grow no further takes part of a line, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        for number in range(3):
            write(log[0], logging.WARNING, message=f"{number}" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    write(log[0], logging.WARNING, message="next")
    cut, *lines = log[1].read_text().splitlines()
    assert len(cut) == 100
    assert [json.loads(line)["message"] for line in lines] == ["3 lines are lost.", "next"]


def test_a_line_that_is_cut_spoils_no_line_of_another_part(tmp_path: Path) -> None:
    """What the server says and what it runs on says are one log."""
    code = """
import logging, resource
from food_vision.logs import set_up_logging
set_up_logging("info")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
logging.getLogger("food_vision").warning("a" * 200)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
logging.getLogger("uvicorn").warning("next")
"""
    path = tmp_path / "log"
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stderr=file, cwd=ROOT, check=True, timeout=60)
    cut, *lines = path.read_text().splitlines()
    assert len(cut) == 100
    assert [json.loads(line)["message"] for line in lines] == ["1 lines are lost.", "next"]
