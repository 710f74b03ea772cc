"""/api/retrain: training on ratings, which this version can't do yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fastapi import APIRouter
from pydantic import ConfigDict
from starlette.exceptions import HTTPException

from paintdiff.api import messages
from paintdiff.api.painting import LenientBody
from paintdiff.api.routing import make_router

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext


class RetrainBody(LenientBody):
    """A request to train."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


def training_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router = make_router(context, "Training")

    @router.post("/api/retrain", status_code=501)
    def retrain(body: RetrainBody) -> None:
        """Train on the rated pictures. Not implemented yet."""
        _refuse()

    @router.get("/api/retrain/status", status_code=501)
    def status() -> None:
        """Return the state of a training. Not implemented yet."""
        _refuse()

    return router


def _refuse() -> NoReturn:
    raise HTTPException(501, messages.NO_TRAINING)
