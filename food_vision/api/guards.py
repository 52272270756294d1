"""What every route for photos refuses by the head of a request, so that nothing a caller asked for is passed over."""

from collections import Counter

from fastapi import Request
from fastapi.routing import APIRoute

from food_vision.errors import InvalidParameter, UnsupportedFormat
from food_vision.intake.forms import as_listed


async def refuse_other_options(request: Request) -> None:
    """Refuse options that the route does not have, and options that stand twice.

    Raises:
        InvalidParameter: naming them, and what the route takes.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    taken = [parameter.alias for parameter in route.dependant.query_params]
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if others := [name for name in counts if name not in taken]:
        raise InvalidParameter(f"query: there is no {as_listed(others)}; this route takes {as_listed(taken)}.")
    if doubles := [name for name, count in counts.items() if count > 1]:
        raise InvalidParameter(f"query: {as_listed(doubles)} stands more than once; this route takes each option once.")


async def refuse_compressed(request: Request) -> None:
    """Refuse bodies that would have to be unpacked first: a few bytes can become gigabytes.

    Raises:
        UnsupportedFormat: for any content encoding but ``identity``.
    """
    codings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if not {coding.strip() for coding in codings} <= {"", "identity"}:
        raise UnsupportedFormat("Content-Encoding: compressed bodies are not taken; send the photo as it is.")
