"""A graph and a text of ours in one ONNX file, sealed with the digest of both.

What comes behind a protocol buffer is read as more of its fields. So text and seal stand behind the graph, and to every
reader of ONNX they are two of the model's ``metadata_props``.
"""

import hashlib

TEXT, SEAL = b"food_vision.json", b"food_vision.sha256"
"""Names of the two properties."""
FIELD = b"\x72"
"""The mark of ``metadata_props``, field 14 of ONNX's ModelProto."""
COUNT = 5
"""Bytes in which a length is written, whatever it is."""


def sealed(graph: bytes, text: str) -> bytes:
    """Return the file's bytes; the same input gives the same bytes."""
    body = graph + _property(TEXT, text.encode())
    return body + _seal(body)


def is_whole(data: bytes) -> bool:
    """Tell whether these are the bytes of such a file, each as it was written."""
    end = len(data) - len(_seal(b""))
    return end > 0 and data[end:] == _seal(data[:end])


def graph_of(data: bytes) -> bytes:
    """Return the graph of a file that is whole."""
    return data.rpartition(_named(TEXT))[0][: -len(FIELD) - COUNT]


def text_of(data: bytes) -> bytes:
    """Return the text of a file that is whole, UTF-8."""
    return data.rpartition(_named(TEXT))[2][COUNT : -len(_seal(b""))]


def _seal(body: bytes) -> bytes:
    return _property(SEAL, hashlib.sha256(body).hexdigest().encode())


def _property(name: bytes, value: bytes) -> bytes:
    return FIELD + _counted(_named(name) + _counted(value))


def _named(name: bytes) -> bytes:
    """Return a property's beginning: its field 1, the name, and the mark of its field 2, the value."""
    return b"\x0a" + _counted(name) + b"\x12"


def _counted(data: bytes) -> bytes:
    """Return data behind its length, seven bits a byte as protocol buffers have it."""
    sevens = [len(data) >> 7 * place & 0x7F for place in range(COUNT)]
    return bytes([0x80 | seven for seven in sevens[:-1]] + sevens[-1:]) + data
