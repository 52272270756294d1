"""Who may ask, how often, and what need not be computed twice. All off by default; knows nothing of HTTP."""

import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Generic, NamedTuple, TypeVar

from food_vision.errors import MissingKey, WrongKey

T = TypeVar("T")

MINUTE = 60.0
MOST_CALLERS = 10_000
"""Callers remembered at once; the one who has not called for longest is forgotten, and starts with a full bucket."""
ENTRY_BYTES = 750
"""What a cache entry takes beside its numbers, measured: key, ordering, and the objects around them."""


class KeyRing:
    """The keys that open the service; several at once, so that they can be changed without a gap.

    Only digests are kept and compared: they are of one length, so that the time taken tells nothing, and no key can
    be found in memory or in a log.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, key: bytes | None) -> str:
        """Return a name for the key that can be shown to nobody's harm.

        Raises:
            MissingKey: there is none.
            WrongKey: it is not one of ours.
        """
        if not key:
            raise MissingKey
        digest = sha256(key).digest()
        # A list, not a generator: all keys are compared, whichever fits.
        if not any([hmac.compare_digest(digest, known) for known in self._digests]):
            raise WrongKey
        return digest.hex()


class Allowance(NamedTuple):
    """How a caller stands.

    Attributes:
        granted: Whether this request may pass.
        remaining: Requests that may follow at once.
        seconds: Whole seconds until there is one more.
    """

    granted: bool
    remaining: int
    seconds: int


class RateLimiter:
    """A bucket of tokens per caller: a request takes one, and they come back evenly over a minute.

    Args:
        per_minute: Tokens in a full bucket, and tokens that come back in a minute.
        clock: Seconds that only go forward.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> Allowance:
        """Take a token from a caller's bucket, if there is one."""
        now = self._clock()
        tokens, filled = self._buckets.pop(caller, (float(self.per_minute), now))
        tokens = min(self.per_minute, tokens + (now - filled) * self.per_minute / MINUTE)
        granted = tokens >= 1
        tokens -= granted
        self._buckets[caller] = tokens, now
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return Allowance(granted, int(tokens), math.ceil((1 - tokens % 1) * MINUTE / self.per_minute))


def caller_at(host: str) -> str:
    """Return whom an address stands for: who has one IPv6 address has its whole /64 to call from.

    A server that listens on IPv6 sees callers of IPv4 as ``::ffff:a.b.c.d``, all of them in one /64.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


class ResponseCache(Generic[T]):
    """What the model said of photos seen before, by the hash of their bytes; the least recently used goes first.

    Args:
        most_bytes: Room for values and keys; 0 keeps nothing.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self.bytes_kept = 0

    def __bool__(self) -> bool:
        return self._most_bytes > 0

    def get(self, key: str) -> T | None:
        """Return what is known, if anything."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: str, value: T, size: int) -> None:
        """Keep a value of ``size`` bytes, unless it alone is too large."""
        self._drop(key)
        if size + ENTRY_BYTES > self._most_bytes:
            return
        self._entries[key] = value, size + ENTRY_BYTES
        self.bytes_kept += size + ENTRY_BYTES
        while self.bytes_kept > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        if key in self._entries:
            self.bytes_kept -= self._entries.pop(key)[1]
