"""Starts the server: one sentence and a non-zero exit where it cannot, whatever the reason."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NoReturn

import uvicorn
from fastapi import FastAPI
from prometheus_client import disable_created_metrics
from uvicorn.config import STARTUP_FAILURE

from food_vision.app import create_app
from food_vision.errors import StartupError
from food_vision.http_protocol import BoundedHttp, HeadBounds
from food_vision.logs import set_up_logging
from food_vision.settings import Settings, load_settings

M_MMAP_THRESHOLD = -3
MMAP_THRESHOLD_BYTES = 1 << 20
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def run(application: str) -> None:
    """Serve ``application`` (``module:name``) until told to stop."""
    settings = settings_or_exit()
    _require_port(settings)
    if settings.workers > 1:
        _try_in_a_child(application)
    # uvicorn finishes what is under way and then hands the signal on: that was a clean end, not a death by signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _shared_figures(settings):
        options = _options(settings)
        if ":" in settings.host and settings.workers == 1:
            _serve_both_families(uvicorn.Config(application, **options))
        else:
            uvicorn.run(application, **options)


def app_or_exit() -> FastAPI:
    """Return the app for the settings in the environment, or end the process with one sentence."""
    settings = settings_or_exit()
    set_up_logging(settings.log_level)
    give_memory_back()
    # Prometheus looks at counts only; a time of birth for each would double what is sent to it.
    disable_created_metrics()
    try:
        return create_app(settings)
    except StartupError as error:
        _exit(str(error))


def settings_or_exit() -> Settings:
    """Return the settings in the environment, or end the process with one sentence."""
    try:
        return load_settings()
    except StartupError as error:
        _exit(str(error))


def give_memory_back() -> None:
    """Make freed pictures go back to the system at once, where the C library is glibc.

    Left alone, glibc raises its threshold with the first large picture that is freed and keeps the next ones for
    itself: after five 49-megapixel PNGs the server stayed at 1,276 MB, with a fixed threshold at 125 MB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


def _options(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn is told."""
    bounds = HeadBounds(settings.max_head_bytes, settings.head_timeout, settings.max_connections, settings.docs_url)
    return {
        "http": partial(BoundedHttp, bounds),
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "forwarded_allow_ips": settings.forwarded_allow_ips,
        "log_level": settings.log_level,
        "timeout_keep_alive": settings.keep_alive,
        "timeout_graceful_shutdown": settings.drain_timeout,
        "access_log": False,
        "server_header": False,
        "ws": "none",
    }


def _serve_both_families(config: uvicorn.Config) -> None:
    """Serve on the socket that several workers would share: one that asyncio makes for ``::`` takes IPv6 alone."""
    config.load_app()
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[config.bind_socket()])
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _require_port(settings: Settings) -> None:
    """End here if the port is taken, before a model is loaded for nothing."""
    is_ipv6 = ":" in settings.host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    both = is_ipv6 and socket.has_dualstack_ipv6()
    try:
        socket.create_server((settings.host, settings.port), family=family, dualstack_ipv6=both).close()
    except OSError as error:
        _exit(f"port {settings.port} of {settings.host} cannot be used: {os.strerror(error.errno or 0)}.")


def _try_in_a_child(application: str) -> None:
    """End here if the app cannot be built: workers that die at start would be replaced by others, for ever."""
    module = application.partition(":")[0]
    trial = subprocess.run([sys.executable, "-c", f"import {module}"], check=False)  # noqa: S603 - our own words
    if trial.returncode:
        sys.exit(trial.returncode)


@contextmanager
def _shared_figures(settings: Settings) -> Iterator[None]:
    """Have a folder where several workers keep their figures, so that one scrape shows all; one needs none."""
    if settings.workers == 1 or settings.metrics_folder:
        yield
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="food-vision-metrics-", ignore_cleanup_errors=True)
    except OSError as error:
        _exit(f"several workers need a temporary folder for their figures, and there is none: {error.strerror}.")
    with folder as name:
        # Not for this process: the workers find it in their environment, where prometheus_client looks for it.
        os.putenv(METRICS_FOLDER, name)
        yield


def _exit(reason: str) -> NoReturn:
    sys.exit(f"food-vision cannot start: {reason}")
