"""Sends a corpus of files to a real server, in every form that a photo can have, and tells how the server took it."""

import base64
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx2

from tests.corpus import Case
from tests.figures import eventually, figures
from tests.origin import Origin
from tests.photos import photo
from tests.service import Service

CALLERS = 4
MOST_SECONDS = 2.0
MOST_MEGABYTES = 150
ANSWERS = {"ok", "undecodable_photo", "unsupported_format", "too_many_pixels", "photo_too_small"}
"""All that a file may come to: a dish, or a reason for which it is none."""
GAUGES = ("food_vision_requests_in_flight", "food_vision_fetches_in_flight", "food_vision_queue_length")
TURNS = ("raw", "raw", "raw", "raw", "raw", "raw", "raw", "form", "base64", "link")
"""Which form each file of ten is sent in."""


class Outcome(NamedTuple):
    """How one file was answered; ``code`` is ``ok`` or the problem's."""

    name: str
    form: str
    status: int
    code: str
    seconds: float


@dataclass
class Barrage:
    """What a whole corpus did to a server.

    Attributes:
        outcomes: One per file, in order.
        grown: Megabytes of resident memory above those after the warm-up, at the highest moment.
        kept: The same after the last file.
        broken: Sentences about all that should not be; empty where every promise was kept.
    """

    outcomes: list[Outcome]
    grown: float = 0.0
    kept: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def codes(self) -> Counter[str]:
        return Counter(outcome.code for outcome in self.outcomes)

    @property
    def slowest(self) -> list[Outcome]:
        return sorted(self.outcomes, key=lambda outcome: -outcome.seconds)[:5]


def bombard(service: Service, folder: Path, cases: Iterable[Case], most_megabytes: float = MOST_MEGABYTES) -> Barrage:
    """Send every file and find out what was promised and not kept.

    The server is warm before memory is looked at: it has had a photo of every format and one of 12 megapixels, and it
    has answered as many at once as will come later.
    """
    with Origin(photos=folder).running() as origin, ThreadPoolExecutor(CALLERS) as callers:
        normal = photo("JPEG", 320, 240)
        warm_up(service, callers)
        before, resident = normal_answer(service, normal), memory(service, "VmRSS")
        barrage = Barrage(list(_send_all(service, origin, folder, callers, cases)))
        barrage.broken += _complaints(barrage.outcomes)
        if normal_answer(service, normal) != before:
            barrage.broken.append("a normal photo has another answer than before")
    barrage.grown, barrage.kept = (memory(service, kind) - resident for kind in ("VmHWM", "VmRSS"))
    if barrage.grown > most_megabytes:
        barrage.broken.append(f"resident memory grew by {barrage.grown:.0f} MB, {most_megabytes:.0f} are promised")
    barrage.broken += _leftovers(service)
    return barrage


def warm_up(service: Service, callers: ThreadPoolExecutor) -> None:
    kinds = [photo(kind, 640, 480) for kind in ("JPEG", "PNG", "WEBP", "GIF")]
    large = photo("JPEG", 4_000, 3_000)
    for answer in callers.map(lambda data: post(service, "raw", data), [*kinds * CALLERS, *[large] * CALLERS]):
        assert answer.status_code == 200, answer.text


def normal_answer(service: Service, data: bytes) -> dict[str, object]:
    """Return all of the answer that does not depend on the clock."""
    answer: dict[str, object] = post(service, "raw", data).raise_for_status().json()
    return {name: value for name, value in answer.items() if name != "timings_ms"}


def post(service: Service, form: str, data: bytes, link: str = "") -> httpx2.Response:
    if form == "link":
        return service.client.post("/v1/predict", json={"url": link})
    if form == "base64":
        return service.client.post("/v1/predict", json={"image": base64.b64encode(data).decode()})
    if form == "form":
        return service.client.post("/v1/predict", files={"file": ("photo.jpg", data, "image/jpeg")})
    return service.client.post("/v1/predict", content=data, headers={"Content-Type": "image/jpeg"})


def memory(service: Service, kind: str) -> float:
    """Return megabytes of resident memory: ``VmRSS`` now, ``VmHWM`` at the highest moment so far."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) * 1024 / 1e6


def _send_all(
    service: Service, origin: Origin, folder: Path, callers: ThreadPoolExecutor, cases: Iterable[Case]
) -> Iterator[Outcome]:
    """Send light files several at a time; heavy ones, which are made when their turn comes, one after the other."""
    for heavy, group in itertools.groupby(cases, key=lambda case: case.heavy):
        work = ((service, origin, folder, number, case) for number, case in enumerate(group))
        yield from (map if heavy else callers.map)(lambda item: _send(*item), work)


def _send(service: Service, origin: Origin, folder: Path, number: int, case: Case) -> Outcome:
    data, form = case.make(), TURNS[number % len(TURNS)]
    with ExitStack() as afterwards:
        if form == "link":
            file = folder / f"photo-{number}"
            file.write_bytes(data)
            afterwards.callback(file.unlink)
        began = time.monotonic()
        try:
            answer = post(service, form, data, origin.url(f"/photos/photo-{number}"))
        except httpx2.TransportError as error:
            return Outcome(case.name, form, 0, f"no answer: {error!r}", time.monotonic() - began)
        code = "ok" if answer.status_code == 200 else str(answer.json().get("code"))
        return Outcome(case.name, form, answer.status_code, code, time.monotonic() - began)


def _complaints(outcomes: Iterable[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        if outcome.code not in ANSWERS:
            yield f"{outcome.name} ({outcome.form}) was answered {outcome.status} {outcome.code}"
        if outcome.seconds > MOST_SECONDS:
            yield f"{outcome.name} ({outcome.form}) was answered after {outcome.seconds:.1f} s"


def _leftovers(service: Service) -> Iterator[str]:
    if service.process.poll() is not None:
        yield f"the server ended with {service.process.returncode}"
        return
    if not eventually(lambda: not any(figures(service.client)[gauge] for gauge in GAUGES)):
        yield f"some counters did not come back to zero: {figures(service.client)}"
    for line in service.log().splitlines():
        # Parsers write warnings to standard error, past any logging; none of them may be reached.
        if not line.startswith(("{", "INFO:")) or '"internal_error"' in line or '"trace"' in line:
            yield f"the log has {line[:300]}"
