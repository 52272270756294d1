"""Our own server for benchmarks: ``python main.py`` with the loopback allowed, and its figures."""

import http.client
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.harness.servers import ROOT, Request, Server, running_server

BY_LINK = Request("/net/image/prediction/?image_link={link}")
RAW = "image/jpeg"


def by_upload(*photos: Path) -> Request:
    """Return the request that sends photos themselves, in turn."""
    return Request("/v1/predict", RAW, uploads=photos)


@contextmanager
def running_ours(
    folder: Path, ask: tuple[Request, str], settings: Mapping[str, object] | None = None, python: str = sys.executable
) -> Iterator[Server]:
    """Start our server with settings in its environment; it may fetch from loopback."""
    given = {name: str(value) for name, value in (settings or {}).items()}
    variables = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "PORT": "{port}"} | given
    with running_server([python, "main.py"], variables, ROOT, folder / "ours.log", ask) as server:
        yield server


def figures(server: Server) -> dict[str, float]:
    """Return what ``/metrics`` says, by name and labels: ``food_vision_stage_seconds_sum{stage=fetch}``."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sample.labels.items())}}}": sample.value for sample in samples
    }
