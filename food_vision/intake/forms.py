"""The forms in which callers send photos: link, file in a form, raw bytes, base64, data URI; one at a time or many.

A form is told by the content type. Bodies are counted as they arrive. What comes out is the same for all of them: a
``Source``, a link not yet followed or the bytes of a file. Nothing is fetched here, so that no upload becomes a fetch.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from food_vision.errors import InvalidParameter, MalformedBody, PhotoTooLarge, Problem, TooManyItems, UnsupportedFormat
from food_vision.intake.base64text import decode_base64
from food_vision.intake.multipart import FormReader, Part

T = TypeVar("T")

FILE_FIELD: Final = "file"
_OVERHEAD: Final = 65_536
"""Bytes that a body may have beside the photo: names, boundaries, quotes."""
_MOST_FIELDS: Final = 8
_MOST_MARKS: Final = 100_000
"""Brackets, quotes, commas and the like in a JSON body; base64 has none, and 32 long links have fewer. A body of
nothing else would become some hundred times its size in memory."""
_MARKS: Final = b'[]{}",:\\'
_LONGEST_ID: Final = 200
_AT_ONCE: Final = 65_536
"""Larger bodies are parsed in a thread."""


@dataclass(frozen=True, slots=True)
class Source:
    """A photo as a caller names it: exactly one of a link, not yet checked, and a file's bytes."""

    url: str | None = None
    data: bytes | None = None


class Item(NamedTuple):
    """A photo of a batch, or what is wrong with it, and what the caller calls it."""

    id: str | None
    source: Source | Problem


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body.

    Attributes:
        content_type: As sent; may be empty.
        declared: The declared length, where there is one.
        chunks: The body as it arrives.
    """

    content_type: str
    declared: int | None
    chunks: AsyncIterator[bytes]

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; bytes without one are just bytes (RFC 9110)."""
        return self.content_type.partition(";")[0].strip().lower() or "application/octet-stream"


class Forms:
    """Reads bodies.

    Args:
        max_photo_bytes: Bytes of one photo.
        max_items: Photos of a batch.
        max_batch_bytes: Bytes of a batch's body.
    """

    def __init__(self, max_photo_bytes: int, max_items: int, max_batch_bytes: int) -> None:
        self._photo_bytes, self._items, self._batch_bytes = max_photo_bytes, max_items, max_batch_bytes

    async def photo(self, body: Body, url: str | None) -> Source:
        """Read the one photo that a request names.

        Args:
            body: May be empty.
            url: The link from the query string, if there is one.

        Raises:
            MalformedBody: broken form, JSON or base64; says where.
            PhotoTooLarge: more bytes than are taken, declared or counted.
            UnsupportedFormat: a content type that is none of the forms.
            InvalidParameter: more than one photo, or none; names what was found.
        """
        found = {} if url is None else {"the parameter url": Source(url=url)}
        found |= await self._photos_of(body)
        if not found and body.content_type and _is_file(body.media_type):
            found = {"the body": Source(data=b"")}  # An empty photo, as in the other forms.
        return _only_one(found)

    async def batch(self, body: Body) -> list[Item]:
        """Read the photos of a batch, in order; what is wrong with one of them stands in its place.

        Raises:
            MalformedBody, UnsupportedFormat: as for one photo.
            PhotoTooLarge: the body has more bytes than are taken, or a file in a form has.
            TooManyItems: more photos than are taken at once.
            InvalidParameter: no photo, or no list.
        """
        if _is_json(body.media_type):
            items = await _apart(self._items_of_json, await read_whole(body, self._batch_bytes, _too_large_batch))
        elif body.media_type == "multipart/form-data":
            parts = await self._parts(body, self._batch_bytes, self._items, _too_large_batch)
            _refuse_other_fields(parts)
            items = [Item(_name_of_file(part), Source(data=bytes(part.data))) for part in parts]
        else:
            _refuse_type(body.media_type, "application/json or multipart/form-data")
        if not items:
            raise InvalidParameter("body: there is no photo in it.")
        return items

    async def _photos_of(self, body: Body) -> dict[str, Source]:
        if _is_json(body.media_type):
            most = self._photo_bytes * 4 // 3 + _OVERHEAD
            return await _apart(self._photos_of_json, await read_whole(body, most, self._too_large))
        if body.media_type == "multipart/form-data":
            parts = await self._parts(body, self._photo_bytes + _OVERHEAD, _MOST_FIELDS, self._too_large)
            _refuse_other_fields(parts)
            return {f"file {place}": Source(data=bytes(part.data)) for place, part in enumerate(parts, 1)}
        data = await read_whole(body, self._photo_bytes, self._too_large)
        if not data:
            return {}
        if not _is_file(body.media_type):
            _refuse_type(body.media_type, "application/json, multipart/form-data, image/* or application/octet-stream")
        return {"the body": Source(data=data)}

    async def _parts(self, body: Body, most: int, most_parts: int, refuse: Callable[[], Problem]) -> list[Part]:
        form = FormReader(body.content_type, most_parts, self._photo_bytes)
        async for chunk in _counted(body, most, refuse):
            form.feed(chunk)
        form.finish()
        return form.parts

    def _photos_of_json(self, raw: bytes) -> dict[str, Source]:
        value = _parse_json(raw) if raw.strip() else {}
        return self._photos_of_object(value, "body", {"url", "image"})

    def _photos_of_object(self, value: object, name: str, known: set[str]) -> dict[str, Source]:
        if not isinstance(value, dict):
            raise InvalidParameter(f"{name}: must be an object with `url` or `image`.")
        if set(value) - known:
            raise InvalidParameter(f"{name}: takes `{'`, `'.join(sorted(known))}` and nothing else.")
        found: dict[str, Source] = {}
        if (url := _text(value, "url", name)) is not None:
            found[f"{name}.url"] = Source(url=url)
        if (image := _text(value, "image", name)) is not None:
            found[f"{name}.image"] = Source(data=decode_base64(image, self._photo_bytes, f"{name}.image"))
        return found

    def _items_of_json(self, raw: bytes) -> list[Item]:
        values = _parse_json(raw)
        if not isinstance(values, list):
            raise InvalidParameter("body: must be a list of objects with `url` or `image`.")
        if len(values) > self._items:
            raise TooManyItems(f"At most {self._items} photos are taken at once, not {len(values)}.")
        return [self._item(value, place) for place, value in enumerate(values)]

    def _item(self, value: object, place: int) -> Item:
        name = f"body.{place}"
        try:
            return Item(_id_of(value, name), _only_one(self._photos_of_object(value, name, {"id", "url", "image"})))
        except Problem as problem:
            given = value.get("id") if isinstance(value, dict) else None
            return Item(given if _is_id(given) else None, problem)

    def _too_large(self) -> Problem:
        return PhotoTooLarge(f"The photo has more than {self._photo_bytes:,} bytes.")


