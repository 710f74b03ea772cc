"""What one leased pipeline reads of a prompt. Imports torch: import it in a function."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from paintdiff.models.conditioning.clip_encoding import ClipEncoder, Remember
from paintdiff.models.conditioning.clip_skip import (
    count_skipped_layers,
    skip_layers,
    takes_clip_skip,
)
from paintdiff.models.conditioning.prompt_cache import ModelPrompts
from paintdiff.models.conditioning.prompt_conditioning import PromptConditioning, encode_plan
from paintdiff.models.conditioning.prompt_plan import (
    PromptPlan,
    PromptReading,
    PromptTiming,
    join_pieces,
    plan_plain,
    plan_prompts,
)
from paintdiff.models.conditioning.prompt_words import insert_embeddings, replace_near_words
from paintdiff.models.registry.families import Family
from paintdiff.prompts.attention import Emphasis
from paintdiff.prompts.syntax import PromptSyntax


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model that was trained on few.

    `known` holds all words it knows, in lower case; None if it has no such list. `near` maps
    unknown words, in lower case, to known ones that are read in their place. `subjects` are
    examples of what it paints.
    """

    known: frozenset[str] | None = None
    near: Mapping[str, str] = field(default_factory=dict[str, str])
    subjects: tuple[str, ...] = ()


class PromptEncoder:
    """Prepares prompts for the text encoders of one pipeline.

    `tokens` maps the words that name embeddings, in lower case, to the tokens that stand for them.
    `cache` keeps encoded prompts (None: each is encoded every time), and `cache_state` is what
    changes the text encoders beside clip skip: LoRAs and embeddings.
    """

    def __init__(
        self,
        pipeline: Any,
        family: Family,
        vocabulary: Vocabulary,
        *,
        tokens: Mapping[str, str],
        cache: ModelPrompts | None = None,
        cache_state: Hashable = (),
    ) -> None:
        self._pipeline = pipeline
        self._family = family
        self._tokens = tokens
        self._cache, self._cache_state = cache, cache_state
        near = {word: known for word, known in vocabulary.near.items() if word not in tokens}
        self.vocabulary = Vocabulary(vocabulary.known, near, vocabulary.subjects)

    @property
    def tokenizer(self) -> Any:
        """Return the tokenizer for the longest prompt the model can read, None if it has none."""
        names = (self._family.tokenizer, "tokenizer", "tokenizer_2")
        found = (getattr(self._pipeline, name, None) for name in names)
        return next((each for each in found if each is not None), None)

    @property
    def max_tokens(self) -> int:
        """Return how many tokens of a prompt are read, its start and end tokens included."""
        is_missing = getattr(self._pipeline, self._family.tokenizer, None) is None
        most = self.tokenizer.model_max_length
        # A Stable Diffusion 3 without its T5 reads no more than its CLIPs do.
        return most if is_missing else min(self._family.max_prompt_tokens, most)

    @property
    def has_limited_encoder(self) -> bool:
        """Return whether an encoder reads only `max_tokens`, however long a prompt may be."""
        family = self._family
        limited = not family.takes_weights or family.prompt_encoding == "clip_t5"
        return limited and getattr(self._pipeline, family.tokenizer, None) is not None

    @property
    def takes_clip_skip(self) -> bool:
        """Return whether the pipeline can leave out a text encoder's last layers."""
        return takes_clip_skip(self._pipeline)

    def skips_layers(self, clip_skip: int) -> bool:
        """Return whether a clip skip changes the picture.

        Raises:
            RequestError: The text encoder has fewer layers.
        """
        return count_skipped_layers(self._pipeline, clip_skip) > 0

    def prepare_text(self, text: str) -> str:
        """Return a prompt as the tokenizer gets it.

        Unknown words are replaced by their nearest known ones, and the names of embeddings by
        their tokens.
        """
        near, _replaced = replace_near_words(text, self.vocabulary.near)
        return insert_embeddings(near, self._tokens)

    def plan(
        self, prompt: str, negative_prompt: str, syntax: PromptSyntax, steps: int, before: int = 0
    ) -> PromptPlan:
        """Return what is read of a run's prompts at each of its steps.

        `before` are the steps of the first pass, in a hires fix's second.
        """
        if syntax == "a1111":
            return plan_prompts(prompt, negative_prompt, steps, before, self.prepare_text)
        return plan_plain(self.prepare_text(prompt), self.prepare_text(negative_prompt), steps)

    def take_texts(self, plan: PromptPlan, syntax: PromptSyntax) -> tuple[str, str] | None:
        """Return the prompts of a plan, if the pipeline itself can encode all of it.

        Where it can't, and the family's encoders take weights: None. Where they don't, the words
        of the first step are returned, without weights.
        """
        texts = join_pieces(plan.parts[0][0][1]), join_pieces(plan.negative[0][1])
        if syntax == "plain" or not self._family.takes_weights:
            return texts
        simple = plan.is_single and not plan.is_weighted
        encoder = self._make_encoder("original", _encode_anew)
        return texts if simple and all(map(encoder.fits_one_chunk, texts)) else None

    def condition(
        self,
        plan: PromptPlan,
        reading: PromptReading,
        timing: PromptTiming,
        steps: int,
        remember: Remember,
        *,
        guided: bool,
    ) -> PromptConditioning:
        """Encode a plan of `steps` steps, inside `encode_prompts`, which yields `remember`."""
        return encode_plan(
            plan,
            self._make_encoder(reading.emphasis, remember),
            steps,
            timing,
            guided=guided,
            zeroes_empty=bool(
                getattr(self._pipeline.config, "force_zeros_for_empty_prompt", False)
            ),
        )

    def _make_encoder(self, emphasis: Emphasis, remember: Remember) -> ClipEncoder:
        kind = self._family.prompt_encoding
        return ClipEncoder(self._pipeline, kind, self._tokens, emphasis, remember)

    @contextmanager
    def encode_prompts(self, clip_skip: int, *, cached: bool) -> Generator[Remember]:
        """Let the pipeline encode prompts with `clip_skip`, inside the `with`.

        With `cached` it takes a prompt from the cache if it was encoded in the same state before.
        So does the function that it yields, for what the pipeline doesn't encode.

        Raises:
            RequestError: The text encoder has fewer layers than `clip_skip`.
        """
        cache = self._cache if cached else None
        with ExitStack() as changes:
            changes.enter_context(skip_layers(self._pipeline, clip_skip))
            if cache is None:
                yield _encode_anew
                return
            skipped = count_skipped_layers(self._pipeline, clip_skip)
            state = (self._cache_state, skipped)
            changes.enter_context(cache.cache_prompts(self._pipeline, state))
            yield lambda key, encode: cache.get_or_encode((state, key), encode)


def _encode_anew(_key: Hashable, encode: Callable[[], Any]) -> Any:
    return encode()
