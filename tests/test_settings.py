"""Settings: what platforms mean by their variables, and one clear line for each bad value."""

import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from food_vision.errors import StartupError
from food_vision.settings import Settings, load_settings, settings_table
from tests.service import ROOT, clean_environment

BAD_VALUES = [
    pytest.param("PORT", "http", "PORT is 'http'", id="a port that is no number"),
    pytest.param("PORT", "70000", "PORT is '70000'", id="a port out of range"),
    pytest.param("WEB_CONCURRENCY", "0", "WEB_CONCURRENCY is '0'", id="no workers"),
    pytest.param("FOOD_VISION_ENGINE", "gpu", "FOOD_VISION_ENGINE is 'gpu'", id="an engine there is not"),
    pytest.param("FOOD_VISION_ALLOW_NETWORKS", "10.1.2.3/16", "host bits set", id="a network with host bits"),
    pytest.param("FOOD_VISION_ALLOW_NETWORKS", "intranet", "FOOD_VISION_ALLOW_NETWORKS is", id="a network by name"),
    pytest.param("FOOD_VISION_ALLOW_PORTS", "80,http", "FOOD_VISION_ALLOW_PORTS is", id="a port by name"),
    pytest.param("FOOD_VISION_FETCH_TIMEOUT", "-1", "FOOD_VISION_FETCH_TIMEOUT is '-1'", id="a negative time"),
    pytest.param("FOOD_VISION_MAX_PHOTO_BYTES", "20MB", "FOOD_VISION_MAX_PHOTO_BYTES is '20MB'", id="a unit"),
]


@pytest.mark.parametrize(("variable", "value", "sentence"), BAD_VALUES)
def test_a_bad_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StartupError) as refusal:
        load_settings()
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        pytest.param("FOOD_VISION_API_KEY", "FOOD_VISION_API_KEYS", id="one letter short"),
        pytest.param("food_vision_allow_host", "FOOD_VISION_ALLOW_HOSTS", id="lower case"),
        pytest.param("FOOD_VISION_ALLOW_PORT", "FOOD_VISION_ALLOW_PORTS", id="almost as a cluster's"),
        pytest.param("FOOD_VISION_WORKER", "FOOD_VISION_WORKERS", id="of a setting with two names"),
        pytest.param("FOOD_VISION_PORT", "PORT", id="a platform's name with our prefix"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(StartupError) as refusal:
        load_settings()
    assert str(refusal.value) == f"{variable} is not a setting; the nearest one is {nearest}."


def test_every_name_that_a_setting_has_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOD_VISION_WORKERS", "3")
    monkeypatch.setenv("FOOD_VISION_CLIENT_KEY", "a key of the command line")
    assert load_settings().workers == 3


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("FOOD_VISION_SERVICE_HOST", "10.0.0.1", id="host"),
        pytest.param("FOOD_VISION_SERVICE_PORT_HTTP", "80", id="named port"),
        pytest.param("FOOD_VISION_PORT_80_TCP_ADDR", "10.0.0.1", id="port"),
        pytest.param("FOOD_VISION_PORT", "tcp://10.0.0.1:80", id="link"),
        pytest.param("FOOD_VISION_API_PORT", "tcp://10.0.0.1:80", id="link of another service"),
        pytest.param("FOOD_VISION_API_KEY", "", id="empty, as good as unset"),
    ],
)
def test_what_a_cluster_sets_by_itself_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert load_settings() == Settings()


def test_a_bad_value_stops_the_start_with_that_line_and_a_non_zero_exit() -> None:
    outcome = subprocess.run(
        [sys.executable, "main.py"],
        cwd=ROOT,
        env=clean_environment() | {"PORT": "http"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 1
    assert outcome.stderr.count("\n") == 1
    assert outcome.stderr.startswith("food-vision cannot start: PORT is 'http'")


def test_lists_are_read_as_operators_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOD_VISION_ALLOW_NETWORKS", "10.1.0.0/16, 127.0.0.0/8,::1/128")
    monkeypatch.setenv("FOOD_VISION_CORS_ORIGINS", "https://a.example,https://b.example")
    settings = load_settings()
    assert settings.allow_networks == (ip_network("10.1.0.0/16"), ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_platform_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8123")
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    settings = load_settings()
    assert (settings.port, settings.workers) == (8123, 3)


def test_keyword_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOD_VISION_MAX_BATCH", "3")
    assert Settings(max_batch=5).max_batch == 5


def test_every_setting_has_its_line_of_help() -> None:
    rows = list(settings_table())
    assert len(rows) == len(Settings.model_fields)
    assert all(row.help.endswith(".") or row.help.endswith(")") for row in rows), "a sentence each"


def test_no_setting_is_named_outside_the_table() -> None:
    """A variable that the documentation or the container names must exist."""
    known = {row.variable for row in settings_table()} | {f"FOOD_VISION_{n.upper()}" for n in Settings.model_fields}
    for name in ("README.md", "compose.yaml", "app.json", "Dockerfile"):
        path: Path = ROOT / name
        for word in path.read_text().replace("`", " ").replace("=", " ").replace('"', " ").split():
            if word.startswith("FOOD_VISION_"):
                assert word.strip(".,;:()*") in known, f"{name} names {word}"
