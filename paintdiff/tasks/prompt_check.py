"""What a person who is typing a prompt wants to know: its length, its mistakes, and unknown words.

Loads tokenizers, but no weights.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import paintdiff.tasks.messages as messages
from paintdiff.errors import ModelError, PresetError, RequestError, UnknownNameError
from paintdiff.jobs.requests import MAX_LORAS
from paintdiff.models.conditioning.prompt_plan import plan_prompts
from paintdiff.models.conditioning.prompt_words import locate_embeddings
from paintdiff.models.conditioning.token_counts import TokenCount, TokenCounter
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow
from paintdiff.models.registry.model_rows import (
    ModelRow,
    read_known_words,
    read_near_words,
    read_subjects,
)
from paintdiff.prompts.attention import Span, list_words, read_attention
from paintdiff.prompts.extra_networks import blank_tags, locate_tags, split_lora_tags
from paintdiff.prompts.syntax import (
    Prompt,
    PromptSyntax,
    blank_unread,
    list_texts,
    parse_prompt,
    schedule,
)
from paintdiff.prompts.wildcards.template import blank_templates, parse_template
from paintdiff.prompts.words import locate_words, suggest_words, write_closest
from paintdiff.tasks.resolve import messages as resolve_messages
from paintdiff.tasks.resolve.prompts import (
    MAX_PARTS,
    MAX_TEXTS,
    list_mistakes,
    list_unsupported,
)

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog

MAX_MARKS = 50
MAX_SUGGESTED = 10
"""So many unknown words get suggestions: each is compared with all known ones."""
_MOST_STEPS = 150
_LONGEST_TEXTS = 4
"""Of the texts that a prompt changes to, so many are counted."""
_KEPT_MODELS = 4
_KEPT_EMBEDDINGS = 500


@dataclass(frozen=True)
class PromptMark:
    """A place in a prompt that needs attention, and words that may replace it.

    `kind` is "mistake" for syntax, "unknown" for a word that the model doesn't know, "unread" for
    what it won't see.
    """

    kind: str
    message: str
    start: int
    end: int
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptOffer:
    """What a model that knows few words can paint instead, and a sentence about larger models."""

    message: str
    texts: tuple[str, ...]
    advice: str


@dataclass(frozen=True)
class PromptCheck:
    """A prompt as one model reads it.

    `count` is None if the model's tokenizer isn't on this machine. Of a prompt with several texts
    it counts the longest. Places are characters of the prompt.
    """

    count: TokenCount | None
    marks: tuple[PromptMark, ...] = ()
    notes: tuple[str, ...] = ()
    offer: PromptOffer | None = None


@dataclass(frozen=True)
class CheckedPrompt:
    """The prompt to check: the positive or the negative one, for a run of so many steps."""

    text: str
    is_negative: bool = False
    syntax: PromptSyntax = "a1111"
    steps: int = 20


@dataclass(frozen=True)
class _Reader:
    """What one model reads prompts with. `problem` says why it can't."""

    tokenizers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    known: frozenset[str] | None = None
    near: Mapping[str, str] = field(default_factory=dict[str, str])
    subjects: tuple[str, ...] = ()
    problem: str = ""


class PromptChecker:
    """Checks prompts. Threads may share it; the tokenizers of the last models are kept.

    `find_companions` returns the folders, by family, for what a single file lacks.
    """

    def __init__(self, find_companions: Callable[[Catalog], Mapping[str, Path]]) -> None:
        self._find_companions = find_companions
        self._readers: OrderedDict[tuple[str, ...], _Reader] = OrderedDict()
        self._vectors: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self._reading = threading.Lock()

    def check(self, prompt: CheckedPrompt, model: ModelRow, catalog: Catalog) -> PromptCheck:
        """Check a prompt for a model of the catalog. The first check of a model takes seconds."""
        with self._reading:
            reader = self._get_reader(model, catalog)
            vectors = self._count_vectors(model, catalog, prompt.text)
        return _Check(prompt, model, catalog, reader, vectors).make()

    def _get_reader(self, model: ModelRow, catalog: Catalog) -> _Reader:
        key = (*model.identity, str(model.folder))
        if key not in self._readers:
            self._readers[key] = _read_model(model, self._find_companions(catalog))
            while len(self._readers) > _KEPT_MODELS:
                self._readers.popitem(last=False)
        self._readers.move_to_end(key)
        return self._readers[key]

    def _count_vectors(self, model: ModelRow, catalog: Catalog, text: str) -> dict[str, int]:
        """Return the number of vectors of each embedding that a prompt names."""
        rows = {row.name.lower(): row for row in catalog.fitting(EmbeddingRow, model)}
        counts: dict[str, int] = {}
        for name in dict.fromkeys(name for _, _, name in locate_embeddings(text, rows)):
            key = rows[name].identity
            if key not in self._vectors:
                self._vectors[key] = _read_vector_count(rows[name])
                while len(self._vectors) > _KEPT_EMBEDDINGS:
                    self._vectors.popitem(last=False)
            counts[name] = self._vectors[key]
        return counts


