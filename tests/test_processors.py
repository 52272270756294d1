"""A container's share of the processors is what counts, not the machine's; and what a processor can."""

import os
import platform
from pathlib import Path

import pytest

from food_vision.processors import _by_quota, sums_of_bytes_are_exact, usable_processors

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


@pytest.mark.parametrize(
    ("machine", "flags", "exact"),
    [
        ("x86_64", "flags : fpu avx2 avx512f avx512_vnni", True),
        ("AMD64", "flags : fpu avx2 avx_vnni", True),
        ("x86_64", "flags : fpu avx2 avx512f", False),
        ("x86_64", None, False),
        ("aarch64", None, True),
        ("arm64", None, True),
    ],
)
def test_what_adds_bytes_without_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, flags: str | None, exact: bool
) -> None:
    facts = tmp_path / "cpuinfo"
    if flags:
        facts.write_text(flags)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert sums_of_bytes_are_exact(facts) is exact
