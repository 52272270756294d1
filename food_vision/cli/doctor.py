"""``food-vision doctor``: would a server work here?"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from food_vision.cli.health import ask_health
from food_vision.cli.local import hushed_engine
from food_vision.cli.memory import available_memory
from food_vision.errors import Problem, StartupError
from food_vision.model.own import open_bundle
from food_vision.serving.build import build_predictor
from food_vision.serving.readiness import built_in_photo
from food_vision.settings import Settings, load_settings

MEGABYTE = 1_000_000
PROCESS_MEGABYTES = 150
"""What one server process takes, rounded up; see the README."""


UNCALIBRATED = "Its scores are not calibrated."


class Finding(NamedTuple):
    """What was looked at, whether it is well, and a sentence."""

    what: str
    well: bool
    sentence: str


def examine() -> Iterator[Finding]:
    """Look at everything a server needs, in the order in which it needs it."""
    try:
        settings = load_settings()
    except StartupError as error:
        yield Finding("settings", False, str(error))
        return
    yield Finding("settings", True, "Every variable is valid.")
    for what, look in LOOKS.items():
        try:
            yield Finding(what, *look(settings))
        except (StartupError, Problem) as error:
            yield Finding(what, False, str(error))


Look = Callable[[Settings], tuple[bool, str]]


def _model(settings: Settings) -> tuple[bool, str]:
    bundle = open_bundle(settings.weights, settings.labels, settings.engine)
    files = "is there" if settings.engine == "keras" else "and what is derived from it are whole"
    sentence = f"{bundle.name} {bundle.version} with {len(bundle.display_names)} dishes; {bundle.weights} {files}."
    return True, sentence if bundle.metadata.calibrated else f"{sentence} {UNCALIBRATED}"


def _memory(settings: Settings) -> tuple[bool, str]:
    available, needed = available_memory(), settings.workers * PROCESS_MEGABYTES
    if available is None:
        return True, f"This system does not say how much there is; about {needed} MB are needed."
    enough = available >= needed * MEGABYTE
    return enough, f"{available // MEGABYTE:,} MB are available, about {needed} MB are needed."


def _port(settings: Settings) -> tuple[bool, str]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        return _port_taken(settings, os.strerror(error.errno or 0))
    return True, f"Port {settings.port} is free."


def _port_taken(settings: Settings, reason: str) -> tuple[bool, str]:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - only compared
    health = ask_health(f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}")
    return health.ready, f"Port {settings.port} cannot be bound ({reason}). {health.sentence}"


def _prediction(settings: Settings) -> tuple[bool, str]:
    with hushed_engine():
        predictor = build_predictor(settings)
    started = time.perf_counter()
    try:
        asyncio.run(predictor.predict(built_in_photo()))
    finally:
        predictor.close()
    return True, f"A photo was answered in {1000 * (time.perf_counter() - started):.0f} ms."


LOOKS: dict[str, Look] = {"model": _model, "memory": _memory, "port": _port, "prediction": _prediction}
