"""The encoded prompts of one run, step by step. Imports torch: import it in a function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from paintdiff.models.conditioning.clip_encoding import ClipEncoder, Encoding
from paintdiff.models.conditioning.prompt_plan import PromptPlan, PromptTiming, Stretches

EncodedStretches = tuple[tuple[int, Encoding], ...]
"""Encodings with the last step, from 1, for which each is used, in order."""


@dataclass
class PromptConditioning:
    """The encodings of a run of `steps` steps: a part for each prompt between `AND`.

    `negative` is None in a run without guidance. All encodings have the same shape. `step` is the
    current step, from 1.
    """

    parts: tuple[EncodedStretches, ...]
    weights: tuple[float, ...]
    negative: EncodedStretches | None
    steps: int
    timing: PromptTiming
    step: int = 1

    @property
    def acts_on_denoiser(self) -> bool:
        """Return whether the denoiser gets more than the pipeline passes it."""
        return len(self.parts) > 1 or any(len(each) > 1 for each in self._each())

    @property
    def is_pipelines_own(self) -> bool:
        """Return whether the pipeline's own encodings are the right ones now."""
        return False

    @property
    def state(self) -> tuple[int, ...]:
        """Return which of its texts each part is at; it is equal as long as nothing changes."""
        return tuple(_find_index(each, self.step) for each in self._each())

    def begin_call(self, call: int, num_calls: int) -> None:
        """Move to the step of the model's call of that number (from 0) of `num_calls`."""
        self.step = self.timing.find_step(call, num_calls, self.steps)

    def read(self, part: int) -> Encoding:
        """Return a part's encoding at the current step."""
        stretches = self.parts[part]
        return stretches[_find_index(stretches, self.step)][1]

    def read_negative(self) -> Encoding | None:
        """Return the negative prompt's encoding at the current step."""
        if self.negative is None:
            return None
        return self.negative[_find_index(self.negative, self.step)][1]

    def build_settings(self) -> dict[str, Any]:
        """Return a pipeline's arguments in place of the prompts."""
        settings: dict[str, Any] = {}
        for prefix, encoding in (("", self.read(0)), ("negative_", self.read_negative())):
            if encoding is not None:
                settings[f"{prefix}prompt_embeds"] = encoding.hidden
                if encoding.pooled is not None:
                    settings[f"{prefix}pooled_prompt_embeds"] = encoding.pooled
        return settings

    def _each(self) -> Iterator[EncodedStretches]:
        yield from self.parts
        if self.negative is not None:
            yield self.negative


class BranchedConditioning:
    """The encodings of a run whose prompts change at branches.

    `segments` are the encodings and the number of steps before each, in order. The first may be
    None: then the pipeline has encoded its prompts itself. Each is padded by itself, so that the
    steps before a branch are computed as without it. All have the same parts and weights.
    """

    def __init__(
        self,
        segments: Sequence[tuple[int, PromptConditioning | None]],
        weights: tuple[float, ...],
        timing: PromptTiming,
        steps: int,
    ) -> None:
        self._segments = segments
        self._timing, self._steps = timing, steps
        self._index = 0
        self.weights = weights

    @property
    def acts_on_denoiser(self) -> bool:
        """Return whether the denoiser gets more than the pipeline passes it."""
        return True

    @property
    def is_pipelines_own(self) -> bool:
        """Return whether the pipeline's own encodings are the right ones now."""
        return self._segments[self._index][1] is None

    @property
    def state(self) -> tuple[int, ...]:
        """Return which texts are read now; it is equal as long as nothing changes."""
        current = self._segments[self._index][1]
        return (self._index, *(() if current is None else current.state))

    def begin_call(self, call: int, num_calls: int) -> None:
        """Move to the step of the model's call of that number (from 0) of `num_calls`."""
        step = self._timing.find_step(call, num_calls, self._steps)
        before = [index for index, (steps, _) in enumerate(self._segments) if steps < step]
        self._index = before[-1] if before else 0
        current = self._segments[self._index][1]
        if current is not None:
            current.begin_call(call, num_calls)

    def read(self, part: int) -> Encoding:
        """Return a part's encoding at the current step."""
        return self._current.read(part)

    def read_negative(self) -> Encoding | None:
        """Return the negative prompt's encoding at the current step."""
        return self._current.read_negative()

    @property
    def _current(self) -> PromptConditioning:
        current = self._segments[self._index][1]
        assert current is not None
        return current


Conditioning = PromptConditioning | BranchedConditioning


def encode_plan(
    plan: PromptPlan,
    encoder: ClipEncoder,
    steps: int,
    timing: PromptTiming,
    *,
    guided: bool,
    zeroes_empty: bool,
) -> PromptConditioning:
    """Encode the texts of a plan, all in as many chunks as the longest has.

    Args:
        plan: The texts.
        encoder: The encoder.
        steps: The steps that the plan was made for.
        timing: Where the run lies in them.
        guided: Whether the negative prompt is needed.
        zeroes_empty: Whether an empty negative prompt is encoded as zeros, as SDXL's is.
    """

    def encode(stretches: Stretches) -> EncodedStretches:
        return tuple((step, encoder.encode(pieces)) for step, pieces in stretches)

    made = [encode(each) for each in (*plan.parts, *([plan.negative] if guided else []))]
    tokens = max(encoding.chunks.shape[1] for each in made for _, encoding in each)
    padded = [
        tuple((step, encoder.pad(encoding, tokens)) for step, encoding in each) for each in made
    ]
    negative = padded.pop() if guided else None
    if negative is not None and zeroes_empty:
        texts = zip(negative, plan.negative, strict=True)
        negative = tuple(
            (step, _make_zeros(encoding) if pieces == (("", 1.0),) else encoding)
            for (step, encoding), (_, pieces) in texts
        )
    return PromptConditioning(tuple(padded), plan.weights, negative, steps, timing)


def _find_index(stretches: EncodedStretches, step: int) -> int:
    return next(
        (index for index, (last_step, _) in enumerate(stretches) if step <= last_step),
        len(stretches) - 1,
    )


def _make_zeros(encoding: Encoding) -> Encoding:
    pooled = encoding.pooled
    return replace(
        encoding,
        chunks=torch.zeros_like(encoding.chunks),
        pooled=None if pooled is None else torch.zeros_like(pooled),
    )
