"""What the document of the full API shows: the forms of a photo, and examples of answers."""

from typing import Any

from food_vision.api.contract import EXAMPLE_LINK

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGM4YqSKFTEMLQkAZjhIAeB0oKEAAAAASUVORK5CYII="
"""A PNG of 8 by 8 pixels."""

_URL = {
    "type": "string",
    "format": "uri",
    "maxLength": 2048,
    "description": "Absolute http or https URL of a JPEG, PNG, WebP or GIF photo.",
}
_IMAGE = {
    "type": "string",
    "minLength": 1,
    "description": "The photo's bytes as base64, standard or url-safe, padding optional, or a data URI of such.",
}
_ID = {"type": "string", "maxLength": 200, "description": "Any name; comes back with the result."}
_BINARY = {"type": "string", "format": "binary"}


def _one_of(**more: dict[str, Any]) -> dict[str, Any]:
    kinds = {"url": _URL, "image": _IMAGE}
    return {
        "oneOf": [
            {
                "type": "object",
                "title": name,
                "required": [name],
                "properties": {**more, name: schema},
                "additionalProperties": False,
            }
            for name, schema in kinds.items()
        ]
    }


def _form(content: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": content},
            "additionalProperties": False,
        }
    }


PHOTO_BODY = {
    "requestBody": {
        "required": False,
        "description": "One photo in one of five forms: a link, a form, the file itself, base64, a data URI.",
        "content": {
            "application/json": {
                "schema": _one_of(),
                "examples": {
                    "a link": {"value": {"url": EXAMPLE_LINK}},
                    "base64": {"value": {"image": PIXEL}},
                    "a data URI": {"value": {"image": f"data:image/png;base64,{PIXEL}"}},
                },
            },
            "multipart/form-data": _form(_BINARY),
            **{
                media_type: {"schema": _BINARY}
                for media_type in ("image/jpeg", "image/png", "image/webp", "image/gif", "application/octet-stream")
            },
        },
    }
}


def batch_body(max_items: int) -> dict[str, Any]:
    """Return the body of a batch of so many photos."""
    photos = {"type": "array", "minItems": 1, "maxItems": max_items}
    listed = {"value": [{"id": "first", "url": EXAMPLE_LINK}, {"image": PIXEL}]}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {**photos, "items": _one_of(id=_ID)},
                    "examples": {"a link and base64": listed},
                },
                "multipart/form-data": _form({**photos, "items": _BINARY}),
            },
        }
    }


PREDICTION: dict[str, Any] = {
    "dish": "ramen",
    "score": 0.9341,
    "predictions": [{"dish": "ramen", "score": 0.9341}, {"dish": "pho", "score": 0.0312}],
    "prediction_set": ["ramen", "pho"],
    "coverage": 0.95,
    "food": True,
    "food_score": 0.998,
    "photo": {"width": 4032, "height": 3024, "format": "JPEG", "sha256": "9f86d081" * 8},
    "model": {"name": "food-vision", "version": "1.3.1"},
    "timings_ms": {"fetch": 41.2, "decode": 6.1, "queue": 0.1, "inference": 2.9},
}
EXPLAINED: dict[str, Any] = {
    **PREDICTION,
    "explanation": {
        "dish": "ramen",
        "score": 0.9341,
        "grid": [[round(max(0.0, 1 - ((x - 3) ** 2 + (y - 3) ** 2) / 12), 4) for x in range(7)] for y in range(7)],
        "area": {"left": 504, "top": 0, "width": 3024, "height": 3024},
    },
}
BATCH: dict[str, Any] = {
    "results": [
        {"id": "first", "result": PREDICTION},
        {
            "id": "second",
            "problem": {
                "type": "/docs/errors.md#photo-too-small",
                "title": "Photo too small",
                "status": 422,
                "code": "photo_too_small",
                "detail": "The photo has 4 x 4 pixels; each side needs 8 at least.",
                "request_id": "4f1c…",
            },
        },
    ]
}


def shows(value: object) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` with an example of the good answer."""
    return {200: {"content": {"application/json": {"example": value}}}}
