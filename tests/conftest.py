"""Fixtures that several test files share."""

from collections.abc import Iterator

import pytest

from tests.browser import browser as browser
from tests.browser import opened_page as opened_page
from tests.browser import page_service as page_service
from tests.browser import visit as visit
from tests.origin import Origin


@pytest.fixture(scope="session")
def running_origin() -> Iterator[Origin]:
    with Origin().running() as origin:
        yield origin


@pytest.fixture
def origin(running_origin: Origin) -> Origin:
    """The misbehaving server, with nothing on its record yet."""
    running_origin.forget()
    return running_origin


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Tests marked ``anyio`` run on both event loops that the server may run on."""
    return "asyncio", {"use_uvloop": request.param}
