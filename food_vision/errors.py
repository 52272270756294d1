"""Every problem a caller can see, sorted by who can mend it.

    Problem
    ├── CallerProblem                       the request is at fault
    │   ├── MalformedBody        400        the body is not what the route reads
    │   ├── MissingKey           401        the service asks for a key
    │   ├── WrongKey             403        the key is not one of the service's
    │   ├── AddressNotAllowed    403        the link's host may not be contacted
    │   ├── NotFound             404        no such route
    │   ├── MethodNotAllowed     405        the route takes another method
    │   ├── NotAcceptable        406        the route gives none of the types asked for
    │   ├── RequestTimeout       408        the head or the body did not arrive in time
    │   ├── PhotoTooLarge        413        too many bytes, declared or counted
    │   ├── TooManyItems         413        more photos, or more fields of a form, than are taken at once
    │   ├── UnsupportedFormat    415        not one of the formats we decode
    │   ├── InvalidParameter     422        a parameter of the request is out of range
    │   ├── InvalidUrl           422        the link is not one we can follow
    │   ├── UndecodablePhoto     422        broken, truncated or not a photo at all
    │   ├── TooManyPixels        422        larger than we are willing to decode
    │   ├── PhotoTooSmall        422        too few pixels, or too long and thin
    │   ├── RateLimited          429        too many requests from one caller
    │   └── HeadersTooLarge      431        the URL and the headers have more bytes than are taken
    ├── SourceProblem                       the link's server is at fault
    │   ├── SourceFailed         502        it answered, but not with a photo
    │   └── SourceTimeout        504        it did not answer in time
    └── ServiceProblem                      this service is at fault, or busy
        ├── InternalError        500        a bug; the log has the request id
        ├── Overloaded           503        no room now; try again
        ├── NotReady             503        starting or stuck
        ├── Draining             503        about to end
        └── DeadlineExceeded     504        accepted, but not finished in time

    StartupError                            not a caller's: the server cannot start, in one sentence

A problem carries two texts: ``detail`` is sent to the caller and names no internal address, path or query string;
``internal`` goes to the log only and may. Problems are raised where they are noticed and rendered in one place,
``food_vision.api.problems``. The page of errors (``docs/errors.md``) is generated from this file.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar


class Problem(Exception):
    """A failure that a caller sees as ``application/problem+json`` (RFC 9457).

    Args:
        detail: One sentence for the caller; the class's own ``detail`` when left out.
        internal: What only the log may know.
        extra: Members added to the answer beside the standard ones.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    detail: str
    advice: ClassVar[str]
    """What a caller can do about it; a paragraph of ``docs/errors.md``."""
    retry_after: int | None = None
    """Seconds after which trying again makes sense, sent as ``Retry-After``."""

    def __init__(
        self, detail: str | None = None, *, internal: str = "", extra: Mapping[str, int | str] | None = None
    ) -> None:
        self.detail = detail or type(self).detail
        self.internal = internal
        self.extra = dict(extra or {})
        super().__init__(self.detail)


class CallerProblem(Problem):
    """The request is at fault; sending it again unchanged will not help."""


class MalformedBody(CallerProblem):
    status, code, title = 400, "malformed_body", "Malformed body"
    detail = "The body of the request cannot be read."
    advice = "The answer's `detail` says what is wrong with the body, and where. `/docs` shows what each route reads."


class MissingKey(CallerProblem):
    status, code, title = 401, "missing_key", "Missing key"
    detail = "This service asks for a key."
    advice = (
        "Send the key that the operator gave you, as `X-API-Key: KEY` or as `Authorization: Bearer KEY`; never in the "
        "URL."
    )


class WrongKey(CallerProblem):
    status, code, title = 403, "wrong_key", "Wrong key"
    detail = "The key is not one that this service knows."
    advice = "Check the key for spaces and line ends; it may have been replaced by the operator."


class AddressNotAllowed(CallerProblem):
    status, code, title = 403, "address_not_allowed", "Address not allowed"
    # One sentence for a refused address, a refused port, an unknown name and a refused connection alike:
    # told apart, they would turn the service into a scanner of the network it stands in.
    detail = "The link's host cannot be contacted from here."
    advice = (
        "Check the host name and the port. Links to private networks, to this machine and to ports other than 80 and "
        "443 are refused, and so are names that do not resolve; the answer does not tell which. To serve photos from "
        "an intranet, the operator sets `FOOD_VISION_ALLOW_NETWORKS`."
    )


class NotFound(CallerProblem):
    status, code, title = 404, "not_found", "Not found"
    detail = "There is nothing at this address."
    advice = "See `/docs` for the routes there are."


class MethodNotAllowed(CallerProblem):
    status, code, title = 405, "method_not_allowed", "Method not allowed"
    detail = "This address does not take that method."
    advice = "The `Allow` header of the answer names the methods it takes."


class NotAcceptable(CallerProblem):
    status, code, title = 406, "not_acceptable", "Not acceptable"
    detail = "There is no answer of a type that the request's Accept header takes."
    advice = "Ask for `application/json`, or leave the `Accept` header out; `/docs` names what else a route gives."


class RequestTimeout(CallerProblem):
    status, code, title = 408, "request_timeout", "Request timed out"
    detail = "The body of the request did not arrive in time."
    advice = "Send it again over a faster connection, or send a smaller photo. The operator sets how long is waited."


