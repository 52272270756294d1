"""The OpenAPI document tells the truth: its examples fit its schemas, and the service keeps what it says."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from food_vision.app import create_app
from food_vision.settings import Settings
from tests.service import ROOT, Service, running_service

DOCUMENT: dict[str, Any] = create_app(Settings()).openapi()


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every place of the document that has a schema and may have examples, with a name for it."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            for parameter in operation.get("parameters", []):
                yield f"{name} {parameter['name']}", parameter
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{name} {media_type}", content
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    yield f"{name} {status} {media_type}", content


def examples() -> Iterator[Any]:
    for name, content in contents():
        schema = content.get("schema", {})
        shown = {"example": content["example"]} if "example" in content else {}
        shown |= {key: example["value"] for key, example in content.get("examples", {}).items()}
        shown |= {f"of the schema, {place}": value for place, value in enumerate(schema.get("examples", []))}
        for key, value in shown.items():
            yield pytest.param(schema, value, id=f"{name} {key}")


@pytest.mark.parametrize(("schema", "value"), list(examples()))
def test_every_example_fits_its_schema(schema: dict[str, Any], value: object) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.validate(whole, value)


def schemas(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "examples" in node and isinstance(node["examples"], list):
            yield node
        for value in node.values():
            yield from schemas(value)


def test_the_examples_of_members_fit_as_well() -> None:
    found = list(schemas(DOCUMENT["components"]))
    assert len(found) > 10
    for schema in found:
        for value in schema["examples"]:
            jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, value)


def test_every_operation_says_what_it_is_and_how_it_fails() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"], path
            assert operation["summary"], path
            assert method == "get" or {"400", "422"} & set(operation["responses"]), path


def test_every_good_answer_is_shown() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for media_type, content in operation["responses"]["200"].get("content", {}).items():
                is_shown = {"example", "examples"} & set(content)
                assert is_shown or media_type in ("text/html", "image/png", "application/octet-stream"), (
                    f"{method} {path} {media_type}"
                )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that follows no link further than its host's name."""
    settings = {"FOOD_VISION_ALLOW_HOSTS": "photos.example"}
    with running_service(tmp_path_factory.mktemp("service"), settings) as service:
        yield service


CONFIG = schemathesis.Config.from_path(ROOT / "schemathesis.toml")


@schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG).parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_the_service_keeps_what_the_document_says(case: schemathesis.Case[Any], service: Service) -> None:
    """With all checks; ``schemathesis.toml`` says which refusals are as good as answers."""
    case.call_and_validate(base_url=service.url)
