"""The bodies of the Open Inference Protocol's ``infer``: requests found good or refused in one sentence, and answers.

A body is JSON. Where the header ``Inference-Header-Content-Length`` says that the JSON ends before the body does, the
tensor's binary data follows.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from starlette.responses import Response

from food_vision.api.tensors import (
    PHOTOS,
    PIXELS,
    SCORES,
    InputTensor,
    Item,
    Limits,
    Part,
    read_items,
    write_classes,
    write_scores,
)
from food_vision.errors import MalformedBody
from food_vision.model.bundle import Bundle
from food_vision.model.scores import Scores

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"
MAX_JSON_VALUES, MAX_JSON_LISTS = 1 << 19, 1 << 17
"""Two decoded photos as nested lists, three as flat ones. A parsed value takes up to 20 times the memory that it takes
on the wire, a list or an object up to 80 times, and nothing else runs while JSON is parsed: 0.1 s at most."""


class OutputParameters(Part):
    """How an output is wanted."""

    classification: int | None = None
    binary_data: bool | None = None
    shared_memory_region: None = None


class RequestedOutput(Part):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(Part):
    """How outputs are wanted that do not say it themselves."""

    binary_data_output: bool = False


class InferenceRequest(Part):
    """The JSON of a request."""

    id: Annotated[str, Field(max_length=1024)] | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: list[InputTensor] = Field(max_length=4)
    outputs: list[RequestedOutput] = Field([], max_length=4)


@dataclass(frozen=True, slots=True)
class Inference:
    """A request that was found good.

    Attributes:
        id: The caller's name for it.
        items: The photos.
        best: How many classes to tell for each; ``None`` for all scores as numbers.
        binary: Whether the output is wanted as binary data.
    """

    id: str | None
    items: Sequence[Item]
    best: int | None
    binary: bool


def read_inference(body: bytes, json_length: str | None, limits: Limits) -> Inference:
    """Return what a body asks for; ``json_length`` is what its header says.

    Raises:
        MalformedBody: it is not what the protocol or the model takes; says where and why.
        PhotoTooLarge: an encoded photo has too many bytes.
    """
    text, binary = _split(body, json_length)
    request = _parse(text)
    if len(request.inputs) != 1:
        raise MalformedBody(f"inputs: one tensor is taken, {PHOTOS} or {PIXELS}; there are {len(request.inputs)}.")
    wanted = _wanted(request.outputs, limits.classes)
    items = read_items(request.inputs[0], binary, limits)
    as_binary = request.parameters.binary_data_output if wanted.binary_data is None else wanted.binary_data
    return Inference(request.id, items, wanted.classification, as_binary)


def write_answer(bundle: Bundle, inference: Inference, scores: Sequence[Scores]) -> Response:
    """Return the answer to a request, in the form it asked for."""
    if inference.best is None:
        output, binary = write_scores(_in_order(scores, bundle.display_names), inference.binary)
    else:
        output, binary = write_classes(_best(scores, bundle.display_names, inference.best), inference.binary)
    named = {} if inference.id is None else {"id": inference.id}
    answer = {"model_name": bundle.name, "model_version": bundle.version, **named, "outputs": [output]}
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
    if not inference.binary:
        return Response(text, media_type="application/json")
    return Response(text + binary, 200, {JSON_LENGTH_HEADER: str(len(text))}, "application/octet-stream")


def _in_order(scores: Sequence[Scores], dishes: Sequence[str]) -> NDArray[np.float32]:
    """Return all scores, ``float32[N, classes]``, in the order of the model's outputs."""
    by_dish = [dict(photo.ranked) for photo in scores]
    return np.array([[photo[dish] for dish in dishes] for photo in by_dish], np.float32)


def _best(scores: Sequence[Scores], dishes: Sequence[str], count: int) -> list[list[str]]:
    """Return the likeliest dishes of each photo as the classification extension writes them: score, index, label."""
    index_of = {dish: index for index, dish in enumerate(dishes)}
    return [[f"{score:.4f}:{index_of[dish]}:{dish}" for dish, score in photo.ranked[:count]] for photo in scores]


def _split(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    if not re.fullmatch(r"[0-9]{1,12}", json_length):
        raise MalformedBody(f"{JSON_LENGTH_HEADER}: this is not a number of bytes.")
    length = int(json_length)
    if length > len(body):
        raise MalformedBody(f"{JSON_LENGTH_HEADER}: it says {length:,}, but the body has {len(body):,} bytes.")
    return body[:length], memoryview(body)[length:]


def _parse(text: bytes) -> InferenceRequest:
    if text.count(b",") > MAX_JSON_VALUES or text.count(b"[") + text.count(b"{") > MAX_JSON_LISTS:
        raise MalformedBody("There are more values in the JSON than are taken; send tensors as binary data.")
    try:
        # The parser bounds nesting (200 deep) and the digits of a number (4,300) by itself.
        return InferenceRequest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise MalformedBody(f"{where}: {first['msg']}." if where else f"{first['msg']}.") from None


def _wanted(outputs: Sequence[RequestedOutput], classes: int) -> OutputParameters:
    if not outputs:
        return OutputParameters()
    if [output.name for output in outputs] != [SCORES]:
        raise MalformedBody(f"outputs: there is one output, {SCORES}.")
    wanted = outputs[0].parameters
    if wanted.classification is not None and not 1 <= wanted.classification <= classes:
        raise MalformedBody(f"outputs.0.parameters.classification: it goes from 1 to {classes}.")
    return wanted
