"""Who asks and never reads is forgotten; who reads is not."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack

import pytest

from paintdiff.server.page_events import EventRefusedError
from paintdiff.server.sessions import (
    MAX_EVENTS,
    MAX_EVENTS_PER_SESSION,
    MAX_EVENTS_PER_VISITOR,
    MAX_PENDING_BYTES,
    MAX_PENDING_BYTES_PER_VISITOR,
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
        self.waiting: Counter[str] = Counter()

    def unfinished(self, session: str) -> int:
        return self.waiting[session]

    async def forget(self, session: str) -> None:
        self.forgotten.append(session)
        del self.waiting[session]


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
    queue.waiting["greedy"] = MAX_EVENTS_PER_SESSION
    with pytest.raises(EventRefusedError) as refused:
        asyncio.run(Sessions(queue).admit("greedy"))
    assert refused.value.status == 429


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize(
    ("visitor", "body_bytes", "most"),
    [
        ("198.51.100.1", 0, MAX_EVENTS_PER_VISITOR),
        ("198.51.100.1", 2**18, MAX_PENDING_BYTES_PER_VISITOR // 2**18),
        (THIS_MACHINE, 0, MAX_EVENTS),
        (THIS_MACHINE, 2**18, MAX_PENDING_BYTES // 2**18),
    ],
)
def test_unfinished_events_are_limited_in_number_and_bytes(
    visitor: str, body_bytes: int, most: int, reads: bool
) -> None:
    """However many sessions somebody invents; else their bodies would fill the memory."""
    queue = Queue()
    sessions = Sessions(queue)

    async def ask() -> int:
        refused = 0
        with ExitStack() as streams:
            for number in range(2 * MAX_EVENTS):
                session = f"s{number // 8}"
                if reads and number % 8 == 0:
                    streams.enter_context(sessions.open_stream(session, visitor))
                try:
                    await sessions.admit(session, visitor, body_bytes)
                    queue.waiting[session] += 1
                except EventRefusedError:
                    refused += 1
                assert queue.waiting.total() <= most
        return refused

    refused = asyncio.run(ask())
    assert (refused > 0) is reads, "who doesn't read loses the oldest instead"


def test_one_address_leaves_events_for_others_and_finished_ones_dont_count() -> None:
    queue = Queue()
    sessions = Sessions(queue)

    async def ask() -> None:
        for number in range(MAX_EVENTS_PER_VISITOR):
            streams.enter_context(sessions.open_stream(f"s{number}", "198.51.100.1"))
            await sessions.admit(f"s{number}", "198.51.100.1", 2**15)
            queue.waiting[f"s{number}"] = 1
        with pytest.raises(EventRefusedError):
            await sessions.admit("more", "198.51.100.1")
        await sessions.admit("other", "198.51.100.2", 2**18)
        queue.waiting.clear()
        await sessions.admit("more", "198.51.100.1", MAX_PENDING_BYTES_PER_VISITOR)

    with ExitStack() as streams:
        asyncio.run(ask())


def test_a_page_that_was_closed_makes_room() -> None:
    """Its events never count as answered, as nobody reads the answers."""
    queue = Queue()
    sessions = Sessions(queue)

    async def ask() -> None:
        for number in range(2 * MAX_EVENTS):
            with sessions.open_stream(f"s{number}"):
                await sessions.admit(f"s{number}")
                queue.waiting[f"s{number}"] = 1

    asyncio.run(ask())
    assert queue.waiting.total() <= MAX_UNREAD_SESSIONS + 2


def test_cancellations_are_limited_while_their_answers_are_unread() -> None:
    queue = Queue()
    sessions = Sessions(queue)
    asyncio.run(sessions.admit("page"))
    queue.waiting["page"] = 1
    for _ in range(MAX_EVENTS_PER_SESSION):
        sessions.admit_cancellation("page")
    with pytest.raises(EventRefusedError) as refused:
        sessions.admit_cancellation("page")
    assert refused.value.status == 429
    sessions.admit_cancellation("unknown")
    queue.waiting.clear()
    sessions.admit_cancellation("page")


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
