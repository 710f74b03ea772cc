"""The prompts that a visitor has painted, from the gallery: each once, the newest first.

A favourite prompt is one with a picture that has the tag `FAVOURITE`.
"""

from __future__ import annotations

from dataclasses import dataclass

from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.store import GalleryStore

FAVOURITE = "favourite prompt"
MAX_PROMPTS = 50
MAX_PICTURES = 2000
"""So many pictures are looked through at once: most may have the same prompt."""
_PAGE = 200


@dataclass(frozen=True)
class PastPrompt:
    """A prompt, its newest picture's id, and the ids of those that make it a favourite."""

    prompt: str
    negative_prompt: str
    newest: str
    marked: tuple[str, ...]


@dataclass(frozen=True)
class PastPrompts:
    """Some prompts, and the cursor for older ones; None at the end."""

    prompts: tuple[PastPrompt, ...]
    next_cursor: str | None


def list_past_prompts(
    store: GalleryStore, owner: str | None, search: str, favourites: bool, cursor: str | None
) -> PastPrompts:
    """Return the prompts of an owner's pictures (None: of everybody's) that match a search.

    Raises:
        RequestError: The search or the cursor can't be read.
        GalleryError: The database can't be read.
    """
    query = PictureQuery(search=search, owner=owner, tags=(FAVOURITE,) if favourites else ())
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    looked_through = 0
    while True:
        page = store.page(query, cursor, _PAGE)
        for record in page.records:
            if not record.prompt:
                continue
            _, marked = found.setdefault((record.prompt, record.negative_prompt), (record.id, []))
            if FAVOURITE in record.tags:
                marked.append(record.id)
        cursor, looked_through = page.next_cursor, looked_through + _PAGE
        if cursor is None or len(found) >= MAX_PROMPTS or looked_through >= MAX_PICTURES:
            break
    prompts = tuple(
        PastPrompt(prompt, negative, newest, tuple(marked))
        for (prompt, negative), (newest, marked) in found.items()
    )
    return PastPrompts(prompts, cursor)
