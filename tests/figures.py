"""Reads what ``/metrics`` says."""

import time
from collections.abc import Callable

import httpx2
from prometheus_client.parser import text_string_to_metric_families

Figures = dict[str, float]


def figures(client: httpx2.Client) -> Figures:
    """Scrape, and return the samples by name and labels as Prometheus writes them: ``name{a="1",b="2"}``."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {_series(sample.name, sample.labels): sample.value for family in families for sample in family.samples}


def sum_of(found: Figures, name: str) -> float:
    """Return the sum over all labels of a series."""
    return sum(value for series, value in found.items() if series.partition("{")[0] == name)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until something holds, and tell whether that came about in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return f"{name}{{{inside}}}" if inside else name
