"""A link becomes bytes. This is the only door to the outside: whatever is fetched, is fetched through here.

``Fetcher.fetch`` takes a slot, sets the one deadline and walks the redirects; each hop is a new link through every
check. ``links`` takes links apart, ``dial`` decides what may be dialled, ``exchange`` talks HTTP and counts bytes.
Environment proxies play no part: nothing here reads them. No cookies, credentials or referrers are sent.
"""

import asyncio
import ssl
import time
from weakref import WeakValueDictionary

import certifi

from food_vision.admission import Admission, Place
from food_vision.errors import AddressNotAllowed, InvalidUrl, SourceFailed, SourceTimeout
from food_vision.intake.dial import Dialler, Resolver, system_resolver
from food_vision.intake.exchange import Exchange, Head
from food_vision.intake.links import Link, follow, parse_link
from food_vision.settings import Settings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REFUSAL_STEP = 0.25
"""Seconds; refusals are answered at multiples of this. See ``Fetcher._even_out``."""


class Fetcher:
    """Fetches photos from the web, within the bounds of the settings.

    Args:
        settings: See the settings under "Fetching", and ``max_photo_bytes``.
        resolver: Gives a host's addresses, blocking, or raises ``OSError``; runs in the fetcher's own threads.
        ssl_context: Whom to trust; the authorities of certifi when left out.
        refusal_step: Seconds to which the time of a refusal is rounded up; 0 for at once.
    """

    def __init__(
        self,
        settings: Settings,
        resolver: Resolver = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
        refusal_step: float = REFUSAL_STEP,
    ) -> None:
        self._settings = settings
        self._dialler = Dialler(settings, resolver, ssl_context or trust_certifi())
        # Refused at once when all are taken: a queue here would only use up deadlines.
        self._slots = Admission(settings.fetch_slots, settings.fetch_bytes, "fetch slots")
        self._host_slots = HostSlots(settings.fetch_slots_per_host)
        self._refusal_step = refusal_step

    @property
    def in_flight(self) -> int:
        """Fetches under way, and those whose name is still looked up after their caller has gone."""
        return self._slots.taken

    @property
    def bytes_held(self) -> int:
        """Bytes that have arrived for them."""
        return self._slots.bytes_held

    async def fetch(self, url: str) -> bytes:
        """Fetch the body behind a link.

        Returns:
            The bytes as sent, at most ``max_photo_bytes``; whether they are a photo is for the decoder to say.

        Raises:
            InvalidUrl: no link that can be followed.
            AddressNotAllowed: its host, or one that it redirects to, may not or cannot be contacted.
            PhotoTooLarge: more bytes than are taken, declared or counted.
            SourceFailed: any answer but a whole, uncompressed 200 after at most ``max_redirects`` redirects.
            SourceTimeout: not done within ``fetch_timeout``.
            Overloaded: no slot free, in all or for the host, or too many bytes held by all fetches.
        """
        link = parse_link(url)
        started = time.monotonic()
        try:
            return await self._fetch_in_time(link)
        except AddressNotAllowed:
            await self._even_out(started)
            raise

    async def aclose(self) -> None:
        """Give the look-up threads back; to be called when no fetch is under way."""
        self._dialler.close()

    async def _fetch_in_time(self, link: Link) -> bytes:
        with self._slots.place() as place:
            try:
                async with asyncio.timeout(self._settings.fetch_timeout):
                    return await self._follow(link, place)
            except TimeoutError:
                raise SourceTimeout(internal=f"{link.host}: not done within {self._settings.fetch_timeout} s") from None

    async def _follow(self, link: Link, place: Place) -> bytes:
        seen = {link}
        for _ in range(self._settings.max_redirects + 1):
            found = await self._hop(link, place)
            if isinstance(found, bytes):
                return found
            if found in seen:
                raise SourceFailed("The link redirects in a circle.", internal=found.host)
            seen.add(found)
            link = found
        raise SourceFailed("The link redirects too many times.", internal=f"ends at {link.host}")

    async def _hop(self, link: Link, place: Place) -> bytes | Link:
        """Give the photo, or where the link redirects to. A host's slot is per hop: a redirect must not go round it."""
        with self._host_slots.place(link.host) as host_place:
            async with Exchange(await self._dialler.dial(link, (place, host_place)), link) as exchange:
                head = await exchange.get()
                if head.status in REDIRECTS:
                    return self._redirect(link, head)
                self._check(link, head)
                return await exchange.body(self._settings.max_photo_bytes, place)

    def _redirect(self, link: Link, head: Head) -> Link:
        status, locations = {"source_status": head.status}, set(head.values(b"location"))
        if len(locations) != 1:
            raise SourceFailed("The link redirects to nowhere.", internal=link.host, extra=status)
        try:
            target = follow(link, locations.pop())
        except InvalidUrl as error:
            message = "The link redirects to something that is not a valid http or https URL."
            raise SourceFailed(message, internal=f"{link.host}: {error.detail}", extra=status) from None
        if (link.scheme, target.scheme) == ("https", "http") and not self._settings.allow_downgrade:
            raise SourceFailed("The link redirects from https to http.", internal=link.host, extra=status)
        return target

    def _check(self, link: Link, head: Head) -> None:
        """Refuse on the head alone what no body could make good."""
        if head.status != 200:
            raise SourceFailed(
                f"The link's server answered with status {head.status} instead of a photo.",
                internal=link.host,
                extra={"source_status": head.status},
            )
        codings = {coding.strip().lower() for value in head.values(b"content-encoding") for coding in value.split(",")}
        if codings - {"", "identity"}:
            message = "The link's server sent the photo compressed, though it was asked not to."
            raise SourceFailed(message, internal=link.host, extra={"source_status": 200})

    async def _even_out(self, started: float) -> None:
        """Wait until a refusal has taken a whole number of steps.

        One sentence for every refusal is worth little if the clock tells them apart: a refused address is known at
        once, an unknown name after a name server's answer, a refused connection after a round trip. Rounded up to
        a quarter of a second, all that ends within one is one class. What takes longer falls into the next one: a
        name server that is slow for unknown names only still shows, and so does a host that swallows packets, which
        ends as ``SourceTimeout``. That is one of the hosts that may be dialled, never one that is refused, for those
        are not dialled at all. The slot is given back before the wait.
        """
        if self._refusal_step:
            await asyncio.sleep(self._refusal_step - (time.monotonic() - started) % self._refusal_step)


class HostSlots:
    """How many fetches are under way per host, so that the service is nobody's amplifier."""

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        # A host is forgotten with the last place that it has.
        self._hosts: WeakValueDictionary[str, Admission] = WeakValueDictionary()

    def place(self, host: str) -> Place:
        """Take one of a host's slots.

        Raises:
            Overloaded: when none is free.
        """
        slots = self._hosts.setdefault(host, Admission(self._per_host, name=f"fetch slots for {host}"))
        return slots.place()


def trust_certifi() -> ssl.SSLContext:
    """Return whom TLS trusts: the authorities of certifi, for the host of the link, by TLS 1.2 or later."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Where a certificate has no list of names, Python falls back to its common name, which no browser believes.
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    return context
