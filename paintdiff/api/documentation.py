"""The API's documentation at /docs. It needs no other server: the scripts are served from here."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import fastapi_offline
from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from paintdiff.api import messages
from paintdiff.version import __version__

TITLE = "PaintDiffusion"
_FILES = Path(fastapi_offline.__file__).parent / "static"


def documentation_routes(documented: APIRouter) -> APIRouter:
    """Return the routes for the documentation of another router's routes."""
    router = APIRouter(include_in_schema=False)

    @cache
    def describe() -> dict[str, object]:
        return get_openapi(
            title=TITLE,
            version=__version__,
            description=messages.API_DESCRIPTION,
            routes=documented.routes,
        )

    @router.get("/api/openapi.json")
    def schema() -> Response:
        return JSONResponse(describe())

    @router.get("/docs")
    def page() -> HTMLResponse:
        return get_swagger_ui_html(  # the addresses are relative: a proxy may add a path
            openapi_url="api/openapi.json",
            title=f"{TITLE} API",
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon.png",
        )

    @router.get("/docs/{name}")
    def file(name: Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]) -> Response:
        return FileResponse(_FILES / name, headers={"Cache-Control": "private, max-age=86400"})

    return router
