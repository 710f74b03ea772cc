"""Translates the names of a LoRA's layers with diffusers, where they aren't those of the layers.

Imports torch: import it in a function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.loaders import FluxLoraLoaderMixin

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters import messages
from paintdiff.models.adapters.lora_layers import KOHYA_STEM, PipelineLayers
from paintdiff.models.adapters.lora_names import parse_place
from paintdiff.models.adapters.low_rank import LowRank
from paintdiff.models.loading.library_errors import make_load_error

_FLUX_STEM = re.compile(r"(?:[a-z_]+\.)*((?:double|single)_blocks\.\d+\.[\w.]+)")
"""A layer's name in FLUX's original code, perhaps after a component's."""

Parts = dict[tuple[str, str], LowRank]
"""Pairs of matrices by component and the layer's path in it."""


@dataclass(frozen=True)
class NamedPair:
    """A pair and the ends of its two tensors' names after the name of the layer."""

    pair: LowRank
    down_end: str
    up_end: str


def convert_names(
    pairs: Mapping[str, NamedPair],
    name: str,
    layers: PipelineLayers,
    pipeline_class: Any,
    *,
    may_fail: bool,
) -> tuple[Parts, int]:
    """Return the pairs by their places in the pipeline, and how many tensors are left over.

    Only kohya's names are passed on, if there are any: a single other name would make diffusers
    fail, or not recognise them as kohya's.

    Args:
        pairs: By the layers' names in the file.
        name: The file's name in messages.
        layers: The pipeline's.
        pipeline_class: Its class in diffusers.
        may_fail: Count all tensors as left over if diffusers can't convert them.

    Raises:
        ModelLoadError: They can't be converted, or a DoRA's magnitudes can't.
    """
    if not pairs:
        return {}, 0
    if issubclass(pipeline_class, FluxLoraLoaderMixin):
        pairs = dict(_name_as_kohya(stem, named) for stem, named in pairs.items())
    stems = [stem for stem in pairs if KOHYA_STEM.fullmatch(stem)] or list(pairs)
    sources = [pairs[stem].pair for stem in stems]
    has_magnitudes = any(each.magnitudes is not None for each in sources)
    tensors: dict[str, torch.Tensor] = {}
    for number, stem in enumerate(stems):
        named = pairs[stem]
        pair = _mark(named.pair, number) if has_magnitudes else named.pair
        tensors |= {stem + named.down_end: pair.down, stem + named.up_end: pair.up}
    try:
        converted = _convert_tensors(tensors, pipeline_class, layers.components)
    except Exception as error:  # diffusers raises all kinds for odd names
        if may_fail:
            return {}, 2 * len(pairs)
        raise make_load_error(messages.unreadable_as_lora(name), error) from error
    parts, unread = _pair_halves(converted, layers)
    if has_magnitudes:
        parts = {where: _unmark(part, sources, name, where) for where, part in parts.items()}
    return parts, unread + 2 * (len(pairs) - len(stems))


def _name_as_kohya(stem: str, named: NamedPair) -> tuple[str, NamedPair]:
    """Return a layer of FLUX's original code under its name in kohya's scripts.

    diffusers converts the original names only in files that have all layers.
    """
    match = _FLUX_STEM.fullmatch(stem)
    if match is None:
        return stem, named
    ends = (".lora_down.weight", ".lora_up.weight")
    return f"lora_unet_{match[1].replace('.', '_')}", NamedPair(named.pair, *ends)


def _convert_tensors(
    tensors: dict[str, torch.Tensor], class_: Any, components: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """Return the tensors under diffusers' own names."""
    if not hasattr(class_, "lora_state_dict"):
        return tensors
    unet = components.get("unet")
    settings = {} if unet is None else {"unet_config": unet.config}
    converted: Any = class_.lora_state_dict(tensors, **settings)
    return dict(converted[0] if isinstance(converted, tuple) else converted)


def _pair_halves(tensors: Mapping[str, torch.Tensor], layers: PipelineLayers) -> tuple[Parts, int]:
    unread = 0
    halves: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        place = parse_place(key)
        if place is None or tensor.ndim not in (2, 4):
            unread += 1
        else:
            halves.setdefault(layers.split(place.stem), {})[place.half] = tensor
    parts: Parts = {}
    for where, both in halves.items():
        if both.keys() == {"down", "up"} and both["down"].shape[0] == both["up"].shape[1]:
            parts[where] = LowRank(both["down"], both["up"])
        else:
            unread += len(both)
    return parts, unread


# diffusers drops the magnitudes of a DoRA, splits some layers into several, and reorders the
# outputs of others. So each pair travels with one rank more: `down` has its number there, and `up`
# the numbers of its outputs, all from 1 because diffusers pads with zeros.


def _mark(pair: LowRank, number: int) -> LowRank:
    down, up = pair.down, pair.up
    numbers = torch.full_like(down[:1], number + 1)
    outputs = torch.arange(1, len(up) + 1, dtype=up.dtype).view(-1, *[1] * (up.ndim - 1))
    return LowRank(torch.cat([down, numbers]), torch.cat([up, outputs], dim=1))


def _unmark(
    marked: LowRank, sources: Sequence[LowRank], name: str, where: tuple[str, str]
) -> LowRank:
    """Return a converted pair with the magnitudes of the pair that it was."""
    pair = LowRank(marked.down[:-1], marked.up[:, :-1])
    numbers, outputs = marked.down[-1].flatten(), marked.up[:, -1].flatten().long() - 1
    number = int(numbers[0]) - 1 if len(numbers) else -1
    source = sources[number] if number in range(len(sources)) else None
    count = 0 if source is None else len(source.up)
    if (
        source is not None
        and (numbers == numbers[0]).all()
        and (outputs.clamp(0, count - 1) == outputs).all()
    ):
        if source.magnitudes is None:
            return pair
        if source.magnitudes.shape == (count, 1):
            return replace(pair, magnitudes=source.magnitudes[outputs])
        if len(outputs) == count:
            return replace(pair, magnitudes=source.magnitudes)
    raise ModelLoadError(messages.magnitudes_not_assigned(name, ".".join(where)))
