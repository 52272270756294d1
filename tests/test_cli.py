"""The command line as people use it: in a process of its own, with real files, pipes, links and servers."""

import contextlib
import csv
import io
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from food_vision import __version__
from food_vision.cli.commands import app
from tests.busy import Reply, busy, refusal
from tests.origin import Origin
from tests.photos import photo
from tests.service import ROOT, Service, clean_environment, running_service

COMMAND = (sys.executable, "-m", "food_vision")
LOOPBACK = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}
MODEL = ROOT / "food-vision-model.h5"
PHOTOS = ROOT.parent / "shared" / "data" / "sharp" / "test"


def environment(settings: Mapping[str, str] = LOOPBACK) -> dict[str, str]:
    return clean_environment() | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"} | dict(settings)


def run(
    *words: str | Path, stdin: bytes = b"", settings: Mapping[str, str] = LOOPBACK, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    outcome = subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin,
        cwd=cwd,
        env=environment(settings),
        capture_output=True,
        check=False,
        timeout=60,
    )
    out, err = outcome.stdout.decode(), outcome.stderr.decode()
    assert "Traceback" not in err
    assert "onnxruntime" not in err, "the engine's chatter is kept away"
    return subprocess.CompletedProcess(outcome.args, outcome.returncode, out, err)


def json_lines(outcome: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos in and below a folder, and what is none."""
    (tmp_path / "below" / "deep").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "below/c.webp", "below/deep/d.gif"):
        kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF"}[Path(name).suffix.lower()]
        (tmp_path / name).write_bytes(photo(kind))
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "._b.JPG").write_bytes(b"what a system leaves behind")
    return tmp_path


GOOD = ["a.png", "b.JPG", "below/c.webp", "below/deep/d.gif"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    command = (*COMMAND, "serve", "--host", "127.0.0.1", "--port", "{port}", "--workers", "2")
    with running_service(tmp_path_factory.mktemp("service"), LOOPBACK | {"PORT": "1"}, command=command) as service:
        yield service


def test_one_photo_is_a_ranking(folder: Path) -> None:
    outcome = run("predict", folder / "a.png", "--top-k", "3")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    head, *rows = outcome.stdout.splitlines()
    assert head.split() == ["dish", "score"]
    assert len([row for row in rows if " % " in row]) == 3


def test_a_folder_is_a_row_for_each_of_its_photos(folder: Path) -> None:
    outcome = run("predict", folder)
    assert outcome.returncode == 0
    rows = outcome.stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == [str(folder / name) for name in GOOD]


def test_json_is_a_line_per_photo_in_the_words_of_the_api(folder: Path, service: Service) -> None:
    here = json_lines(run("predict", "--json", folder))
    there = json_lines(run("predict", "--json", folder, "--server", service.url))
    assert [answer["source"] for answer in here] == [str(folder / name) for name in GOOD]
    for mine, theirs, name in zip(here, there, GOOD, strict=True):
        direct = service.client.post("/v1/predict", content=(folder / name).read_bytes()).json()
        assert without_timings(mine) == without_timings(theirs) == without_timings(direct) | {"source": mine["source"]}
        assert mine["timings_ms"].keys() == direct["timings_ms"].keys()


def without_timings(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "timings_ms"}


def test_csv_has_a_row_per_photo_and_a_column_per_rank(folder: Path) -> None:
    (folder / "notes.jpg").write_text("no photo")
    outcome = run("predict", "--csv", folder, "--top-k", "2", "--min-score", "0.001")
    assert outcome.returncode == 1
    rows = list(csv.DictReader(io.StringIO(outcome.stdout)))
    assert list(rows[0]) == ["source", "food", "prediction_set", "dish_1", "score_1", "dish_2", "score_2", "error"]
    assert len(rows) == len(GOOD) + 1
    assert [bool(row["error"]) for row in rows] == [Path(row["source"]).name == "notes.jpg" for row in rows]
    assert all(float(row["score_1"]) >= float(row["score_2"]) for row in rows if row["score_2"])


def test_least_scores_are_kept_out(folder: Path) -> None:
    (answer,) = json_lines(run("predict", "--json", "--min-score", "1", folder / "a.png"))
    assert answer["predictions"] == []
    assert answer["dish"]


def test_two_hundred_photos_come_in_their_order(tmp_path: Path) -> None:
    sources = sorted(PHOTOS.glob("*/*.webp"))[::19][:200] if PHOTOS.exists() else made_photos(tmp_path)
    outcome = run("predict", "--json", *sources)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert [answer["source"] for answer in json_lines(outcome)] == [str(source) for source in sources]
    assert len(sources) == 200


def made_photos(folder: Path) -> list[Path]:
    """What stands in where Food-101's test photos are not present."""
    paths = [folder / f"{number:03}.jpg" for number in range(200)]
    for number, path in enumerate(paths):
        path.write_bytes(photo("JPEG", 200 + number, 240))
    return paths


BAD = [
    pytest.param("notes.txt", "This is plain text; JPEG, PNG, WebP and GIF photos are taken.", id="no photo"),
    pytest.param("missing.jpg", "It cannot be read: No such file or directory.", id="missing"),
    pytest.param("notes.txt/x", "It cannot be read: Not a directory.", id="below a file"),
    pytest.param("x" * 5000, "It cannot be read: File name too long.", id="a name too long"),
    pytest.param("/proc/self/mem", "It cannot be read: Input/output error.", id="unreadable"),
    pytest.param("/dev/zero", "The photo is larger than 20,000,000 bytes.", id="without end"),
    pytest.param("/dev/null", "The photo is empty.", id="empty"),
    pytest.param("empty", "No photos in it", id="a folder without photos"),
    pytest.param("loop.jpg", "It cannot be read: Too many levels of symbolic links.", id="a link to itself"),
    pytest.param("ftp://photos.example/", "The link does not begin with http:// or https://", id="another scheme"),
    pytest.param("http://10.0.0.1/", "The link's host cannot be contacted from here.", id="a private address"),
    pytest.param("-", "The photo is empty.", id="empty standard input"),
]
NAMES = [str(row.id) for row in BAD]


@pytest.fixture(scope="module")
def among_good_ones(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run over all the bad ones, a good one before each and one at the end."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty").mkdir()
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "good.jpg").write_bytes(photo())
    (folder / "notes.txt").write_text("no photo")
    words = [word for row in BAD for word in ("good.jpg", str(row.values[0]))]
    return run("predict", "--json", *words, "good.jpg", cwd=folder, settings={"FOOD_VISION_MODEL": str(MODEL)})


