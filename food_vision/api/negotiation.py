"""What a caller's headers ask for: of which type an answer shall be, and whether it is known already."""

from collections.abc import Iterable

from food_vision.errors import NotAcceptable

JSON, PNG = "application/json", "image/png"


def preferred(accept: str, offered: tuple[str, ...]) -> str:
    """Return which of the offered media types an ``Accept`` header likes best; of equals the first.

    Raises:
        NotAcceptable: when it likes none.
    """
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))
    if not _quality(best, ranges):
        raise NotAcceptable(f"There is {' and '.join(offered)}, and the Accept header takes neither.")
    return best


def is_known(if_none_match: Iterable[str], etag: str) -> bool:
    """Tell by the lines of ``If-None-Match`` whether a caller has a version already (RFC 9110, weak comparison)."""
    known = [tag.strip().removeprefix("W/") for tag in ",".join(if_none_match).split(",")]
    return etag in known or known == ["*"]


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.lower().split(";"))
    weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return name, min(max(float(weight), 0.0), 1.0)
    except ValueError:
        return name, 1.0


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The most exact range counts: ``image/png;q=0, */*`` takes everything but that."""
    for pattern in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        weights = [weight for name, weight in ranges if name == pattern]
        if weights:
            return max(weights)
    return 0.0
