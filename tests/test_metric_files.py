"""Figures of several workers: files that are made, read and removed at the same time, or that were left half made."""

import multiprocessing
import os
from multiprocessing.synchronize import Event as EventOfProcesses
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.mmap_dict import MmapedDict

from food_vision.errors import StartupError
from food_vision.serving import metric_files
from food_vision.serving.metric_files import KINDS, ROOM, figures_of_all, make_room

KEY = '["asked", "asked_total", {}, "Asked."]'


def scrape(folder: Path) -> float:
    """Return what has been counted by all."""
    with figures_of_all(folder) as registry:
        text = generate_latest(registry).decode()
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("asked_total "))


def count_once(folder: str) -> None:
    """Do what a worker does that has one request and ends."""
    make_room(Path(folder))
    MmapedDict(f"{folder}/counter_{os.getpid()}.db").write_value(KEY, 1.0, 0.0)


def scrape_until(over: EventOfProcesses, folder: str, most: float) -> None:
    """Do what Prometheus does, more often; sums never go down."""
    seen = 0.0
    while not over.is_set():
        before, seen = seen, scrape(Path(folder))
        assert before <= seen <= most


def test_scrapes_while_workers_come_and_go_see_all_and_each_once(tmp_path: Path) -> None:
    forks = multiprocessing.get_context("fork")
    over, folder = forks.Event(), str(tmp_path)
    scrapers = [forks.Process(target=scrape_until, args=(over, folder, 60)) for _ in range(2)]
    for scraper in scrapers:
        scraper.start()
    try:
        for _ in range(15):
            workers = [forks.Process(target=count_once, args=(folder,)) for _ in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(30)
                assert worker.exitcode == 0
    finally:
        over.set()
        for scraper in scrapers:
            scraper.join(30)
    assert [scraper.exitcode for scraper in scrapers] == [0, 0]
    assert scrape(tmp_path) == 60
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counter_0.db", "histogram_0.db", "lock"]


def test_no_file_is_there_before_it_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is killed, or finds the disk full, between the making of a file and its first byte."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    make_room(tmp_path)
    MmapedDict(str(tmp_path / f"counter_{os.getpid()}.db")).write_value(KEY, 3.0, 0.0)
    monkeypatch.setattr(os, "getpid", lambda: 2**22)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StartupError, match=r"there is no room for figures in .*: No space left on device\.$"):
        make_room(tmp_path)
    assert scrape(tmp_path) == 3
    (tmp_path / "counter_4194303.new").touch()
    assert scrape(tmp_path) == 3


def test_a_file_system_that_cannot_reserve_gets_whole_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    make_room(tmp_path)
    assert {file.stat().st_size for file in tmp_path.glob("*.db")} == {ROOM}
    assert len(list(tmp_path.glob("*.db"))) == len(KINDS)
    assert scrape(tmp_path) == 0


def test_who_has_the_number_of_a_dead_one_goes_on_counting_in_its_files(tmp_path: Path) -> None:
    make_room(tmp_path)
    MmapedDict(str(tmp_path / f"counter_{os.getpid()}.db")).write_value(KEY, 3.0, 0.0)
    make_room(tmp_path)
    assert scrape(tmp_path) == 3
    assert metric_files.THE_DEAD == 0
