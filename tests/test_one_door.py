"""What code can check about the two doors: bytes come in through one module, and become pixels in one other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, PACKAGE

NETWORK = {"socket", "ssl", "http.client", "urllib.request", "httpx2", "httpcore2", "aiohttp", "requests", "h11"}
MAY_USE_THE_NETWORK = {
    "intake/dial.py": "the one place that connects for a caller",
    "intake/exchange.py": "speaks HTTP over what dial.py has opened",
    "intake/fetch.py": "says whom TLS trusts",
    "intake/connection.py": "reads what dial.py has opened",
    "server.py": "listens",
    "client.py": "runs at the caller's",
    "cli/health.py": "asks the server whose address the operator types",
    "cli/doctor.py": "looks whether a port is free",
}
CONNECTS = {"open_connection", "create_connection", "sock_connect", "connect", "urlopen"}
SWITCHES = {"LOAD_TRUNCATED_IMAGES", "MAX_IMAGE_PIXELS", "MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY", "SAFEBLOCK"}


def place_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def imported_by(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def calls_in(module: Path) -> Iterator[ast.Attribute]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func


def test_nothing_else_reaches_the_network() -> None:
    found = {place_of(module) for module in MODULES if NETWORK & set(imported_by(module))}
    assert found <= set(MAY_USE_THE_NETWORK), "a module that opens connections of its own goes round every check"


def test_only_the_dialler_connects_for_callers() -> None:
    inside = [module for module in MODULES if place_of(module).startswith(("api/", "intake/", "serving/", "model/"))]
    assert len(inside) > 30
    found = {place_of(module) for module in inside if CONNECTS & {call.attr for call in calls_in(module)}}
    assert found == {"intake/dial.py"}


def test_only_one_module_opens_pictures() -> None:
    found = set()
    for module in MODULES:
        for call in calls_in(module):
            if call.attr == "open" and isinstance(call.value, ast.Name) and call.value.id == "Image":
                found.add(place_of(module))
    assert found == {"intake/decode.py"}


@pytest.mark.parametrize("switch", sorted(SWITCHES))
def test_the_decoders_switches_are_turned_in_one_place_at_most(switch: str) -> None:
    """``intake/decode.py`` lifts one of them at the start of the process, and only if a setting asks for it."""
    found = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Attribute) and target.attr == switch for target in targets):
                found.add(place_of(module))
    assert found == ({"intake/decode.py"} if switch == "MAX_IMAGE_PIXELS" else set())


def test_no_shell_and_no_code_from_data() -> None:
    names = {"eval", "exec", "system", "popen", "loads_pickle", "Unpickler", "allow_pickle"}
    for module in MODULES:
        tree = ast.parse(module.read_text())
        called = {
            call.attr for call in calls_in(module) if not isinstance(call.value, ast.Name) or call.value.id == "os"
        }
        called |= {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        keywords = {keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords}
        assert not names & (called | keywords), place_of(module)
        assert not {"pickle", "marshal", "shelve"} & set(imported_by(module)), place_of(module)
        assert "shell" not in keywords, place_of(module)
