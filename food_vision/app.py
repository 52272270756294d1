"""Builds the parts, once, and hands each to those who need it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from food_vision import __version__
from food_vision.admission import Admission
from food_vision.api.bodies import CloseUnread, Uploads
from food_vision.api.contract import NOT_FOOD_HEADER, contract_routes
from food_vision.api.documentation import add_documentation
from food_vision.api.door import Door
from food_vision.api.gate import Gate, described_gate
from food_vision.api.inference_bodies import JSON_LENGTH_HEADER
from food_vision.api.middleware import LastResort, RequestContext
from food_vision.api.open_inference import open_inference_routes
from food_vision.api.operations import operations_routes
from food_vision.api.page import page_routes
from food_vision.api.problems import add_problem_handlers
from food_vision.api.v1 import model_routes, v1_routes
from food_vision.logs import write
from food_vision.model.bundle import Bundle
from food_vision.serving.build import build_predictor
from food_vision.serving.drain import Drain
from food_vision.serving.metrics import Metrics, WatchedFetcher
from food_vision.serving.protection import KeyRing, RateLimiter
from food_vision.serving.readiness import Readiness
from food_vision.settings import Settings

DESCRIPTION = """
Send a link to a photo, get the dish. Scores are calibrated probabilities; failures are problem answers (RFC 9457),
explained at [/docs/errors.md](/docs/errors.md).
"""

EXPOSED_HEADERS = [
    "X-Request-ID",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "Server-Timing",
    NOT_FOOD_HEADER,
    JSON_LENGTH_HEADER,
]


def create_app(settings: Settings) -> FastAPI:
    """Return the service, its model loaded and its threads ready.

    Raises:
        StartupError: when the model's files cannot be used.
    """
    metrics, drain = Metrics(settings.metrics_folder), Drain(settings.drain_delay)
    fetcher = WatchedFetcher(settings, metrics)
    predictor = build_predictor(settings, metrics)
    _introduce(predictor.bundle, settings.engine, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        drain.take_over()
        yield
        await fetcher.aclose()
        predictor.close()

    # No redirect between the forms with and without the last slash: redirected POSTs lose their query in some clients.
    app = FastAPI(
        title="Food Vision",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    add_documentation(app)
    app.include_router(page_routes(settings.max_photo_bytes))
    behind_gate = described_gate(settings)
    app.include_router(contract_routes(fetcher, predictor, settings.request_timeout), **behind_gate)
    uploads, readiness = Uploads(settings), Readiness(predictor, drain)
    app.include_router(v1_routes(fetcher, predictor, uploads, settings), **behind_gate)
    app.include_router(model_routes(predictor), **behind_gate)
    app.include_router(open_inference_routes(predictor, readiness, uploads, settings))
    app.include_router(operations_routes(readiness, metrics))
    add_problem_handlers(app, settings.docs_url)
    _add_layers(app, settings, metrics, drain, predictor.admission)
    return app


def _introduce(model: Bundle, engine: str, metrics: Metrics) -> None:
    """Say in the figures which model answers, and in the log what to think of it."""
    metrics.name_the_model(model.name, model.version, model.sha256, engine)
    if not model.metadata.calibrated:
        sentence = f"The scores of {model.name} are not calibrated: they rank dishes, and are no probabilities."
        write(logging.getLogger(__name__), logging.WARNING, message=sentence)


def _add_layers(app: FastAPI, settings: Settings, metrics: Metrics, drain: Drain, admission: Admission) -> None:
    # The last one added sees a request first. The gate stands before the door: who has no key, or asks too often, must
    # not count among those for whom there is no place, or anybody could keep a crowd going and the places few.
    app.add_middleware(Door, routes=app.routes, admission=admission, metrics=metrics, docs_url=settings.docs_url)
    _add_gate(app, settings, metrics)
    app.add_middleware(CloseUnread)
    app.add_middleware(LastResort, docs_url=settings.docs_url)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
    )
    app.add_middleware(RequestContext, metrics=metrics, drain=drain)


def _add_gate(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    if not (settings.api_keys or settings.metrics_key or settings.rate_limit):
        return
    app.add_middleware(
        Gate,
        keys=KeyRing(key.get_secret_value() for key in settings.api_keys),
        metrics_keys=KeyRing([settings.metrics_key.get_secret_value()] if settings.metrics_key else []),
        limiter=RateLimiter(settings.rate_limit) if settings.rate_limit else None,
        metrics=metrics,
        docs_url=settings.docs_url,
    )
