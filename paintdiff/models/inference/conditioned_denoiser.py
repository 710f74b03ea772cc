"""A denoiser that gets other text embeddings at each step, and several prompts at once.

Several prompts are composed as in Liu et al. 2022, "Compositional visual generation with composable
diffusion models" (arXiv:2206.01714). Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from paintdiff.models.acceleration.guidance_interval import take_second_half
from paintdiff.models.conditioning.clip_encoding import Encoding
from paintdiff.models.conditioning.prompt_conditioning import Conditioning

_WORDS = "encoder_hidden_states"
_POOLED = "pooled_projections"
_ADDED, _ADDED_POOLED = "added_cond_kwargs", "text_embeds"


class ConditionedDenoiser:
    """Replaces a denoiser during one run of `pictures` pictures.

    There is a denoiser for each prompt between `AND`, which share their weights. Of the prediction
    e with the prompt, n without it, and e_i with each of several prompts, the pipeline gets n and

        e = n + sum_i weight_i (e_i - n),

    so that its guidance does the rest. In a batch without n, e is the weighted mean of all e_i.
    Attributes it lacks are the first denoiser's.
    """

    def __init__(
        self, denoisers: Sequence[Any], conditioning: Conditioning, pictures: int = 1
    ) -> None:
        self._denoisers = denoisers
        self._conditioning = conditioning
        self._pictures = pictures
        self._batches: dict[tuple[object, ...], Mapping[str, torch.Tensor]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoisers[0], name)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Predict as the denoiser does with `return_dict=False`, which is how pipelines call it."""
        if self._conditioning.is_pipelines_own:
            return self._denoisers[0](*args, **settings)
        sample = args[0] if args else settings["hidden_states"]
        guided = len(sample) == 2 * self._pictures
        first = self._denoisers[0](*args, **self._replace_words(settings, 0, guided=guided))
        if len(self._denoisers) == 1:
            return first
        predicted: torch.Tensor = first[0]
        if guided:
            args, settings = take_second_half((args, settings), len(sample))
        others = [
            denoiser(*args, **self._replace_words(settings, part, guided=False))[0]
            for part, denoiser in enumerate(self._denoisers)
            if part
        ]
        return (self._compose(predicted, others, guided=guided),)

    def _compose(
        self, predicted: torch.Tensor, others: Sequence[torch.Tensor], *, guided: bool
    ) -> torch.Tensor:
        weights = self._conditioning.weights
        if not guided:
            total = sum(weights)
            weights = [each / total for each in weights] if total else [1.0, *[0.0] * len(others)]
            return sum(
                (weight * each for weight, each in zip(weights[1:], others, strict=True)),
                weights[0] * predicted,
            )
        without, first = predicted.chunk(2)
        difference = sum(
            (weight * (e - without) for weight, e in zip(weights[1:], others, strict=True)),
            weights[0] * (first - without),
        )
        return torch.cat([without, without + difference])

    def _replace_words(
        self, settings: Mapping[str, Any], part: int, *, guided: bool
    ) -> dict[str, Any]:
        """Return the settings with a part's embeddings at this step.

        The same tensors are returned for the same texts: First Block Cache tells texts apart by
        their place in memory.
        """
        given: torch.Tensor = settings[_WORDS]
        key = (self._conditioning.state, part, guided, given.dtype, given.device)
        if key not in self._batches:
            self._batches[key] = self._make_batch(part, given, guided=guided)
        batch = self._batches[key]
        changed = {**settings, _WORDS: batch[_WORDS]}
        if settings.get(_POOLED) is not None:
            changed[_POOLED] = batch[_POOLED]
        added: Mapping[str, Any] | None = settings.get(_ADDED)
        if added and _ADDED_POOLED in added:
            changed[_ADDED] = {**added, _ADDED_POOLED: batch[_POOLED]}
        return changed

    def _make_batch(
        self, part: int, given: torch.Tensor, *, guided: bool
    ) -> Mapping[str, torch.Tensor]:
        """Return the embeddings of a batch: first those without the prompt, as in diffusers."""
        encodings: list[Encoding | None] = [self._conditioning.read(part)]
        if guided:
            encodings.insert(0, self._conditioning.read_negative())
        known = [each for each in encodings if each is not None]
        words = [each.hidden for each in known]
        pooled = [each.pooled for each in known if each.pooled is not None]
        return {
            name: torch.cat([each.expand(self._pictures, *each.shape[1:]) for each in tensors]).to(
                given
            )
            for name, tensors in ((_WORDS, words), (_POOLED, pooled))
            if tensors
        }
