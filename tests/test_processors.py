"""A container's share of the processors is what counts, not the machine's."""

import os
from pathlib import Path

import pytest

from food_vision.processors import _by_quota, usable_processors

QUOTAS = [
    pytest.param("max 100000", os.cpu_count(), id="no quota"),
    pytest.param("50000 100000", 1, id="half a processor counts as one"),
    pytest.param("250000 100000", 3, id="two and a half count as three"),
    pytest.param("nonsense", os.cpu_count(), id="another format"),
]


@pytest.mark.parametrize(("text", "processors"), QUOTAS)
def test_quota(tmp_path: Path, text: str, processors: int) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert _by_quota(path) == processors


def test_no_quota_file(tmp_path: Path) -> None:
    assert _by_quota(tmp_path / "missing") == os.cpu_count()


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert usable_processors() == 1
