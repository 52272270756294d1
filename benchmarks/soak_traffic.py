"""The callers of the soak: good photos, large ones, hostile ones, slow origins, and people who leave half way."""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

import httpx2

from benchmarks.load import post
from tests import photos
from tests.origin import Origin
from tests.service import Service

GONE = 0
"""Stands for the status of an answer for which nobody waited."""

GOOD = photos.photo("JPEG", 512, 384)
LARGE = photos.large_jpeg(4_032, 3_024, quality=85)
OTHERS = [photos.photo("PNG"), photos.photo("WEBP", 640, 480), photos.animation("GIF", 20, 200)]
HOSTILE = [
    GOOD[:-2_000],
    LARGE[:200_000],
    b"",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"%!PS-Adobe-3.0 EPSF-3.0\n",
    photos.png(30_000, 30_000, 8, 2, bytes(900_000)),
    photos.with_png_chunks(photos.photo("PNG"), photos.text_bomb(b"zTXt", 50_000_000)),
    photos.jpeg_of_many_scans(500, 64),
    photos.plain_png(5_000, 5_000, 8, 2, b"\x00"),
    photos.animation("GIF", 300),
    photos.photo("JPEG", 400, 10),
    bytes(1_000_000),
]
"""Some of them can be decoded, and are; what counts is that there is an answer."""
SLOW = ["/slow?pause=1", "/drip.jpg?pause=0.5", "/stall", "/stall-in-body", "/endless", "/redirect?to=/slow?pause=1"]


class Kind(NamedTuple):
    """A kind of request: how many of them in a round, what it does, and the statuses that are right."""

    share: int
    ask: Callable[[], int]
    right: frozenset[int]


@dataclass(frozen=True)
class Traffic:
    """Everything that is asked of a service."""

    service: Service
    origin: Origin

    def kinds(self) -> dict[str, Kind]:
        """Return the kinds of requests by name."""
        ok, refused = frozenset({200}), frozenset({200, 413, 415, 422})
        hostile, slow, others, leavers = cycle(HOSTILE), cycle(SLOW), cycle(OTHERS), cycle(self._leavers())
        return {
            "photos of 512 x 384, uploaded": Kind(12, lambda: self._upload(GOOD), ok),
            "photos by link, contract": Kind(8, lambda: self._link("/photo.jpg"), ok),
            "PNG, WebP, GIF in forms": Kind(4, lambda: self._form(next(others)), ok),
            "photos of 12 megapixels": Kind(4, lambda: self._upload(LARGE), ok),
            "12 megapixels by link": Kind(2, lambda: self._link("/photos/large.jpg"), ok),
            "hostile files": Kind(6, lambda: self._upload(next(hostile)), refused),
            "slow origins": Kind(3, lambda: self._link(next(slow)), frozenset({200, 413, 502, 504})),
            "callers who leave": Kind(4, lambda: self._leave(next(leavers)), frozenset({GONE})),
            "batches of four": Kind(2, self._batch, ok),
            "explanations": Kind(1, self._explain, ok),
            "labels, page, metrics": Kind(4, self._look_around, ok),
        }

    def _post(self, path: str, **options: object) -> httpx2.Response:
        return self.service.client.post(path, **options)  # type: ignore[arg-type]  # what the client takes

    def _upload(self, data: bytes) -> int:
        return self._post("/v1/predict", content=data, headers={"Content-Type": "image/jpeg"}).status_code

    def _form(self, data: bytes) -> int:
        return self._post("/v1/predict", files={"file": ("photo", data)}).status_code

    def _link(self, path: str) -> int:
        return self.service.ask(self.origin.url(path)).status_code

    def _batch(self) -> int:
        files = [("file", (f"{number}", data)) for number, data in enumerate([GOOD, LARGE, HOSTILE[0], OTHERS[0]])]
        return self._post("/v1/predict/batch", files=files).status_code

    def _explain(self) -> int:
        return self._post("/v1/explain", content=GOOD, headers={"Content-Type": "image/jpeg"}).status_code

    def _look_around(self) -> int:
        statuses = [self.service.client.get(path).status_code for path in ("/v1/labels", "/", "/readyz", "/metrics")]
        return max(statuses)

    def _leavers(self) -> list[bytes]:
        whole = post("/v1/predict", LARGE)
        link = post(f"/net/image/prediction/?image_link={self.origin.url('/stall')}", b"")
        return [b"GET /healthz HT", whole[:300_000], whole, link, post("/v1/explain", GOOD)]

    def _leave(self, sent: bytes) -> int:
        port = int(self.service.url.rpartition(":")[2])
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 10) as caller:
            caller.sendall(sent)
        return GONE
