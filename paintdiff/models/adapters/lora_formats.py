"""Reads LoRA files of all programs (diffusers, kohya, PEFT ...) as one table of low-rank pairs.

Hu et al. 2021, "LoRA: low-rank adaptation of large language models" (arXiv:2106.09685). Imports
torch: import it in a function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters.lora_names import (
    find_other_kinds,
    is_dora,
    parse_place,
    strip_prefixes,
)
from paintdiff.models.adapters.lora_scales import NotedScales, check_alpha, make_dora_error
from paintdiff.models.formats.tensor_tables import read_metadata, read_tensor_table
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.registry.families import DENOISERS

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")

_KOHYA = re.compile(r"lora_(unet|te\d?)_(\w+)")
_KOHYA_COMPONENTS = {
    "te": "text_encoder",
    "te1": "text_encoder",
    "te2": "text_encoder_2",
    "te3": "text_encoder_3",
}


@dataclass(frozen=True)
class LowRank:
    """The two matrices whose product `up @ down` is added to a weight; float32, on the CPU.

    `down` is (rank, inputs) or (rank, inputs, height, width), `up` (outputs, rank) or (outputs,
    rank, 1, 1).
    """

    down: torch.Tensor
    up: torch.Tensor

    @property
    def rank(self) -> int:
        """Return the rank of the product."""
        return self.down.shape[0]

    def scale(self, factor: float) -> LowRank:
        """Return a pair whose product is `factor` times this one's."""
        return self if factor == 1 else LowRank(self.down, self.up * factor)


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
    layers = _Layers(components)
    parts: dict[tuple[str, str], LowRank] = {}
    others: dict[str, LowRank] = {}
    for stem, pair in file.pairs.items():
        where = layers.find(stem)
        if where is None:
            others[stem] = pair
        else:
            parts[where] = pair
    converted, unread = _convert_names(others, file, layers, pipeline_class, bool(parts))
    parts = converted | parts
    if not file.has_alphas:
        factors = {where: noted.compute_factor(*where, part.rank) for where, part in parts.items()}
        parts = {where: part.scale(factors[where]) for where, part in parts.items()}
        file.remark_no_effect(list(factors.values()).count(0))
    return LoraFile(parts, file.unread + unread, (*file.remarks, *noted.remarks))


class _Pairs:
    """The pairs of matrices in a LoRA's file by the names of their layers, as the file spells them.

    Alphas in the file are multiplied in. `unread` counts the tensors that belong to no pair. The
    constructor raises ModelLoadError if there is no pair, or for a DoRA.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], name: str) -> None:
        self.name = name
        self._tensors = {
            plain: tensors[key] for key, plain in strip_prefixes(tensors, name).items()
        }
        self.remarks: list[str] = []
        self.has_alphas = False
        if any(map(is_dora, self._tensors)):
            raise make_dora_error(name)
        self._used = 0
        self._without_alpha = self._without_rank = 0
        self._ends: dict[str, tuple[str, str]] = {}
        self.pairs: dict[str, LowRank] = {}
        for stem, (down, up) in self._find_halves().items():
            self._add(stem, down, up)
        self.unread = len(self._tensors) - self._used
        self._remark_left_out()
        self.remark_no_effect(self._without_rank, "a rank of 0")
        self.remark_no_effect(self._without_alpha)

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
        pair = LowRank(down, up)
        alpha = self._tensors.get(f"{stem}.alpha")
        if alpha is not None:
            self.has_alphas = True
            self._used += 1
            pair = self._apply_alpha(pair, alpha, stem)
        if pair.rank:
            self.pairs[stem] = pair
            self._ends[stem] = (down_key.removeprefix(stem), up_key.removeprefix(stem))
        else:
            self._without_rank += 1

    def _apply_alpha(self, pair: LowRank, alpha: torch.Tensor, stem: str) -> LowRank:
        if alpha.numel() != 1:
            raise ModelLoadError(
                f"The alpha of {stem} in {self.name} has the shape {tuple(alpha.shape)}; it should "
                "be one number."
            )
        number = check_alpha(float(alpha), stem, self.name)
        self._without_alpha += number == 0
        return pair.scale(number / pair.rank) if pair.rank else pair

    def remark_no_effect(self, count: int, what: str = "an alpha of 0") -> None:
        """Remark that `count` parts have no effect, unless it is 0."""
        if count:
            parts = "1 part" if count == 1 else f"{count:,} parts"
            self.remarks.append(f"{parts} of {self.name} with {what} had no effect.")

    def _remark_left_out(self) -> None:
        kinds = find_other_kinds(self._tensors)
        if not self.pairs:
            if kinds:
                raise ModelLoadError(
                    f"{self.name} is of an unsupported kind: {', '.join(kinds)}. Get it as a "
                    "LoRA, or merge it into a checkpoint."
                )
            why = "it contains no LoRA matrices"
            if self._without_rank:
                why = "all its pairs of matrices have a rank of 0"
            raise ModelLoadError(f"{self.name} isn't a LoRA: {why}.")
        for kind in kinds:
            self.remarks.append(f"Parts of {self.name} ({kind}) aren't supported and were ignored.")

    def name_tensors(self, stem: str) -> dict[str, torch.Tensor]:
        """Return a pair under its names in the file, without the adapter's name."""
        down_end, up_end = self._ends[stem]
        if not down_end.startswith(".lora"):  # the ending was part of the layer's name
            down_end, up_end = ".lora_A.weight", ".lora_B.weight"
        return {stem + down_end: self.pairs[stem].down, stem + up_end: self.pairs[stem].up}


