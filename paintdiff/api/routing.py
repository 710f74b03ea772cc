"""How the API's routes read bodies and answer errors."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from paintdiff.api import messages
from paintdiff.api.picture_urls import fetch_pictures
from paintdiff.api.problems import Problem, describe_error
from paintdiff.server.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

    from paintdiff.api.context import ApiContext
    from paintdiff.server.url_fetcher import UrlFetcher

MAX_VALUES = 20_000
"""Most values in a body. Pictures are one each, however large."""

_PROBLEM: dict[str, Any] = {
    "description": messages.PROBLEM_DESCRIPTION,
    "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
}
"""The documentation of all answers but the good one."""

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class LimitedRequest(Request):
    """A request whose JSON is parsed in a thread, and only if it isn't made of too many values.

    URLs in place of pictures are fetched by the `fetcher`; without one they are refused.
    """

    def __init__(self, scope: Scope, receive: Receive, fetcher: UrlFetcher | None = None) -> None:
        super().__init__(scope, receive)
        self._fetcher = fetcher

    async def json(self) -> Any:
        """Return the parsed body.

        Raises:
            HTTPException: It can't be parsed, has too many values, or a URL that can't be fetched.
        """
        return await run_in_threadpool(_parse_json, await self.body(), self._fetcher)


_Describe = Callable[[Exception, "ApiContext"], Response]


def make_router(
    context: ApiContext,
    tag: str,
    describe: _Describe = describe_error,
    documented: dict[str, Any] | None = None,
) -> APIRouter:
    """Return an empty router, whose routes the documentation lists under `tag`.

    `describe` makes the responses to requests that failed, in the form of the dialect, and
    `documented` is OpenAPI's description of them.
    """

    class DescribedRoute(APIRoute):
        """A route that answers errors."""

        def get_route_handler(self) -> _Handler:
            handle = super().get_route_handler()

            async def answer(request: Request) -> Response:
                try:
                    limited = LimitedRequest(request.scope, request.receive, context.fetcher)
                    return await handle(limited)
                except Exception as error:
                    return describe(error, context)

            return answer

    if documented is None and describe is describe_error:
        documented = _PROBLEM
    responses: dict[int | str, dict[str, Any]] = {}
    if documented is not None:
        responses["default"] = documented
    return APIRouter(route_class=DescribedRoute, tags=[tag], responses=responses)


def check_values(body: bytes) -> None:
    """Raise HTTPException if a body of JSON is made of too many values. Cheap, so before parsing.

    Strings may have some of the characters that are counted; base64 has none of them.
    """
    if sum(body.count(each) for each in b"[{,:") > MAX_VALUES:
        raise HTTPException(413, messages.too_many_values(MAX_VALUES))


def _parse_json(body: bytes, fetcher: UrlFetcher | None) -> object:
    check_values(body)
    try:
        parsed = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise HTTPException(400, messages.UNREADABLE_JSON) from error
    fetch_pictures(parsed, fetcher)
    return parsed
