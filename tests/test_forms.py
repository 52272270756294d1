"""The five forms, and everything that is wrong with a body, in one table each."""

import asyncio
import base64
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from food_vision.errors import (
    CallerProblem,
    InvalidParameter,
    MalformedBody,
    PhotoTooLarge,
    Problem,
    TooManyItems,
    UnsupportedFormat,
)
from food_vision.intake.forms import Body, Forms, Source

PHOTO = bytes(range(256)) * 3 + b"\xfb\xff"
"""Its base64 has both + and /, and needs padding."""
STANDARD = base64.b64encode(PHOTO).decode()
URL_SAFE = base64.urlsafe_b64encode(PHOTO).decode()
LINK = "https://photos.example/ramen.jpg"
LIMIT = 1_000
FORMS = Forms(max_photo_bytes=LIMIT, max_items=3, max_batch_bytes=8_000)
BOUNDARY = "b0undary"
JSON = "application/json"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def body(content_type: str, content: bytes, piece: int = 7, declared: int | None = None) -> Body:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), piece):
            yield content[start : start + piece]

    return Body(content_type, declared, chunks())


def json_of(value: object) -> bytes:
    return json.dumps(value).encode()


def part(content: bytes, name: str = "file", filename: str | None = "a.jpg", more: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def read(content_type: str, content: bytes, url: str | None = None, piece: int = 7) -> Source:
    return asyncio.run(FORMS.photo(body(content_type, content, piece), url))


PHOTO_FORMS = [
    pytest.param("multipart/form-data; boundary=b0undary", form(part(PHOTO)), id="form"),
    pytest.param('Multipart/Form-Data; charset=utf-8; boundary="b0undary"', form(part(PHOTO)), id="form, quoted"),
    pytest.param(FORM, form(part(PHOTO, filename=None)), id="form, no file name"),
    pytest.param(FORM, b"A --b0undary\r\n" + form(part(PHOTO)), id="form, words before it"),
    pytest.param(FORM, b"\r\n" + form(part(PHOTO)), id="form, an empty line before it"),
    pytest.param("image/jpeg", PHOTO, id="raw"),
    pytest.param("application/octet-stream", PHOTO, id="raw, just bytes"),
    pytest.param("", PHOTO, id="raw, no content type"),
    pytest.param(JSON, json_of({"image": STANDARD}), id="base64"),
    pytest.param(JSON, json_of({"image": STANDARD.rstrip("=")}), id="base64, no padding"),
    pytest.param(JSON, json_of({"image": URL_SAFE}), id="base64, url-safe"),
    pytest.param(JSON, json_of({"image": URL_SAFE.rstrip("=")}), id="base64, url-safe, no padding"),
    pytest.param(JSON, json_of({"image": f"data:image/jpeg;base64,{STANDARD}"}), id="data URI"),
    pytest.param(JSON, json_of({"image": f"DATA:;BASE64,{STANDARD}"}), id="data URI, upper case, no type"),
    pytest.param("application/json; charset=utf-8", json_of({"image": STANDARD}), id="JSON with a charset"),
]


@pytest.mark.parametrize("piece", [1, 7, 100_000], ids=["byte by byte", "in pieces", "at once"])
@pytest.mark.parametrize(("content_type", "content"), PHOTO_FORMS)
def test_every_form_gives_the_same_bytes(content_type: str, content: bytes, piece: int) -> None:
    assert read(content_type, content, piece=piece) == Source(data=PHOTO)


@pytest.mark.parametrize(
    ("content_type", "content", "url"),
    [
        pytest.param(JSON, json_of({"url": LINK}), None, id="JSON"),
        pytest.param("", b"", LINK, id="query"),
        pytest.param(JSON, b" ", LINK, id="query, an empty JSON body"),
    ],
)
def test_links_are_not_followed_here(content_type: str, content: bytes, url: str | None) -> None:
    assert read(content_type, content, url) == Source(url=LINK)


def test_a_link_in_a_file_field_is_the_bytes_of_a_file() -> None:
    assert read(FORM, form(part(LINK.encode(), filename=None))) == Source(data=LINK.encode())


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream"])
def test_an_empty_file_is_a_photo_and_is_looked_at(content_type: str) -> None:
    assert read(content_type, b"") == Source(data=b"")
    assert read(content_type, b"", LINK) == Source(url=LINK), "some clients name a type without a body"


def row(
    kind: type[CallerProblem], says: str, content_type: str, content: bytes, *, url: str | None = None, id: str
) -> Any:  # noqa: ANN401 - what pytest.param returns has no public name
    return pytest.param(kind, says, content_type, content, url, id=id)


BOTH = json_of({"url": LINK, "image": STANDARD})
REFUSED = [
    row(InvalidParameter, "There is no photo", "", b"", id="nothing"),
    row(InvalidParameter, "There is no photo", JSON, b"{}", id="empty object"),
    row(InvalidParameter, "There is no photo", FORM, form(), id="empty form"),
    row(InvalidParameter, "2: body.url, body.image", JSON, BOTH, id="link and image"),
    row(InvalidParameter, "2: the parameter url, the body", "image/png", PHOTO, url=LINK, id="query and raw"),
    row(
        InvalidParameter, "2: the parameter url, body.url", JSON, json_of({"url": LINK}), url=LINK, id="query and link"
    ),
    row(InvalidParameter, "2: file 1, file 2", FORM, form(part(b"a"), part(b"b")), id="two files"),
    row(InvalidParameter, "`image`", FORM, form(part(b"a", name="image")), id="a field of another name"),
    row(InvalidParameter, "`file`: url", FORM, form(part(b"a"), part(b"b", name="url")), id="a field too many"),
    row(InvalidParameter, "nothing else", JSON, json_of({"url": LINK, "top_k": 3}), id="an unknown member"),
    row(InvalidParameter, "body.url: must be text", JSON, json_of({"url": 1}), id="a number as link"),
    row(InvalidParameter, "body.image: must be text", JSON, json_of({"image": None}), id="null as image"),
    row(InvalidParameter, "must be an object", JSON, b"[]", id="a list"),
    row(InvalidParameter, "stands twice", JSON, b'{"url": "a", "url": "b"}', id="a name twice"),
    row(UnsupportedFormat, "content type is none of", "text/plain", PHOTO, id="another content type"),
    row(UnsupportedFormat, "none of", "application/x-www-form-urlencoded", PHOTO, id="a form of the other kind"),
    row(PhotoTooLarge, "1,000 bytes", "image/jpeg", bytes(LIMIT + 1), id="raw, one byte over"),
    row(PhotoTooLarge, "1,000 bytes", FORM, form(part(bytes(LIMIT + 1))), id="form, one byte over"),
    row(
        PhotoTooLarge, "1,000", JSON, json_of({"image": base64.b64encode(bytes(LIMIT + 1)).decode()}), id="base64, over"
    ),
    row(PhotoTooLarge, "1,000 bytes", JSON, b'{"url":"' + b"a" * 100_000 + b'"}', id="JSON, far over"),
    row(MalformedBody, "white space at offset 4 ", JSON, json_of({"image": "AAAA AAAA"}), id="base64, a space"),
    row(MalformedBody, "white space at offset 8 ", JSON, json_of({"image": "AAAAAAAA\nAAAA"}), id="base64, wrapped"),
    row(MalformedBody, "offset 25 ", JSON, json_of({"image": "data:image/png;base64,AAA A"}), id="data URI, a space"),
    row(MalformedBody, "'=' at offset 2 ", JSON, json_of({"image": "AA==AAAA"}), id="base64, padding in the middle"),
    row(MalformedBody, "'%' at offset 0 ", JSON, json_of({"image": "%00"}), id="base64, percent-encoded"),
    row(
        MalformedBody,
        "a character at offset 1 ",
        JSON,
        json_of({"image": "A\u00e9AA"}),
        id="base64, a letter with accent",
    ),
    row(MalformedBody, "ends at offset 5 within", JSON, json_of({"image": "AAAAA"}), id="base64, a digit alone"),
    row(MalformedBody, "padding at offset 4 ", JSON, json_of({"image": "AAAA="}), id="base64, too much padding"),
    row(MalformedBody, "padding at offset 2 ", JSON, json_of({"image": "AA="}), id="base64, too little padding"),
    row(MalformedBody, "padding at offset 2 ", JSON, json_of({"image": "AA======"}), id="base64, padding for two"),
    row(MalformedBody, "data:…;base64,", JSON, json_of({"image": "data:image/png,AAAA"}), id="data URI, percent form"),
    row(
        MalformedBody,
        "data:…;base64,",
        JSON,
        json_of({"image": "data:" + "a" * 300 + ";base64,A"}),
        id="data URI, long",
    ),
    row(MalformedBody, "broken at offset 8", JSON, b'{"url": }', id="JSON, broken"),
    row(MalformedBody, "broken at offset 8", JSON, b'{"url": "', id="JSON, cut short"),
    row(MalformedBody, "UTF-8 at offset 9", JSON, b'{"url": "\xff"}', id="JSON, not UTF-8"),
    row(MalformedBody, "broken at offset 0", JSON, b"\xef\xbb\xbf{}", id="JSON, a byte order mark"),
    row(MalformedBody, "nested too deeply", JSON, b"[" * 20_000, id="JSON, deep"),
    row(MalformedBody, "number that is too long", JSON, b"1" * 5_000, id="JSON, a long number"),
    row(MalformedBody, "names no boundary", "multipart/form-data", form(part(PHOTO)), id="form, no boundary"),
    row(
        MalformedBody,
        "boundary is too long",
        f"multipart/form-data; boundary={'b' * 300}",
        b"a",
        id="form, long boundary",
    ),
    row(MalformedBody, "ends at offset 9, before its first", FORM, b"--other\r\n", id="form, another boundary"),
    row(MalformedBody, "broken at offset 17", FORM, b"hello\r\n--b0undary?\r\n", id="form, broken after a preamble"),
    row(MalformedBody, "ends at offset 0, before its first", FORM, b"", id="form, empty body"),
    row(MalformedBody, "before its last boundary", FORM, part(PHOTO), id="form, cut short"),
    row(
        MalformedBody, "before its last boundary", FORM, part(PHOTO) + b"--b0undary-----\r"[:11], id="form, half an end"
    ),
    row(
        MalformedBody,
        "Field 1 of the form has no name",
        FORM,
        b"--b0undary\r\n\r\na\r\n--b0undary--\r\n",
        id="form, nameless",
    ),
    row(
        MalformedBody,
        "form is broken",
        FORM,
        form(part(b"a", more="X-Long: " + "a" * 10_000 + "\r\n")),
        id="form, huge header",
    ),
    row(MalformedBody, "form is broken", FORM, form(part(b"a", more="X: a\r\n" * 100)), id="form, many headers"),
]


@pytest.mark.parametrize("piece", [7, 100_000], ids=["in pieces", "at once"])
@pytest.mark.parametrize(("kind", "says", "content_type", "content", "url"), REFUSED)
def test_refused(
    kind: type[Problem], says: str, content_type: str, content: bytes, url: str | None, piece: int
) -> None:
    with pytest.raises(kind) as refusal:
        read(content_type, content, url, piece)
    assert says.replace("`file`: url", "`file`: `url`") in refusal.value.detail


def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    with pytest.raises(PhotoTooLarge):
        asyncio.run(FORMS.photo(Body("image/jpeg", LIMIT + 1, never()), None))


def test_a_declared_length_that_lies_is_not_believed() -> None:
    with pytest.raises(PhotoTooLarge):
        asyncio.run(FORMS.photo(body("image/jpeg", bytes(LIMIT + 1), declared=5), None))


def test_exactly_at_the_limit_is_taken() -> None:
    full = bytes(LIMIT)
    assert read("image/jpeg", full).data == full
    assert read(FORM, form(part(full))).data == full
    assert read(JSON, json_of({"image": base64.b64encode(full).decode()})).data == full


@pytest.mark.parametrize("piece", [7, 1_000_000], ids=["in pieces", "at once"])
def test_a_form_of_1001_fields_is_refused_at_the_ninth(piece: int) -> None:
    forms = Forms(max_photo_bytes=1_000_000, max_items=3, max_batch_bytes=8_000)
    content = form(*[part(b"a")] * 1_001)
    with pytest.raises(TooManyItems, match="more than 8 fields"):
        asyncio.run(forms.photo(body(FORM, content, piece), None))


def test_a_boundary_with_dashes_behind_it_ends_the_form_and_costs_nothing() -> None:
    content = form(part(PHOTO)).rstrip() + b"-" * 60_000
    assert read(FORM, content, piece=100_000) == Source(data=PHOTO)


def test_broken_boundaries_by_the_thousand_are_refused_before_the_parser_sees_them() -> None:
    content = part(b"\r\n--b0undaryx" * 50, filename=None)
    with pytest.raises(TooManyItems):
        read(FORM, content, piece=100_000)


def test_a_wide_body_does_not_unfold_in_memory() -> None:
    """18 MB of empty lists would become some 400 MB."""
    forms = Forms(max_photo_bytes=20_000_000, max_items=3, max_batch_bytes=20_000_000)
    content = b"[" + b"[]," * 6_000_000 + b"[]]"
    tracemalloc.start()
    with pytest.raises(MalformedBody):
        asyncio.run(forms.batch(body(JSON, content, 1_000_000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(content)


def batch(content_type: str, content: bytes) -> list[tuple[str | None, object]]:
    items = asyncio.run(FORMS.batch(body(content_type, content)))
    return [(item.id, item.source if isinstance(item.source, Source) else type(item.source)) for item in items]


def test_a_batch_as_json_keeps_its_order_and_its_names() -> None:
    sent: Sequence[object] = [{"id": "a", "image": STANDARD}, {"url": LINK}, {"id": "c", "image": URL_SAFE}]
    assert batch(JSON, json_of(sent)) == [
        ("a", Source(data=PHOTO)),
        (None, Source(url=LINK)),
        ("c", Source(data=PHOTO)),
    ]


def test_a_batch_as_a_form_names_its_files() -> None:
    content = form(part(PHOTO, filename="a.jpg"), part(b"", filename=None), part(b"c", filename="c\u00e9.jpg"))
    assert batch(FORM, content) == [
        ("a.jpg", Source(data=PHOTO)),
        (None, Source(data=b"")),
        ("c\u00e9.jpg", Source(data=b"c")),
    ]


@pytest.mark.parametrize(
    ("value", "name", "kind"),
    [
        pytest.param({"id": "x", "image": "A A"}, "x", MalformedBody, id="broken base64"),
        pytest.param({"id": "x", "image": "A" * 2_000}, "x", PhotoTooLarge, id="too large"),
        pytest.param({"id": "x", "url": LINK, "image": "AAAA"}, "x", InvalidParameter, id="two photos"),
        pytest.param({"id": "x"}, "x", InvalidParameter, id="no photo"),
        pytest.param({"id": 7, "url": LINK}, None, InvalidParameter, id="a number as id"),
        pytest.param({"id": "x" * 201, "url": LINK}, None, InvalidParameter, id="a long id"),
        pytest.param({"id": "\ud800", "url": LINK}, None, InvalidParameter, id="half a character as id"),
        pytest.param("photo", None, InvalidParameter, id="text instead of an object"),
        pytest.param(None, None, InvalidParameter, id="null"),
    ],
)
def test_what_is_wrong_with_one_photo_of_a_batch_stands_in_its_place(
    value: object, name: str | None, kind: type[Problem]
) -> None:
    good = {"image": STANDARD}
    assert batch(JSON, json_of([good, value, good])) == [
        (None, Source(data=PHOTO)),
        (name, kind),
        (None, Source(data=PHOTO)),
    ]


@pytest.mark.parametrize(
    ("content_type", "content", "kind"),
    [
        pytest.param(JSON, json_of([{"url": LINK}] * 4), TooManyItems, id="JSON, four of three"),
        pytest.param(FORM, form(*[part(b"a")] * 4), TooManyItems, id="form, four of three"),
        pytest.param(JSON, b"[]", InvalidParameter, id="no photo"),
        pytest.param(FORM, form(), InvalidParameter, id="an empty form"),
        pytest.param(JSON, json_of({"url": LINK}), InvalidParameter, id="no list"),
        pytest.param(FORM, form(part(b"a", name="files")), InvalidParameter, id="a field of another name"),
        pytest.param("image/jpeg", PHOTO, UnsupportedFormat, id="raw bytes"),
        pytest.param(JSON, b"[" + b" " * 8_000 + b"]", PhotoTooLarge, id="too many bytes in all"),
        pytest.param(FORM, form(part(bytes(LIMIT + 1))), PhotoTooLarge, id="a file too large"),
        pytest.param(JSON, b"[", MalformedBody, id="broken JSON"),
    ],
)
def test_a_batch_that_is_refused_as_a_whole(content_type: str, content: bytes, kind: type[Problem]) -> None:
    with pytest.raises(kind):
        batch(content_type, content)
