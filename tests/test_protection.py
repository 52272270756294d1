"""Keys, rate limits and the response cache: off by default, before all routes, and before bodies are read."""

import socket
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator

import httpx2
import numpy as np
import pytest

from food_vision.api.gate import OPEN, OPEN_FOLDERS
from food_vision.app import create_app
from food_vision.errors import MissingKey, StartupError, WrongKey
from food_vision.serving.predictor import Original, _Known
from food_vision.serving.protection import ENTRY_BYTES, MOST_CALLERS, KeyRing, RateLimiter, ResponseCache, caller_at
from food_vision.settings import Settings, load_settings
from tests.figures import figures
from tests.origin import Origin
from tests.service import Service, running_service
from tests.test_contract import assert_problem

FIRST, SECOND, THIRD = "first-key-of-a-caller", "second-key-of-another", "the-key-of-the-scraper"
ROUTE = "/net/image/prediction/"
LOOPBACK = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for keys, and lets each ask five times a minute."""
    settings = LOOPBACK | {
        "FOOD_VISION_API_KEYS": f"{FIRST},{SECOND}",
        "FOOD_VISION_METRICS_KEY": THIRD,
        "FOOD_VISION_RATE_LIMIT": "5",
    }
    with running_service(tmp_path_factory.mktemp("locked"), settings) as service:
        yield service


# Keys


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({}, 401, "missing_key", id="none"),
        pytest.param({"X-API-Key": ""}, 401, "missing_key", id="an empty one"),
        pytest.param({"Authorization": f"Basic {FIRST}"}, 401, "missing_key", id="another scheme"),
        pytest.param({"Authorization": "Bearer"}, 401, "missing_key", id="bearer of nothing"),
        pytest.param({"X-API-Key": FIRST[:-1]}, 403, "wrong_key", id="one letter short"),
        pytest.param({"X-API-Key": FIRST + "x"}, 403, "wrong_key", id="one letter long"),
        pytest.param({"X-API-Key": f"{FIRST},{SECOND}"}, 403, "wrong_key", id="both keys at once"),
        pytest.param({"Authorization": f"Bearer {FIRST.upper()}"}, 403, "wrong_key", id="upper case"),
        pytest.param({"X-API-Key": THIRD}, 403, "wrong_key", id="the scraper's"),
        pytest.param({"X-API-Key": "ключ".encode().decode("latin-1")}, 403, "wrong_key", id="not ASCII"),
    ],
)
def test_without_a_key_of_ours_nothing_is_done(
    locked: Service, origin: Origin, headers: dict[str, str], status: int, code: str
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    refused = locked.client.post("/v2/models/food-vision/infer", headers=raw)
    assert (refused.status_code, list(refused.json())) == (status, ["error"])
    for path in (ROUTE, ROUTE.rstrip("/"), "/v1/predict", "/nowhere"):
        answer = locked.client.post(path, params={"image_link": origin.url("/photo.jpg")}, headers=raw)
        assert_problem(answer, status, code)
        assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)
        assert "access-control-allow-origin" in locked.client.post(path, headers=[*raw, (b"Origin", b"a")]).headers
    assert origin.requests == []


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": FIRST}, {"Authorization": f"bearer  {SECOND}"}], ids=["own", "bearer"]
)
def test_any_of_the_keys_opens(locked: Service, origin: Origin, headers: dict[str, str]) -> None:
    answer = locked.client.post(ROUTE, params={"image_link": origin.url("/photo.jpg")}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"requests";q=5;w=60'


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/docs", "/openapi.json", "/docs/errors.md"])
def test_what_platforms_and_browsers_need_stays_open(locked: Service, path: str) -> None:
    for _ in range(7):
        answer = locked.client.get(path)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


def test_whatever_else_there_is_asks_for_a_key(locked: Service) -> None:
    """A route that is added later is closed unless it is entered among the open ones."""
    paths = set(create_app(Settings()).openapi()["paths"])
    closed = {path for path in paths if path not in OPEN and not path.startswith(OPEN_FOLDERS)}
    assert {ROUTE, "/v1/predict", "/v2", "/v2/models/{name}/infer"} <= closed
    for path in closed:
        assert locked.client.get(path.format_map(defaultdict(str, name="a", version="1"))).status_code == 401, path


def test_the_documentation_asks_for_the_key_where_the_gate_does(locked: Service) -> None:
    document = locked.client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"APIKeyHeader", "HTTPBearer"}
    for path in (ROUTE, "/v1/predict", "/v1/labels"):
        (operation,) = document["paths"][path].values()
        assert operation["security"], path
        assert {"401", "403", "429"} <= set(operation["responses"]), path
    assert "security" not in document["paths"]["/healthz"]["get"]


def test_browsers_may_ask_whether_they_may_ask(locked: Service) -> None:
    """A preflight carries no key."""
    wish = {
        "Origin": "https://a",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "X-API-Key",
    }
    answer = locked.client.options(ROUTE, headers=wish)
    assert answer.status_code == 200


def test_figures_have_a_key_of_their_own(locked: Service) -> None:
    assert_problem(locked.client.get("/metrics"), 401, "missing_key")
    assert_problem(locked.client.get("/metrics", headers={"X-API-Key": FIRST}), 403, "wrong_key")
    for _ in range(7):
        assert locked.client.get("/metrics", headers={"Authorization": f"Bearer {THIRD}"}).status_code == 200


@pytest.mark.parametrize("name", ["X-API-Key", "api_key", "key", "token", "access_token"])
def test_a_key_in_the_url_is_no_key(locked: Service, name: str) -> None:
    """URLs end up in logs, histories and referrers."""
    assert_problem(locked.client.post(ROUTE, params={name: FIRST}), 401, "missing_key")
    assert FIRST not in locked.log()


def test_a_refusal_does_not_wait_for_the_body(locked: Service) -> None:
    with socket.create_connection(("127.0.0.1", int(locked.url.rpartition(":")[2])), timeout=5) as caller:
        caller.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 401 ")


def test_key_ring() -> None:
    ring = KeyRing([FIRST, SECOND])
    assert ring
    assert not KeyRing([])
    assert ring.check(FIRST.encode()) != ring.check(SECOND.encode())
    assert FIRST not in repr(vars(ring))
    with pytest.raises(MissingKey):
        ring.check(None)
    with pytest.raises(WrongKey):
        ring.check(b"another")


@pytest.mark.parametrize("variable", ["FOOD_VISION_API_KEYS", "FOOD_VISION_METRICS_KEY"])
def test_a_short_key_is_refused_at_start_and_not_repeated(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(StartupError) as refusal:
        load_settings()
    assert str(refusal.value) == f"{variable} has a key, not shown here, of fewer than 16 characters."


def test_two_short_keys_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOD_VISION_API_KEYS", "hunter2,hunter3")
    with pytest.raises(StartupError) as refusal:
        load_settings()
    assert str(refusal.value).count("FOOD_VISION_API_KEYS") == 1


def test_keys_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOD_VISION_API_KEYS", FIRST)
    assert FIRST not in f"{load_settings()!r} {load_settings()}"


# Rate limits


def test_a_caller_who_asks_too_often_is_told_when_to_come_back(locked: Service) -> None:
    key = {"X-API-Key": SECOND}
    answers = [locked.client.post(ROUTE, headers=key) for _ in range(6)]
    refused = answers[-1]
    assert_problem(refused, 429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 12
    assert refused.headers["ratelimit"] == f'"requests";r=0;t={refused.headers["retry-after"]}'
    other = locked.client.post(ROUTE, headers={"X-API-Key": FIRST})
    assert other.status_code == 200, "one key's haste is not another's"


def test_without_keys_each_address_has_its_limit(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"FOOD_VISION_RATE_LIMIT": "2"}
    with running_service(tmp_path_factory.mktemp("limited"), settings) as service:
        # The proxy on this machine is believed, as on a platform.
        codes = [
            service.client.post(ROUTE, headers={"X-Forwarded-For": address}).status_code
            for address in ("8.8.8.8", "8.8.8.8", "8.8.8.8", "8.8.4.4", "2001:db8::1", "2001:db8::2", "2001:db8::3")
        ]
        assert codes == [200, 200, 429, 200, 200, 200, 429]
        assert figures(service.client)['food_vision_refusals_total{reason="rate_limited"}'] == 2


class Clock:
    """Seconds that go forward when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_tokens_come_back_evenly() -> None:
    clock = Clock()
    limiter = RateLimiter(6, clock)
    assert [limiter.take("a").remaining for _ in range(6)] == [5, 4, 3, 2, 1, 0]
    refused = limiter.take("a")
    assert (refused.granted, refused.seconds) == (False, 10)
    clock.now = 9.9
    assert limiter.take("a").seconds == 1
    clock.now = 10.1
    assert limiter.take("a").granted
    assert not limiter.take("a").granted
    clock.now = 10_000
    assert limiter.take("a").remaining == 5, "a bucket never holds more than it holds"