class PhotoTooLarge(CallerProblem):
    status, code, title = 413, "photo_too_large", "Photo too large"
    detail = "The photo has more bytes than are taken."
    advice = "Send a smaller file: 1024 pixels on the short side are more than the model looks at."


class TooManyItems(CallerProblem):
    status, code, title = 413, "too_many_items", "Too many items"
    detail = "There are more photos than are taken at once."
    advice = "Split the batch into several requests; the answer's `detail` says how many are taken."


class UnsupportedFormat(CallerProblem):
    status, code, title = 415, "unsupported_format", "Unsupported format"
    detail = "This is not a JPEG, PNG, WebP or GIF photo."
    advice = "Convert the photo to JPEG, PNG, WebP or GIF. The content decides, not the file name or the type header."


class InvalidParameter(CallerProblem):
    status, code, title = 422, "invalid_parameter", "Invalid parameter"
    detail = "A parameter of the request is not valid."
    advice = "The answer's `detail` names the parameter and what it takes."


class InvalidUrl(CallerProblem):
    status, code, title = 422, "invalid_url", "Invalid URL"
    detail = "The link is not a valid http or https URL."
    advice = (
        "Send an absolute `http://` or `https://` URL of at most 2,048 characters, without user name or password, "
        "percent-encoded where needed (`curl --get --data-urlencode`, `requests.post(..., params=...)`)."
    )


class UndecodablePhoto(CallerProblem):
    status, code, title = 422, "undecodable_photo", "Undecodable photo"
    detail = "The photo cannot be decoded."
    advice = "The file is damaged, cut short, or no photo at all. Open it in an image viewer and save it again."


class TooManyPixels(CallerProblem):
    status, code, title = 422, "too_many_pixels", "Too many pixels"
    detail = "The photo has more pixels than are decoded."
    advice = (
        "Scale the photo down, or save it as a baseline JPEG, which takes the least memory to decode. The limits are "
        "the operator's: `FOOD_VISION_MAX_PIXELS`, and `FOOD_VISION_DECODE_BYTES` for what takes more memory."
    )


class PhotoTooSmall(CallerProblem):
    status, code, title = 422, "photo_too_small", "Photo too small"
    detail = "The photo is too small, or too long and thin, to show a dish."
    advice = "Send a photo of at least 8 pixels on each side, and no side more than 20 times the other."


class RateLimited(CallerProblem):
    status, code, title = 429, "rate_limited", "Rate limited"
    detail = "Too many requests in too short a time."
    advice = (
        "Wait for the seconds in `Retry-After`, then try again. `RateLimit-Policy` says how many requests (`q`) are "
        "taken in how many seconds (`w`), `RateLimit` how many are left (`r`) and when there is one more (`t`)."
    )

    def __init__(self, seconds: int = 1) -> None:
        super().__init__()
        self.retry_after = seconds


class HeadersTooLarge(CallerProblem):
    status, code, title = 431, "headers_too_large", "Headers too large"
    detail = "The head of the request has more bytes than are taken."
    advice = (
        "Send fewer or shorter headers and a shorter URL; a photo belongs in the body. The operator sets how much is "
        "taken."
    )


class SourceProblem(Problem):
    """The server that the link points to is at fault."""


class SourceFailed(SourceProblem):
    status, code, title = 502, "source_failed", "Source failed"
    detail = "The link's server did not give a photo."
    advice = (
        "Open the link in a browser without being logged in: it must answer `200` with the photo itself, uncompressed, "
        "and after at most five redirects. `source_status` in the answer is the status that the link's server gave."
    )


class SourceTimeout(SourceProblem):
    status, code, title = 504, "source_timeout", "Source timed out"
    detail = "The link's server did not deliver the photo in time."
    advice = "Try again later, or use a faster host for the photo."


class ServiceProblem(Problem):
    """This service is at fault, or has too much to do."""


class InternalError(ServiceProblem):
    status, code, title = 500, "internal_error", "Internal error"
    detail = "Something went wrong inside the service; it has been logged under this request id."
    advice = "Report it with the `request_id` of the answer."


class Overloaded(ServiceProblem):
    status, code, title = 503, "overloaded", "Overloaded"
    detail = "The service has no room for another photo right now."
    advice = "Wait for the seconds in `Retry-After`, then try again; back off further if it repeats."
    retry_after = 1


class NotReady(ServiceProblem):
    status, code, title = 503, "not_ready", "Not ready"
    detail = "The service is not ready to answer."
    advice = "Wait for the seconds in `Retry-After`, then try again."
    retry_after = 2


class Draining(ServiceProblem):
    status, code, title = 503, "draining", "Draining"
    detail = "The service is being stopped and could not finish this photo in time."
    advice = "Send it again: another instance takes over."
    retry_after = 1


class DeadlineExceeded(ServiceProblem):
    status, code, title = 504, "deadline_exceeded", "Deadline exceeded"
    detail = "The photo was accepted but not finished in time."
    advice = "Try again; if it repeats, the service is too small for its load."
    retry_after = 1


class StartupError(Exception):
    """The server cannot start; the message is the one sentence that an operator needs."""


def all_problems() -> Iterator[type[Problem]]:
    """Yield every problem with a code of its own, in the order of the tree above."""
    for family in Problem.__subclasses__():
        yield from family.__subclasses__()
