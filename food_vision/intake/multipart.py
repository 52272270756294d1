"""``multipart/form-data``, read while it arrives: parts, their headers and their sizes are bounded."""

from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from food_vision.errors import MalformedBody, PhotoTooLarge, TooManyItems

_HEADERS: Final = 8
_HEADER_BYTES: Final = 4_096


@dataclass(slots=True)
class Part:
    """A field of a form.

    Attributes:
        name: The field's name.
        filename: What the caller calls the file; ``None`` where it says nothing.
        data: The content.
    """

    name: str
    filename: str | None
    data: bytearray = field(default_factory=bytearray)


class FormReader:
    """Takes a form's bytes as they come; ``parts`` has the fields once ``finish`` has returned.

    Args:
        content_type: The request's, with the boundary.
        most_parts: Fields that there may be.
        most_bytes: Bytes that one field may have.

    Raises:
        MalformedBody: when there is no usable boundary.
    """

    def __init__(self, content_type: str, most_parts: int, most_bytes: int) -> None:
        self.parts: list[Part] = []
        self._most_parts, self._most_bytes = most_parts, most_bytes
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._read = 0
        self._ended = False
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._mark = b"--" + boundary
        self._marks = 0
        # The end of what was read before the first boundary; a boundary begins a line, and so does the body.
        self._preamble: bytes | None = b"\n"
        self._parser = self._make_parser(boundary)

    def feed(self, chunk: bytes) -> None:
        """Read on.

        Raises:
            MalformedBody: with the offset in the body, counted from 0.
            TooManyItems: more fields than may be.
            PhotoTooLarge: a field with more bytes than may be.
        """
        # Counted before the parser sees them: what follows a boundary it looks at byte by byte, and a body of nothing
        # but broken boundaries would keep it busy for seconds.
        self._marks += chunk.count(self._mark)
        if self._marks > self._most_parts + 1:
            raise TooManyItems(f"The form has more than {self._most_parts} fields.")
        self._read += len(chunk)
        rest = self._after_preamble(chunk)
        try:
            self._parser.write(rest)
        except FormParserError as error:
            offset = self._read - len(rest) + max(getattr(error, "offset", 0), 0)
            raise MalformedBody(f"The form is broken at offset {offset}.", internal=str(error)) from error

    def finish(self) -> None:
        """Tell that the body has ended.

        Raises:
            MalformedBody: when it ended before the form did.
        """
        if not self._ended:
            which = "last" if self._preamble is None else "first"
            raise MalformedBody(f"The form ends at offset {self._read}, before its {which} boundary.")

    def _after_preamble(self, chunk: bytes) -> bytes:
        """Return what the parser shall see of a chunk: before its first boundary nothing counts (RFC 2046)."""
        if self._preamble is None:
            return chunk
        read = self._preamble + chunk
        start = read.find(b"\n" + self._mark)
        if start < 0:
            self._preamble = read[-len(self._mark) :]
            return b""
        self._preamble = None
        return read[start + 1 :]

    def _make_parser(self, boundary: bytes) -> MultipartParser:
        if not boundary:
            raise MalformedBody("The form's content type names no boundary.")
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_part,
                    "on_part_data": self._content,
                    "on_end": self._end,
                },
                max_header_count=_HEADERS,
                max_header_size=_HEADER_BYTES,
            )
        except FormParserError as error:
            raise MalformedBody("The form's boundary is too long.", internal=str(error)) from error

    def _begin_part(self) -> None:
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header, self._value = b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value

    def _open_part(self) -> None:
        if len(self.parts) == self._most_parts:
            raise TooManyItems(f"The form has more than {self._most_parts} fields.")
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise MalformedBody(f"Field {len(self.parts) + 1} of the form has no name.")
        filename = options.get(b"filename")
        self.parts.append(Part(_text(options[b"name"]), None if filename is None else _text(filename)))

    def _content(self, data: bytes, start: int, end: int) -> None:
        content = self.parts[-1].data
        if len(content) + end - start > self._most_bytes:
            raise PhotoTooLarge(f"The photo has more than {self._most_bytes:,} bytes.")
        content += memoryview(data)[start:end]

    def _end(self) -> None:
        self._ended = True


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
