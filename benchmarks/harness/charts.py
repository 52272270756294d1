"""Plain charts as SVG: bars, and curves on logarithmic or linear axes; on a background of their own, for dark pages."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

Point = tuple[float, float]
Scale = Callable[[float], float]

WIDTH, HEIGHT = 860, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 250, 50, 50
BAR, NAMES = 26, 250
COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80", "#8f6c00", "#7b4b94", "#5f6b6d", "#b5446e", "#2a9d8f")


def bars(title: str, values: Mapping[str, float], unit: str) -> str:
    """Return a bar for each value, the first in another colour: it is the one that others are compared with."""
    height = TOP + BAR * len(values) + 14
    length = WIDTH - NAMES - 110
    most = max(values.values())
    parts = []
    for place, (name, value) in enumerate(values.items()):
        y, width = TOP + BAR * place, length * value / most
        parts.append(_text(NAMES - 8, y + 16, name, anchor="end"))
        parts.append(
            f'<rect x="{NAMES}" y="{y + 3}" width="{width:.1f}" height="{BAR - 8}" fill="{COLOURS[place > 0]}"/>'
        )
        parts.append(
            _text(NAMES + width + 6, y + 16, f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}")
        )
    return _svg(title, height, parts)


def curves(
    title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[Point]], *, log_x: bool, log_y: bool
) -> str:
    """Return a curve for each series of points; logarithmic axes need values above 0."""
    points = [point for line in series.values() for point in line]
    x_ticks = _ticks([x for x, _ in points], log_x)
    y_ticks = _ticks([y for _, y in points], log_y)
    x = _scale(x_ticks, log_x, LEFT, WIDTH - RIGHT)
    y = _scale(y_ticks, log_y, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x_ticks, y_ticks, x, y), *_axis_labels(x_label, y_label)]
    for place, (name, line) in enumerate(series.items()):
        parts += _curve(name, [(x(a), y(b)) for a, b in line], place)
    return _svg(title, HEIGHT, parts)


def _curve(name: str, points: Sequence[Point], place: int) -> Iterator[str]:
    colour = COLOURS[place % len(COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points)
    legend = TOP + 14 + 18 * place
    yield f'<rect x="{WIDTH - RIGHT + 14}" y="{legend - 9}" width="12" height="10" fill="{colour}"/>'
    yield _text(WIDTH - RIGHT + 32, legend, name)


def _grid(x_ticks: Sequence[float], y_ticks: Sequence[float], x: Scale, y: Scale) -> Iterator[str]:
    for tick in x_ticks:
        yield f'<path d="M{x(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>'
        yield _text(x(tick), HEIGHT - BOTTOM + 18, f"{tick:,.6g}", anchor="middle")
    for tick in y_ticks:
        yield f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield _text(LEFT - 8, y(tick) + 4, f"{tick:,.6g}", anchor="end")


def _axis_labels(x_label: str, y_label: str) -> Iterator[str]:
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_label, anchor="middle")
    yield _text(LEFT, TOP - 10, y_label)


def _ticks(values: Sequence[float], logarithmic: bool) -> list[float]:
    """Return round numbers from below the least value to above the greatest."""
    low, high = min(values), max(values)
    if logarithmic:
        steps = (
            m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)
        )
        wide = list(steps)
        first = max((tick for tick in wide if tick <= low * 1.0001), default=wide[0])
        last = min((tick for tick in wide if tick >= high * 0.9999), default=wide[-1])
        return [tick for tick in wide if first <= tick <= last]
    step = 10 ** math.floor(math.log10(high or 1))
    step = next(part for part in (step / 5, step / 2, step, 2 * step) if high / part <= 8)
    return [step * count for count in range(math.ceil(high / step) + 1)]


def _scale(ticks: Sequence[float], logarithmic: bool, start: float, end: float) -> Scale:
    low, high = (math.log10(tick) if logarithmic else tick for tick in (ticks[0], ticks[-1]))
    width = high - low or 1

    def place(value: float) -> float:
        return start + (end - start) * ((math.log10(value) if logarithmic else value) - low) / width

    return place


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif">'
    )
    body = [f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>']
    return "\n".join([head, *body, _text(16, 24, title, size=15), *parts, "</svg>\n"])