def _only_one(found: Mapping[str, Source]) -> Source:
    if len(found) > 1:
        raise InvalidParameter(f"One photo is taken, but there are {len(found)}: {', '.join(found)}.")
    if not found:
        raise InvalidParameter(
            "There is no photo: none in the body, and no parameter url. Send `url` or `image` as JSON, a form with a "
            f"field `{FILE_FIELD}`, or the file itself."
        )
    return next(iter(found.values()))


async def _counted(body: Body, most: int, refuse: Callable[[], Problem]) -> AsyncIterator[bytes]:
    """Hand the chunks on; the declared length is believed when it is too large, the counted one always."""
    read = body.declared or 0
    if read > most:
        raise refuse()
    read = 0
    async for chunk in body.chunks:
        read += len(chunk)
        if read > most:
            raise refuse()
        yield chunk


async def read_whole(body: Body, most: int, refuse: Callable[[], Problem]) -> bytes:
    """Return a body of at most ``most`` bytes, declared and counted; where there are more, ``refuse`` says so."""
    return b"".join([chunk async for chunk in _counted(body, most, refuse)])


async def _apart(parse: Callable[[bytes], T], raw: bytes) -> T:
    return parse(raw) if len(raw) <= _AT_ONCE else await asyncio.to_thread(parse, raw)


def _parse_json(raw: bytes) -> Any:  # noqa: ANN401 - JSON can be anything
    if sum(map(raw.count, _MARKS)) > _MOST_MARKS:
        raise MalformedBody("The JSON has more parts than any request needs.")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_without_doubles)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The JSON is not UTF-8 at offset {error.start}.") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The JSON is broken at offset {error.pos}: {error.msg}.") from None
    except RecursionError:
        raise MalformedBody("The JSON is nested too deeply.") from None
    except ValueError:
        raise MalformedBody("The JSON has a number that is too long.") from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        # Which of the two is meant is a matter of the parser; two parsers that differ are an attacker's friends.
        raise InvalidParameter("body: the same name stands twice in an object.")
    return members


def _text(value: Mapping[str, object], member: str, name: str) -> str | None:
    if member not in value:
        return None
    text = value[member]
    if not isinstance(text, str):
        raise InvalidParameter(f"{name}.{member}: must be text.")
    return text


def _id_of(value: object, name: str) -> str | None:
    given = value.get("id") if isinstance(value, dict) else None
    if given is not None and not _is_id(given):
        raise InvalidParameter(f"{name}.id: must be text of at most {_LONGEST_ID} printable characters.")
    return given


def _is_id(given: object) -> bool:
    return isinstance(given, str) and len(given) <= _LONGEST_ID and given.isprintable()


def _name_of_file(part: Part) -> str | None:
    return part.filename if part.filename and _is_id(part.filename) else None


def _refuse_other_fields(parts: list[Part]) -> None:
    others = [part.name for part in parts if part.name != FILE_FIELD]
    if others:
        raise InvalidParameter(
            f"The form has fields of other names than `{FILE_FIELD}`: {as_listed(others)}. Options belong into the "
            "query string."
        )


def as_listed(names: Iterable[str]) -> str:
    """Return callers' names for use in a sentence; only those that cannot spoil it."""
    return ", ".join(f"`{name}`" if name.isidentifier() and len(name) <= 40 else "one more" for name in names)


def _refuse_type(media_type: str, taken: str) -> NoReturn:
    raise UnsupportedFormat(f"The body's content type is none of {taken}.", internal=f"got {media_type[:100]!r}")


def _too_large_batch() -> Problem:
    return PhotoTooLarge("The batch has more bytes than are taken at once; send fewer photos, or smaller ones.")


def _is_file(media_type: str) -> bool:
    return media_type.startswith("image/") or media_type == "application/octet-stream"


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")
