"""Thousands of broken and extreme photos against a real server: none is answered late, wrongly or not at all.

More seeds, and the suites of broken images that image libraries ship: ``python -m benchmarks.corpus``.
"""

import time
from collections import Counter
from pathlib import Path

import pytest

from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from tests.barrage import ANSWERS, TURNS, bombard
from tests.corpus import corpus, damaged
from tests.corpus_damage import DAMAGES, blocks_of
from tests.corpus_seeds import SEEDS
from tests.service import running_service

AT_LEAST = 2_000
SETTINGS = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}


@pytest.mark.parametrize("kind", SEEDS)
def test_what_is_damaged_was_a_good_photo(kind: str) -> None:
    good = SEEDS[kind]()
    head, blocks = blocks_of(good)
    assert head + b"".join(blocks) == good
    assert decode(good, Preprocessing()).format == {"MPO": "JPEG", "APNG": "PNG"}.get(kind, kind.split(",")[0].upper())


def test_every_kind_of_photo_is_another_file() -> None:
    assert len({make() for make in SEEDS.values()}) == len(SEEDS)


def test_the_same_seed_gives_the_same_files() -> None:
    began = time.thread_time()
    first, again, other = ({case.name: case.make() for case in damaged(seed)} for seed in (1, 1, 2))
    assert first == again
    assert set(first.values()) != set(other.values())
    assert time.thread_time() - began < 20, "made in seconds"
    good = {make() for make in SEEDS.values()}
    left = Counter(name.split(", ")[-2] for name, data in first.items() if data in good)
    assert all(left[damage] < 0.5 * times * len(SEEDS) for damage, (_, times) in DAMAGES.items()), left


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_no_file_is_answered_late_or_wrongly_or_leaves_anything_behind(tmp_path: Path) -> None:
    cases = list(corpus())
    assert len(cases) >= AT_LEAST
    with running_service(tmp_path, SETTINGS) as service:
        barrage = bombard(service, tmp_path, cases)
    print(f"{len(cases):,} files: {dict(barrage.codes)}")
    print(f"memory: {barrage.grown:.0f} MB more at most, {barrage.kept:.0f} MB at the end")
    print(f"slowest: {[(outcome.name, round(outcome.seconds, 2)) for outcome in barrage.slowest]}")
    assert barrage.broken == []
    assert len(barrage.outcomes) == len(cases)
    assert set(barrage.codes) == ANSWERS, "every kind of answer was called for"
    assert {outcome.form for outcome in barrage.outcomes} == set(TURNS)
