"""What a run reads of its prompts at which step, as values. Importable without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from paintdiff.prompts.attention import Emphasis, Span, parse_attention
from paintdiff.prompts.syntax import PromptSyntax, parse_prompt, schedule

Pieces = tuple[tuple[str, float] | None, ...]
"""A text's spans with their weights, as the tokenizer gets them; None begins a new chunk."""

Stretches = tuple[tuple[int, Pieces], ...]
"""Texts with the last step, from 1, for which each is read, in order."""


@dataclass(frozen=True)
class PromptReading:
    """How a run's prompts are read: their language, and the rule by which weights act."""

    syntax: PromptSyntax = "plain"
    emphasis: Emphasis = "original"


PLAIN_READING = PromptReading()


@dataclass(frozen=True)
class PromptTiming:
    """Where a run lies in the steps that its prompts' schedules count.

    `steps` are those of the whole pass (None: the run's). A hires fix's second pass comes after
    `steps_before`. Where two models share a pass, `calls_before` and `calls_after` are the other
    model's calls.
    """

    steps: int | None = None
    steps_before: int = 0
    calls_before: int = 0
    calls_after: int = 0

    def find_step(self, call: int, num_calls: int, steps: int) -> int:
        """Return the step, from 1 to `steps`, in which the run makes call `call` (from 0).

        A sampler may call the model up to twice per step.
        """
        done, total = self.calls_before + call, self.calls_before + num_calls + self.calls_after
        return min(steps, done * steps // total + 1)


ALONE = PromptTiming()
"""The timing of a pass that is one run, and the only one."""


@dataclass(frozen=True)
class PromptPlan:
    """The texts of a run. There is a part, with its weight, for each prompt between `AND`."""

    parts: tuple[Stretches, ...]
    weights: tuple[float, ...]
    negative: Stretches

    @property
    def is_single(self) -> bool:
        """Return whether the run reads one prompt, and the same at every step."""
        return len(self.parts) == 1 and all(len(each) == 1 for each in self._each())

    @property
    def is_weighted(self) -> bool:
        """Return whether a word has a weight, or a chunk begins where the prompt says so."""
        return any(
            piece is None or piece[1] != 1.0
            for stretches in self._each()
            for _, pieces in stretches
            for piece in pieces
        )

    def _each(self) -> Iterator[Stretches]:
        yield from self.parts
        yield self.negative


def plan_prompts(
    prompt: str, negative_prompt: str, steps: int, steps_before: int, prepare: Callable[[str], str]
) -> PromptPlan:
    """Return the plan of prompts in the A1111 web UI's language. `prepare` changes each text."""
    parsed = parse_prompt(prompt)
    (negative,) = schedule(parse_prompt(negative_prompt, divided=False), steps, steps_before)
    return PromptPlan(
        tuple(_read(each, prepare) for each in schedule(parsed, steps, steps_before)),
        tuple(each.weight for each in parsed.subprompts),
        _read(negative, prepare),
    )


def plan_plain(prompt: str, negative_prompt: str, steps: int) -> PromptPlan:
    """Return the plan of prompts that are read as they are."""
    return PromptPlan(
        (((steps, ((prompt, 1.0),)),),), (1.0,), ((steps, ((negative_prompt, 1.0),)),)
    )


def join_pieces(pieces: Pieces) -> str:
    """Return a text without its weights."""
    return "".join(" " if piece is None else piece[0] for piece in pieces)


def _read(texts: tuple[tuple[int, str], ...], prepare: Callable[[str], str]) -> Stretches:
    # Alternation has few texts, however many steps there are.
    read = {
        text: tuple(
            (prepare(span.text), span.weight) if isinstance(span, Span) else None
            for span in parse_attention(text)
        )
        for text in {text for _, text in texts}
    }
    return tuple((last_step, read[text]) for last_step, text in texts)
