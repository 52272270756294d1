"""What the soak has shown: slopes with their uncertainty, a table of answers, and a figure."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.harness.report import machine

BLOCK = 60.0
"""Seconds whose median counts as one point of the fit: samples a second apart are not independent."""
FLAT = {"resident": 5.0, "proportional": 5.0, "files": 5.0, "threads": 8.0}
"""What may be gained in an hour: MB, MB, open files, threads. Flat is what gains less, or whose interval holds zero.

Pools of threads, each with its bound, grow when first needed: one more in the middle of a quarter of an hour is a slope
of six an hour.
"""
NAMES = {
    "resident": "resident memory (MB)",
    "proportional": "proportional memory (MB)",
    "files": "open files",
    "threads": "threads",
}
PAGE = """# Soak

Written by `python -m benchmarks.soak`, which starts the server, asks it for a bit of everything and looks at it once a
second. {requests} requests in {minutes} minutes, beside other work; the server took {load} % of one processor.
{machine}.

![Memory, open files and threads over time](figures/soak.svg)

The slope is that of a line through the medians of each minute of the second half, with its 95 % interval. Flat is what
gains less than {resident:g} MB, {files:g} files or {threads:g} threads an hour for sure, or does not differ from zero.

| | first minute | last minute | most | slope per hour | flat |
|---|---|---|---|---|---|
{slopes}

| requests | answers by status | p50 (ms) | p99 (ms) | wrong |
|---|---|---|---|---|
{answers}

Slow origins are answered `504`, `502` or `413` where they send no photo, too little or too much; status 0 are callers
who left. Nothing else may be a `5xx`. What is hostile is answered `4xx`, or decoded where it can be.
"""
WIDTH, HEIGHT, LEFT, GAP = 760, 130, 60, 46
POINTS = 380
"""Across the figure; each is the highest of its few seconds."""


class Sampled(Protocol):
    """What a sample has beside the columns of ``NAMES``."""

    @property
    def seconds(self) -> float: ...
    @property
    def processor(self) -> float: ...


class Slope(NamedTuple):
    """Gain per hour, and the ends of its 95 % interval."""

    per_hour: float
    low: float
    high: float

    def is_flat(self, bound: float) -> bool:
        return self.high < bound or self.low <= 0


@dataclass(frozen=True)
class Report:
    """All that was seen, ready to be read.

    Args:
        samples: One a second; with the attributes of ``NAMES``.
        heard: Kind, status and seconds of each request.
        wrong: Requests whose answer was none of the right ones, by kind and status.
    """

    samples: Sequence[Sampled]
    heard: Sequence[tuple[str, int, float]]
    wrong: Counter[tuple[str, int]]

    @property
    def slopes(self) -> dict[str, Slope]:
        half = self.samples[-1].seconds / 2
        late = [sample for sample in self.samples if sample.seconds >= half]
        return {name: slope([(s.seconds, float(getattr(s, name))) for s in late]) for name in NAMES}

    @property
    def holds(self) -> bool:
        """Whether all is flat and every answer was right."""
        return not self.wrong and all(found.is_flat(FLAT[name]) for name, found in self.slopes.items())

    def write(self, docs: Path) -> None:
        """Write the page and the figure."""
        (docs / "figures").mkdir(parents=True, exist_ok=True)
        (docs / "figures" / "soak.svg").write_text(self.figure())
        (docs / "soak.md").write_text(self.page())

    def page(self) -> str:
        """Return the page, Markdown."""
        last = self.samples[-1]
        load, minutes = 100 * last.processor / last.seconds, last.seconds / 60
        return PAGE.format(
            requests=f"{len(self.heard):,}",
            machine=machine(),
            minutes=f"{minutes:.0f}" if minutes >= 1 else f"{minutes:.1f}",
            load=f"{load:.0f}",
            slopes="\n".join(map(self._row, NAMES)),
            answers="\n".join(map(self._row_of_kind, dict.fromkeys(kind for kind, _, _ in self.heard))),
            **FLAT,
        )

    def _row(self, name: str) -> str:
        found, values = self.slopes[name], [float(getattr(sample, name)) for sample in self.samples]
        minute = min(60, len(values))
        first, last = statistics.median(values[:minute]), statistics.median(values[-minute:])
        gains = f"{found.per_hour:+.1f} ({found.low:+.1f} to {found.high:+.1f})"
        flat = "yes" if found.is_flat(FLAT[name]) else "**no**"
        return f"| {NAMES[name]} | {first:.0f} | {last:.0f} | {max(values):.0f} | {gains} | {flat} |"

    def _row_of_kind(self, kind: str) -> str:
        found = [(status, seconds) for name, status, seconds in self.heard if name == kind]
        counts = ", ".join(f"{status}: {count:,}" for status, count in sorted(Counter(s for s, _ in found).items()))
        times = sorted(1000 * seconds for _, seconds in found)
        wrong = sum(count for (name, _), count in self.wrong.items() if name == kind)
        return f"| {kind} | {counts} | {times[len(times) // 2]:.0f} | {times[len(times) * 99 // 100]:.0f} | {wrong} |"

    def figure(self) -> str:
        """Return four panels over time, SVG."""
        panels = [self._panel(name, place) for place, name in enumerate(NAMES)]
        size = f'width="{WIDTH + LEFT + 20}" height="{len(NAMES) * (HEIGHT + GAP) + 10}"'
        style = 'font-family="sans-serif" font-size="12" fill="#555"'
        paper = '<rect width="100%" height="100%" fill="white"/>'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{paper}{"".join(panels)}</svg>\n'

    def _panel(self, name: str, place: int) -> str:
        end = self.samples[-1].seconds
        highest: dict[int, float] = {}
        for sample in self.samples:
            at = int(POINTS * sample.seconds / end)
            highest[at] = max(highest.get(at, 0.0), float(getattr(sample, name)))
        most, top = 1.15 * max(highest.values()), place * (HEIGHT + GAP) + 24
        points = [f"{LEFT + WIDTH * at / POINTS:.0f},{top + HEIGHT * (1 - y / most):.0f}" for at, y in highest.items()]
        frame = f'<path d="M{LEFT} {top}V{top + HEIGHT}H{LEFT + WIDTH}" fill="none" stroke="#aaa"/>'
        line = f'<polyline points="{" ".join(points)}" fill="none" stroke="#b04a2f"/>'
        title = f'<text x="{LEFT}" y="{top - 8}" fill="#222">{NAMES[name]}</text>'
        heights = f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>'
        heights += f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.0f}</text>'
        minutes = f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 14}" text-anchor="end">{end / 60:.0f} min</text>'
        return frame + line + title + heights + minutes


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line through the medians of blocks of points, (seconds, value)."""
    blocks: dict[int, list[float]] = {}
    size = min(BLOCK, (points[-1][0] - points[0][0]) / 8)
    for seconds, value in points:
        blocks.setdefault(int((seconds - points[0][0]) / size), []).append(value)
    hours = [(number + 0.5) * size / 3600 for number in blocks]
    values = [statistics.median(block) for block in blocks.values()]
    line = statistics.linear_regression(hours, values)
    left = [value - line.intercept - line.slope * hour for hour, value in zip(hours, values, strict=True)]
    freedom, spread = len(hours) - 2, statistics.pvariance(hours) * len(hours)
    error = math.sqrt(sum(rest**2 for rest in left) / freedom / spread)
    return Slope(line.slope, line.slope - student(freedom) * error, line.slope + student(freedom) * error)


def student(freedom: int) -> float:
    """Return the 97.5th percentile of Student's t, by the first terms of its expansion around the normal one."""
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