@pytest.mark.parametrize(
    ("place", "word", "sentence"), [(2 * i + 1, *row.values) for i, row in enumerate(BAD)], ids=NAMES
)
def test_a_bad_one_among_good_ones_is_told_and_fails_alone(
    among_good_ones: subprocess.CompletedProcess[str], place: int, word: str, sentence: str
) -> None:
    answers = json_lines(among_good_ones)
    assert "dish" in answers[place - 1]
    assert "dish" in answers[place + 1]
    problem = answers[place]["problem"]
    assert problem["detail"].startswith(sentence)
    assert f"  {'standard input' if word == '-' else word}: {problem['detail']}\n" in among_good_ones.stderr


def test_failures_are_counted(among_good_ones: subprocess.CompletedProcess[str]) -> None:
    assert among_good_ones.returncode == 1
    assert len(json_lines(among_good_ones)) == 2 * len(BAD) + 1
    assert among_good_ones.stderr.startswith(f"{len(BAD)} of {2 * len(BAD) + 1} failed:\n")


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    name = os.fsdecode(b"\x1b[31mred\n\xe9.jpg")
    (tmp_path / name).write_bytes(photo())
    (tmp_path / "a.jpg").write_bytes(b"")
    outcome = run("predict", tmp_path, tmp_path)
    assert "\x1b" not in outcome.stdout + outcome.stderr
    assert r"\x1b[31mred\n\udce9.jpg" in outcome.stdout
    (one, two) = [row["source"] for row in json_lines(run("predict", "--json", tmp_path))]
    assert one.endswith(name)
    assert two.endswith("a.jpg")


def test_standard_input_and_pipes_are_photos_too(folder: Path) -> None:
    data = (folder / "b.JPG").read_bytes()
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/sh", "-c", f"cat {folder}/b.JPG > {pipe}"]):
        outcome = run("predict", "--json", "-", folder / "b.JPG", pipe, stdin=data)
    assert outcome.returncode == 0
    assert len({answer["photo"]["sha256"] for answer in json_lines(outcome)}) == 1


@pytest.mark.parametrize("by_server", [False, True], ids=["model", "server"])
def test_links_are_followed(service: Service, origin: Origin, by_server: bool) -> None:
    words = ["--server", service.url] if by_server else []
    outcome = run("predict", "--json", origin.url("/photo.jpg"), origin.url("/status/404"), *words)
    good, bad = json_lines(outcome)
    assert good["photo"]["format"] == "JPEG"
    assert good["timings_ms"]["fetch"] > 0
    assert bad["problem"]["code"] == "source_failed"
    assert (len(origin.requests), outcome.returncode) == (2, 1)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        pytest.param(["--api-key", "a-key-of-many-signs"], {}, id="option"),
        pytest.param([], {"FOOD_VISION_CLIENT_KEY": "a-key-of-many-signs"}, id="variable"),
    ],
)
def test_a_busy_server_is_asked_again_with_the_key(folder: Path, words: list[str], settings: dict[str, str]) -> None:
    with busy(refusal(503, "0"), refusal(429, "0"), Reply()) as server:
        outcome = run("predict", folder / "a.png", "--server", server.url, *words, settings=settings)
    assert outcome.returncode == 0
    assert [headers["x-api-key"] for _, headers, _ in server.asked] == ["a-key-of-many-signs"] * 3
    assert {body for _, _, body in server.asked} == {(folder / "a.png").read_bytes()}


