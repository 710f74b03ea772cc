"""Who asks and never reads is forgotten; who reads is not."""

from __future__ import annotations

import asyncio

import pytest

from paintdiff.server.page_events import EventRefusedError
from paintdiff.server.sessions import (
    MAX_EVENTS_PER_SESSION,
    MAX_STREAMS,
    MAX_UNREAD_SESSIONS,
    Sessions,
)


class Queue:
    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.waiting = 0

    def unfinished(self, session: str) -> int:
        return self.waiting

    async def forget(self, session: str) -> None:
        self.forgotten.append(session)


def test_the_oldest_session_that_never_reads_is_forgotten() -> None:
    queue = Queue()
    sessions = Sessions(queue)

    async def ask() -> None:
        await sessions.admit("reader")
        with sessions.reading("reader"):
            for number in range(MAX_UNREAD_SESSIONS + 3):
                await sessions.admit(f"s{number}")
            await sessions.admit("reader")

    asyncio.run(ask())
    assert queue.forgotten == ["s0", "s1", "s2"]


def test_one_session_can_only_ask_for_so_much() -> None:
    queue = Queue()
    queue.waiting = MAX_EVENTS_PER_SESSION
    with pytest.raises(EventRefusedError) as refused:
        asyncio.run(Sessions(queue).admit("greedy"))
    assert refused.value.status == 429


def test_streams_are_counted_until_they_end() -> None:
    sessions = Sessions(Queue())
    readings = [sessions.reading(f"s{number}") for number in range(MAX_STREAMS)]
    for reading in readings:
        reading.__enter__()
    assert sessions.streams_are_full
    readings[0].__exit__(None, None, None)
    assert not sessions.streams_are_full
