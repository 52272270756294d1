"""What operators and platforms ask: does the process serve, and does the model answer."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from food_vision.api.responses import problem_responses
from food_vision.errors import NotReady
from food_vision.reference import errors_page
from food_vision.serving.readiness import Readiness


class Status(BaseModel):
    """How the service is."""

    status: str


def operations_routes(readiness: Readiness) -> APIRouter:
    """Return the routes for platforms and operators."""
    router = APIRouter(tags=["operations"])

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", operation_id="liveness", summary="Does the process serve?")
    async def liveness() -> Status:
        return Status(status="ok")

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz",
        operation_id="readiness",
        summary="Does the model answer?",
        responses=problem_responses(NotReady),
    )
    async def ready() -> Status:
        await readiness.check()
        return Status(status="ready")

    @router.get("/docs/errors.md", include_in_schema=False)
    async def errors() -> Response:
        return Response(errors_page(), media_type="text/markdown; charset=utf-8")

    return router