def _read_model(model: ModelRow, companions: Mapping[str, Path]) -> _Reader:
    from paintdiff.models.loading.tokenizers.loading import load_tokenizers  # noqa: PLC0415 (imports torch)

    folder = model.folder
    if folder is None:
        return _Reader()
    try:
        return _Reader(
            load_tokenizers(model, companions),
            read_known_words(model, folder),
            read_near_words(model, folder),
            read_subjects(model, folder),
        )
    except (ModelError, PresetError) as error:
        return _Reader(problem=str(error))


def _read_vector_count(row: EmbeddingRow) -> int:
    from paintdiff.models.conditioning.textual_inversion import (  # noqa: PLC0415 (imports torch)
        read_vectors,
    )

    try:
        return int(read_vectors(row.file, row.title)[0].shape[0])
    except (ModelError, OSError):
        return 1  # painting says what is wrong with the file


@dataclass(frozen=True)
class _Check:
    """One check of one prompt."""

    prompt: CheckedPrompt
    model: ModelRow
    catalog: Catalog
    reader: _Reader
    vectors: Mapping[str, int]

    def make(self) -> PromptCheck:
        marks = sorted(self._iterate_marks(), key=lambda mark: (mark.start, mark.end))
        count, unread = self._count()
        return PromptCheck(
            count, (*marks[:MAX_MARKS], *unread), tuple(self._list_notes()), self._make_offer()
        )

    @property
    def _is_plain(self) -> bool:
        return self.prompt.syntax == "plain"

    @cached_property
    def _words(self) -> list[tuple[int, int, str]]:
        """The words that are read at any step and aren't embeddings, with their places."""
        text = self.prompt.text
        if self._is_plain:
            pieces = [(0, blank_tags(text))]
        else:
            parsed = parse_prompt(blank_templates(text), divided=not self.prompt.is_negative)
            blanked = blank_unread(parsed)
            spans = read_attention(blanked, joined=False).spans
            pieces = [
                (each.end - len(each.text), each.text) for each in spans if isinstance(each, Span)
            ]
        words: list[tuple[int, int, str]] = []
        for shift, piece in pieces:
            for start, end, _ in locate_embeddings(piece, self.vectors):
                piece = piece[:start] + " " * (end - start) + piece[end:]
            words += [
                (shift + start, shift + end, word) for start, end, word in locate_words(piece)
            ]
        return words

    def _iterate_marks(self) -> Iterator[PromptMark]:
        if not self._is_plain:
            for each in list_mistakes(self.prompt.text):
                yield PromptMark("mistake", each.message, each.start, each.end)
        yield from self._mark_loras()
        known, near, title = self.reader.known, self.reader.near, self.model.title
        if known is None:
            return
        suggested: dict[str, tuple[str, ...]] = {}
        for start, end, word in self._words:
            if word in known:
                continue
            if word in near:
                message = messages.word_read_as(title, word, near[word])
                yield PromptMark("unknown", message, start, end, (near[word],))
                continue
            if word not in suggested and len(suggested) < MAX_SUGGESTED:
                suggested[word] = suggest_words(word, known, near)
            message = messages.word_not_known(title, word)
            yield PromptMark("unknown", message, start, end, suggested.get(word, ()))

    def _mark_loras(self) -> Iterator[PromptMark]:
        text = self.prompt.text
        for each in locate_tags(text)[:MAX_LORAS]:
            message, choices = "", ()
            if each.tag is None:
                message = resolve_messages.unreadable_lora_tag(text[each.start : each.end])
            elif self.prompt.is_negative:
                message = resolve_messages.LORA_IN_NEGATIVE_PROMPT
            else:
                message, choices = self._describe_lora(each.tag.name, text[each.start : each.end])
            if message:
                yield PromptMark("mistake", message, each.start, each.end, choices)

    def _describe_lora(self, name: str, written: str) -> tuple[str, tuple[str, ...]]:
        try:
            row = self.catalog.find(LoraRow, name)
        except UnknownNameError as error:
            other = error.suggestion
            return str(error), (written.replace(name, other, 1),) if other else ()
        family = row.family
        if family is None or family.name == self.model.family.name:
            return "", ()
        lora, model = resolve_messages.the_lora(row.title), self.model
        return resolve_messages.for_another_family(
            lora, family.title, model.title, model.family.title
        ), ()

    def _list_notes(self) -> list[str]:
        if self.reader.problem:
            return [self.reader.problem]
        if self._is_plain:
            return []
        try:
            parse_template(self.prompt.text)
        except RequestError as error:
            return [str(error)]
        parts, texts = len(self._parsed.subprompts), len(self._found)
        if parts > MAX_PARTS:
            return [resolve_messages.too_many_parts(parts, MAX_PARTS)]
        if texts > MAX_TEXTS:
            return [resolve_messages.too_many_changes(texts - 1, MAX_TEXTS - 1)]
        if self.model.family.takes_weights:
            return []
        both = ("", self.prompt.text) if self.prompt.is_negative else (self.prompt.text, "")
        return list_unsupported(plan_prompts(*both, self._steps, 0, str), self.model)

    def _count(self) -> tuple[TokenCount | None, list[PromptMark]]:
        from paintdiff.models.conditioning.prompt_encoder import (  # noqa: PLC0415 (imports torch)
            PromptEncoder,
            Vocabulary,
        )

        pipeline: Any = SimpleNamespace(**self.reader.tokenizers)
        encoder = PromptEncoder(pipeline, self.model.family, Vocabulary(), tokens={})
        if encoder.tokenizer is None:
            return None, []
        longest, blanked = self._texts[0]
        limited = self._make_counter(encoder.tokenizer)
        if self._is_plain or not self.model.family.takes_weights:
            text = longest if self._is_plain else list_words(longest)
            count = limited.count(text, blanked, encoder.max_tokens)
            return count, self._mark_unread(count, t5_only=False)
        clip = next(
            each
            for name in ("tokenizer", "tokenizer_2")
            if (each := self.reader.tokenizers.get(name)) is not None
        )
        counter = self._make_counter(clip)
        counts = [counter.count_chunks(*texts) for texts in self._texts]
        count = max(counts, key=lambda each: (each.chunks, each.tokens))
        if not encoder.has_limited_encoder:
            return count, []
        read = limited.count(list_words(longest), blanked, encoder.max_tokens)
        return count, self._mark_unread(read, t5_only=True)

    def _make_counter(self, tokenizer: Any) -> TokenCounter:
        return TokenCounter(tokenizer, self.reader.near, self.vectors)

    def _mark_unread(self, count: TokenCount, *, t5_only: bool) -> list[PromptMark]:
        message = messages.end_not_read(self.model.title, count.chunk_size, t5_only=t5_only)
        end = len(self.prompt.text)
        return [PromptMark("unread", message, start, end) for start in count.borders]

    @cached_property
    def _texts(self) -> list[tuple[str, str]]:
        """Return the longest texts of the prompt, each with its source, blanked where unread."""
        if self._is_plain:
            text = self.prompt.text
            return [(split_lora_tags(text)[0], blank_tags(text))]
        found = self._found
        longest = sorted(found, key=len, reverse=True)[:_LONGEST_TEXTS]
        return [(each, blank_unread(self._parsed, *found[each], self._steps)) for each in longest]

    @cached_property
    def _parsed(self) -> Prompt:
        return parse_prompt(self.prompt.text, divided=not self.prompt.is_negative)

    @cached_property
    def _found(self) -> dict[str, tuple[int, int]]:
        """All texts that are read, with the index of their subprompt and a step that reads them."""
        return {
            text: (index, step)
            for index, texts in enumerate(schedule(self._parsed, self._steps))
            for step, text in texts
        }

    @property
    def _steps(self) -> int:
        return min(max(1, self.prompt.steps), _MOST_STEPS)

    def _make_offer(self) -> PromptOffer | None:
        known, near, title = self.reader.known, self.reader.near, self.model.title
        if known is None or self.prompt.is_negative:
            return None
        unknown = tuple(dict.fromkeys(word for _, _, word in self._words if word not in known))
        lost = tuple(word for word in unknown if word not in near)
        if not lost:
            return None
        closest = write_closest(self._list_all_words(), known, near)
        advice = messages.knows_few_words(title, len(known))
        if closest:
            return PromptOffer(messages.closest_instead(title, lost), (closest,), advice)
        return PromptOffer(messages.subjects_instead(title, lost), self.reader.subjects, advice)

    def _list_all_words(self) -> str:
        text = self.prompt.text
        if self._is_plain:
            return split_lora_tags(text)[0]
        return list_words(list_texts(parse_prompt(blank_templates(text))))
