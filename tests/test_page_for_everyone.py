"""The page for all kinds of visitors: by keyboard, by ear, on a phone, in the dark, without motion."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ViewportSize

from tests.browser import LARGE, PHONE, PHOTO, Visit, answer, give, open_page
from tests.origin import Origin
from tests.service import Service

KEY_ASKED = {
    "code": "missing_key",
    "detail": "This service asks for a key.",
    "type": "/docs/errors.md#missing-key",
    "request_id": "4f1c",
}


def test_by_keyboard_alone(visit: Visit, origin: Origin) -> None:
    keyboard = visit.page.keyboard
    assert tab(visit, 4) == ["API", "choose", "link", "Look"]
    keyboard.press("Shift+Tab")
    keyboard.type(origin.url("/photo.jpg"))
    keyboard.press("Enter")
    visit.answer()
    visit.pick(PHOTO)
    visit.answer()
    assert tab(visit, 2) == ["Look", "show-map"]
    keyboard.press("Enter")
    visit.page.wait_for_selector("#map:not([hidden])")
    assert tab(visit, 2) == ["map-dish", "strength"]
    keyboard.press("Home")
    assert visit.page.locator("#map").evaluate("map => map.style.opacity") == "0"
    assert tab(visit, 2) == ["copy", "Which dishes does it know?"]


def test_a_chooser_opens_by_keyboard(page_service: Service, browser: Browser) -> None:
    with browser.new_context() as context:
        visit = open_page(context, f"{page_service.url}/")
        visit.page.focus("#choose")
        with visit.page.expect_file_chooser() as chooser:
            visit.page.keyboard.press("Enter")
        chooser.value.set_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": PHOTO})
        assert visit.answer()


def test_screen_readers_are_told(visit: Visit) -> None:
    give(visit, answer(prediction_set=["ramen", "pho"], coverage=0.95))
    visit.answer()
    assert visit.page.get_by_role("status").inner_text() == "Ramen, or perhaps pho, 83% sure"
    visit.page.unroute("**/v1/predict*")
    visit.pick(b"no photo")
    visit.problem()
    assert "JPEG" in visit.page.get_by_role("alert").inner_text()
    assert visit.page.get_by_role("status").inner_text() == ""


def test_on_a_phone_the_camera_comes_first(page_service: Service, browser: Browser) -> None:
    with browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True) as context:
        visit = open_page(context, f"{page_service.url}/")
        assert visit.page.locator("#taken").get_attribute("capture") == "environment"
        with visit.page.expect_file_chooser() as chooser:
            visit.page.tap("#camera")
        chooser.value.set_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": PHOTO})
        assert visit.answer()


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_sticks_out_at_the_side(page_service: Service, browser: Browser, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 740}) as context:
        visit = open_page(context, f"{page_service.url}/")
        assert excess_width(visit) == 0
        show_map(visit)
        assert excess_width(visit) == 0
        visit.give_link("x" * 300)
        visit.problem()
        assert excess_width(visit) == 0


def test_nothing_moves_for_those_who_ask_for_calm(page_service: Service, browser: Browser) -> None:
    with browser.new_context(reduced_motion="reduce") as context:
        visit = open_page(context, f"{page_service.url}/")
        visit.pick(PHOTO)
        visit.answer()
        assert visit.page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [LARGE, PHONE], ids=["large", "phone"])
def test_axe_finds_nothing(
    page_service: Service, browser: Browser, scheme: Literal["light", "dark"], viewport: ViewportSize
) -> None:
    with browser.new_context(color_scheme=scheme, viewport=viewport, reduced_motion="reduce") as context:
        visit = open_page(context, f"{page_service.url}/")
        assert_accessible(visit)
        show_map(visit)
        assert_accessible(visit)
        visit.page.route("**/v1/predict*", lambda route: route.fulfill(status=401, json=KEY_ASKED))
        visit.pick(PHOTO)
        visit.problem()
        assert_accessible(visit)


def show_map(visit: Visit) -> None:
    visit.pick(PHOTO)
    visit.answer()
    visit.page.click("#show-map")
    visit.page.wait_for_selector("#map:not([hidden])")


def assert_accessible(visit: Visit) -> None:
    found = Axe().run(visit.page)
    assert found.violations_count == 0, found.generate_report()


def tab(visit: Visit, times: int) -> list[str]:
    """Press Tab and tell where that leads; the focus must be seen there."""
    places = []
    for _ in range(times):
        visit.page.keyboard.press("Tab")
        name, outline = visit.page.evaluate(
            "[document.activeElement.id || document.activeElement.textContent.trim(),"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none", f"{name} does not show that it has the focus"
        places.append(name)
    return places


def excess_width(visit: Visit) -> int:
    """Return by how many pixels the page is wider than the window."""
    return int(visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
