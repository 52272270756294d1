"""Every setting of the server: name, type, default and one line of help. ``docs/settings.md`` is generated from here.

This is the only place where the environment is read. Settings have the prefix ``FOOD_VISION_``; ``PORT``,
``WEB_CONCURRENCY`` and ``FORWARDED_ALLOW_IPS`` mean what platforms mean by them.
"""

import os
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AliasChoices, DirectoryPath, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from food_vision.errors import StartupError
from food_vision.misspelt import misspelt

PREFIX = "FOOD_VISION_"
Network = IPv4Network | IPv6Network
Names = Annotated[tuple[str, ...], NoDecode]
Ports = Annotated[tuple[int, ...], NoDecode]
Networks = Annotated[tuple[Network, ...], NoDecode]
Secret = Annotated[SecretStr, Field(min_length=16)]
Secrets = Annotated[tuple[Secret, ...], NoDecode]

SECRET = ("api_keys", "metrics_key", "client_key")
"""Settings whose values no message repeats."""


class Settings(BaseSettings):
    """The server's settings, read from the environment when built; keyword arguments win over it.

    Settings that platforms name are known by that name only (``Settings(PORT=0)``): read by their own name as well,
    ``FOOD_VISION_PORT`` would be a port, which Kubernetes sets to ``tcp://…`` for a service called ``food-vision``.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    # The server
    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - a container must be reachable
    port: int = Field(
        5000,
        ge=0,
        le=65535,
        description="Port to listen on.",
        validation_alias=AliasChoices("PORT"),  # FOOD_VISION_PORT is Kubernetes' for a service of that name
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Server processes; each holds its own copy of the model.",
        validation_alias=AliasChoices("WEB_CONCURRENCY", "FOOD_VISION_WORKERS"),
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description="Proxies whose `X-Forwarded-*` headers are believed; `*` for all.",
        validation_alias=AliasChoices("FORWARDED_ALLOW_IPS", "FOOD_VISION_FORWARDED_ALLOW_IPS"),
    )
    cors_origins: Names = Field(("*",), description="Origins that browsers may call from, comma separated.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is worth a log line.")
    keep_alive: int = Field(
        75, ge=1, le=3600, description="Seconds an idle connection is kept; longer than a load balancer's 60."
    )
    drain_delay: float = Field(
        0.0,
        ge=0,
        le=600,
        description="Seconds that listening goes on after SIGTERM, readiness off; what routers need to notice. The "
        "container has 2.",
    )
    drain_timeout: int = Field(
        20,
        ge=0,
        le=3600,
        description="Seconds that requests in flight get after SIGTERM and the delay; all is over 3 s later.",
    )
    request_timeout: float = Field(
        28.0, gt=0, le=600, description="Seconds from a request's arrival to its answer, fetching included."
    )
    body_timeout: float = Field(20.0, gt=0, le=600, description="Seconds in which a request's body must arrive.")
    max_head_bytes: int = Field(65_536, ge=1_024, le=10_000_000, description="Bytes of a request's URL and headers.")
    head_timeout: float = Field(10.0, gt=0, le=600, description="Seconds in which URL and headers must arrive.")
    max_connections: int = Field(800, ge=2, le=100_000, description="Open connections that a worker keeps.")
    docs_url: str = Field("/docs", description="Where errors' `type` points: this, then `/errors.md#` and the code.")

    # Callers
    api_keys: Secrets = Field(
        (), description="If set, callers must send one of these keys, comma separated; at least 16 characters each."
    )
    rate_limit: int = Field(
        0, ge=0, le=1_000_000, description="Requests per minute of one key, or of one address without keys; 0 for any."
    )
    metrics_key: Secret | None = Field(None, description="If set, `/metrics` asks for this key.")
    metrics_folder: DirectoryPath | None = Field(
        None,
        description="Where several workers keep their figures for `/metrics`; `python main.py` makes one and removes "
        "it by itself.",
        validation_alias=AliasChoices("PROMETHEUS_MULTIPROC_DIR"),
    )

    # The model
    model: Path = Field(Path("food-vision-model.h5"), description="The Keras file that holds the weights.")
    engine: Literal["fast", "keras"] = Field(
        "fast",
        description="`fast` runs the file derived from the weights; `keras` runs the weights on TensorFlow "
        "(`pip install tensorflow-cpu`).",
    )
    labels: Path | None = Field(
        None, description="A label per line, in the order of the outputs, for weights that have none of their own."
    )
    inference_threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads that photos in the model share, all where there is one photo and a part each where there "
        "are several; 0 for one per processor that the process may use.",
    )

    # Fetching
    allow_networks: Networks = Field(
        (),
        description="Private networks that links may point into, on any port, comma separated "
        "(`10.1.0.0/16,127.0.0.0/8`).",
    )
    allow_hosts: Names = Field(
        (), description="If set, the only hosts that links and their redirects may name, comma separated."
    )
    allow_ports: Ports = Field((80, 443), description="Ports that links may name, comma separated.")
    allow_downgrade: bool = Field(False, description="Follow a redirect from https to http.")
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects followed before giving up.")
    fetch_timeout: float = Field(
        10.0, gt=0, le=300, description="Seconds for one whole fetch: look-up, connect, TLS, redirects, body."
    )
    fetch_slots: int = Field(64, ge=1, le=10_000, description="Fetches under way at once; one more is answered 503.")
    fetch_slots_per_host: int = Field(32, ge=1, le=10_000, description="Fetches under way at once from one host.")
    fetch_bytes: int = Field(
        256_000_000,
        ge=1_000,
        le=1_000_000_000_000,
        description="Bytes that all fetches under way may hold together; past it one is answered 503.",
    )

    # Photos
    max_photo_bytes: int = Field(20_000_000, ge=1_000, le=1_000_000_000, description="Largest photo taken, in bytes.")
    max_items: int = Field(32, ge=1, le=1_000, description="Photos of one batch.")
    max_batch_bytes: int = Field(
        40_000_000, ge=1_000, le=1_000_000_000, description="Largest body of a batch, in bytes."
    )
    upload_bytes: int = Field(
        128_000_000,
        ge=1_000,
        le=1_000_000_000_000,
        description="Bytes that the bodies of all requests under way may have together; past it one is answered 503.",
    )
    max_pixels: int = Field(50_000_000, ge=64, le=500_000_000, description="Most pixels decoded in one photo.")
    min_side: int = Field(8, ge=1, le=1024, description="Fewest pixels on each side.")
    max_aspect: float = Field(20.0, ge=1, le=1000, description="Longest side over shortest.")

    # Work
    decode_bytes: int = Field(
        128_000_000,
        ge=16_000_000,
        le=1_000_000_000_000,
        description="Memory that all decoders may take together; a photo that needs more by itself is refused.",
    )
    decode_threads: int = Field(
        0, ge=0, le=256, description="Photos decoded at once; 0 for one per processor that the process may use."
    )
    max_batch: int = Field(8, ge=1, le=256, description="Most photos in one run of the model.")
    queue_limit: int = Field(
        64, ge=1, le=10_000, description="Photos admitted and not yet answered; one more is answered 503."
    )
    crowded_limit: int = Field(
        0, ge=0, le=10_000, description="Photos inside while some are refused; 0: half the decoders."
    )
    queue_bytes: int = Field(
        256_000_000,
        ge=1_000,
        le=1_000_000_000_000,
        description="Bytes that these photos may have together; past it one is answered 503.",
    )
    explain_limit: int = Field(
        16,
        ge=1,
        le=10_000,
        description="Explanations admitted and not yet answered; each costs 49 photos; one more is answered 503.",
    )
    cache_bytes: int = Field(
        0,
        ge=0,
        le=100_000_000_000,
        description="Memory for what the model said of photos seen before, by the hash of their bytes; 0 for none.",
    )

    # The command line
    client_key: Secret | None = Field(
        None,
        description="The key that `food-vision predict --server` sends; unlike `--api-key` no list of processes "
        "shows it.",
    )

    @property
    def weights(self) -> Path:
        """Where the Keras file is: a relative path counts from the working folder, then from the project's own."""
        beside_main = Path(__file__).parent.parent / self.model
        return beside_main if beside_main.exists() and not self.model.exists() else self.model

    @field_validator("api_keys", "cors_origins", "allow_hosts", "allow_ports", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Read ``a, b`` as two items, as operators write lists in one variable."""
        return _items(value) if isinstance(value, str) else value

    @field_validator("allow_networks", mode="before")
    @classmethod
    def _parse_networks(cls, value: object) -> object:
        # strict=True on purpose: 10.1.2.3/16 is more often a slip than a wish.
        return tuple(ip_network(item) for item in _items(value)) if isinstance(value, str) else value


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        StartupError: naming the variable, what it got and what it takes; or one that is no setting, and the nearest.
    """
    known = {variable for name in Settings.model_fields for variable in _variables(name)}
    if unknown := "; ".join(misspelt(os.environ, known, PREFIX)):
        raise StartupError(unknown)
    try:
        return Settings()
    except ValidationError as error:
        raise StartupError("; ".join(dict.fromkeys(_complaints(error)))) from None


class SettingRow(NamedTuple):
    """One setting as the documentation shows it."""

    variable: str
    default: str
    help: str


def settings_table() -> Iterator[SettingRow]:
    """Yield a row per setting, in the order of the class."""
    for name, field in Settings.model_fields.items():
        yield SettingRow(_variable(name), _as_text(field.default), field.description or "")


def settings_in_force(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield variable, value and where it comes from for each setting; secrets are masked."""
    for name in Settings.model_fields:
        origin = "environment" if name in settings.model_fields_set else "default"
        yield _variable(name), _as_text(getattr(settings, name)), origin


def hand_down(**values: object) -> None:
    """Put settings into the environment, where ``load_settings`` finds them in this process and in its workers."""
    os.environ.update({_variable(name): str(value) for name, value in values.items() if value is not None})


def _variables(name: str) -> list[str]:
    alias = Settings.model_fields[name].validation_alias
    return list(map(str, alias.choices)) if isinstance(alias, AliasChoices) else [PREFIX + name.upper()]


def _variable(name: str) -> str:
    return _variables(name)[0]


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _complaints(error: ValidationError) -> Iterator[str]:
    variables = {_variable(name): name for name in Settings.model_fields}
    for item in error.errors():
        where = str(item["loc"][0])
        name = variables.get(where) or where.removeprefix(PREFIX).lower()
        help_text = Settings.model_fields[name].description if name in Settings.model_fields else ""
        variable = _variable(name) if name in Settings.model_fields else where
        if name in SECRET and item["type"] == "too_short":
            yield f"{variable} has a key, not shown here, of fewer than {item['ctx']['min_length']} characters."
            continue
        got = "not shown here" if name in SECRET else repr(item["input"])
        yield f"{variable} is {got}: {item['msg']}. {help_text}".strip()
