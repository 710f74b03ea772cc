"""The routes of the help while typing. They change nothing; the page asks when typing pauses."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.errors import GalleryError, RequestError
from paintdiff.jobs.requests import MAX_PROMPT_CHARACTERS
from paintdiff.prompts.syntax import PromptSyntax
from paintdiff.server.identities import current_identity
from paintdiff.server.visitors import current_visitor
from paintdiff.tasks.prompt_check import CheckedPrompt, PromptCheck
from paintdiff.ui.prompting import messages
from paintdiff.ui.prompting.completions import TagLists, list_completions
from paintdiff.ui.prompting.history import PastPrompts, list_past_prompts

if TYPE_CHECKING:
    from paintdiff.ui.common.context import PageContext

T = TypeVar("T")

MAX_AT_ONCE = 2
"""How many threads check prompts: painting needs the cores."""
MAX_WAITING = 32
MAX_WAITING_EACH = 8
"""Of one visitor."""

ModelName = Annotated[str, Query(max_length=200)]
SearchWords = Annotated[str, Query(max_length=500)]


class CheckBody(BaseModel):
    """A prompt to check. `steps` are those of the run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)]
    model: Annotated[str, Field(max_length=200)] = ""
    negative: bool = False
    syntax: PromptSyntax = "a1111"
    steps: Annotated[int, Field(ge=1, le=1000)] = 20


class _Threads:
    """Runs a few functions at once, and refuses more than a few waiting ones."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in a thread.

        Raises:
            HTTPException: Too many wait, or too many of this visitor's.
        """
        visitor = current_visitor.get()
        if self._waiting.total() >= MAX_WAITING or self._waiting[visitor] >= MAX_WAITING_EACH:
            raise HTTPException(503, messages.TOO_MANY_CHECKS, {"Retry-After": "2"})
        if self._limiter is None:  # here, because it needs a running loop
            self._limiter = anyio.CapacityLimiter(MAX_AT_ONCE)
        self._waiting[visitor] += 1
        try:
            return await anyio.to_thread.run_sync(function, limiter=self._limiter)
        finally:
            self._waiting -= Counter({visitor: 1})  # forgets those who have none


def prompting_routes(context: PageContext) -> APIRouter:
    """Return the routes of the help while typing."""
    router, threads = APIRouter(prefix="/prompts"), _Threads()
    tags, reading = TagLists(context.models_dirs), threading.Lock()

    @router.post("/check")
    async def check(wanted: CheckBody) -> Response:
        prompt = CheckedPrompt(wanted.text, wanted.negative, wanted.syntax, wanted.steps)
        model = context.model(wanted.model).name
        found = await threads.run(lambda: context.engine.check_prompt(prompt, model))
        content = json.dumps(describe_check(found, wanted.text))
        return Response(content, media_type="application/json", headers=_NOT_STORED)

    @router.get("/completions")
    async def completions(request: Request, model: ModelName = "") -> Response:
        row = context.model(model)
        content = await threads.run(lambda: json.dumps(list_completions(context, row)).encode())
        return _answer_once(request, hashlib.sha256(content).hexdigest()[:32], content)

    @router.get("/history")
    async def history(
        search: SearchWords = "", favourites: bool = False, cursor: SearchWords = ""
    ) -> Response:
        gallery, owner = context.gallery, current_identity.get().scope
        if gallery is None:
            raise HTTPException(404, messages.NO_GALLERY)

        def read() -> PastPrompts:
            return list_past_prompts(gallery.store, owner, search, favourites, cursor or None)

        try:
            found = await threads.run(read)
        except RequestError as error:
            raise HTTPException(400, str(error)) from error
        except GalleryError as error:
            raise HTTPException(503, str(error)) from error
        content = json.dumps(
            {"prompts": [asdict(each) for each in found.prompts], "next": found.next_cursor}
        )
        return Response(content, media_type="application/json", headers=_NOT_STORED)

    @router.get("/tags")
    async def tag_lists(request: Request) -> Response:
        def read() -> tuple[str, bytes]:
            with reading:
                return tags.read()

        return _answer_once(request, *await threads.run(read))

    return router


_NOT_STORED = {"Cache-Control": "no-store"}


def _answer_once(request: Request, stamp: str, content: bytes) -> Response:
    """Answer with JSON, or that the browser's copy is still right."""
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{stamp}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def describe_check(check: PromptCheck, text: str) -> dict[str, Any]:
    """Return a check as JSON. Places count UTF-16 units, as a browser does."""
    # Characters beyond U+FFFF are two units.
    units = [0, *accumulate(1 + (ord(each) > 0xFFFF) for each in text)]
    count, offer = check.count, check.offer
    return {
        "count": count
        and {
            "tokens": count.tokens,
            "room": count.chunk_size * count.chunks,
            "chunks": count.chunks,
            "borders": [units[place] for place in count.borders],
        },
        "marks": [
            {
                "kind": each.kind,
                "message": each.message,
                "start": units[each.start],
                "end": units[each.end],
                "choices": each.choices,
            }
            for each in check.marks
        ],
        "notes": check.notes,
        "offer": offer and {"message": offer.message, "texts": offer.texts, "advice": offer.advice},
    }
