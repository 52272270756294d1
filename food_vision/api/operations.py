"""What operators and platforms ask: does the process serve, and does the model answer."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from food_vision.api.examples import shows
from food_vision.api.responses import problem_responses
from food_vision.errors import Draining, MissingKey, NotReady, WrongKey
from food_vision.reference import errors_page
from food_vision.serving.metrics import Metrics
from food_vision.serving.readiness import Readiness

METRICS_TYPES = ("text/plain", "application/openmetrics-text")
"""The second one only for scrapers that ask for it."""
METRICS_EXAMPLE = """# HELP food_vision_requests_total Requests answered, by outcome.
# TYPE food_vision_requests_total counter
food_vision_requests_total{outcome="ok",route="/net/image/prediction/"} 1027.0
"""


class Status(BaseModel):
    """How the service is."""

    status: str


def operations_routes(readiness: Readiness, metrics: Metrics) -> APIRouter:
    """Return the routes for platforms and operators."""
    router = APIRouter(tags=["operations"])

    @router.head("/healthz", include_in_schema=False)
    @router.get(
        "/healthz", operation_id="liveness", summary="Does the process serve?", responses=shows({"status": "ok"})
    )
    async def liveness() -> Status:
        return Status(status="ok")

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz",
        operation_id="readiness",
        summary="Does the model answer?",
        responses={**shows({"status": "ready"}), **problem_responses(NotReady, Draining)},
    )
    async def ready() -> Status:
        await readiness.check()
        return Status(status="ready")

    @router.head("/metrics", include_in_schema=False)
    # Not async: with several workers this one reads files, and waits while another worker does.
    @router.get(
        "/metrics",
        operation_id="metrics",
        summary="Figures for Prometheus",
        response_class=PlainTextResponse,
        responses={
            200: {"content": {kind: {"example": METRICS_EXAMPLE} for kind in METRICS_TYPES}},
            **problem_responses(MissingKey, WrongKey),
        },
    )
    def figures(request: Request) -> Response:
        content, media_type = metrics.render(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    @router.get("/docs/errors.md", include_in_schema=False)
    async def errors() -> Response:
        return Response(errors_page(), media_type="text/markdown; charset=utf-8")

    return router
