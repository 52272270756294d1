"""Tensors of the Open Inference Protocol: what stands in JSON or in binary data ↔ photos, pixels and scores.

Shapes and sizes are compared with what is expected, never multiplied out as they come, and memory is taken only after
they fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from food_vision.errors import MalformedBody, PhotoTooLarge
from food_vision.intake.base64text import decode_base64

PHOTOS, PIXELS, SCORES = "photos", "pixels", "scores"
LENGTH_BYTES = 4
"""Bytes of the length before each element of binary BYTES."""

Json = dict[str, object]
Pixels = NDArray[np.uint8]
Item = bytes | Pixels
"""An encoded photo, or the ``uint8[size, size, 3]`` of a decoded one."""


class Part(BaseModel):
    """A part of a request; what it does not name is ignored: clients send parameters for what other servers can do."""

    model_config = ConfigDict(strict=True, frozen=True)


class InputParameters(Part):
    """What the binary data extension says of an input; ``content_type`` is how some clients name our JSON form."""

    binary_data_size: int | None = None
    content_type: Literal["base64"] | None = None


class InputTensor(Part):
    """A tensor that is sent."""

    name: str
    datatype: str
    shape: list[int] = Field(max_length=4)
    parameters: InputParameters = InputParameters()
    data: Any = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken, and what the model gives.

    Attributes:
        size: Side of the model's square, in pixels.
        classes: Scores per photo.
        items: Photos of one request.
        photo_bytes: Bytes of an encoded photo.
    """

    size: int
    classes: int
    items: int
    photo_bytes: int


def read_items(tensor: InputTensor, binary: memoryview, limits: Limits) -> Sequence[Item]:
    """Return a tensor's photos, one at least; ``binary`` is what follows the JSON.

    Raises:
        MalformedBody: the tensor is not what the model takes, or not what its shape says.
        PhotoTooLarge: an encoded photo has more bytes than are taken.
    """
    data = _binary_data(tensor, binary)
    match tensor.name, tensor.datatype:
        case "photos", "BYTES":
            return _photos(tensor, data, limits)
        case "pixels", "UINT8" | "FP32":
            return list(_pixels(tensor, data, limits))
    raise MalformedBody(f"inputs: the model takes {PHOTOS} of datatype BYTES, or {PIXELS} of UINT8 or FP32.")


def write_scores(scores: NDArray[np.float32], binary: bool) -> tuple[Json, bytes]:
    """Return the output ``float32[N, classes]`` as its JSON and the binary data behind it."""
    about: Json = {"name": SCORES, "datatype": "FP32", "shape": list(scores.shape)}
    if binary:
        return _with_binary(about, scores.astype("<f4").tobytes())
    return about | {"data": scores.ravel().tolist()}, b""


def write_classes(rows: Sequence[Sequence[str]], binary: bool) -> tuple[Json, bytes]:
    """Return the output of the classification extension, N rows of as many texts, as JSON and binary data."""
    about: Json = {"name": SCORES, "datatype": "BYTES", "shape": [len(rows), len(rows[0])]}
    texts = list(chain.from_iterable(rows))
    if binary:
        encoded = (text.encode() for text in texts)
        return _with_binary(about, b"".join(len(text).to_bytes(LENGTH_BYTES, "little") + text for text in encoded))
    return about | {"data": texts}, b""


def _with_binary(about: Json, data: bytes) -> tuple[Json, bytes]:
    return about | {"parameters": {"binary_data_size": len(data)}}, data


def _binary_data(tensor: InputTensor, binary: memoryview) -> memoryview | None:
    """Return the tensor's binary data, or None where it stands in the JSON."""
    size = tensor.parameters.binary_data_size
    if size is None and not binary:
        return None
    if size is None or size != len(binary):
        said = "there is no binary_data_size" if size is None else f"binary_data_size is {size}"
        raise MalformedBody(f"{_name(tensor)}: {said}, but {len(binary):,} bytes follow the JSON.")
    if tensor.data is not None:
        raise MalformedBody(f"{_name(tensor)}: there is both data and binary_data_size.")
    return binary


