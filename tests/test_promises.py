"""docs/promises.md: every promise has tests, every test that it names is there, and no subject is missing."""

import ast
import re
from pathlib import Path

import pytest

from tests.service import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
TESTS = ROOT / "tests"
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise ")]
SECTIONS = ("One door", "Addresses", "TLS", "Redirects, bodies, time", "Photos", "Callers", "Leaks", "Load and faults")
SUBJECTS = {
    "one door for fetching": "comes through `intake/fetch.py`",
    "one door for decoding": "opened in `intake/decode.py`",
    "file fields": "file field is a photo",
    "models": "have a model fetched",
    "refused addresses": "by redirect, as one of several answers",
    "spellings": "octal, hex, decimal",
    "links": "another scheme",
    "rebinding": "finds no second look-up",
    "kept-alive connections": "never used for another host",
    "ports": "Ports 80 and 443",
    "allowed networks and hosts": "on every hop",
    "proxies": "Proxies of the environment",
    "certificates": "refused before a byte is asked for",
    "server names": "SNI",
    "redirects": "no circles",
    "credentials": "No cookie, credential or referrer",
    "bodies": "cut short, compressed, endless",
    "one deadline": "One deadline",
    "amplification": "bounded in number, per host",
    "the corpus": "no 500, no crash, no hang",
    "memory": "within 150 MB",
    "formats": "told by content",
    "pixels": "counted from the header",
    "truncation": "never half grey",
    "bombs": "scans, segments and chunks",
    "orientation": "All eight orientations",
    "colour": "RGB on white",
    "switches": "global switches",
    "uploads": "Bodies are counted",
    "heads": "Heads are bounded",
    "trickles": "trickles is cut off",
    "idle connections": "Idle and endless connections",
    "slow senders": "Five hundred slow senders",
    "keys": "compared in constant time",
    "the page": "no framing",
    "the container": "no capabilities",
    "one public sentence": "one sentence, and take one time",
    "logs": "No query, key or link",
    "the inside": "nothing of the inside",
    "overload": "Retry-After",
    "callers who leave": "caller has gone is not done",
    "slow origins": "Slow origins",
    "counters": "back to zero",
    "SIGTERM": "SIGTERM",
    "SIGKILL": "SIGKILL",
    "readiness": "turns readiness off",
    "faults at start": "one sentence at start",
    "soak": "Half an hour",
}
"""What must be promised, and words by which the promise is known."""


def functions_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)), ids="::".join)
def test_the_test_of_a_promise_is_there(file: str, name: str) -> None:
    assert name in functions_of(TESTS / file)


def test_the_sections_are_complete() -> None:
    assert tuple(re.findall(r"^## (.*)$", PAGE, flags=re.MULTILINE)) == SECTIONS


@pytest.mark.parametrize("words", [pytest.param(words, id=subject) for subject, words in SUBJECTS.items()])
def test_no_subject_is_missing(words: str) -> None:
    assert len([row for row in ROWS if words in row]) == 1


def test_every_promise_has_a_test() -> None:
    for row in ROWS:
        assert re.search(r"`test_\w+\.py::test_\w+`", row) or "| the same |" in row, row


def test_every_command_is_there() -> None:
    commands = set(re.findall(r"`python -m benchmarks\.(\w+)", PAGE))
    assert len(commands) > 3
    for command in commands:
        assert (ROOT / "benchmarks" / f"{command}.py").exists(), command
