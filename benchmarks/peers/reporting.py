"""The figures of all servers as tables and plots, ratios against ours, and the goals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from benchmarks.harness.charts import bars, curves
from benchmarks.harness.report import draw, machine, table, write_section
from benchmarks.harness.servers import ROOT
from benchmarks.peers.measuring import Plan, Turn, middle

Figure = Callable[[Turn], float]

PAGE = ROOT / "docs" / "benchmarks.md"
OURS, TUTORIAL = "ours, by link", "the tutorial's way"
OUR_WORKERS = "ours, by link, a worker per processor"
FRAMEWORKS = ("LitServe", "BentoML", "MLServer")
WITH_OURS = "LitServe, with our resizing too"
MOST_ON_DISK = 400


def percentile(run: str, percent: int) -> Figure:
    """Return the figure of a percentile: of the run ``alone`` or ``busy``."""
    return lambda turn: float(getattr(turn, run).percentile(percent))


def rate(turn: Turn) -> float:
    """Photos per second."""
    return turn.busy.rate


MEMORY, SHARED, PROCESSOR, FIRST = map(attrgetter, ("memory", "shared_memory", "processor", "first_answer"))
P50, P99, ALONE = percentile("busy", 50), percentile("busy", 99), percentile("alone", 50)


@dataclass
class Results:
    """Everybody's turns.

    Attributes:
        plan: How they were asked.
        turns: By label.
        absent: Who could not take part, and why.
        disk: Megabytes of packages.
    """

    plan: Plan
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    disk: dict[str, float] = field(default_factory=dict)


def report(results: Results) -> str:
    """Return all tables."""
    rounds = max((len(turns) for turns in results.turns.values()), default=0)
    plan = results.plan
    said = f"{machine()}. Medians of {rounds} rounds of {plan.seconds:g} s; {plan.callers} callers at once."
    parts = [said, _speed(results), _weight(results)]
    if OURS in results.turns:
        parts += [_ratios(results), *_goals(results)]
    parts += [f"- {label} did not take part: {reason}" for label, reason in results.absent.items()]
    return "\n\n".join(parts)


def write(results: Results) -> None:
    """Put tables and plots into the documentation."""
    write_section(PAGE, "peers", "\n\n".join([report(results), *_plots(results)]))


def _plots(results: Results) -> Iterator[str]:
    plots: list[tuple[str, str, Figure, str]] = [
        ("peers-throughput", f"Photos per second, {results.plan.callers} callers", rate, "/s"),
        ("peers-memory", "Resident memory after the load", MEMORY, "MB"),
        ("peers-first-answer", "From start to the first answer", FIRST, "s"),
    ]
    for name, title, figure, unit in plots:
        values = {label: middle(turns, figure) for label, turns in results.turns.items()}
        yield draw(name, title, bars(title, values, unit))
    lines = {label: _distribution(turns) for label, turns in results.turns.items()}
    title, x, y = f"How long {results.plan.callers} callers wait", "share of the answers, %", "ms"
    yield draw("peers-latency", title, curves(title, x, y, lines, log_x=False, log_y=True))


def _speed(results: Results) -> str:
    def row(label: str, turns: Sequence[Turn]) -> list[str]:
        rates = [turn.busy.rate for turn in turns]
        alone, busy = (_percentiles(turns, of) for of in ("alone", "busy"))
        spread = f"{min(rates):.1f} to {max(rates):.1f}"
        return [label, f"{middle(turns, rate):.1f}", spread, busy, alone]

    head = ["server", "photos/s", "in the rounds", "ms: p50, p95, p99", "one caller, ms: p50, p95, p99"]
    return table(head, (row(label, turns) for label, turns in results.turns.items()))


def _percentiles(turns: Sequence[Turn], run: str) -> str:
    return ", ".join(f"{middle(turns, percentile(run, percent)):.1f}" for percent in (50, 95, 99))


def _weight(results: Results) -> str:
    def row(label: str, turns: Sequence[Turn]) -> list[str]:
        memory = f"{middle(turns, MEMORY):.0f} ({middle(turns, SHARED):.0f})"
        processor = f"{middle(turns, PROCESSOR):.1f}"
        return [label, memory, processor, f"{middle(turns, FIRST):.2f}", f"{results.disk[label]:.0f}"]

    head = ["server", "memory MB (shared pages once)", "processor ms per photo", "first answer s", "packages MB"]
    return table(head, (row(label, turns) for label, turns in results.turns.items()))


def _ratios(results: Results) -> str:
    ours = results.turns[OURS]
    figures = (rate, P50, P99, ALONE, MEMORY, PROCESSOR, FIRST)

    def row(label: str, turns: Sequence[Turn]) -> list[str]:
        return [label, *(f"{middle(turns, figure) / middle(ours, figure):.2f}" for figure in figures)]

    head = ["of ours, by link", "photos/s", "p50", "p99", "p50, one caller", "memory", "processor", "first answer"]
    return table(head, (row(label, turns) for label, turns in results.turns.items()))


def _goals(results: Results) -> Iterator[str]:
    rows = [*_against_tutorial(results), *_against_frameworks(results), _disk(results)]
    yield table(["goal", "asked", "found", ""], [[*row[:3], VERDICTS[row[3]]] for row in rows])


Goal = tuple[str, str, str, bool | None]
"""What, how much was asked and found, and whether that is enough; ``None`` where nothing was asked."""
VERDICTS = {True: "met", False: "**missed**", None: ""}


def _against_tutorial(results: Results) -> Iterator[Goal]:
    if TUTORIAL not in results.turns:
        return
    p50, alone, memory, first = (_ratio(results, TUTORIAL, figure) for figure in (P50, ALONE, MEMORY, FIRST))
    times = _ratio(results, TUTORIAL, rate)
    yield "throughput against the tutorial's way", "≥ 15", f"{times:.1f}", times >= 15
    yield "p50 against it, eight callers", "≤ 1/10", f"1/{1 / p50:.1f}", p50 <= 1 / 10
    yield "p50 against it, one caller", "≤ 1/10", f"1/{1 / alone:.1f}", alone <= 1 / 10
    yield "memory against it", "≤ 1/3", f"1/{1 / memory:.1f}", memory <= 1 / 3
    yield "first answer against it", "≤ 1/4", f"1/{1 / first:.1f}", first <= 1 / 4


def _against_frameworks(results: Results) -> Iterator[Goal]:
    present = [label for label in FRAMEWORKS if label in results.turns]
    if not present:
        return
    best = max(present, key=lambda label: middle(results.turns[label], rate))
    times, p99 = _ratio(results, best, rate), _ratio(results, best, P99)
    yield f"throughput against the best framework ({best})", "≥ 1.2", f"{times:.2f}", times >= 1.2
    yield "p99 against it", "≤ 1", f"{p99:.2f}", p99 <= 1
    if OUR_WORKERS in results.turns:
        times, p99 = (_ratio(results, best, figure, OUR_WORKERS) for figure in (rate, P99))
        yield "both, ours with a worker per processor, as the frameworks have", "", f"{times:.2f}, {p99:.2f}", None
    if WITH_OURS in results.turns:
        times, p99 = _ratio(results, WITH_OURS, rate), _ratio(results, WITH_OURS, P99)
        yield f"both, against {WITH_OURS}", "", f"{times:.2f}, {p99:.2f}", None


def _disk(results: Results) -> Goal:
    disk = results.disk[OURS]
    return "what serving needs, on disk", f"≤ {MOST_ON_DISK} MB", f"{disk:.0f} MB", disk <= MOST_ON_DISK


def _ratio(results: Results, other: str, figure: Figure, ours: str = OURS) -> float:
    """Return ours as a part of the other's."""
    return middle(results.turns[ours], figure) / middle(results.turns[other], figure)


def _distribution(turns: Sequence[Turn]) -> list[tuple[float, float]]:
    shares = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)
    return [(share, middle(turns, percentile("busy", share))) for share in shares]
