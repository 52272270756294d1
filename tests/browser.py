"""A headless Chromium that watches what a page does: every request, every complaint."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, JSHandle, Page, ViewportSize, sync_playwright

from tests.photos import photo
from tests.service import Service, running_service

PHOTO = photo()
MOST_BYTES = 300_000
LARGE: ViewportSize = {"width": 1180, "height": 860}
PHONE: ViewportSize = {"width": 360, "height": 740}
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOTE_VIOLATIONS = "addEventListener('securitypolicyviolation', e => console.error('violates ' + e.violatedDirective))"
MAKE_TRANSFER = """([name, bytes, text]) => {
    const transfer = new DataTransfer();
    if (name) transfer.items.add(new File([new Uint8Array(bytes)], name));
    if (text) transfer.setData("text/plain", text);
    return transfer;
}"""
PASTE = """(target, clipboardData) =>
    target.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))"""


@dataclass
class Visit:
    """A page that is open, and what it did so far."""

    page: Page
    home: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def begin_anew(self) -> None:
        """Load the page again and forget what was before."""
        self.page.unroute_all()
        self.page.context.set_offline(False)
        self.requests.clear()
        self.complaints.clear()
        self.page.goto(self.home)

    def asked_elsewhere(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.home, "blob:", "data:"))]

    def pick(self, data: bytes, name: str = "photo.jpg", how: str = "#picked") -> None:
        self.page.set_input_files(how, {"name": name, "mimeType": "image/jpeg", "buffer": data})

    def drop(self, data: bytes | None = None, text: str = "") -> None:
        self.page.dispatch_event("main", "drop", {"dataTransfer": self._transfer(data, text)})

    def paste(self, data: bytes | None = None, text: str = "", into: str = "body") -> None:
        self.page.locator(into).evaluate(PASTE, self._transfer(data, text))

    def give_link(self, link: str) -> None:
        self.page.fill("#link", link)
        self.page.press("#link", "Enter")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def answer(self) -> str:
        """Wait for the dish and return it."""
        self.page.wait_for_selector("body[data-state=answer]")
        return self.text("#dish")

    def problem(self) -> str:
        """Wait for a problem and return its sentence."""
        self.page.wait_for_selector("body[data-state=problem]")
        return self.text("#problem-text")

    def command(self) -> str:
        return str(self.page.locator("#curl").text_content())

    def _transfer(self, data: bytes | None, text: str) -> JSHandle:
        return self.page.evaluate_handle(MAKE_TRANSFER, ["photo.jpg" if data else "", list(data or b""), text])


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium with a fresh profile; skip where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


def open_page(context: BrowserContext, home: str) -> Visit:
    """Open the page and note what it does from the first moment on."""
    context.add_init_script(NOTE_VIOLATIONS)
    page = context.new_page()
    page.set_default_timeout(15_000)
    visit = Visit(page, home)
    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.on("console", lambda message: visit.complaints.append(message.text) if is_complaint(message.text) else None)
    # Chromium hands choosers over from the moment somebody listens, and not at once: a key press might be faster.
    page.on("filechooser", lambda _: None)
    page.goto(home)
    return visit


def is_complaint(text: str) -> bool:
    """Tell complaints about the page from Chromium's note on each answer that is not 200."""
    return not text.startswith("Failed to load resource")


@pytest.fixture(scope="session")
def page_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "FOOD_VISION_MAX_PHOTO_BYTES": str(MOST_BYTES)}
    with running_service(tmp_path_factory.mktemp("page"), settings) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened_page(page_service: Service, browser: Browser) -> Iterator[Visit]:
    with browser.new_context(viewport=LARGE) as context:
        yield open_page(context, f"{page_service.url}/")


@pytest.fixture
def visit(opened_page: Visit) -> Iterator[Visit]:
    """The page, freshly loaded. Whatever a test does with it, it must ask nobody else and complain of nothing."""
    opened_page.begin_anew()
    yield opened_page
    assert opened_page.asked_elsewhere() == []
    assert opened_page.complaints == []


def give(visit: Visit, body: dict[str, Any]) -> None:
    """Let the page see an answer that the model would rarely give."""
    visit.page.route("**/v1/predict*", lambda route: route.fulfill(json=body))
    visit.pick(PHOTO)


def answer(dish: str = "ramen", **changes: object) -> dict[str, Any]:
    return {
        "dish": dish,
        "score": 0.834,
        "predictions": [{"dish": dish, "score": 0.834}],
        "prediction_set": None,
        "coverage": None,
        "food": True,
        "food_score": 0.998,
        "photo": {"width": 320, "height": 240, "format": "JPEG", "sha256": "0" * 64},
        "model": {"name": "food-vision", "version": "1.3.1"},
        "timings_ms": {"fetch": 0.0, "decode": 6.1, "queue": 0.1, "inference": 2.9},
        **changes,
    }
