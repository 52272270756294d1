"""Builds the parts, once, and hands each to those who need it."""

import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from food_vision import __version__
from food_vision.api.contract import NOT_FOOD_HEADER, contract_routes
from food_vision.api.middleware import RequestContext
from food_vision.api.operations import operations_routes
from food_vision.api.problems import add_problem_handlers
from food_vision.errors import StartupError
from food_vision.intake.decode import PhotoLimits, prepare_pillow
from food_vision.intake.fetch import Fetcher
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.processors import usable_processors
from food_vision.serving.predictor import Predictor
from food_vision.serving.readiness import Readiness
from food_vision.settings import Settings, load_settings

DESCRIPTION = """
Send a link to a photo, get the dish. Scores are calibrated probabilities; failures are problem answers (RFC 9457),
explained at [/docs/errors.md](/docs/errors.md).
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the service, its model loaded and its threads ready.

    Raises:
        StartupError: when the model's files cannot be used.
    """
    set_up_logging(settings.log_level)
    fetcher = Fetcher(settings)
    predictor = _build_predictor(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await fetcher.aclose()
        predictor.close()

    # No redirect between the forms with and without the last slash: redirected POSTs lose their query in some clients.
    app = FastAPI(
        title="Food Vision", version=__version__, description=DESCRIPTION, lifespan=lifespan, redirect_slashes=False
    )
    app.include_router(contract_routes(fetcher, predictor, settings.request_timeout))
    app.include_router(operations_routes(Readiness(predictor)))
    add_problem_handlers(app, settings.docs_url)
    app.add_middleware(RequestContext, docs_url=settings.docs_url)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After", NOT_FOOD_HEADER],
    )
    return app


def run(application: str) -> None:
    """Serve ``application`` (``module:name``) until told to stop."""
    settings = settings_or_exit()
    # uvicorn finishes what is under way and then hands the signal on: that was a clean end, not a death by signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        log_level=settings.log_level,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.drain_timeout,
        access_log=False,
        server_header=False,
        ws="none",
    )


def app_or_exit() -> FastAPI:
    """Return the app for the settings in the environment, or end the process with one sentence."""
    try:
        return create_app(settings_or_exit())
    except StartupError as error:
        sys.exit(f"food-vision cannot start: {error}")


def settings_or_exit() -> Settings:
    """Return the settings in the environment, or end the process with one sentence."""
    try:
        return load_settings()
    except StartupError as error:
        sys.exit(f"food-vision cannot start: {error}")


def set_up_logging(level: str) -> None:
    """Send our lines to standard error; uvicorn's access log is silenced: it would write links with their queries."""
    logging.getLogger("uvicorn.access").disabled = True
    log = logging.getLogger("food_vision")
    log.setLevel(level.upper())
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
    log.propagate = False


def _build_predictor(settings: Settings) -> Predictor:
    bundle = load_bundle(settings.model)
    limits = PhotoLimits(settings.max_pixels, settings.min_side, settings.max_aspect)
    prepare_pillow(limits)
    return Predictor(
        bundle,
        open_engine(bundle, settings),
        limits,
        decode_threads=settings.decode_threads or usable_processors(),
        max_batch=settings.max_batch,
        queue_limit=settings.queue_limit,
    )
