"""Forms with files (multipart/form-data), read with limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from paintdiff.api import messages
from paintdiff.server.routes import MAX_FORM_FIELDS, MAX_FORM_FILES, MAX_FORM_TEXT_BYTES


@dataclass(frozen=True)
class Form:
    """A form's texts and files, by field; of several texts of one name, the last counts."""

    texts: dict[str, str]
    files: dict[str, list[bytes]]


async def read_form(request: Request) -> Form:
    """Read a request's form in a thread; a large one would block everybody else.

    Raises:
        HTTPException: It is none, can't be read, or exceeds a limit.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(415, messages.NOT_A_FORM)
    return await run_in_threadpool(_parse_form, await request.body(), request.headers)


class _Parser(MultiPartParser):
    spool_max_size = 2**30  # in memory, where the body is already


def _parse_form(body: bytes, headers: Headers) -> Form:
    async def stream() -> AsyncGenerator[bytes]:
        yield body

    async def parse() -> Form:
        parser = _Parser(
            headers,
            stream(),
            max_files=MAX_FORM_FILES,
            max_fields=MAX_FORM_FIELDS,
            max_part_size=MAX_FORM_TEXT_BYTES,
        )
        form = await parser.parse()
        made = Form({}, {})
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                made.files.setdefault(name, []).append(await value.read())
            else:
                made.texts[name] = value
        await form.close()
        return made

    try:
        return asyncio.run(parse())
    except MultiPartException as error:
        raise HTTPException(400, messages.unreadable_form(error.message)) from error
