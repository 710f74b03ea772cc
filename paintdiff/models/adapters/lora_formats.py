"""Reads LoRA files of all programs (diffusers, kohya, PEFT ...) as one table of low-rank pairs.

Hu et al. 2021, "LoRA: low-rank adaptation of large language models" (arXiv:2106.09685). Imports
torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters import messages
from paintdiff.models.adapters.lora_conversion import NamedPair, Parts, convert_names
from paintdiff.models.adapters.lora_layers import PipelineLayers
from paintdiff.models.adapters.lora_names import (
    find_other_kinds,
    parse_magnitudes,
    parse_place,
    strip_prefixes,
)
from paintdiff.models.adapters.lora_scales import NotedScales, check_alpha
from paintdiff.models.adapters.low_rank import LowRank, orient_magnitudes
from paintdiff.models.formats.pickles.tensor_tables import read_metadata, read_tensor_table


@dataclass(frozen=True)
class LoraFile:
    """The content of a LoRA's file.

    `parts` are keyed by component ("unet", "text_encoder" ...) and the layer's path in it. `unread`
    counts the tensors that belong to no part. `remarks` are sentences about what was left out.
    """

    parts: Mapping[tuple[str, str], LowRank]
    unread: int
    remarks: tuple[str, ...]


def read_lora(
    path: Path, name: str, pipeline_class: Any, components: Mapping[str, Any]
) -> LoraFile:
    """Read a LoRA's file for a pipeline.

    Each part's alpha is multiplied in. It is a tensor of its own, or else in the file's metadata,
    or else in the `adapter_config.json` beside the file.

    Args:
        path: The file.
        name: Its name in messages.
        pipeline_class: The pipeline's class in diffusers, which converts names that aren't those
            of the pipeline's layers.
        components: The pipeline's.

    Raises:
        ModelLoadError: It isn't a LoRA, is of an unsupported kind, or has an alpha that isn't a
            finite number; or whatever `read_tensor_table` raises.
    """
    content = read_tensor_table(path)
    tensors = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    noted = NotedScales(path, name, read_metadata(path))
    file = _Pairs(tensors, name)
    layers = PipelineLayers(components)
    parts: Parts = {}
    others: dict[str, NamedPair] = {}
    for stem, named in file.pairs.items():
        where = layers.find(stem)
        if where is None:
            others[stem] = named
        else:
            parts[where] = named.pair
    converted, unread = convert_names(others, name, layers, pipeline_class, may_fail=bool(parts))
    parts = converted | parts
    noted.check_magnitudes({where: part.magnitudes is not None for where, part in parts.items()})
    if not file.has_alphas:
        factors = {where: noted.compute_factor(*where, part.rank) for where, part in parts.items()}
        parts = {where: part.scale(factors[where]) for where, part in parts.items()}
        file.remark_no_effect(
            sum(not factors[where] and part.magnitudes is None for where, part in parts.items())
        )
    return LoraFile(parts, file.unread + unread, (*file.remarks, *noted.remarks))


class _Pairs:
    """The pairs of matrices in a LoRA's file by the names of their layers, as the file spells them.

    Alphas in the file are multiplied in. `unread` counts the tensors that belong to no pair. The
    constructor raises ModelLoadError if there is no pair, or for alphas and magnitudes that can't
    be used.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], name: str) -> None:
        self.name = name
        self._tensors = {
            plain: tensors[key] for key, plain in strip_prefixes(tensors, name).items()
        }
        self.remarks: list[str] = []
        self.has_alphas = False
        self._used = 0
        self._without_alpha = self._without_rank = 0
        self._magnitudes = self._find_magnitudes()
        self.pairs: dict[str, NamedPair] = {}
        for stem, (down, up) in self._find_halves().items():
            self._add(stem, down, up)
        self.unread = len(self._tensors) - self._used
        self._remark_left_out()
        self.remark_no_effect(self._without_rank, messages.RANK_OF_ZERO)
        self.remark_no_effect(self._without_alpha)

    def _find_magnitudes(self) -> dict[str, str]:
        """Return the names of a DoRA's magnitudes, by the stems of their layers."""
        found = {stem: key for key in self._tensors if (stem := parse_magnitudes(key)) is not None}
        if any(f"{stem}.wd_for_diff" in self._tensors for stem in found):
            raise ModelLoadError(messages.dora_of_the_change(self.name))
        return found

    def _find_halves(self) -> dict[str, tuple[str, str]]:
        """Return the names of both halves, by their common stem."""
        found: dict[str, dict[str, str]] = {}
        for key, tensor in self._tensors.items():
            place = parse_place(key)
            if place is not None and tensor.is_floating_point() and tensor.ndim in (2, 4):
                found.setdefault(place.stem, {})[place.half] = key
        return {
            stem: (both["down"], both["up"])
            for stem, both in found.items()
            if both.keys() == {"down", "up"}
            and self._tensors[both["down"]].shape[0] == self._tensors[both["up"]].shape[1]
        }

    def _add(self, stem: str, down_key: str, up_key: str) -> None:
        down, up = self._tensors[down_key].float(), self._tensors[up_key].float()
        middle = self._tensors.get(f"{stem}.lora_mid.weight")
        if middle is not None:  # Tucker decomposition: merge the two convolutions before `up`
            if middle.ndim != 4 or middle.shape[1] != down.shape[0] or down.shape[2:].numel() != 1:
                return
            down = torch.einsum("rshw,si->rihw", middle.float(), down.flatten(1))
            self._used += 1
        self._used += 2
        pair = LowRank(down, up, self._read_magnitudes(stem, len(up), down.shape[1]))
        alpha = self._tensors.get(f"{stem}.alpha")
        if alpha is not None:
            self.has_alphas = True
            self._used += 1
            pair = self._apply_alpha(pair, alpha, stem)
        if pair.rank:
            ends = (down_key.removeprefix(stem), up_key.removeprefix(stem))
            if not ends[0].startswith(".lora"):  # the ending was part of the layer's name
                ends = (".lora_A.weight", ".lora_B.weight")
            self.pairs[stem] = NamedPair(pair, *ends)
        else:
            self._without_rank += 1

    def _read_magnitudes(self, stem: str, outputs: int, inputs: int) -> torch.Tensor | None:
        key = self._magnitudes.get(stem)
        if key is None:
            return None
        self._used += 1
        tensor = self._tensors[key]
        of_inputs = key.endswith(".dora_scale")
        magnitudes = orient_magnitudes(tensor, outputs, inputs, may_be_of_inputs=of_inputs)
        if not tensor.is_floating_point():
            problem = messages.not_floating_point(tensor.dtype)
        elif magnitudes is None:
            fitting = dict.fromkeys((outputs, inputs) if of_inputs else (outputs,))
            problem = messages.other_shape(tuple(tensor.shape), " or ".join(map(str, fitting)))
        elif not magnitudes.float().isfinite().all():
            problem = messages.NOT_FINITE
        elif not magnitudes.float().any():
            problem = messages.ALL_ZERO
        else:
            return magnitudes.float()
        raise ModelLoadError(messages.wrong_magnitudes(self.name, stem, problem))

    def _apply_alpha(self, pair: LowRank, alpha: torch.Tensor, stem: str) -> LowRank:
        if alpha.numel() != 1:
            raise ModelLoadError(messages.alpha_not_a_number(stem, self.name, tuple(alpha.shape)))
        number = check_alpha(float(alpha), stem, self.name)
        self._without_alpha += number == 0 and pair.magnitudes is None
        return pair.scale(number / pair.rank) if pair.rank else pair

    def remark_no_effect(self, count: int, what: str = messages.ALPHA_OF_ZERO) -> None:
        """Remark that `count` parts have no effect, unless it is 0."""
        if count:
            self.remarks.append(messages.had_no_effect(count, self.name, what))

    def _remark_left_out(self) -> None:
        kinds = find_other_kinds(self._tensors)
        if not self.pairs:
            if kinds:
                raise ModelLoadError(messages.unsupported_kind(self.name, ", ".join(kinds)))
            why = messages.NO_MATRICES
            if self._without_rank:
                why = messages.ALL_RANKS_ZERO
            raise ModelLoadError(messages.not_a_lora(self.name, why))
        for kind in kinds:
            self.remarks.append(messages.parts_ignored(self.name, kind))
