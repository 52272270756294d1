"""What is a link, and what a host's one spelling is."""
# ruff: noqa: RUF001 - look-alike characters are the point

import pytest

from food_vision.errors import InvalidUrl
from food_vision.intake.links import Link, canonical_host, follow, parse_link

SECRET = "hunter2"
SPACE = "contains white space"
SCHEME = "does not begin with http"
USER = "user name or password"
HOST = "not a valid name or address"
NO_HOST = "names no host"
PORT = "port is not a number"

BROKEN = [
    pytest.param("", SCHEME, id="empty"),
    pytest.param("photo.jpg", SCHEME, id="not absolute"),
    pytest.param("//example.com/photo.jpg", SCHEME, id="no scheme"),
    pytest.param("example.com:80/photo.jpg", SCHEME, id="host read as scheme"),
    pytest.param("file:///etc/passwd", SCHEME, id="file"),
    pytest.param("ftp://example.com/photo.jpg", SCHEME, id="ftp"),
    pytest.param("gopher://example.com:6379/_SET", SCHEME, id="gopher"),
    pytest.param("data:image/jpeg;base64,AAAA", SCHEME, id="data"),
    pytest.param("unix:/var/run/docker.sock", SCHEME, id="unix"),
    pytest.param("javascript:alert(1)", SCHEME, id="javascript"),
    pytest.param("httpx://example.com/", SCHEME, id="nearly http"),
    pytest.param("http+unix://%2Fvar%2Frun/", SCHEME, id="http over unix socket"),
    pytest.param("http:/example.com/", NO_HOST, id="one slash"),
    pytest.param("http:example.com", NO_HOST, id="no slash"),
    pytest.param("http:///photo.jpg", NO_HOST, id="empty host"),
    pytest.param("http://:80/photo.jpg", NO_HOST, id="empty host with port"),
    pytest.param("http://?x=1", NO_HOST, id="empty host with query"),
    pytest.param("http://user:secret@example.com/", USER, id="user and password"),
    pytest.param("http://user@example.com/", USER, id="user"),
    pytest.param("http://@example.com/", USER, id="empty user"),
    pytest.param("http://example.com@127.0.0.1/", USER, id="at sign confusion"),
    pytest.param("http://example.com:80@127.0.0.1/", USER, id="at sign confusion with port"),
    pytest.param("http://example.com\\@127.0.0.1/", SPACE, id="backslash and at sign"),
    pytest.param("http:\\\\example.com\\photo.jpg", SPACE, id="backslashes"),
    pytest.param("http://example.com/a b.jpg", SPACE, id="space in the path"),
    pytest.param(" http://example.com/", SPACE, id="leading space"),
    pytest.param("http://example.com/\n", SPACE, id="trailing newline"),
    pytest.param("http://exa\tmple.com/", SPACE, id="tab in the host"),
    pytest.param("http://example.com/\r\nHost: evil", SPACE, id="header injection"),
    pytest.param("http://example.com\x00.evil.com/", SPACE, id="NUL in the host"),
    pytest.param("http://example.com/\x7f", SPACE, id="DEL"),
    pytest.param("http://example.com/\u2028", SPACE, id="line separator"),
    pytest.param("http://example.com/\u00a0", SPACE, id="no-break space"),
    pytest.param("http://example.com/\ud800", SPACE, id="lone surrogate"),
    pytest.param("http://example.com:0/", PORT, id="port 0"),
    pytest.param("http://example.com:65536/", PORT, id="port 65536"),
    pytest.param("http://example.com:123456/", PORT, id="port of six digits"),
    pytest.param("http://example.com:-1/", PORT, id="port below 0"),
    pytest.param("http://example.com:80a/", PORT, id="port with letter"),
    pytest.param("http://example.com:8_0/", PORT, id="port with underscore"),
    pytest.param("http://example.com:８０/", PORT, id="port in full-width digits"),
    pytest.param("http://example.com:80:81/", PORT, id="two ports"),
    pytest.param("http://::1/", NO_HOST, id="v6 without brackets"),
    pytest.param("http://[::1/", HOST, id="bracket not closed"),
    pytest.param("http://[::1]x/", HOST, id="text after the bracket"),
    pytest.param("http://[127.0.0.1]/", HOST, id="v4 in brackets"),
    pytest.param("http://[v1.fe80::a]/", HOST, id="future address"),
    pytest.param("http://[]/", HOST, id="empty brackets"),
    pytest.param("http://exa%6dple.com/", HOST, id="percent in the host"),
    pytest.param("http://example..com/", HOST, id="empty label"),
    pytest.param("http://.example.com/", HOST, id="leading dot"),
    pytest.param("http://./", HOST, id="only a dot"),
    pytest.param("http://example.com../", HOST, id="two trailing dots"),
    pytest.param("http://exa,mple.com/", HOST, id="comma in the host"),
    pytest.param("http://exam<ple.com/", HOST, id="bracket in the host"),
    pytest.param(f"http://{'a' * 64}.com/", HOST, id="long label"),
    pytest.param(f"http://{'a.' * 130}com/", HOST, id="long name"),
    pytest.param("http://exa\u2100mple.com/", HOST, id="a/c sign, a slash under NFKC"),
    pytest.param("http://example.com＠127.0.0.1/", HOST, id="full-width at sign"),
    pytest.param("http://😀.example/", HOST, id="emoji"),
    pytest.param("http://example.com/" + "a" * 3_000, "longer than 2,048", id="3,000 characters"),
    pytest.param("http://example.com/" + "a" * (2_049 - 19), "longer than 2,048", id="2,049 characters"),
]


@pytest.mark.parametrize(("text", "reason"), BROKEN)
def test_broken_links_are_told_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_link(text)
    assert reason in caught.value.detail
    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize("text", [f"ftp://a.example/?{SECRET}", f"http://a b/?{SECRET}", f"http://{SECRET}@a/"])