def test_refusals_cost_no_token() -> None:
    """Who keeps knocking is let in as early as who waits."""
    clock = Clock()
    limiter = RateLimiter(60, clock)
    for _ in range(60):
        limiter.take("a")
    granted = 0
    for step in range(100):
        clock.now = step / 10
        granted += limiter.take("a").granted
    assert granted == 9


def test_callers_remembered_are_bounded() -> None:
    limiter = RateLimiter(5, Clock())
    limiter.take("first")
    for number in range(MOST_CALLERS + 50):
        limiter.take(str(number))
    assert len(limiter._buckets) == MOST_CALLERS
    assert limiter.take("first").remaining == 4


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        pytest.param("8.8.8.8", "8.8.8.8", id="IPv4"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6, its network"),
        pytest.param("::ffff:8.8.8.8", "8.8.8.8", id="IPv4 on a socket of IPv6"),
        pytest.param("/run/food.sock", "/run/food.sock", id="no address at all"),
    ],
)
def test_whom_an_address_stands_for(host: str, caller: str) -> None:
    assert caller_at(host) == caller


# The cache


def test_the_same_bytes_are_looked_at_once(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> None:
    settings = LOOPBACK | {"FOOD_VISION_CACHE_BYTES": "100000"}
    with running_service(tmp_path_factory.mktemp("cached"), settings) as service:
        first, second = (service.ask(origin.url(f"/{place}/photo.jpg?size=90x90")) for place in ("one", "one"))
        other = service.ask(origin.url("/two/photo.jpg"))
        broken = [service.ask(origin.url("/page.html")).status_code for _ in range(2)]
        found = figures(service.client)
        probe = service.client.get("/readyz")
    assert first.content == second.content != other.content
    assert "inference" in first.headers["server-timing"]
    assert second.headers["server-timing"].startswith("fetch;")
    assert "inference" not in second.headers["server-timing"]
    assert broken == [415, 415]
    assert found['food_vision_cache_lookups_total{result="hit"}'] == 1
    assert found['food_vision_cache_lookups_total{result="miss"}'] == 4
    assert 0 < found["food_vision_cache_bytes"] < 5000
    assert probe.status_code == 200


def test_probes_are_never_answered_from_the_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_service(tmp_path_factory.mktemp("probed"), {"FOOD_VISION_CACHE_BYTES": "100000"}) as service:
        before = figures(service.client)["food_vision_batch_size_sum"]
        time.sleep(5.1)
        assert service.client.get("/readyz").status_code == 200
        assert figures(service.client)["food_vision_batch_size_sum"] == before + 1


def test_the_least_recently_used_goes_first() -> None:
    cache: ResponseCache[str] = ResponseCache(3 * (500 + ENTRY_BYTES))
    for key in "abc":
        cache.put(key, key, 500)
    assert cache.get("a") == "a"
    cache.put("d", "d", 500)
    assert [cache.get(key) for key in "abcd"] == ["a", None, "c", "d"]
    cache.put("huge", "huge", 4000)
    assert cache.get("huge") is None
    assert cache.get("d") == "d"


def test_the_cache_takes_no_more_memory_than_it_says() -> None:
    cache: ResponseCache[_Known] = ResponseCache(2_000_000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000):
        photo = Original(4032, 3024 + number, "JPEG", f"{number:064d}")
        cache.put(f"{number:064d}", _Known(np.zeros(101, np.float32), photo), 404)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken <= 2_000_000
    assert taken > 1_600_000
    assert cache.bytes_kept <= 2_000_000


def test_no_cache_by_default(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> None:
    with running_service(tmp_path_factory.mktemp("plain"), LOOPBACK) as service:
        answers: list[httpx2.Response] = [service.ask(origin.url("/photo.jpg")) for _ in range(2)]
        assert all("inference" in answer.headers["server-timing"] for answer in answers)
        assert not any(name.startswith("food_vision_cache_lookups_total") for name in figures(service.client))
