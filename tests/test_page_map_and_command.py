"""What the page offers beside the dish: the curl line to take along, the map of what gave it away."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser import PHOTO, Visit
from tests.origin import Origin
from tests.photos import photo

# The curl line

NAMES = [
    pytest.param("photo.jpg", id="plain"),
    pytest.param('it\'s a "ramen"; touch pwned #.jpg', id="quotes"),
    pytest.param("$(touch pwned) `touch pwned` $HOME.jpg", id="substitutions"),
    pytest.param("a,b;type=text;filename=c.jpg", id="what curl reads into names"),
    pytest.param("back\\slash\\.jpg", id="backslashes"),
    pytest.param("@-.jpg", id="at"),
    pytest.param("-", id="standard input"),
    pytest.param("-o pwned.jpg", id="an option"),
    pytest.param("食べ物 é.jpg", id="other letters"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_curl_line_asks_the_same(visit: Visit, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PHOTO)
    visit.pick(PHOTO, name=name)
    visit.answer()
    answer_in_terminal = in_terminal(visit.command(), tmp_path)
    assert answer_in_terminal["predictions"][0]["dish"] == visit.page.locator("#ranking .name").first.inner_text()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_curl_line_of_a_link(visit: Visit, origin: Origin, tmp_path: Path) -> None:
    visit.give_link(origin.url("/photo.jpg?a='$(touch pwned)'&b=\"`touch pwned`"))
    visit.answer()
    assert in_terminal(visit.command(), tmp_path)["dish"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a\nb.jpg", "\x15rm -rf .jpg", "\x1b[2Jb.jpg", "a\u202egpj.exe"])
def test_names_that_would_press_keys_do_not_reach_the_curl_line(visit: Visit, name: str) -> None:
    visit.pick(PHOTO, name=name)
    visit.answer()
    assert visit.command().startswith("curl -F 'file=@\"./photo\"'")


@pytest.mark.parametrize("clipboard", [True, False], ids=["with TLS", "without"])
def test_the_curl_line_can_be_copied(visit: Visit, clipboard: bool) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.pick(PHOTO)
    visit.answer()
    if not clipboard:
        # As in a page that came without TLS from another machine.
        visit.page.evaluate("() => { navigator.clipboard.writeText = async () => { throw new Error('not allowed') } }")
    visit.page.click("#copy")
    visit.page.get_by_role("button", name="Copied").wait_for()
    assert visit.page.evaluate("navigator.clipboard.readText()") == visit.command()


def in_terminal(command: str, folder: Path) -> dict[str, Any]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(["/bin/sh", "-c", f"{command} --silent"], cwd=folder, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


# The map


def test_the_map_lies_over_the_photo_and_its_strength_can_be_set(visit: Visit) -> None:
    visit.pick(photo(width=400, height=240))
    visit.answer()
    visit.page.click("#show-map")
    visit.page.wait_for_selector("#map:not([hidden])")
    left, right, least = visit.page.locator("#map").evaluate("""map => {
        const { data } = map.getContext("2d").getImageData(0, 0, map.width, map.height);
        const alpha = Array.from(data).filter((_, place) => place % 4 === 3).map(value => value / 255);
        const row = alpha.slice(Math.floor(map.height / 2) * map.width).slice(0, map.width);
        return [row.at(10), row.at(-10), alpha.reduce((one, other) => Math.min(one, other))];
    }""")
    assert left == right > 0.9, "what lies outside the square was not looked at"
    assert least < 0.6, "and something within it was; where depends on the weights"
    visit.page.fill("#strength", "0")
    assert visit.page.locator("#map").evaluate("map => getComputedStyle(map).opacity") == "0"
    assert "explain?dish=" in visit.command()
    visit.page.click("#show-map")
    assert visit.page.locator("#map").is_hidden()


def test_the_map_of_another_dish(visit: Visit) -> None:
    visit.pick(PHOTO)
    visit.answer()
    visit.page.click("#show-map")
    visit.page.wait_for_selector("#map:not([hidden])")
    second = visit.page.locator("#ranking .name").nth(1).inner_text()
    with visit.page.expect_response("**/v1/explain*") as answered:
        visit.page.select_option("#map-dish", second)
    assert answered.value.json()["explanation"]["dish"] == second
    visit.page.get_by_text(f"The bright parts speak for {second}.").first.wait_for()


def test_a_photo_behind_a_link_is_shown_as_the_service_saw_it(visit: Visit, origin: Origin) -> None:
    visit.give_link(origin.url("/photo.jpg"))
    visit.answer()
    assert visit.page.locator("#photo").is_hidden()
    assert f"{origin.host}:{origin.port}" in visit.text("#elsewhere")
    visit.page.click("#show-map")
    visit.page.wait_for_selector("#photo:not([hidden])")
    assert visit.page.locator("#photo").evaluate("image => image.decode().then(() => image.naturalWidth)") == 224
    assert visit.page.locator("#strength").is_hidden()


def test_a_map_that_fails_leaves_the_answer(visit: Visit) -> None:
    visit.pick(PHOTO)
    dish = visit.answer()
    visit.page.route("**/v1/explain*", lambda route: route.fulfill(status=503, json={"detail": "No room."}))
    visit.page.click("#show-map")
    visit.page.get_by_text("No room.").first.wait_for()
    assert visit.answer() == dish


def test_the_dishes_it_knows(visit: Visit) -> None:
    visit.page.click("#dishes summary")
    visit.page.locator("#dish-names .name").nth(100).wait_for()
    assert "ramen" in visit.text("#dish-names")
