"""What stands at ``/``: the page for browsers, the tutorial's message for programs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from food_vision.api.contract import WELCOME, Message
from food_vision.api.negotiation import JSON, is_known, preferred
from food_vision.errors import NotAcceptable, NotFound

FOLDER = Path(__file__).parent.parent / "page"
HTML = "text/html"
MEDIA_TYPES = {".html": HTML, ".js": "text/javascript", ".css": "text/css"}
POLICY = {
    # Were a photo's name or an error's text ever to become markup, it still could load nothing and send nothing out.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept by browsers, asked for anew each time: a new page never meets an old script.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page as it is sent."""

    content: bytes
    media_type: str
    etag: str

    def answer(self, request: Request, vary: Mapping[str, str] | None = None) -> Response:
        """Return the file, or 304 where the browser has it already."""
        headers = {**POLICY, **(vary or {}), "ETag": self.etag}
        if is_known(request.headers.getlist("if-none-match"), self.etag):
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def page_routes(max_photo_bytes: int) -> APIRouter:
    """Return the routes of ``/`` and of the page's files."""
    router = APIRouter(tags=["contract"])
    files = {path.name: _page_file(path, max_photo_bytes) for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}
    vary = {"Vary": "Accept"}

    @router.head("/", include_in_schema=False)
    @router.get(
        "/",
        operation_id="welcome",
        summary="Say hello",
        description="Browsers, which ask for `text/html`, get the page; programs get the message.",
        response_model=Message,
        responses={
            200: {"content": {JSON: {"example": {"message": WELCOME}}, HTML: {"schema": {"type": "string"}}}},
        },
    )
    async def welcome(request: Request) -> Response:
        if wants_page(request.headers.get("accept", "")):
            return files["index.html"].answer(request, vary)
        return JSONResponse({"message": WELCOME}, headers=vary)

    @router.head("/page/{name}", include_in_schema=False)
    @router.get("/page/{name}", include_in_schema=False)
    async def page_file(request: Request, name: str) -> Response:
        if name not in files:
            raise NotFound
        return files[name].answer(request)

    return router


def wants_page(accept: str) -> bool:
    """Tell a browser by its ``Accept`` header: it likes HTML better than JSON. Programs take anything, or JSON."""
    try:
        return preferred(accept, (JSON, HTML)) == HTML
    except NotAcceptable:
        # The tutorial's message has always gone to everybody.
        return False


def _page_file(path: Path, max_photo_bytes: int) -> PageFile:
    text = path.read_text(encoding="utf-8").replace("{{max_photo_bytes}}", str(max_photo_bytes))
    content = text.encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return PageFile(content, f"{MEDIA_TYPES[path.suffix]}; charset=utf-8", etag)
