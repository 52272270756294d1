"""Starts the server: one sentence and a non-zero exit where it cannot, whatever the reason."""

import ctypes
import gc
import importlib
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import uvicorn
from fastapi import FastAPI

from food_vision.errors import StartupError
from food_vision.http_protocol import BoundedHttp, HeadBounds
from food_vision.logs import set_up_logging, write
from food_vision.settings import Settings, hand_down, load_settings
from food_vision.workers import Workers, end_cleanly_at_sigterm, leave_after

log = logging.getLogger("food_vision")

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
MMAP_THRESHOLD_BYTES = 1 << 17
"""At most half of ``decode.BLOCK_BYTES``."""
ARENAS = 2
"""Heaps for what is smaller than the threshold; glibc would take eight a processor."""
OBJECTS_PER_COLLECTION = 5_000
GRACE = 3.0
"""Seconds beyond the time to drain, for those who would tell the last callers so."""


def run(application: str) -> None:
    """Serve ``application`` (``module:name``) until told to stop."""
    settings = settings_or_exit()
    set_up_logging(settings.log_level)
    listener = _bound_socket(settings)
    if settings.workers > 1:
        try:
            sys.exit(_serve_by_several(application, settings, listener))
        except StartupError as error:
            _exit(str(error))
    end_cleanly_at_sigterm()
    leave_after(lambda: _serve_alone(application, settings, listener))


def app_or_exit() -> FastAPI:
    """Return the app for the settings in the environment, or end the process with one sentence."""
    # Here, for what they import: several workers must know first where their figures go.
    from prometheus_client import disable_created_metrics

    from food_vision.app import create_app

    settings = settings_or_exit()
    set_up_logging(settings.log_level)
    give_memory_back()
    # Prometheus looks at counts only; a time of birth for each would double what is sent to it.
    disable_created_metrics()
    try:
        app = create_app(settings)
    except StartupError as error:
        _exit(str(error))
    spare_the_collector()
    return app


def settings_or_exit() -> Settings:
    """Return the settings in the environment, or end the process with one sentence."""
    try:
        return load_settings()
    except StartupError as error:
        _exit(str(error))


def give_memory_back() -> None:
    """Make freed pictures go back to the system at once, where the C library is glibc.

    Left alone, glibc raises its threshold with the first large picture that is freed and keeps the next ones for
    itself: after five 49-megapixel PNGs the server stayed at 1,276 MB, with a fixed threshold at 125 MB. With a
    threshold of 1 MB the heap still grew by 11 MB an hour of mixed photos, in holes between smaller ones; with one of
    128 kB decoding takes as long as before. What is smaller lay in as many heaps as there are threads, each with
    its own holes: 10 MB an hour, in steps, until threads had to share two.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def spare_the_collector() -> None:
    """Leave what was made for the start out of garbage collection, and collect seldom.

    All of it lives until the end, and looking through it stopped every thread for 40 to 80 ms each time. Of what
    requests leave behind nearly nothing is in circles; to look for those after every 700 objects was a twentieth of
    the event loop's work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)


def _options(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn is told."""
    bounds = HeadBounds(settings.max_head_bytes, settings.head_timeout, settings.max_connections, settings.docs_url)
    return {
        "http": partial(BoundedHttp, bounds),
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "forwarded_allow_ips": settings.forwarded_allow_ips,
        "log_config": None,
        "log_level": settings.log_level,
        "timeout_keep_alive": settings.keep_alive,
        "timeout_graceful_shutdown": settings.drain_timeout,
        "access_log": False,
        "server_header": False,
        "ws": "none",
    }


class ToldServer(uvicorn.Server):
    """A server that tells when it serves, or in one sentence why it cannot."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or ():
            self._listen(listener)
        await super().startup(sockets)
        self._tell()

    def _listen(self, listener: socket.socket) -> None:
        """Listen here: two servers may bind a port, the one that listens first has it, and uvicorn has no sentence."""
        try:
            listener.listen(self.config.backlog)
        except OSError as error:
            _exit_without(self.config.host, self.config.port, error)


def _serve_alone(application: str, settings: Settings, listener: socket.socket) -> None:
    """Serve with this process."""
    config = uvicorn.Config(application, **_options(settings))
    ToldServer(config, lambda: _say_where(listener)).run([listener])


def _serve_by_several(application: str, settings: Settings, listener: socket.socket) -> int:
    """Serve with several processes on one socket, and return the exit status."""
    with _shared_figures(settings):
        # All that workers need is imported before they are forked: it is most of what their start takes.
        importlib.import_module("food_vision.app")
        config = uvicorn.Config(application, **_options(settings))
        patience = settings.drain_delay + settings.drain_timeout + GRACE

        def serve(tell: Callable[[], None]) -> None:
            ToldServer(config, tell).run([listener])

        say_so = partial(_say_where, listener)
        workers = Workers(settings.workers, serve, say_so=say_so, stop_listening=listener.close, patience=patience)
        return workers.run()


def _say_where(listener: socket.socket) -> None:
    host, port, *_ = listener.getsockname()
    write(log, logging.INFO, message=f"Serving on http://{f'[{host}]' if ':' in host else host}:{port}")


def _bound_socket(settings: Settings) -> socket.socket:
    """Return the socket to listen on, or end here if it cannot be had, before a model is loaded for nothing.

    One that asyncio makes for ``::`` takes IPv6 alone; this one takes both.
    """
    try:
        listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in settings.host and socket.has_dualstack_ipv6():
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        _exit_without(settings.host, settings.port, error)
    except TypeError:  # What Python says of a name that cannot be asked for.
        _exit(f"port {settings.port} of {settings.host!a} cannot be used: no host has such a name.")
    return listener


@contextmanager
def _shared_figures(settings: Settings) -> Iterator[None]:
    """Have a folder where several workers keep their figures, so that one scrape shows all."""
    if settings.metrics_folder:
        yield
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="food-vision-metrics-", ignore_cleanup_errors=True)
    except OSError as error:
        _exit(f"several workers need a temporary folder for their figures, and there is none: {error.strerror}.")
    with folder as name:
        # In the environment prometheus_client looks for it when it is imported, and so do the workers' settings.
        hand_down(metrics_folder=name)
        yield


def _exit_without(host: str, port: int, error: OSError) -> NoReturn:
    # A name that is not known has a number that is none of the system's.
    reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
    _exit(f"port {port} of {host} cannot be used: {reason}.")


def _exit(reason: str) -> NoReturn:
    sys.exit(f"food-vision cannot start: {reason}")
