"""Encoded pictures: made once for all who ask, a few at a time, and kept within bounds."""

from __future__ import annotations

import asyncio
import threading

import pytest

from paintdiff.errors import QueueFullError, RequestError
from paintdiff.imaging import encodings as module
from paintdiff.imaging.encodings import MAX_AT_ONCE, Encodings


class Maker:
    """Encodes when a test lets it go on, and counts how many encode at once."""

    def __init__(self) -> None:
        self.made = 0
        self.at_once = 0
        self.most_at_once = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> bytes:
        with self._lock:
            self.made += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.go_on.wait(20)
        with self._lock:
            self.at_once -= 1
        return b"x" * 100


def test_all_who_ask_share_one_encoding() -> None:
    async def ask() -> None:
        maker, encodings = Maker(), Encodings()
        asked = [asyncio.ensure_future(encodings.get("a", maker)) for _ in range(50)]
        await asyncio.sleep(0.05)
        asked[0].cancel()  # a reader who goes away takes it from nobody
        maker.go_on.set()
        read = await asyncio.gather(*asked[1:])
        assert maker.made == 1 and all(each is read[0] for each in read)
        assert await encodings.get("a", maker) is read[0] and maker.made == 1

    asyncio.run(ask())


def test_few_are_made_at_once_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)

    async def ask() -> None:
        maker, encodings = Maker(), Encodings()
        asked = [asyncio.ensure_future(encodings.get(number, maker)) for number in range(10)]
        await asyncio.sleep(0.2)
        with pytest.raises(QueueFullError):
            await encodings.get("one more", maker)
        maker.go_on.set()
        await asyncio.gather(*asked)
        assert maker.most_at_once == MAX_AT_ONCE
        await encodings.get("one more", maker)

    asyncio.run(ask())


def test_what_is_kept_is_bounded_by_its_bytes() -> None:
    async def ask() -> list[str]:
        encodings = Encodings(250)
        made: list[str] = []

        async def get(name: str) -> bytes:
            return await encodings.get(name, lambda: made.append(name) or b"x" * 100)

        for name in "ababcabd":
            await get(name)
        assert await encodings.get("large", lambda: b"x" * 1000) == b"x" * 1000
        return made

    assert asyncio.run(ask()) == ["a", "b", "c", "a", "b", "d"]


def test_a_failure_is_not_kept() -> None:
    async def ask() -> None:
        encodings = Encodings()

        def fail() -> bytes:
            raise RequestError("gone")

        with pytest.raises(RequestError):
            await encodings.get("a", fail)
        assert await encodings.get("a", lambda: b"found") == b"found"

    asyncio.run(ask())
