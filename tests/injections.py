"""Raises an error at the n-th event of a stretch of code: a call of one of our functions, or its
return.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import paintdiff

OURS = str(Path(paintdiff.__file__).parent)


class InjectedError(Exception):
    """An error that no code of ours catches by its name."""


class Countdown:
    """Watches this thread. `left` events pass, then one raises; None raises never.

    `passed` counts the events. Generators are called whenever they go on.
    """

    def __init__(self, left: int | None = None) -> None:
        self._left = left
        self.passed = 0

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(OURS):
            return
        if event == "return" and code.co_flags & inspect.CO_GENERATOR:
            return  # perhaps a `yield`: an error of the profiler there would skip each `finally`
        if code.co_name in ("<module>", "<genexpr>"):  # a generator is called to be closed, too
            return
        if self.passed == self._left:
            sys.setprofile(None)
            self._left = None
            raise InjectedError(f"at the {event} of {code.co_qualname}")
        self.passed += 1

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch until the end of the `with`, or until the error is raised."""
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
