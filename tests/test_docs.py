"""The documents are current, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import rooms

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for folder, pattern in (("", "*.md"), ("docs", "**/*.md"), (".github", "**/*.md"))
    for path in (ROOT / folder).glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def test_the_page_of_the_rooms_is_current() -> None:
    """Run `python -m docs.rooms` if it isn't."""
    page = rooms.PAGE.read_text(encoding="utf-8")
    assert rooms.written(page) == page


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the markers of 'table' once, not 0 times"):
        rooms.written("# Rooms\n")


def test_a_diagram_leaves_out_what_a_longer_path_implies() -> None:
    edges = {"ui": {"engine", "errors"}, "engine": {"errors", "jobs"}, "jobs": {"errors"}}
    assert rooms.reduced(edges) == {"ui": {"engine"}, "engine": {"jobs"}, "jobs": {"errors"}}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [
        target
        for target in LINK.findall(CODE.sub("", text))
        if not target.startswith(("http://", "https://", "mailto:")) and not _is_there(page, target)
    ]
    assert missing == []


def _is_there(page: Path, target: str) -> bool:
    place, _, heading = target.partition("#")
    path = page.parent / place if place else page
    return path.exists() and (not heading or heading in _headings(path))


def _headings(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
