"""/api/models/download and /api/models/downloads: models from Hugging Face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from paintdiff.api import messages
from paintdiff.api.routing import make_router
from paintdiff.errors import RequestError

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.models.hub.downloads import DownloadState

DownloadId = Annotated[str, Path(max_length=64)]


class DownloadBody(BaseModel):
    """A model to download: "owner/name" on Hugging Face."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"id": "stable-diffusion-v1-5/stable-diffusion-v1-5"}]},
    )

    id: Annotated[str, Field(min_length=3, max_length=200)]


class DownloadAnswer(BaseModel):
    """The progress of a download. `total_bytes` is 0 until it is known."""

    id: str
    hub_id: str
    state: str
    done_bytes: int
    total_bytes: int
    message: str


def download_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router = make_router(context, "Server")

    def check_may_manage() -> None:
        if not context.may_manage:
            raise HTTPException(403, messages.MANAGED_ELSEWHERE)

    def find_download(download_id: str) -> DownloadState:
        found = (each for each in context.downloads.all() if each.id == download_id)
        state = next(found, None)
        if state is None:
            raise HTTPException(404, messages.NO_SUCH_DOWNLOAD)
        return state

    @router.post("/api/models/download", status_code=202)
    def download(response: Response, body: DownloadBody) -> DownloadAnswer:
        """Download a model. The answer's Location shows how far it is."""
        check_may_manage()
        try:
            started = context.downloads.start(body.id)
        except RequestError as error:
            raise RequestError(str(error), field="id") from error
        response.headers["Location"] = f"/api/models/downloads/{started.id}"
        return _describe_download(started.state())

    @router.get("/api/models/downloads/{download_id}")
    def show_download(download_id: DownloadId) -> DownloadAnswer:
        """Return a download."""
        return _describe_download(find_download(download_id))

    @router.delete("/api/models/downloads/{download_id}")
    def cancel_download(download_id: DownloadId) -> DownloadAnswer:
        """Cancel a download. What has arrived is kept, so that another try goes on from there."""
        check_may_manage()
        find_download(download_id)
        context.downloads.cancel(download_id)
        return _describe_download(find_download(download_id))

    @router.get("/api/models/downloads")
    def downloads() -> list[DownloadAnswer]:
        """List downloads."""
        return [_describe_download(each) for each in context.downloads.all()]

    return router


def _describe_download(state: DownloadState) -> DownloadAnswer:
    return DownloadAnswer(
        id=state.id,
        hub_id=state.hub_id,
        state=state.state,
        done_bytes=state.done_bytes,
        total_bytes=state.total_bytes,
        message=state.message,
    )
