"""Who asks and never reads is forgotten; who reads is not."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from paintdiff.server.page_events import EventRefusedError
from paintdiff.server.sessions import (
    MAX_EVENTS_PER_SESSION,
    MAX_STREAMS,
    MAX_STREAMS_PER_SESSION,
    MAX_STREAMS_PER_VISITOR,
    MAX_UNREAD_SESSIONS,
    Sessions,
)
from paintdiff.server.visitors import THIS_MACHINE, identify_visitor


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
        with sessions.open_stream("reader"):
            for number in range(MAX_UNREAD_SESSIONS + 3):
                await sessions.admit(f"s{number}")
            await sessions.admit("reader")

    asyncio.run(ask())
    assert queue.forgotten == ["s0", "s1", "s2"]


def test_who_never_reads_loses_no_session_of_others() -> None:
    """A page opens its stream milliseconds after its first event; others may be faster."""
    queue = Queue()
    sessions = Sessions(queue)

    async def ask() -> None:
        await sessions.admit("page", "198.51.100.1")
        for number in range(10 * MAX_UNREAD_SESSIONS):
            await sessions.admit(f"s{number}", "198.51.100.2")

    asyncio.run(ask())
    assert len(queue.forgotten) == 9 * MAX_UNREAD_SESSIONS + 1
    assert queue.forgotten[0] == "s0" and "page" not in queue.forgotten


def test_one_session_can_only_ask_for_so_much() -> None:
    queue = Queue()
    queue.waiting = MAX_EVENTS_PER_SESSION
    with pytest.raises(EventRefusedError) as refused:
        asyncio.run(Sessions(queue).admit("greedy"))
    assert refused.value.status == 429


def opened(sessions: Sessions, of: list[tuple[str, str]]) -> ExitStack:
    stack = ExitStack()
    for session, visitor in of:
        stack.enter_context(sessions.open_stream(session, visitor))
    return stack


def test_streams_are_counted_until_they_end() -> None:
    sessions = Sessions(Queue())
    with opened(sessions, [(f"s{number}", THIS_MACHINE) for number in range(MAX_STREAMS)]):
        with pytest.raises(EventRefusedError) as refused, sessions.open_stream("late"):
            pass
        assert refused.value.status == 503
    with sessions.open_stream("late"):
        pass


def test_one_session_has_few_streams() -> None:
    sessions = Sessions(Queue())
    with opened(sessions, [("s", THIS_MACHINE)] * MAX_STREAMS_PER_SESSION):
        with pytest.raises(EventRefusedError) as refused, sessions.open_stream("s"):
            pass
        assert refused.value.status == 429
        with sessions.open_stream("another"):
            pass
    with sessions.open_stream("s"):
        pass


def test_one_address_leaves_streams_for_others() -> None:
    sessions = Sessions(Queue())
    of_one = [(f"s{number}", "198.51.100.1") for number in range(MAX_STREAMS_PER_VISITOR)]
    with opened(sessions, of_one):
        with pytest.raises(EventRefusedError), sessions.open_stream("more", "198.51.100.1"):
            pass
        with sessions.open_stream("more", "198.51.100.2"):
            pass
    with opened(sessions, of_one):
        pass  # those that ended don't count


@pytest.mark.parametrize(
    ("address", "visitor"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", THIS_MACHINE),
        ("127.8.9.10", THIS_MACHINE),
        ("::1", THIS_MACHINE),
        ("unix socket", THIS_MACHINE),
        ("", THIS_MACHINE),
    ],
)
def test_a_visitor_is_an_address_or_a_network_of_ipv6(address: str, visitor: str) -> None:
    assert identify_visitor(address) == visitor
