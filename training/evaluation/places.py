"""What stands at the marked places of ``README.md`` and ``MODEL_CARD.md``: sentences and tables made from the facts."""

from collections.abc import Callable, Iterator

from training.evaluation import tables
from training.evaluation.facts import Dishes, Report, Row
from training.paired import percent, points
from training.per_class import worst


def beyond(report: Report) -> str:
    """Return how much further behind classes with few sharp training photos are than they are anyway."""
    text = (
        "Against what food64/test says of the same classes, those with few sharp training photos are behind the others "
        f"on sharp/test by {points(report.gaps.beyond)} points."
    )
    sharp = {one.photos: one for one in report.gaps.sets}
    if (alike := sharp.get("sharp/test, plainer photos")) is None:
        return text
    few, many = (f"{one.photos:,}" for one in (alike.few, alike.many))
    all_few, all_many = (f"{one.photos:,}" for one in (sharp["sharp/test"].few, sharp["sharp/test"].many))
    return (
        f"{text} But the photos differ: {few} of {all_few} test photos of those with few are of the plainer kind, and "
        f"{many} of {all_many} of the others. Photos of that kind compared with each other are "
        f"{points(alike.difference)} points apart."
    )


def _row(report: Report, photos: str) -> Row:
    return next(row for row in report.rows if row.photos == photos)


def _headline(report: Report) -> str:
    top1 = _row(report, "sharp/test").top1
    return (
        f"{100 * top1.value:.0f} % of sharp test photos right "
        f"(95 % interval {100 * top1.low:.1f} to {100 * top1.high:.1f})"
    )


def _readme_rows(report: Report) -> str:
    return tables.rows([_row(report, "sharp/test"), report.tutorial.row, _row(report, "food64/test")])


def _calibration_line(report: Report) -> str:
    sets = ", ".join(f"{100 * one.ece.value:.1f} % on {one.photos}" for one in report.reliability)
    return f"Calibration error (ECE, 15 bins) of the score: {sets}."


def _nine_in_ten(report: Report) -> str:
    share = report.nine_in_ten
    if share is None:
        return "No sharp test photo has a score from 0.85 to 0.95."
    right = percent(share)
    return f"Of the {share.photos:,} sharp test photos with a score from 0.85 to 0.95, {right} % are named right."


def _sets_line(report: Report) -> str:
    if not report.coverage:
        return "These weights have no prediction sets."
    lines = (
        f"{percent(one.held)} % on {one.photos}, with {tables.plain(one.size, 1)} dishes in the mean"
        for one in report.coverage
    )
    return f"The sets of {100 * report.coverage[0].promised:g} % hold the true dish in {'; '.join(lines)}."


def _not_food_line(report: Report) -> str:
    if report.not_food is None:
        return "These weights cannot tell food from the rest."
    kept = " and ".join(f"{percent(share)} % of {name}" for name, share in report.not_food.food.items())
    ((name, through),) = report.not_food.rest.items()
    noticed = (1 - figure for figure in (through.value, through.high, through.low))
    value, low, high = (f"{100 * figure:.1f}" for figure in noticed)
    return (
        f"Of {through.photos:,} photos without food ({name}) {value} % ({low} to {high}) are noticed; "
        f"of food, {kept} is taken for food."
    )


def _limits(report: Report) -> str:
    sharp = report.dishes[0]
    return "\n".join([*_worst_lines(sharp), tables.confusions(sharp).replace("- ", "- Most often confused, ", 1)])


def _worst_lines(sharp: Dishes) -> Iterator[str]:
    found = worst(sharp.recall)
    lines = (f"{dish.replace('_', ' ')} {100 * share.value:.0f} % of {share.photos}" for dish, share in found.items())
    yield f"- Named right least often, {sharp.photos}: {', '.join(lines)}."


def _weights(report: Report) -> str:
    return f"version {report.model.version}, SHA-256 `{report.model.sha256}`"


def _origin(report: Report) -> str:
    model = report.model
    return f"- **Start:** {model.origin}.\n- **Photos:** {model.training_data}.\n- **Licence:** {model.licence}."


PLACES: dict[str, Callable[[Report], str]] = {
    "version": lambda report: report.model.version,
    "weights": _weights,
    "origin": _origin,
    "headline": _headline,
    "rows": lambda report: tables.rows([*report.rows, report.tutorial.row]),
    "short rows": _readme_rows,
    "gaps": lambda report: f"{tables.gaps(report.gaps)}\n\n{beyond(report)}",
    "calibration": _calibration_line,
    "reliability": lambda report: tables.reliability(report.reliability),
    "nine in ten": _nine_in_ten,
    "sets": _sets_line,
    "not food": _not_food_line,
    "limits": _limits,
    "agreement": lambda report: tables.agreement(report.agreement),
    "speed": lambda report: tables.speed(report.speed),
}
"""Name of a marked place → what stands there."""
