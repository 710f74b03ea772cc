"""Fixtures: the page over a scripted engine."""

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
    """Return the page's context over a scripted engine."""
    return PageContext(
        engine=engine,
        uploads=Uploads(),
        start_model="mini",
        qualities=(("fast", "Draft"), ("balanced", "Balanced"), ("high", "High")),
        examples=("a red house", "a <b>bold</b> cat"),
    )
