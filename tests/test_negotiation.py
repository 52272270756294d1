"""What ``Accept`` and ``If-None-Match`` ask for."""

import pytest

from food_vision.api.negotiation import JSON, PNG, is_known, preferred
from food_vision.errors import NotAcceptable


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        pytest.param("", JSON, id="nothing said"),
        pytest.param("*/*", JSON, id="anything"),
        pytest.param("image/png", PNG, id="a picture"),
        pytest.param("IMAGE/PNG", PNG, id="upper case"),
        pytest.param("image/*", PNG, id="any picture"),
        pytest.param("application/json, image/png", JSON, id="both alike"),
        pytest.param("application/json;q=0.5, image/png", PNG, id="rather a picture"),
        pytest.param("image/avif,image/webp,image/png,*/*;q=0.8", PNG, id="a browser's image"),
        pytest.param("image/png;q=0, */*", JSON, id="anything but a picture"),
        pytest.param("image/png;q=0.1, text/html", PNG, id="a picture if need be"),
        pytest.param("application/json;q=much", JSON, id="a weight that is none"),
    ],
)
def test_the_type_liked_best(accept: str, expected: str) -> None:
    assert preferred(accept, (JSON, PNG)) == expected


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=0", "*/*;q=0", "image/webp, text/*"])
def test_nothing_that_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        preferred(accept, (JSON, PNG))


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        pytest.param([], False, id="nothing said"),
        pytest.param(['"a"'], True, id="the same"),
        pytest.param(['W/"a"'], True, id="as good as the same"),
        pytest.param(['"b", "a"'], True, id="one of two"),
        pytest.param(['"a"', '"b"'], True, id="one of two lines, the first"),
        pytest.param(['"b"', '"a"'], True, id="one of two lines, the last"),
        pytest.param(["*"], True, id="any"),
        pytest.param(['"b"'], False, id="another"),
        pytest.param(["a"], False, id="without quotes"),
    ],
)
def test_a_version_that_is_known(lines: list[str], known: bool) -> None:
    assert is_known(lines, '"a"') is known
