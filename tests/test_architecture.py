"""The house's one rule that code can check: imports point one way, and there is no circle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "food_vision"
GROUND = {"errors", "settings", "preprocessing", "processors", "admission", "logs"}
MAY_IMPORT = {
    "errors": set(),
    "misspelt": set(),
    "settings": {"errors", "misspelt"},
    "admission": {"errors"},
    "preprocessing": set(),
    "processors": set(),
    "logs": set(),
    "reference": GROUND,
    "intake": GROUND,
    "model": GROUND,
    "serving": GROUND | {"intake", "model"},
    "api": GROUND | {"intake", "model", "serving", "reference"},
    "app": GROUND | {"intake", "model", "serving", "api"},
    "http_protocol": GROUND | {"api"},
    "workers": GROUND,
    "server": GROUND | {"app", "http_protocol", "workers"},
    "asgi": {"server"},
    "results": set(),
    "calls": {"results"},
    "client": {"results", "calls"},
    "cli": GROUND | {"intake", "model", "serving", "api", "server", "results", "client"},
    "__main__": {"cli"},
}
"""Room → rooms it may look into. A new room must be entered here, and so be thought about."""
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 300
LONGEST_FUNCTION = 40


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide which room is meant"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "food_vision" and parts[1] != "__version__":
                yield parts[1]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(module: Path) -> None:
    room = room_of(module)
    if room == "__init__":
        assert not list(rooms_imported(module))
        return
    outside = set(rooms_imported(module)) - {room}
    assert outside <= MAY_IMPORT[room], f"{room} may not import {sorted(outside - MAY_IMPORT[room])}"


def test_only_settings_reads_the_environment() -> None:
    readers = [m for m in MODULES if "os.environ" in m.read_text() or "getenv" in m.read_text()]
    assert [room_of(m) for m in readers if room_of(m) != "settings"] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(module: Path) -> None:
    source = module.read_text()
    assert len(source.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            is_route_table = node.name.endswith("_routes")
            assert length <= LONGEST_FUNCTION or is_route_table, f"{node.name} has {length} lines"
