"""Records to store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from paintdiff.gallery.records.record import Record
from paintdiff.imaging.geometry import Size

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
_numbers = count()


def record(prompt: str = "a boat", minute: float = 0, **values: Any) -> Record:
    """A record of a file that no other has."""
    made = Record(
        file=f"2026-11-30/{next(_numbers)}.png",
        kind="text_to_image",
        size=Size(256, 128),
        created_at=START + timedelta(minutes=minute),
        prompt=prompt,
    )
    return replace(made, **values)