def test_nothing_of_a_broken_link_is_repeated(text: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_link(text)
    assert SECRET not in caught.value.detail + caught.value.internal


TAKEN = [
    pytest.param("http://example.com", Link("http", "example.com", 80, "/"), id="bare"),
    pytest.param("https://example.com/a.jpg", Link("https", "example.com", 443, "/a.jpg"), id="https"),
    pytest.param("HTTP://EXAMPLE.com/A", Link("http", "example.com", 80, "/A"), id="upper case"),
    pytest.param("http://example.com./a", Link("http", "example.com", 80, "/a"), id="trailing dot"),
    pytest.param("http://LOCALHOST./", Link("http", "localhost", 80, "/"), id="localhost is judged later"),
    pytest.param("http://example.com:8080/", Link("http", "example.com", 8080, "/"), id="port"),
    pytest.param("http://example.com:/", Link("http", "example.com", 80, "/"), id="empty port"),
    pytest.param("http://example.com:65535/", Link("http", "example.com", 65535, "/"), id="last port"),
    pytest.param("http://example.com?a=b", Link("http", "example.com", 80, "/?a=b"), id="query without path"),
    pytest.param("http://example.com/a?b=http://c/d", Link("http", "example.com", 80, "/a?b=http://c/d"), id="query"),
    pytest.param("http://evil.com#@good.com/", Link("http", "evil.com", 80, "/"), id="hash confusion"),
    pytest.param("http://evil.com/#@good.com/", Link("http", "evil.com", 80, "/"), id="fragment dropped"),
    pytest.param("http://evil.com/@good.com/", Link("http", "evil.com", 80, "/@good.com/"), id="at sign in the path"),
    pytest.param("http://a.com/%20%e4", Link("http", "a.com", 80, "/%20%e4"), id="percent-encoded stays"),
    pytest.param("http://a.com/käse?é", Link("http", "a.com", 80, "/k%C3%A4se?%C3%A9"), id="unencoded is encoded"),
    pytest.param("http://a_b.example.com/", Link("http", "a_b.example.com", 80, "/"), id="underscore"),
    pytest.param("http://[2606:4700::1111]/", Link("http", "2606:4700::1111", 80, "/"), id="v6"),
    pytest.param("http://[2606:4700:0:0::1111]:81/", Link("http", "2606:4700::1111", 81, "/"), id="v6 with port"),
    pytest.param("http://[fe80::1%25lo]/", Link("http", "fe80::1%25lo", 80, "/"), id="scope is judged later"),
    pytest.param("http://0x7f000001/", Link("http", "0x7f000001", 80, "/"), id="hex is judged later"),
    pytest.param("http://bücher.example/", Link("http", "xn--bcher-kva.example", 80, "/"), id="IDN"),
    pytest.param("http://BÜCHER.example/", Link("http", "xn--bcher-kva.example", 80, "/"), id="IDN, upper case"),
    pytest.param("http://faß.example/", Link("http", "xn--fa-hia.example", 80, "/"), id="IDN, sharp s"),
    pytest.param("http://１２７.0.0.1/", Link("http", "127.0.0.1", 80, "/"), id="full-width digits"),
    pytest.param("http://①②⑦.0.0.1/", Link("http", "127.0.0.1", 80, "/"), id="circled digits"),
    pytest.param("http://127。0。0。1/", Link("http", "127.0.0.1", 80, "/"), id="ideographic dots"),
    pytest.param("http://ｌｏｃａｌｈｏｓｔ/", Link("http", "localhost", 80, "/"), id="full-width letters"),
]


@pytest.mark.parametrize(("text", "link"), TAKEN)
def test_links_come_apart(text: str, link: Link) -> None:
    assert parse_link(text) == link


@pytest.mark.parametrize("link", [pytest.param(row.values[1], id=row.id) for row in TAKEN])
def test_a_link_as_text_is_the_same_link(link: Link) -> None:
    assert parse_link(link.text) == link


def test_the_longest_link() -> None:
    text = "http://example.com/" + "a" * (2_048 - 19)
    assert parse_link(text).text == text


BASE = parse_link("https://example.com:444/dir/page?q=1")
FOLLOWED = [
    pytest.param("/photo.jpg", "https://example.com:444/photo.jpg", id="absolute path"),
    pytest.param("photo.jpg", "https://example.com:444/dir/photo.jpg", id="relative"),
    pytest.param("../photo.jpg", "https://example.com:444/photo.jpg", id="up"),
    pytest.param("../../../photo.jpg", "https://example.com:444/photo.jpg", id="up beyond the root"),
    pytest.param("?q=2", "https://example.com:444/dir/page?q=2", id="query alone"),
    pytest.param("//other.com/photo.jpg", "https://other.com/photo.jpg", id="other host"),
    pytest.param("http://other.com/", "http://other.com/", id="whole link"),
    pytest.param("/käse.jpg", "https://example.com:444/k%C3%A4se.jpg", id="unencoded"),
]


@pytest.mark.parametrize(("location", "text"), FOLLOWED)
def test_redirects_resolve(location: str, text: str) -> None:
    assert follow(BASE, location).text == text


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//user@other.com/",
        "//[::1/",
        "/a\tb",
        "/a\x00b",
        "\\\\other.com",
        "http://",
        "a" * 3_000,
    ],
)
def test_redirects_to_no_link(location: str) -> None:
    with pytest.raises(InvalidUrl):
        follow(BASE, location)


@pytest.mark.parametrize("host", ["[::1]", "::1", "0:0::0:1"])
def test_an_address_has_one_spelling(host: str) -> None:
    assert canonical_host(host) == "::1"
