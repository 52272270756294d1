"""The reliability diagram: what scores promise (across) and how often they are right (up), as plain SVG."""

from collections.abc import Iterator, Sequence

from training.evaluation.facts import Reliability
from training.metrics import Bin

SIDE, MARGIN, HEAD, FOOT = 260, 56, 44, 64
BEFORE, AFTER, INK, GRID = "#c2703d", "#1f6f8b", "#222222", "#dddddd"
BELOW = 20
"""Bins with fewer photos than this are drawn hollow: they say little."""


def reliability_svg(sets: Sequence[Reliability]) -> str:
    """Return a drawing with a panel for each set; the same figures give the same bytes."""
    width = len(sets) * (SIDE + MARGIN) + MARGIN // 2
    height = HEAD + SIDE + FOOT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12">',
        "<title>Reliability: how often answers are right, by their score, before and after calibration</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for place, one in enumerate(sets):
        lines += [f'<g transform="translate({MARGIN + place * (SIDE + MARGIN)} {HEAD})">', *_panel(one), "</g>"]
    lines += [*_legend(height), "</svg>"]
    return "\n".join(lines) + "\n"


def _panel(one: Reliability) -> Iterator[str]:
    yield _text(SIDE / 2, -24, f"{one.photos} ({one.ece.photos:,})", weight="bold")
    yield _text(SIDE / 2, -8, f"ECE {100 * one.ece_before.value:.1f} % before, {100 * one.ece.value:.1f} % after")
    for step in range(6):
        at = SIDE * step / 5
        yield f'<path d="M{at:.1f} 0V{SIDE}M0 {at:.1f}H{SIDE}" stroke="{GRID}"/>'
        yield _text(at, SIDE + 16, f"{20 * step}")
        yield _text(-8, SIDE - at + 4, f"{20 * step}", anchor="end")
    yield f'<path d="M0 {SIDE}L{SIDE} 0" stroke="{INK}" stroke-dasharray="4 4"/>'
    yield from _curve(one.bins_before, BEFORE)
    yield from _curve(one.bins, AFTER)
    yield _text(SIDE / 2, SIDE + 34, "score, %")
    yield f'<g transform="translate(-36 {SIDE / 2:.0f}) rotate(-90)">{_text(0, 0, "right, %")}</g>'


def _curve(bins: Sequence[Bin], colour: str) -> Iterator[str]:
    """Draw a point and its 95 % interval for each bin that has photos, and a line through the well-filled ones."""
    known = [(one.confidence * SIDE, one.right) for one in bins if one.right]
    path = " ".join(f"{x:.1f},{SIDE * (1 - right.value):.1f}" for x, right in known if right.photos >= BELOW)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, right in known:
        y, low, high = (SIDE * (1 - value) for value in (right.value, right.low, right.high))
        fill = colour if right.photos >= BELOW else "#ffffff"
        yield f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>'
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}" stroke="{colour}"/>'


def _legend(height: int) -> Iterator[str]:
    for x, colour, text in ((MARGIN, BEFORE, "before calibration"), (MARGIN + 140, AFTER, "after")):
        yield f'<rect x="{x}" y="{height - 20}" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 18, height - 10, text, anchor="start")
    note = f"bars: 95 % intervals; hollow: fewer than {BELOW} photos; dashed: as promised"
    yield _text(MARGIN + 200, height - 10, note, anchor="start")


def _text(x: float, y: float, text: str, anchor: str = "middle", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{INK}">{text}</text>'
