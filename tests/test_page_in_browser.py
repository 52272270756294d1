"""The page in a real browser against a real server: every way in, every kind of answer, whatever goes wrong."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route

from tests.browser import MOST_BYTES, PHOTO, Visit, answer, give, open_page
from tests.origin import Origin
from tests.service import Service, running_service

KEY = "open-sesame-open-sesame"
MARKUP = "<img src=x onerror=alert(1)>"

# Ways in

WAYS: dict[str, Callable[[Visit, str], None]] = {
    "picker": lambda visit, _: visit.pick(PHOTO),
    "camera": lambda visit, _: visit.pick(PHOTO, how="#taken"),
    "drop": lambda visit, _: visit.drop(PHOTO),
    "paste": lambda visit, _: visit.paste(PHOTO),
    "photo pasted into the field": lambda visit, _: visit.paste(PHOTO, into="#link"),
    "link": lambda visit, link: visit.give_link(link),
    "dropped link": lambda visit, link: visit.drop(text=link),
    "pasted link": lambda visit, link: visit.paste(text=link),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_leads_to_the_same_dish(visit: Visit, page_service: Service, origin: Origin, way: str) -> None:
    link = origin.url("/photo.jpg")
    if "link" in way:
        expected = page_service.client.post("/v1/predict", json={"url": link}).json()
    else:
        expected = page_service.client.post("/v1/predict", files={"file": ("photo.jpg", PHOTO)}).json()
    WAYS[way](visit, link)
    dish = visit.answer()
    if expected["food"] is False:
        assert dish == "This is probably not food"
    else:
        assert dish.lower() == expected["dish"] + "?" * (expected["score"] < 0.5)
    names = visit.page.locator("#ranking .name").all_inner_texts()
    assert names == [row["dish"] for row in expected["predictions"]]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        pytest.param(" https://a.example/b.jpg ", "https://a.example/b.jpg", id="spaces around"),
        pytest.param("a.example/b.jpg", "https://a.example/b.jpg", id="no scheme"),
        pytest.param("http://fileserver/é.jpg", "http://fileserver/%C3%A9.jpg", id="intranet, accent"),
        pytest.param("HTTP://A.example:8080/", "http://a.example:8080/", id="capitals, port"),
    ],
)
def test_links_are_sent_as_a_browser_writes_them(visit: Visit, text: str, sent: str) -> None:
    visit.page.route("**/v1/predict*", lambda route: route.fulfill(json=answer()))
    with visit.page.expect_request("**/v1/predict*") as asked:
        visit.give_link(text)
    assert asked.value.post_data_json == {"url": sent}


@pytest.mark.parametrize(
    "text", ["", "ramen", "file:///etc/passwd", "javascript:alert(1)", "mailto:a@b.example", "/b.jpg"]
)
def test_what_is_no_link_is_not_sent(visit: Visit, text: str) -> None:
    before = len(visit.requests)
    visit.give_link(text)
    assert "not a link" in visit.problem()
    assert len(visit.requests) == before


def test_a_later_photo_puts_an_end_to_an_earlier_question(visit: Visit) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.fulfill(json=answer(dish="pho"))
        else:
            held.append(route)

    visit.page.route("**/v1/predict*", hold_the_first)
    with visit.page.expect_event("requestfailed") as failed:
        visit.pick(PHOTO)
        visit.page.wait_for_selector("body[data-state=busy]")
        visit.pick(PHOTO)
    assert failed.value.failure == "net::ERR_ABORTED"
    assert visit.answer() == "Pho"


# What is said

SETS = [
    pytest.param(["ramen"], "and nothing else comes close", id="one"),
    pytest.param(["ramen", "pho"], "or perhaps pho", id="two"),
    pytest.param(["ramen", "pho", "gyoza"], "or perhaps pho or gyoza", id="three"),
    pytest.param(["ramen", *"abcd"], "or perhaps a, b, c or d", id="five"),
    pytest.param(["ramen", *"abcde"], "or any of 5 other dishes: it is hard to tell", id="six"),
    pytest.param([], "though none of the dishes it knows fits well", id="empty"),
    pytest.param(None, "", id="none in this model"),
]


@pytest.mark.parametrize(("names", "words"), SETS)
def test_the_prediction_set_in_words(visit: Visit, names: list[str] | None, words: str) -> None:
    give(visit, answer(prediction_set=names, coverage=None if names is None else 0.95))
    assert visit.answer() == "Ramen"
    assert visit.text("#set") == words
    assert visit.text("#sure") == "83% sure"
    assert ("95 photos in 100" in visit.text("#promise")) is bool(names)


def test_scores_are_shown_with_bars(visit: Visit) -> None:
    rows = [{"dish": "ramen", "score": 0.9991}, {"dish": "pho", "score": 0.25}, {"dish": "gyoza", "score": 0.0004}]
    give(visit, answer(predictions=rows))
    visit.answer()
    assert visit.page.locator("#ranking .score").all_inner_texts() == ["over 99%", "25%", "under 1%"]
    visit.page.wait_for_timeout(700)
    widths = visit.page.locator("#ranking .bar").evaluate_all(
        "bars => bars.map(bar => parseFloat(getComputedStyle(bar, '::before').width) / bar.clientWidth)"
    )
    assert widths == pytest.approx([0.9991, 0.25, 0.0], abs=0.02)


def test_not_food_is_said_plainly(visit: Visit) -> None:
    give(visit, answer(food=False, food_score=0.02))
    assert visit.answer() == "This is probably not food"
    assert visit.text("#set") == "but if it is, it looks most like ramen"
    assert visit.text("#sure") == visit.text("#promise") == ""


def test_what_strangers_write_stays_text(visit: Visit) -> None:
    visit.page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    rows = [{"dish": MARKUP, "score": 0.5}]
    visit.page.route("**/v1/predict*", lambda route: route.fulfill(json=answer(MARKUP, predictions=rows)))
    visit.pick(PHOTO, name=f"{MARKUP}.jpg")
    assert visit.answer() == MARKUP
    visit.page.unroute("**/v1/predict*")
    problem = {"code": "undecodable_photo", "detail": MARKUP, "type": "javascript:alert(1)", "request_id": MARKUP}
    visit.page.route("**/v1/predict*", lambda route: route.fulfill(status=422, json=problem))
    visit.pick(PHOTO)
    assert visit.problem() == MARKUP
    assert visit.page.locator("#problem-help").is_hidden()
    assert visit.page.locator("main img").count() == 1, "the photo's own, and none from the markup"


# What goes wrong

PROBLEMS = [
    pytest.param(b"no photo at all", "JPEG, PNG, WebP and GIF photos are taken", id="not a photo"),
    pytest.param(PHOTO[:2000], "The photo", id="cut short"),
]


@pytest.mark.parametrize(("data", "sentence"), PROBLEMS)
def test_problems_are_shown_in_the_services_words(visit: Visit, data: bytes, sentence: str) -> None:
    visit.pick(data)
    assert sentence in visit.problem()
    assert re.fullmatch("Request [0-9a-f]{32}", visit.text("#problem-id"))
    help_page = visit.page.locator("#problem-help").get_attribute("href")
    assert help_page is not None
    assert help_page.startswith(f"{visit.home}docs/errors.md#")
    assert visit.page.locator("#again").is_hidden(), "the same photo would be refused again"


def test_links_that_may_not_be_followed(visit: Visit) -> None:
    visit.give_link("http://10.0.0.1/")
    assert visit.problem() == "The link's host cannot be contacted from here."


def test_a_photo_too_large_is_refused_before_it_is_sent(visit: Visit) -> None:
    before = len(visit.requests)
    visit.pick(bytes(MOST_BYTES + 1))
    assert visit.problem() == "This photo has 0.3 MB, and at most 0.3 MB are taken. Save it smaller and try again."
    assert len(visit.requests) == before


def test_without_a_network_one_can_try_again(visit: Visit) -> None:
    visit.page.context.set_offline(True)
    visit.pick(PHOTO)
    assert visit.problem() == "The service cannot be reached. Is the connection up?"
    visit.page.context.set_offline(False)
    visit.page.click("#again")
    assert visit.answer()


def test_a_proxys_page_instead_of_an_answer(visit: Visit) -> None:
    visit.page.route("**/v1/predict*", lambda route: route.fulfill(status=502, body="<html>Bad gateway</html>"))
    visit.pick(PHOTO)
    assert visit.problem() == "The service answered with status 502 and did not say why."
    assert visit.page.locator("#again").is_visible()


def test_a_key_is_asked_for_used_and_kept_in_memory_only(browser: Browser, tmp_path: Path) -> None:
    with (
        running_service(tmp_path, {"FOOD_VISION_API_KEYS": KEY}) as service,
        browser.new_context() as context,
    ):
        visit = open_page(context, f"{service.url}/")
        visit.pick(PHOTO)
        visit.problem()
        for key, outcome in (("wrong" * 5, visit.problem), (KEY, visit.answer)):
            visit.page.fill("#key", key)
            with visit.page.expect_response("**/v1/predict*"):
                visit.page.press("#key", "Enter")
            assert outcome()
        assert visit.page.input_value("#key") == ""
        assert KEY not in visit.command()
        assert "X-API-Key: $FOOD_VISION_CLIENT_KEY" in visit.command()
        kept = visit.page.evaluate("[document.cookie, localStorage.length, sessionStorage.length, location.href]")
        assert kept == ["", 0, 0, visit.home]
        assert visit.complaints == []
