"""Names, folders, links and servers that mean harm to the command line, to its terminal or to a spreadsheet."""

import contextlib
import csv
import io
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.busy import PREDICTION, PROBLEM, Reply, busy
from tests.photos import photo
from tests.service import Service, running_service
from tests.test_cli import COMMAND, LOOPBACK, MODEL, environment, json_lines, run

STEERING = ("\x1b]", "\x07", "\x9b", "\x7f", "\x1b[31m")
ELSEWHERE = LOOPBACK | {"FOOD_VISION_MODEL": str(MODEL)}


def test_a_link_that_is_no_text_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    links = [os.fsdecode(b"http://x\xff/a.jpg"), os.fsdecode(b"http://x/\xff.jpg")]
    words = ["predict", "a.jpg", *links, "a.jpg", "--json"]
    with busy(Reply()) as server:
        there = run(*words, "--server", server.url, cwd=tmp_path)
    here = run(*words, cwd=tmp_path, settings=ELSEWHERE)
    for outcome in (here, there):
        codes = [answer.get("problem", {}).get("code") for answer in json_lines(outcome)]
        assert codes == [None, "invalid_url", "invalid_url", None]
        assert outcome.returncode == 1


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        pytest.param("=cmd|' C'!A0.jpg", "./=cmd|' C'!A0.jpg", id="equals"),
        pytest.param("+1.jpg", "./+1.jpg", id="plus"),
        pytest.param("-1.jpg", "./-1.jpg", id="minus"),
        pytest.param("@SUM(1).jpg", "./@SUM(1).jpg", id="at"),
        pytest.param("\t=1.jpg", "./\t=1.jpg", id="tab"),
        pytest.param("\r=1.jpg", "./\r=1.jpg", id="carriage return"),
        pytest.param('=HYPERLINK("http://a/")', '\'=HYPERLINK("http://a/")', id="a link"),
        pytest.param("a=1.jpg", "a=1.jpg", id="harmless"),
    ],
)
def test_no_source_in_csv_begins_as_a_formula(tmp_path: Path, name: str, cell: str) -> None:
    if "://" not in name:
        (tmp_path / name).write_bytes(photo())
    with busy(Reply()) as server:
        outcome = run("predict", "--csv", "--server", server.url, "--", name, cwd=tmp_path)
    (row,) = rows_of(outcome)
    assert row["source"] == cell
    assert bool(row["error"]) is ("://" in name)


def rows_of(outcome: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(outcome.stdout, newline="")))


def test_what_a_server_says_is_no_formula_either(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    dishes = [{"dish": "=1+1", "score": 1}, {"dish": "pho", "score": 0.0}]
    answer = Reply(body=PREDICTION | {"predictions": dishes, "prediction_set": ["@SUM(1)", "pho"]})
    problem = Reply(400, PROBLEM | {"status": 400, "detail": "=1+1"})
    words = ["predict", "--csv", "--top-k", "2", "a.jpg"]
    with busy(answer) as server:
        (row,) = rows_of(run(*words, "--server", server.url, cwd=tmp_path))
    assert list(row.values()) == ["a.jpg", "true", "'@SUM(1)|pho", "'=1+1", "1.0", "pho", "0.0", ""]
    with busy(problem) as server:
        (row,) = rows_of(run(*words, "--server", server.url, cwd=tmp_path))
    assert row["error"] == "'=1+1"


@pytest.mark.parametrize("form", ["--csv", "--json", "--min-score=0"], ids=["csv", "json", "table"])
def test_nothing_steers_the_terminal(tmp_path: Path, form: str) -> None:
    name = "\x1b[31mred\x07\x9b2J\x7f.jpg"
    (tmp_path / name).write_bytes(photo())
    steering = "\x1b]0;title\x07"
    answer = PREDICTION | {"dish": steering, "predictions": [{"dish": steering, "score": 0.5}] * 2}
    with busy(Reply(body=answer | {"prediction_set": [steering]})) as server:
        for words in ([name], [name, name]):
            seen = in_terminal(tmp_path, "predict", form, "--server", server.url, *words)
            assert "x1b]0;title" in seen.replace("\\u00", "\\x")
            assert [sign for sign in STEERING if sign in seen] == []


def in_terminal(folder: Path, *words: str) -> str:
    """Return what a terminal gets on standard output."""
    watched, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *words], cwd=folder, env=environment(), stdout=terminal, stderr=subprocess.PIPE
    ) as process:
        os.close(terminal)
        seen = b""
        # A terminal whose other end is closed is an error to read from, not an end.
        with contextlib.suppress(OSError):
            while piece := os.read(watched, 4096):
                seen += piece
        assert process.wait(20) == 0
    os.close(watched)
    return seen.decode()


@pytest.mark.parametrize("form", ["--csv", "--json", "--min-score=0"], ids=["csv", "json", "table"])
def test_more_dishes_than_a_server_has_end_the_run_before_anything_is_written(
    tmp_path: Path, service: Service, form: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    outcome = run(
        "predict", form, "--top-k", "1000000", "--server", service.url, "a.jpg", "http://127.0.0.1/", cwd=tmp_path
    )
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith("food-vision: query.top_k: ")
    assert outcome.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), LOOPBACK) as service:
        yield service


def test_other_refusals_of_a_server_fail_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    refused = Reply(422, PROBLEM | {"status": 422, "code": "invalid_parameter", "detail": "body.url: too long."})
    with busy(refused, Reply()) as server:
        outcome = run("predict", "--json", "--server", server.url, "a.jpg", "a.jpg", cwd=tmp_path)
    assert sorted("problem" in answer for answer in json_lines(outcome)) == [False, True]


def test_what_is_no_file_in_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    (tmp_path / "b.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "c.jpg").symlink_to("c.jpg")
    os.mkfifo(tmp_path / "d.jpg")
    (tmp_path / "e.jpg").symlink_to("d.jpg")
    (tmp_path / "f.jpg").symlink_to("a.jpg")
    os.mkfifo(tmp_path / "no photo by its name")
    outcome = run("predict", "--json", tmp_path)
    told = {Path(answer["source"]).name: answer.get("problem", {}).get("detail") for answer in json_lines(outcome)}
    assert told == {
        "a.jpg": None,
        "b.jpg": "It cannot be read: No such file or directory.",
        "c.jpg": "It cannot be read: Too many levels of symbolic links.",
        "d.jpg": "It cannot be read: it is no regular file.",
        "e.jpg": "It cannot be read: it is no regular file.",
        "f.jpg": None,
    }
    assert outcome.returncode == 1
