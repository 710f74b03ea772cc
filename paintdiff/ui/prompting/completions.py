"""What a prompt can be completed with: a row for each source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.errors import PaintError
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow
from paintdiff.models.registry.model_rows import ModelRow, read_known_words
from paintdiff.prompts.extra_networks import LoraTag, write_tag
from paintdiff.prompts.tags import Tags, find_tag_files, read_tags
from paintdiff.ui.prompting import messages

if TYPE_CHECKING:
    from paintdiff.ui.common.context import PageContext

MAX_ENTRIES = 20_000
"""Of one source."""
MAX_TRIGGER_WORDS = 3


@dataclass(frozen=True)
class Completion:
    """A text that can be put into a prompt: found by `name`, written as `insert`.

    `detail` is shown beside the name.
    """

    name: str
    insert: str
    detail: str = ""


@dataclass(frozen=True)
class Source:
    """Completions of one kind. `opener` is what a person types to see only these, "" if nothing."""

    kind: str
    opener: str
    list: Callable[[PageContext, ModelRow], Iterable[Completion]]


def _list_loras(context: PageContext, model: ModelRow) -> Iterable[Completion]:
    for row in context.engine.manager.catalog.fitting(LoraRow, model):
        weight = 1.0 if row.weight is None else row.weight
        words = row.trigger_words[:MAX_TRIGGER_WORDS]
        tag = write_tag(LoraTag(row.name, weight, weight))
        yield Completion(
            row.name,
            ", ".join((tag, *words)),
            messages.trigger_words(", ".join(words)) if words else "",
        )


def _list_embeddings(context: PageContext, model: ModelRow) -> Iterable[Completion]:
    for row in context.engine.manager.catalog.fitting(EmbeddingRow, model):
        yield Completion(row.name, row.name)


def _list_styles(context: PageContext, _model: ModelRow) -> Iterable[Completion]:
    for style in context.engine.library.list_styles():
        if words := style.words():
            yield Completion(style.name, words)


def _list_wildcards(context: PageContext, _model: ModelRow) -> Iterable[Completion]:
    for name in context.engine.library.list_wildcards():
        yield Completion(name, f"__{name}__")


def _list_known_words(_context: PageContext, model: ModelRow) -> Iterable[Completion]:
    try:
        known = None if model.folder is None else read_known_words(model, model.folder)
    except PaintError:
        return  # loading the model says what is wrong with it
    for word in sorted(known or ()):
        yield Completion(word, word)


SOURCES: Sequence[Source] = (
    Source(messages.LORA, "<", _list_loras),
    Source(messages.WILDCARD, "__", _list_wildcards),
    Source(messages.STYLE, "", _list_styles),
    Source(messages.EMBEDDING, "", _list_embeddings),
    Source(messages.KNOWN_WORD, "", _list_known_words),
)


def list_completions(context: PageContext, model: ModelRow) -> dict[str, object]:
    """Return all completions for a model: the kinds with their openers, and the entries of each.

    An entry is [name, text to insert, detail]. Tags are apart, since they may be many.
    """
    return {
        "kinds": [
            {
                "kind": source.kind,
                "opener": source.opener,
                "entries": [
                    [each.name, each.insert, each.detail]
                    for each in islice(source.list(context, model), MAX_ENTRIES)
                ],
            }
            for source in SOURCES
        ]
    }


class TagLists:
    """The tags of the models folders, read again when a file has changed. Use it in one thread."""

    def __init__(self, models_folders: Sequence[Path]) -> None:
        self._folders = models_folders
        self._stamp: tuple[tuple[Path, int, int], ...] = ()
        self._content = _write_tags(Tags((), ()))

    def read(self) -> tuple[str, bytes]:
        """Return a text that changes with the files, and the tags as JSON."""
        files = find_tag_files(self._folders)
        stamp: list[tuple[Path, int, int]] = []
        for path in files:
            try:
                found = path.stat()
            except OSError:
                continue  # it has just gone
            stamp.append((path, found.st_size, found.st_mtime_ns))
        if tuple(stamp) != self._stamp:
            self._content, self._stamp = _write_tags(read_tags(files)), tuple(stamp)
        return f"{abs(hash(self._stamp)):x}", self._content


def _write_tags(found: Tags) -> bytes:
    rows = [[each.name, each.count, *each.aliases] for each in found.tags]
    content = json.dumps({"tags": rows, "problems": found.problems}, ensure_ascii=False)
    return content.encode("utf-8", "replace")  # a file's name needn't be UTF-8
