"""Builds the parts, once, and hands each to those who need it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from food_vision import __version__
from food_vision.api.contract import NOT_FOOD_HEADER, contract_routes
from food_vision.api.middleware import LastResort, RequestContext
from food_vision.api.operations import operations_routes
from food_vision.api.page import page_routes
from food_vision.api.problems import add_problem_handlers
from food_vision.intake.fetch import Fetcher
from food_vision.serving.build import build_predictor
from food_vision.serving.readiness import Readiness
from food_vision.settings import Settings

DESCRIPTION = """
Send a link to a photo, get the dish. Scores are calibrated probabilities; failures are problem answers (RFC 9457),
explained at [/docs/errors.md](/docs/errors.md).
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the service, its model loaded and its threads ready.

    Raises:
        StartupError: when the model's files cannot be used.
    """
    fetcher = Fetcher(settings)
    predictor = build_predictor(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await fetcher.aclose()
        predictor.close()

    # No redirect between the forms with and without the last slash: redirected POSTs lose their query in some clients.
    app = FastAPI(
        title="Food Vision", version=__version__, description=DESCRIPTION, lifespan=lifespan, redirect_slashes=False
    )
    app.include_router(page_routes(settings.max_photo_bytes))
    app.include_router(contract_routes(fetcher, predictor, settings.request_timeout))
    app.include_router(operations_routes(Readiness(predictor)))
    add_problem_handlers(app, settings.docs_url)
    # The last one added sees a request first.
    app.add_middleware(LastResort, docs_url=settings.docs_url)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After", NOT_FOOD_HEADER],
    )
    app.add_middleware(RequestContext)
    return app
