"""A quarter of a minute of mixed traffic; half an hour, with slopes and a plot: ``python -m benchmarks.soak``."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.soak import SETTINGS, soak
from benchmarks.soak_report import Report, slope, student
from benchmarks.soak_traffic import LARGE
from tests.figures import eventually, figures
from tests.origin import Origin
from tests.service import running_service

MINUTES = 0.25
STARTED_WITH = 3


def test_mixed_traffic_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(LARGE)
    with Origin(photos=tmp_path).running() as origin, running_service(tmp_path, SETTINGS) as service:
        outcome = soak(service, origin, MINUTES, rate=8)
        assert outcome.wrong == {}
        assert len(outcome.heard) > 50
        assert eventually(lambda: figures(service.client)["food_vision_queue_length"] == 0)
        assert figures(service.client)["food_vision_fetches_in_flight"] == 0
        assert "Traceback" not in service.log()
    first, last = outcome.samples[STARTED_WITH], outcome.samples[-1]
    assert last.threads - first.threads <= 16, "threads are made when first needed, and there is a most of each kind"
    assert last.files - first.files <= 20
    assert last.resident - first.resident < 250
    report = Report(outcome.samples, outcome.heard, outcome.wrong)
    report.write(tmp_path / "docs")
    assert "photos of 12 megapixels" in (tmp_path / "docs" / "soak.md").read_text()
    assert ElementTree.fromstring((tmp_path / "docs" / "figures" / "soak.svg").read_text()).tag.endswith("svg")


def test_slopes_are_found() -> None:
    noise = [0.3, -0.2, 0.1, -0.4, 0.2]
    rising = [(float(second), 100 + 10 * second / 3600 + noise[second % 5]) for second in range(900)]
    assert slope(rising).low < 10 < slope(rising).high
    assert not slope(rising).is_flat(5)
    flat = [(seconds, value - 10 * seconds / 3600) for seconds, value in rising]
    assert slope(flat).is_flat(5)


@pytest.mark.parametrize(("freedom", "value"), [(6, 2.447), (13, 2.160), (28, 2.048), (1000, 1.962)])
def test_student(freedom: int, value: float) -> None:
    assert student(freedom) == pytest.approx(value, abs=0.003)