def test_a_server_that_refuses_for_long_is_a_failure(folder: Path) -> None:
    with busy(refusal(503, "3600")) as server:
        outcome = run("predict", folder / "a.png", "--server", server.url)
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines()[0] == "1 of 1 failed:"
    assert outcome.stderr.endswith("No room.\n")


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        pytest.param(
            [], {"FOOD_VISION_MODEL": "/nowhere.h5"}, "/nowhere.h5 is missing; set FOOD_VISION_MODEL", id="model"
        ),
        pytest.param([], {"FOOD_VISION_MAX_PIXELS": "many"}, "FOOD_VISION_MAX_PIXELS is 'many': ", id="setting"),
        pytest.param(
            [], {"FOOD_VISION_CLIENT_KEY": "short"}, "FOOD_VISION_CLIENT_KEY has a key, not shown here, ", id="key"
        ),
        pytest.param(["--top-k", "102"], {}, "top_k must be 1 to 101", id="more dishes than there are"),
        pytest.param(
            ["--server", "localhost"], {}, "The server's URL must be like http://localhost:5000.", id="server"
        ),
        pytest.param(
            ["--server", "http://a", "--api-key", "ü"], {}, "The server's URL or the key cannot", id="api key"
        ),
    ],
)
def test_what_cannot_begin_ends_with_a_sentence(words: list[str], settings: dict[str, str], sentence: str) -> None:
    outcome = run("predict", ROOT / "README.md", *words, settings=settings)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"food-vision: {sentence}"), outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["predict"], id="no photo"),
        pytest.param(["predict", "a.jpg", "--json", "--csv"], id="two forms"),
        pytest.param(["predict", "a.jpg", "--top-k", "0"], id="no dishes"),
        pytest.param(["predict", "a.jpg", "--min-score", "2"], id="score above 1"),
        pytest.param(["predict", "a.jpg", "--min-score", "nan"], id="score not a number"),
        pytest.param(["serve", "--port", "65536"], id="port too high"),
        pytest.param(["serve", "--workers", "0"], id="no workers"),
        pytest.param(["cook"], id="no such command"),
    ],
)
def test_wrong_use_ends_with_2(words: list[str]) -> None:
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 2
    assert "Error: " in outcome.stderr


@contextlib.contextmanager
def started(*words: str, settings: Mapping[str, str] = LOOPBACK, stderr: int = subprocess.PIPE) -> Iterator[Any]:
    with subprocess.Popen(
        [*COMMAND, *words],
        cwd=ROOT,
        env=environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("to", ["link", "server"])
def test_ctrl_c_ends_cleanly(origin: Origin, to: str) -> None:
    words = [origin.url("/stall")] if to == "link" else ["README.md", "--server", origin.url("/stall")]
    with started("predict", *words) as process:
        wait_for(lambda: origin.requests)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (130, b"", b"")


@pytest.mark.parametrize(
    "library",
    [
        pytest.param("_pydantic_core", id="reading its packages"),
        pytest.param("_multiarray_umath", id="reading numpy"),
        pytest.param("onnxruntime_pybind11_state", id="loading the model"),
    ],
)
def test_ctrl_c_ends_cleanly_from_the_beginning(folder: Path, library: str) -> None:
    with started("predict", "--json", *([str(folder)] * 100)) as process:
        wait_for(lambda: library in Path(f"/proc/{process.pid}/maps").read_text())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, b"")


def test_ctrl_c_ends_the_waiting_for_standard_input() -> None:
    with started("predict", "-") as process:
        wait_for(lambda: is_reading(process.pid))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == b""


def is_reading(pid: int) -> bool:
    """Whether the process is in ``read(0, …)``."""
    try:
        return Path(f"/proc/{pid}/syscall").read_text().startswith(("0 0x0 ", "63 0x0 "))
    except PermissionError:
        pytest.skip("this system does not say what a process waits for")


def test_a_reader_who_leaves_is_no_failure_to_talk_about(folder: Path) -> None:
    with started("predict", "--json", *([str(folder)] * 20)) as process:
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(20) == 1
    assert errors == b""


