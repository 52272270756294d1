"""Redirects, bodies and TLS: a real origin does its worst."""

import ssl
import time

import certifi
import pytest

from food_vision import __version__
from food_vision.errors import InvalidUrl, PhotoTooLarge, Problem, SourceFailed
from tests.fetching import LIMIT, fetching, problem_of
from tests.origin import TLS_NAME, Origin
from tests.tricks import OTHER_PHOTO, PHOTO

pytestmark = pytest.mark.anyio


# Good photos


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/photo.jpg", PHOTO, id="a photo"),
        pytest.param("/two/photo.jpg", OTHER_PHOTO, id="another under the same last part"),
        pytest.param("/photo-as-text", PHOTO, id="a photo sent as text"),
        pytest.param("/html-as-photo", b"<html>no photo</html>", id="a page sent as photo is the decoder's to refuse"),
        pytest.param("/identity", PHOTO, id="labelled identity"),
        pytest.param("/one-interim", PHOTO, id="early hints first"),
        pytest.param("/declared-short", PHOTO[:100], id="sent longer than declared: what was declared"),
        pytest.param("/empty", b"", id="nothing"),
        pytest.param(f"/size/{LIMIT}", bytes(LIMIT), id="at the limit"),
        pytest.param(f"/chunked/{LIMIT}", bytes(LIMIT), id="at the limit, chunked"),
        pytest.param(f"/until-close/{LIMIT}", bytes(LIMIT), id="at the limit, ended by closing"),
        pytest.param("/slow?pause=0.2", PHOTO, id="slow, but in time"),
    ],
)
async def test_bodies(origin: Origin, path: str, body: bytes) -> None:
    async with fetching(origin) as fetcher:
        assert await fetcher.fetch(origin.url(path)) == body


async def test_what_is_sent_along(origin: Origin) -> None:
    """No cookie, credential or referrer, not even after a redirect that set a cookie."""
    async with fetching(origin) as fetcher:
        await fetcher.fetch(origin.url("/redirect?to=/photo.jpg", host="photos.example"))
    for ask in origin.requests:
        assert ask.headers == {
            "host": f"photos.example:{origin.port}",
            "user-agent": f"food-vision/{__version__}",
            "accept": "image/jpeg, image/png, image/webp, image/gif, */*;q=0.1",
            "accept-encoding": "identity",
            "connection": "close",
        }
    assert len(origin.requests) == origin.connections == 2


async def test_a_broken_link_reaches_nobody(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        assert type(await problem_of(fetcher, origin.url("/a b"))) is InvalidUrl
    assert origin.connections == 0


# Answers that are no photo


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param(f"/size/{LIMIT + 1}", PhotoTooLarge, id="one over, declared"),
        pytest.param(f"/chunked/{LIMIT + 1}", PhotoTooLarge, id="one over, chunked"),
        pytest.param(f"/until-close/{LIMIT + 1}", PhotoTooLarge, id="one over, ended by closing"),
        pytest.param("/declared-too-long", PhotoTooLarge, id="declared far too long"),
        pytest.param("/endless", PhotoTooLarge, id="endless"),
        pytest.param("/cut-short", SourceFailed, id="cut short"),
        pytest.param("/cut-chunked", SourceFailed, id="cut short, chunked"),
        pytest.param("/reset", SourceFailed, id="reset in the middle"),
        pytest.param("/declared-twice", SourceFailed, id="two lengths"),
        pytest.param("/crumbs", SourceFailed, id="chunks of one byte"),
        pytest.param("/interim", SourceFailed, id="flood of interim answers"),
        pytest.param("/endless-headers", SourceFailed, id="endless headers"),
        pytest.param("/many-headers", SourceFailed, id="100 kB of headers"),
        pytest.param("/half-as-many-headers", SourceFailed, id="50 kB of headers, read in one go"),
        pytest.param("/huge-header", SourceFailed, id="one header of 100 kB"),
        pytest.param("/garbage", SourceFailed, id="no HTTP"),
        pytest.param("/silent-close", SourceFailed, id="closed without a word"),
        pytest.param("/encoded/gzip", SourceFailed, id="gzip"),
        pytest.param("/encoded/deflate", SourceFailed, id="deflate"),
        pytest.param("/encoded/br", SourceFailed, id="brotli"),
        pytest.param("/encoded/zstd", SourceFailed, id="zstd"),
        pytest.param("/encoded/gzip,gzip", SourceFailed, id="gzip twice"),
        pytest.param("/encoded/identity,GZIP", SourceFailed, id="gzip behind identity"),
        pytest.param("/encoded/x-none", SourceFailed, id="unknown coding"),
        pytest.param("/no-location", SourceFailed, id="redirect without location"),
        pytest.param("/two-locations", SourceFailed, id="redirect with two locations"),
        pytest.param("/redirect?to=file:///etc/passwd", SourceFailed, id="redirect to a file"),
        pytest.param("/redirect?to=http://[broken/", SourceFailed, id="redirect to a broken link"),
        pytest.param("/redirect?to=//user:pass@127.0.0.1/", SourceFailed, id="redirect with userinfo"),
        pytest.param("/redirect?to=", SourceFailed, id="redirect to nothing"),
        pytest.param("/redirect?to=/a%09b", SourceFailed, id="redirect with a tab"),
        pytest.param("/redirect?to=/%C3", SourceFailed, id="redirect that is no text"),
        pytest.param("/circle/0", SourceFailed, id="circle"),
    ],
)
async def test_refused_answers(origin: Origin, path: str, kind: type[Problem]) -> None:
    started = time.monotonic()
    async with fetching(origin) as fetcher:
        assert type(await problem_of(fetcher, origin.url(path))) is kind
    assert time.monotonic() - started < 2, "found out by what was sent, not by the deadline"


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 305, 400, 401, 403, 404, 407, 429, 500, 503])
async def test_other_statuses(origin: Origin, status: int) -> None:
    async with fetching(origin) as fetcher:
        problem = await problem_of(fetcher, origin.url(f"/status/{status}"))
    assert type(problem) is SourceFailed
    assert problem.extra == {"source_status": status}


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/photo.jpg", "photo.jpg", "//photos.example:{port}/photo.jpg"])
async def test_redirects_are_followed(origin: Origin, status: int, target: str) -> None:
    path = f"/redirect?status={status}&to={target.format(port=origin.port)}"
    async with fetching(origin) as fetcher:
        assert await fetcher.fetch(origin.url(path)) == PHOTO


