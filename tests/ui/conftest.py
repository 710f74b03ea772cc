"""The page over an engine that does as it is told."""

from __future__ import annotations

from typing import Any

import pytest

from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.uploads import Uploads
from tests.ui.fake_engine import FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def context(engine: Any) -> PageContext:
    return parts_over(engine)


def parts_over(engine: Any) -> PageContext:
    """Return what the page is built from, over an engine that does as it is told."""
    return PageContext(
        engine=engine,
        uploads=Uploads(),
        start_model="mini",
        qualities=(("fast", "Fast"), ("balanced", "Balanced"), ("high", "High")),
        examples=("a red house", "a <b>bold</b> cat"),
    )