def test_a_full_disk_is_a_sentence(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        outcome = subprocess.run(
            [*COMMAND, "predict", "--json", folder], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert outcome.returncode == 1
    assert outcome.stderr == b"food-vision: standard output: No space left on device.\n"


@pytest.mark.parametrize(
    ("closed", "lines", "errors"),
    [
        pytest.param("2>&-", 2, "", id="standard error"),
        pytest.param(">&-", 0, "1 of 2 failed:", id="standard output"),
        pytest.param("<&-", 2, "standard input: It is closed.", id="standard input"),
        pytest.param("<&- >&- 2>&-", 0, "", id="all"),
    ],
)
def test_closed_streams_are_no_trouble(folder: Path, closed: str, lines: int, errors: str) -> None:
    words = shlex.join([*COMMAND, "predict", "--json", str(folder / "a.png"), "-"])
    outcome = subprocess.run(
        ["/bin/sh", "-c", f"{words} {closed}"], env=environment(), capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 1
    assert len(outcome.stdout.splitlines()) == lines
    assert errors in outcome.stderr
    assert bool(outcome.stderr) == bool(errors)


@pytest.mark.parametrize(("count", "shown"), [(1, False), (3, True)], ids=["one", "many"])
def test_progress_is_shown_to_those_who_watch(folder: Path, count: int, shown: bool) -> None:
    watched, terminal = pty.openpty()
    with started("predict", *[str(folder / "a.png")] * count, stderr=terminal) as process:
        os.close(terminal)
        output = process.stdout.read()
        assert process.wait(20) == 0
    seen = b""
    # A terminal whose other end is closed is an error to read from, not an end.
    with contextlib.suppress(OSError):
        while piece := os.read(watched, 4096):
            seen += piece
    os.close(watched)
    assert (b"3/3" in seen) is shown
    assert b"3/3" not in output


def test_help_needs_next_to_nothing() -> None:
    program = "import sys; from food_vision.cli import commands; print(*sys.modules)"
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"numpy", "PIL", "fastapi", "uvicorn", "httpx2", "onnxruntime", "pydantic_settings", "rich.console"}
    assert heavy & set(outcome.stdout.split()) == set()
    assert "predict" in run("--help").stdout


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"food-vision {__version__}\n"


def test_labels_are_those_of_the_model() -> None:
    lines = run("labels").stdout.splitlines()
    assert len(lines) == len(set(lines)) == 101
    assert lines[0] == "apple pie"


def test_settings_are_shown_with_their_origin_and_without_secrets() -> None:
    secret = "0123456789abcdef"
    settings = {"PORT": "8123", "FOOD_VISION_API_KEYS": secret, "FOOD_VISION_CLIENT_KEY": secret}
    outcome = run("settings", settings=settings)
    rows = {row.split()[0]: row.split()[1:] for row in outcome.stdout.splitlines()[1:]}
    assert rows["PORT"] == ["8123", "environment"]
    assert rows["FOOD_VISION_MAX_BATCH"] == ["8", "default"]
    assert rows["FOOD_VISION_CLIENT_KEY"] == ["**********", "environment"]
    assert secret not in outcome.stdout


def test_export_makes_ones_own_model_ready_to_use(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    weights = tmp_path / "own.h5"
    keras.Sequential(layers).save(weights)
    (tmp_path / "labels.txt").write_text("hot_dog\nnot_hot_dog\n")
    outcome = CliRunner().invoke(app, ["export", str(weights), "--labels", str(tmp_path / "labels.txt")])
    assert (outcome.exit_code, outcome.stdout.splitlines()[-1]) == (0, str(weights.with_suffix(".onnx")))
    assert run("labels", settings={"FOOD_VISION_MODEL": str(weights)}).stdout == "hot dog\nnot hot dog\n"


@pytest.mark.parametrize("package", ["keras", "tf2onnx", "onnx"])
def test_export_without_its_packages_says_what_to_install(package: str) -> None:
    program = f"import sys; sys.modules['{package}'] = None; sys.argv[1:] = ['export']\n"
    program += "from food_vision.cli.main import main; main()"
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 1
    sentence = outcome.stderr.splitlines()[-1]  # Before it stands what TensorFlow says of the processor.
    assert sentence.startswith("food-vision: Exporting needs TensorFlow")
    assert f"({package} is missing): `pip install '.[keras]'`" in sentence


def test_a_server_without_httpx2_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['httpx2'] = None; sys.argv[1:] = ['predict', 'README.md', '--server', 'http://a']\n"
    )
    program += "from food_vision.cli.main import main; main()"
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 1
    assert outcome.stderr == "food-vision: The client needs httpx2: `pip install '.[client]'`.\n"
