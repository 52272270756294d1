"""How failures look in the OpenAPI document, made from the problems themselves so that the two cannot drift apart."""

from collections import defaultdict
from typing import Any

from food_vision.api.problems import MEDIA_TYPE, problem_body
from food_vision.errors import Problem


def problem_responses(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` for the given problems, an example for each code."""
    by_status: defaultdict[int, list[type[Problem]]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    return {status: _response(kinds) for status, kinds in sorted(by_status.items())}


def _response(kinds: list[type[Problem]]) -> dict[str, Any]:
    examples = {kind.code: {"summary": kind.title, "value": problem_body(kind(), "4f1c…", "/docs")} for kind in kinds}
    return {
        "description": " · ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA, "examples": examples}},
    }


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "source_status": {"type": "integer"},
    },
}
