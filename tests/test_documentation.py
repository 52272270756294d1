"""The documentation to click through works where nothing but this service can be reached."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser import LARGE, Visit, open_page
from tests.service import Service


def opened(context: BrowserContext, service: Service, path: str) -> Visit:
    visit = open_page(context, f"{service.url}{path}")
    visit.home = service.url
    return visit


def test_a_request_can_be_tried_out(page_service: Service, browser: Browser) -> None:
    with browser.new_context(viewport=LARGE) as context:
        visit = opened(context, page_service, "/docs")
        visit.page.locator("#operations-contract-welcome").click()
        visit.page.get_by_role("button", name="Try it out").click()
        visit.page.get_by_role("button", name="Execute").click()
        visit.page.get_by_text("Welcome to the Food Vision API!").last.wait_for()
    assert visit.asked_elsewhere() == []
    assert visit.complaints == []


def test_the_other_view_is_drawn_too(page_service: Service, browser: Browser) -> None:
    with browser.new_context(viewport=LARGE) as context:
        visit = opened(context, page_service, "/redoc")
        visit.page.get_by_role("heading", name="Tell the dish on the photo behind a link").wait_for()


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_are_confined_to_this_service(page_service: Service, path: str) -> None:
    answer = page_service.client.get(path)
    assert not re.search(r"(src|href)=\"(https?:)?//", answer.text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' ")
    assert "unsafe-inline" not in policy.split(";")[1]


def test_what_is_not_there_is_a_problem(page_service: Service) -> None:
    answer = page_service.client.get("/docs/assets/missing.js")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
