"""Event loops in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")


def inside_a_loop(build: Callable[[], Made]) -> Made:
    """Build something of gradio's inside an event loop; outside it leaks one of its own."""

    async def made() -> Made:
        return build()

    return asyncio.run(made())