@pytest.mark.parametrize("most", [0, 1, 5])
async def test_the_number_of_redirects_is_bounded(origin: Origin, most: int) -> None:
    async with fetching(origin, max_redirects=most) as fetcher:
        assert await fetcher.fetch(origin.url(f"/chain/{most}")) == PHOTO
        origin.forget()
        assert "too many times" in (await problem_of(fetcher, origin.url(f"/chain/{most + 1}"))).detail
    assert len(origin.requests) == most + 1


async def test_a_circle_ends_where_it_closes(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        assert "in a circle" in (await problem_of(fetcher, origin.url("/circle/0"))).detail
    assert [ask.path for ask in origin.requests] == ["/circle/0", "/circle/1"]


async def test_downgrades_are_refused_unless_allowed(origin: Origin) -> None:
    link = origin.tls_url(f"/redirect?to={origin.url('/photo.jpg')}")
    async with fetching(origin) as fetcher:
        assert "from https to http" in (await problem_of(fetcher, link)).detail
        assert [ask.tls for ask in origin.requests] == [True]
    async with fetching(origin, allow_downgrade=True) as fetcher:
        assert await fetcher.fetch(link) == PHOTO


async def test_upgrades_are_followed(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        assert await fetcher.fetch(origin.url(f"/redirect?to={origin.tls_url('/photo.jpg')}")) == PHOTO


# TLS


async def test_tls_asks_for_the_name_of_the_link(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        assert await fetcher.fetch(origin.tls_url("/photo.jpg")) == PHOTO
        assert await fetcher.fetch(origin.tls_url("/photo.jpg", host="PHOTOS.test.")) == PHOTO
        assert await fetcher.fetch(origin.tls_url("/photo.jpg", host="127.0.0.1")) == PHOTO
    assert origin.names == [TLS_NAME, TLS_NAME, None]


async def test_a_certificate_for_another_name_is_refused(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        problem = await problem_of(fetcher, origin.tls_url("/photo.jpg", host="other.test"))
    assert type(problem) is SourceFailed
    assert "certificate" in problem.detail
    assert origin.requests == []


async def test_an_unknown_authority_is_refused(origin: Origin) -> None:
    public = ssl.create_default_context(cafile=certifi.where())
    async with fetching(origin, context=public) as fetcher:
        assert type(await problem_of(fetcher, origin.tls_url("/photo.jpg"))) is SourceFailed
    assert origin.requests == []


async def test_a_plain_link_to_a_tls_port(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        link = origin.tls_url("/photo.jpg").replace("https:", "http:")
        assert type(await problem_of(fetcher, link)) is SourceFailed


async def test_a_tls_link_to_a_port_that_speaks_something_else(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        assert type(await problem_of(fetcher, f"https://127.0.0.1:{origin.talking_port}/")) is SourceFailed