class _Layers:
    """Finds the layers of a pipeline's networks by the names in LoRA files."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._paths = {
            name: {path for path, _layer in part.named_modules()}
            for name, part in components.items()
            if name in (*DENOISERS, *TEXT_ENCODERS) and isinstance(part, torch.nn.Module)
        }
        self.components = components
        self.denoiser = "unet" if "unet" in components else "transformer"

    @cached_property
    def _underscored(self) -> Mapping[tuple[str, str], str]:
        """Return paths by component and by their names in kohya's scripts."""
        return {
            (name, path.replace(".", "_")): path
            for name, paths in self._paths.items()
            for path in paths
        }

    def find(self, stem: str) -> tuple[str, str] | None:
        """Return the component and the path of a layer, None if the stem names none."""
        if (kohya := _KOHYA.fullmatch(stem)) is not None:
            component = _KOHYA_COMPONENTS.get(kohya[1], self.denoiser)
            spelled = ((component, each) for each in _spell(component, kohya[2], "_"))
            found = next((each for each in spelled if each in self._underscored), None)
            return found and (component, self._underscored[found])
        component, path = self.split(stem)
        components = (component, *TEXT_ENCODERS) if path == stem else (component,)
        for name in components:
            for spelling in _spell(name, path, "."):
                if spelling in self._paths.get(name, ()):
                    return name, spelling
        return None

    def split(self, stem: str) -> tuple[str, str]:
        """Return the component that a stem names (by default the denoiser), and the rest."""
        component, dot, rest = stem.partition(".")
        if dot and component in (*DENOISERS, *TEXT_ENCODERS):
            return component, rest
        return self.denoiser, stem.removeprefix("diffusion_model.")


def _spell(component: str, path: str, dot: str) -> tuple[str, ...]:
    """Return a path as different versions of transformers spell it."""
    if component not in TEXT_ENCODERS:
        return (path,)
    start = f"text_model{dot}"
    return (path, path.removeprefix(start), start + path)


def _convert_names(
    others: Mapping[str, LowRank], file: _Pairs, layers: _Layers, class_: Any, any_found: bool
) -> tuple[dict[tuple[str, str], LowRank], int]:
    """Return the pairs whose names diffusers has to convert, and how many tensors are left over.

    Only kohya's names are passed on, if there are any: a single other name would make diffusers
    fail, or not recognise them as kohya's.

    Raises:
        ModelLoadError: They can't be converted, and no other pairs were found.
    """
    if not others:
        return {}, 0
    stems = [stem for stem in others if _KOHYA.fullmatch(stem)] or list(others)
    tensors = {key: half for stem in stems for key, half in file.name_tensors(stem).items()}
    unread = 2 * (len(others) - len(stems))
    try:
        converted = _convert_tensors(tensors, class_, layers.components)
    except Exception as error:  # diffusers raises all kinds for odd names
        if any_found:
            return {}, 2 * len(others)
        raise make_load_error(f"{file.name} can't be read as a LoRA", error) from error
    halves: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    for key, tensor in converted.items():
        place = parse_place(key)
        if place is None or tensor.ndim not in (2, 4):
            unread += 1
        else:
            halves.setdefault(layers.split(place.stem), {})[place.half] = tensor
    parts: dict[tuple[str, str], LowRank] = {}
    for where, both in halves.items():
        if both.keys() == {"down", "up"} and both["down"].shape[0] == both["up"].shape[1]:
            parts[where] = LowRank(both["down"], both["up"])
        else:
            unread += len(both)
    return parts, unread


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
