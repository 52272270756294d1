"""What the Open Inference Protocol's routes answer, and what the OpenAPI document says of them."""

from typing import Any, TypedDict

from fastapi import Response
from pydantic import BaseModel

from food_vision.api.tensors import PHOTOS, SCORES
from food_vision.errors import (
    DeadlineExceeded,
    MalformedBody,
    NotFound,
    Overloaded,
    PhotoTooLarge,
    Problem,
    RequestTimeout,
    UndecodablePhoto,
    UnsupportedFormat,
)


class Server(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the process serves."""

    live: bool


class Ready(BaseModel):
    """Whether the models answer."""

    ready: bool


class ModelReady(Ready):
    """Whether a model answers."""

    name: str


class TensorKind(BaseModel):
    """A tensor that the model takes or gives; -1 stands for any number of photos."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the model takes and gives; one of the inputs is sent, ``pixels`` also as FP32."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorKind]
    outputs: list[TensorKind]


class ErrorAnswer(BaseModel):
    """A failure as this protocol shows it."""

    error: str


class Docs(TypedDict, total=False):
    """What several routes say of themselves in the OpenAPI document."""

    summary: str
    responses: dict[int | str, dict[str, Any]]
    response_class: type[Response]
    openapi_extra: dict[str, Any]


def error_answers(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` for the given problems in this protocol's shape."""
    return {kind.status: {"model": ErrorAnswer, "description": kind.title} for kind in kinds}


REQUEST_EXAMPLE = {
    "id": "42",
    "inputs": [{"name": PHOTOS, "datatype": "BYTES", "shape": [1], "data": ["/9j/4AAQSkZJRgABAQ…"]}],
    "outputs": [{"name": SCORES, "parameters": {"classification": 3}}],
}
ANSWER_EXAMPLE = {
    "model_name": "food-vision",
    "model_version": "1.3.1",
    "id": "42",
    "outputs": [
        {
            "name": SCORES,
            "datatype": "BYTES",
            "shape": [1, 3],
            "data": ["0.9341:76:ramen", "0.0312:70:pho", "0.0102:56:hot and sour soup"],
        }
    ],
}
INFER = Docs(
    summary="Tell the dishes on photos or pixels",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {"example": ANSWER_EXAMPLE}, "application/octet-stream": {}}},
        **error_answers(
            MalformedBody,
            NotFound,
            RequestTimeout,
            PhotoTooLarge,
            UnsupportedFormat,
            UndecodablePhoto,
            Overloaded,
            DeadlineExceeded,
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"example": REQUEST_EXAMPLE}, "application/octet-stream": {}},
        }
    },
)
