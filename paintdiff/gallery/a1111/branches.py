"""Branches of a run, in A1111's `parameters` text: JSON under a name of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping

from paintdiff.gallery.settings.found_settings import format_value
from paintdiff.jobs.requests import Painting

BRANCHES = "Branches"


def write_branches(request: Painting) -> str:
    """Return a run's branches as JSON, "" without any."""
    branches = [each.model_dump(mode="json", exclude_none=True) for each in request.branches]
    return json.dumps(branches, ensure_ascii=False) if branches else ""


def read_branches(settings: Mapping[str, str]) -> tuple[dict[str, object], list[str]]:
    """Return the branches from a text, and what of it can't be used."""
    text = settings.get(BRANCHES, "")
    try:
        return ({"branches": json.loads(text)} if text else {}), []
    except (ValueError, RecursionError):
        return {}, [f"branches {format_value(text)}"]
