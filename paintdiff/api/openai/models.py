"""/v1/models: the models that are on this machine, as OpenAI's clients list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel

from paintdiff.api.openai.errors import DOCUMENTED, describe_openai_error
from paintdiff.api.openai.images import find_model
from paintdiff.api.routing import make_router
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.model_rows import ModelRow

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext

ModelId = Annotated[str, Path(max_length=200)]


class OpenAiModel(BaseModel):
    """A model. `created` is when its files came here, in seconds since 1970."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class OpenAiModels(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[OpenAiModel]


def openai_model_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router = make_router(context, "OpenAI", describe_openai_error, DOCUMENTED)

    @router.get("/v1/models")
    def models() -> OpenAiModels:
        """List the models on this machine."""
        rows = context.engine.manager.catalog.rows(ModelRow)
        return OpenAiModels(data=[_describe(each) for each in rows if each.is_here])

    @router.get("/v1/models/{model_id:path}")
    def model(model_id: ModelId) -> OpenAiModel:
        """Return a model. OpenAI's own names give the default one."""
        return _describe(find_model(context, model_id))

    return router


def _describe(row: ModelRow) -> OpenAiModel:
    folder = row.folder
    try:
        created = 0 if folder is None else int(folder.stat().st_mtime)
    except OSError:  # it has just been deleted
        created = 0
    from_hub = HUB_ID.fullmatch(row.source)  # else it is a path, which is nobody's business
    owner = row.source.partition("/")[0] if from_hub else "paintdiffusion"
    return OpenAiModel(id=row.name, created=created, owned_by=owner)
