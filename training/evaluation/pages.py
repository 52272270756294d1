"""The pages that show figures: one whole, two with marked places, and the diagram.

In ``README.md`` and ``MODEL_CARD.md`` what stands between ``<!-- evaluation: NAME -->`` and ``<!-- end -->`` is written
here from ``docs/evaluation.json``; the words around it are written by hand and hold no figure of the weights.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from training.evaluation import places, tables
from training.evaluation.diagram import reliability_svg
from training.evaluation.facts import Report, read
from training.paired import points

FACTS = Path("docs/evaluation.json")
PAGE = Path("docs/evaluation.md")
DIAGRAM = Path("docs/figures/reliability.svg")
MARKED = (Path("README.md"), Path("MODEL_CARD.md"))
_PLACE = re.compile(r"(?P<begin><!-- evaluation: (?P<name>[^>]+?) -->)(.*?)(?P<end><!-- end -->)", re.DOTALL)

HOW = """\
Made by `python -m training.evaluate` from [evaluation.json](evaluation.json); not to be edited. Every photo took the
server's way: its decoder, the model's recipe, {engine}, its scorer. Figures stand with their 95 % intervals: Wilson's
for shares, the normal one for means over photos, for means over classes from the classes' own variances, the
bootstrap's for calibration errors (ECE, first answer, 15 bins) and for gaps between classes. NLL is the negative
log-likelihood in nats."""
GROUPS = """\
Classes with "many" sharp training photos have 180 or more, those with "few" fewer. "Plainer" photos come from a
collection that took the smallest files of each class (`test-plain.txt`)."""


def render(root: Path) -> None:
    """Write every page of a project anew from its ``docs/evaluation.json``."""
    for path, text in rendered(root).items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def rendered(root: Path) -> dict[Path, str]:
    """Return what every page should hold."""
    report = read(root / FACTS)
    pages = {PAGE: page(report), DIAGRAM: reliability_svg(report.reliability)}
    return pages | {path: with_figures((root / path).read_text(encoding="utf-8"), report) for path in MARKED}


def with_figures(text: str, report: Report) -> str:
    """Return a text with its marked places filled; a place in a line of its own holds lines of its own.

    Raises:
        KeyError: when a place has a name that is not known.
    """

    def fill(place: re.Match[str]) -> str:
        shown = places.PLACES[place["name"]](report)
        around = "\n" if place[3].startswith("\n") else ""
        return f"{place['begin']}{around}{shown}{around}{place['end']}"

    return _PLACE.sub(fill, text)


def page(report: Report) -> str:
    """Return ``docs/evaluation.md``."""
    return "\n\n".join(_parts(report)) + "\n"


def _parts(report: Report) -> Iterator[str]:
    model = report.model
    yield f"# How good food-vision {model.version} is"
    yield HOW.format(engine=model.engine)
    yield f"Weights: `{model.sha256}` (SHA-256). Machine: {report.machine}."
    yield "## Accuracy"
    yield tables.rows([*report.rows, report.tutorial.row])
    yield GROUPS
    yield "## Classes with few sharp training photos"
    yield tables.gaps(report.gaps)
    yield places.beyond(report)
    yield "## Calibration"
    yield tables.reliability(report.reliability)
    yield f"![Reliability diagram]({DIAGRAM.relative_to(PAGE.parent)})"
    yield tables.bins(report.reliability)
    yield from _promises(report)
    yield from _other_ways(report)
    yield from _dishes(report)


def _promises(report: Report) -> Iterator[str]:
    if report.coverage:
        yield f"## Prediction sets of {100 * report.coverage[0].promised:g} %"
        yield tables.coverage(report.coverage)
        yield "Held least often:"
        yield tables.worst_covered(report.coverage)
    if report.not_food:
        yield "## Food or not"
        yield f"Score `{report.not_food.score}`, food from {report.not_food.threshold:g}."
        yield tables.not_food(report.not_food)


def _other_ways(report: Report) -> Iterator[str]:
    yield "## The same photos another way"
    more = points(report.tutorial.difference)
    yield f"On sharp/test the server's own way is right more often than the tutorial's lines: {more} points."
    yield tables.agreement(report.agreement)
    if report.precision:
        yield f"### {report.precision.served} and {report.precision.other}"
        yield tables.precision(report.precision)
    yield "## Milliseconds"
    yield "One photo at a time, engines asked in turn, round after round; without decoding."
    yield tables.speed(report.speed)


def _dishes(report: Report) -> Iterator[str]:
    yield "## Dishes"
    yield "Named right least often, in %:"
    yield "\n".join(tables.worst_dishes(one) for one in report.dishes)
    yield "Most often taken for another, by share of the dish's photos:"
    yield "\n".join(tables.confusions(one) for one in report.dishes)
    yield "All of them:"
    yield tables.all_dishes(report.dishes)