def _name(tensor: InputTensor) -> str:
    return tensor.name if tensor.name in (PHOTOS, PIXELS) else "inputs.0"


def _check_shape(tensor: InputTensor, most: int, *rest: int) -> int:
    """Return N of a shape that is ``[N, *rest]``."""
    count, *found = tensor.shape or [0]
    if found != list(rest) or not 1 <= count <= most:
        expected = ", ".join(map(str, ("N", *rest)))
        raise MalformedBody(f"{tensor.name}: the shape is [{expected}] with N from 1 to {most}.")
    return count


def _photos(tensor: InputTensor, binary: memoryview | None, limits: Limits) -> list[bytes]:
    count = _check_shape(tensor, limits.items)
    if binary is not None:
        return list(_elements(binary, count, limits.photo_bytes))
    if not isinstance(tensor.data, list) or len(tensor.data) != count:
        raise MalformedBody(f"{PHOTOS}: data is a list of as many base64 texts as the shape says, {count}.")
    return [_from_base64(index, text, limits.photo_bytes) for index, text in enumerate(tensor.data)]


def _elements(binary: memoryview, count: int, most: int) -> Iterator[bytes]:
    """Yield the elements of binary BYTES: each has its length before it, 4 bytes, the lowest first."""
    end = 0
    for index in range(count):
        start = end + LENGTH_BYTES
        length = int.from_bytes(binary[end:start], "little")
        end = start + length
        if end > len(binary):
            raise MalformedBody(f"{PHOTOS}: the binary data ends within element {index}.")
        if length > most:
            raise PhotoTooLarge(f"{PHOTOS}: element {index} has more than {most:,} bytes.")
        yield bytes(binary[start:end])
    if end < len(binary):
        raise MalformedBody(f"{PHOTOS}: {len(binary) - end:,} bytes follow the last of {count} elements.")


def _from_base64(index: int, text: object, most: int) -> bytes:
    if not isinstance(text, str):
        raise MalformedBody(f"{PHOTOS}: data.{index} is no text; photos in JSON are base64.")
    return decode_base64(text, most, f"{PHOTOS}: data.{index}")


def _pixels(tensor: InputTensor, binary: memoryview | None, limits: Limits) -> Pixels:
    size = limits.size
    shape = (_check_shape(tensor, limits.items, size, size, 3), size, size, 3)
    if binary is None:
        return _to_uint8(_numbers(tensor, shape)).reshape(shape)
    wire = np.dtype("u1" if tensor.datatype == "UINT8" else "<f4")
    expected = shape[0] * size * size * 3 * wire.itemsize
    if len(binary) != expected:
        raise MalformedBody(f"{PIXELS}: the shape takes {expected:,} bytes, there are {len(binary):,}.")
    return _to_uint8(np.frombuffer(binary, wire)).reshape(shape)


def _to_uint8(values: NDArray[Any]) -> Pixels:
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    # NaN fails both comparisons.
    if not ((values >= 0) & (values <= 255)).all():
        raise MalformedBody(f"{PIXELS}: values lie between 0 and 255.")
    return np.asarray(np.rint(values), np.uint8)


def _numbers(tensor: InputTensor, shape: tuple[int, ...]) -> NDArray[np.float64]:
    values = _flat(tensor.data, shape)
    allowed = {int} if tensor.datatype == "UINT8" else {int, float}
    if not set(map(type, values)) <= allowed:
        raise MalformedBody(f"{PIXELS}: data holds numbers, for UINT8 whole ones.")
    try:
        return np.array(values, np.float64)
    except OverflowError:
        raise MalformedBody(f"{PIXELS}: values lie between 0 and 255.") from None


def _flat(data: object, shape: tuple[int, ...]) -> list[Any]:
    """Return a tensor's values, which JSON may hold in one flat list or nested like the shape."""
    count, height, width, channels = shape
    if isinstance(data, list) and len(data) == count * height * width * channels:
        return data
    level: list[Any] = [data]
    for length in shape:
        if not all(isinstance(part, list) and len(part) == length for part in level):
            raise MalformedBody(f"{PIXELS}: data does not have the shape {list(shape)}.")
        level = list(chain.from_iterable(level))
    return level
