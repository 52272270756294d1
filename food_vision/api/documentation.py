"""The documentation to click through. Its program is served from here: an intranet reaches no CDN."""

import base64
import hashlib
import re

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

ASSETS = "/docs/assets"
PACKAGE = ("fastapi_offline", "static")
"""Who ships Swagger UI and ReDoc, and where in it; nothing else of that package is used."""


def add_documentation(app: FastAPI) -> None:
    """Add ``/docs`` and ``/redoc``; ``app`` must have been made without its own."""
    app.mount(ASSETS, StaticFiles(packages=[PACKAGE]))

    async def swagger_ui(request: Request) -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=_address(request, "/openapi.json"),
            title=app.title,
            swagger_js_url=_address(request, f"{ASSETS}/swagger-ui-bundle.js"),
            swagger_css_url=_address(request, f"{ASSETS}/swagger-ui.css"),
            swagger_favicon_url=_address(request, f"{ASSETS}/favicon.png"),
        )
        return _confined(page)

    async def redoc(request: Request) -> HTMLResponse:
        page = get_redoc_html(
            openapi_url=_address(request, "/openapi.json"),
            title=app.title,
            redoc_js_url=_address(request, f"{ASSETS}/redoc.standalone.js"),
            redoc_favicon_url=_address(request, f"{ASSETS}/favicon.png"),
            with_google_fonts=False,
        )
        return _confined(page)

    app.add_route("/docs", swagger_ui, include_in_schema=False)
    app.add_route("/redoc", redoc, include_in_schema=False)


def _address(request: Request, path: str) -> str:
    return f"{request.scope.get('root_path', '').rstrip('/')}{path}"


def _confined(page: HTMLResponse) -> HTMLResponse:
    """Let the page run its own scripts only and talk to this server only; both programs style their elements inline."""
    scripts = " ".join(map(_hash, re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)))
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' blob: data:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page.headers["X-Content-Type-Options"] = "nosniff"
    page.headers["Referrer-Policy"] = "no-referrer"
    return page


def _hash(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
