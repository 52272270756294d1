"""Many slow senders at once; how one is cut off is in ``test_slow_senders``, the figures in ``benchmarks``."""

from pathlib import Path

from benchmarks.slow_senders import measure
from tests.figures import figures
from tests.service import running_service

SENDERS = 500


def test_five_hundred_slow_senders_keep_nobody_waiting(tmp_path: Path) -> None:
    """With the limits as they are, but sooner; twice as long is the promise, the bound is wider for busy machines."""
    settings = {"FOOD_VISION_HEAD_TIMEOUT": "6", "FOOD_VISION_BODY_TIMEOUT": "6"}
    with running_service(tmp_path, settings) as service:
        outcome = measure(service, SENDERS, rounds=1, seconds=4)
        assert figures(service.client)["food_vision_requests_in_flight"] == 0
    assert set(outcome.alone.counts) == set(outcome.beside.counts) == {200}
    assert outcome.ratio(50) < 4
    ends = outcome.ends
    assert ends["heads", 408] == ends["bodies", 408] == ends["chunks", 408] == ends["nothing", 0] == SENDERS // 4
    assert outcome.longest < 30
