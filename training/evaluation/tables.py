"""Figures → Markdown tables and short sentences."""

from collections.abc import Iterable, Sequence

from training.evaluation.facts import Agreement, Coverage, Dishes, Gaps, NotFood, Reliability, Row, Speed, TwoPrecisions
from training.metrics import Bin, Figure
from training.paired import percent, points
from training.per_class import worst

ROW_HEAD = ("photos", "count", "top-1 %", "top-5 %", "mean over classes %", "NLL", "ECE %")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plain(figure: Figure, places: int = 3) -> str:
    """Return a figure with so many decimals."""
    return f"{figure.value:.{places}f} ({figure.low:.{places}f} to {figure.high:.{places}f})"


def rows(found: Iterable[Row]) -> str:
    """Return the table of sets of photos."""
    return table(ROW_HEAD, (row_cells(one) for one in found))


def row_cells(one: Row) -> list[str]:
    """Return a set's line of the table."""
    shares = (percent(one.top1), percent(one.top5), percent(one.class_mean))
    return [one.photos, f"{one.top1.photos:,}", *shares, plain(one.nll), percent(one.ece)]


def gaps(found: Gaps) -> str:
    """Return how classes with few and with many sharp training photos fare."""
    head = ("photos", "count", "few: mean over classes %", "many", "difference, points")
    lines = (
        [one.photos, f"{one.difference.photos:,}", percent(one.few), percent(one.many), points(one.difference)]
        for one in found.sets
    )
    return table(head, lines)


def reliability(found: Iterable[Reliability]) -> str:
    """Return the calibration before and after."""
    head = ("photos", "count", "ECE before, %", "ECE after, %", "NLL before", "NLL after")
    lines = (
        [
            one.photos,
            f"{one.ece.photos:,}",
            percent(one.ece_before),
            percent(one.ece),
            plain(one.nll_before),
            plain(one.nll),
        ]
        for one in found
    )
    return table(head, lines)


def bins(found: Sequence[Reliability]) -> str:
    """Return the bins behind the diagram, after calibration: right of so many, by score."""
    head = ["score, %", *(f"{one.photos}: mean score, right %" for one in found)]
    lines = (
        [f"{100 * row[0].low:.0f} to {100 * row[0].high:.0f}", *(_bin(one) for one in row)]
        for row in zip(*(one.bins for one in found), strict=True)
    )
    return table(head, lines)


def _bin(one: Bin) -> str:
    if one.right is None:
        return "no photos"
    return f"{100 * one.confidence:.1f}, {percent(one.right)} of {one.right.photos:,}"


def coverage(found: Iterable[Coverage]) -> str:
    """Return how often prediction sets hold the true dish, and how large they are."""
    head = ("photos", "count", "true dish in the set, %", "dishes in a set, mean", "only one, %", "none, %")
    lines = (
        [
            one.photos,
            f"{one.held.photos:,}",
            percent(one.held),
            plain(one.size, 2),
            percent(one.alone),
            percent(one.empty),
        ]
        for one in found
    )
    return table(head, lines)


def worst_covered(found: Iterable[Coverage], count: int = 10) -> str:
    """Return the dishes that the sets hold least often."""
    return "\n".join(f"- {one.photos}: {_shares(worst(one.dishes, count))}" for one in found)


def not_food(found: NotFood) -> str:
    """Return what is taken for food."""
    head = ("photos", "count", "what", "taken for food, %")
    lines = [[name, f"{share.photos:,}", "food", percent(share)] for name, share in found.food.items()]
    lines += [[name, f"{share.photos:,}", "no food", percent(share)] for name, share in found.rest.items()]
    return table(head, lines)


def precision(found: TwoPrecisions) -> str:
    """Return what the other precision costs, and what it gives."""
    differences = table(
        ("photos", f"top-1: {found.served} less {found.other}, points"),
        ([name, points(one)] for name, one in found.differences.items()),
    )
    sizes = (
        f"The file in {found.served}, which is served, has {found.bytes_served / 1e6:.1f} MB, "
        f"the other {found.bytes_other / 1e6:.1f} MB."
    )
    return "\n\n".join([rows(found.rows), differences, f"{agreement(found.agreement)} {sizes}"])


def agreement(found: Agreement) -> str:
    """Return how alike two engines answer, as a sentence."""
    one, other = found.engines
    largest = f"{found.largest:.2g}" if found.largest else "less than a millionth"  # facts have six decimals
    return (
        f"{one} against {other}, {found.same.photos:,} photos ({found.photos}): the same first answer in "
        f"{percent(found.same)} %; the largest difference in a probability is {largest}."
    )


def speed(found: Sequence[Speed]) -> str:
    """Return milliseconds by engine and threads."""
    head = ("engine", "threads", "ms per photo: median (quartiles of the rounds)", "photos")
    lines = (
        [one.engine, str(one.threads), f"{one.median:.1f} ({one.low:.1f} to {one.high:.1f})", str(one.photos)]
        for one in found
    )
    return table(head, lines)


def worst_dishes(found: Dishes, count: int = 10) -> str:
    """Return the dishes that are named right least often."""
    return f"- {found.photos}: {_shares(worst(found.recall, count))}"


def confusions(found: Dishes) -> str:
    """Return the pairs of dish and wrong answer that take the greatest share of the dish's photos."""
    lines = (f"{_dish(one.dish)} for {_dish(one.taken_for)} {one.times} of {one.photos}" for one in found.confusions)
    return f"- {found.photos}: {'; '.join(lines)}"


def all_dishes(found: Sequence[Dishes]) -> str:
    """Return every dish, the worst of the first set first, behind them those that only other sets have."""
    head = ("dish", *(f"{one.photos}: right %, of" for one in found))
    order = dict.fromkeys(dish for one in found for dish in worst(one.recall, len(one.recall)))
    return table(head, ([_dish(dish), *(_right(one, dish) for one in found)] for dish in order))


def _right(one: Dishes, dish: str) -> str:
    share = one.recall.get(dish)
    return f"{percent(share)}, {share.photos}" if share else ""


def _shares(shares: dict[str, Figure]) -> str:
    lines = (f"{_dish(dish)} {percent(share)} of {share.photos}" for dish, share in shares.items())
    return "; ".join(lines)


def _dish(name: str) -> str:
    return name.replace("_", " ")
