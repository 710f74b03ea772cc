"""LoRAs put into a loaded model and taken out again; nothing is added to the weights themselves.

Imports torch and peft: import it in a function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapter_rows import LoraRow
from paintdiff.models.adapters import LoraUse
from paintdiff.models.families import DENOISERS, Family
from paintdiff.models.files.small_files import tensors_hash
from paintdiff.models.lora_files import TEXT_ENCODERS, LoraFile, LowRank, read_lora

_HASH_DIGITS = 12  # as the A1111 web UI has them
_WORD_PATH = re.compile(r"\.attn2\.to_[kv]$")


@dataclass(frozen=True)
class InjectedLora:
    """One that is in the model: `row` is what it was read from, `key` its name there, `notes` are
    sentences for people.
    """

    row: LoraRow
    key: str
    hash: str
    weights_bytes: int
    notes: tuple[str, ...]


class Loras:
    """The LoRAs in one model's denoiser and text encoders; for one thread at a time.

    `components` are the model's, `pipeline_class` is the diffusers class that converts key names.
    """

    def __init__(
        self, components: Mapping[str, Any], pipeline_class: Any, title: str, family: Family
    ) -> None:
        self._components: dict[str, Any] = {
            name: part
            for name, part in components.items()
            if name in (*DENOISERS, *TEXT_ENCODERS) and isinstance(part, torch.nn.Module)
        }
        self._pipeline_class = pipeline_class
        self._title = title
        self._family = family
        self._injected: dict[str, InjectedLora] = {}
        self._count = 0

    @property
    def injected(self) -> Mapping[str, InjectedLora]:
        """Those in the model, by their names in the catalog."""
        return self._injected

    def missing_from(self, rows: Mapping[str, LoraRow]) -> set[str]:
        """The names of those rows whose weights aren't in the model: files that were replaced on
        disk count as missing.
        """
        return {
            name
            for name, row in rows.items()
            if name not in self._injected or self._injected[name].row.identity != row.identity
        }

    def set(self, uses: Sequence[LoraUse], rows: Mapping[str, LoraRow]) -> None:
        """Have these in the model and no others, with their weights; what is there already stays.

        Raises ModelLoadError for one that doesn't fit, and what reading it raises. Afterwards the
        state is undefined: `clear`.
        """
        wanted = {use.name: use for use in uses}
        if not wanted:
            self.clear()
            return
        missing = self.missing_from(rows)
        for name in [name for name in self._injected if name not in wanted or name in missing]:
            self._eject(name)
        for name in wanted:
            if name in missing:
                self._inject(rows[name])
        self._weigh(list(wanted.values()))

    def clear(self) -> None:
        """Take all out: every layer is again the object it was."""
        self._injected.clear()
        for component in self._components.values():
            for parent in list(component.modules()):
                for name, child in parent.named_children():
                    if isinstance(child, BaseTunerLayer):
                        setattr(parent, name, child.get_base_layer())
            for attribute in ("peft_config", "_hf_peft_config_loaded"):
                vars(component).pop(attribute, None)

    def _inject(self, row: LoraRow) -> None:
        path = Path(row.source)
        file = read_lora(path, row.title, self._pipeline_class, self._components)
        fitting, notes = self._fitting(file, row)
        key = f"lora_number_{self._count}"
        self._count += 1
        for component, parts in fitting.items():
            _put_into(self._components[component], key, parts)
        size = sum(
            half.numel() * self._components[component].dtype.itemsize
            for component, parts in fitting.items()
            for part in parts.values()
            for half in (part.down, part.up)
        )
        digest = tensors_hash(path)[:_HASH_DIGITS]
        self._injected[row.name] = InjectedLora(row, key, digest, size, notes)

    def _eject(self, name: str) -> None:
        key = self._injected.pop(name).key
        for component in self._components.values():
            for layer in _tuned(component):
                layer.set_adapter([each for each in layer.active_adapters if each != key])
                layer.delete_adapter(key)
            vars(component).get("peft_config", {}).pop(key, None)

    def _weigh(self, uses: Sequence[LoraUse]) -> None:
        for name, component in self._components.items():
            weights = {
                self._injected[use.name].key: (
                    use.text_encoder_weight if name in TEXT_ENCODERS else use.weight
                )
                for use in uses
            }
            active = [key for key, weight in weights.items() if weight]
            for layer in _tuned(component):
                layer.set_adapter(active, inference_mode=True)
                for key in active:
                    layer.set_scale(key, weights[key])

    def _fitting(
        self, file: LoraFile, row: LoraRow
    ) -> tuple[dict[str, dict[str, LowRank]], tuple[str, ...]]:
        """The parts by component and path, in the shapes of the model's layers, and what to say."""
        fitting: dict[str, dict[str, LowRank]] = {}
        unknown = 0
        for (name, path), part in file.parts.items():
            found = self._layer(name, path)
            if found is None:
                unknown += 1
                continue
            where, layer = found
            shaped = _shaped(part, layer)
            if shaped is None:
                raise self._misfit(file, row, f"{name}.{path}", part, layer)
            fitting.setdefault(name, {})[where] = shaped
        matched = sum(map(len, fitting.values()))
        if not matched:
            raise self._of_another_family(file, row)
        notes = file.remarks
        total = matched + unknown + (file.unread + 1) // 2
        if matched < total:
            notes += (
                f"Of the LoRA {row.title} {matched} of {total} parts fit {self._title}; the others "
                "have no effect.",
            )
        return fitting, notes

    def _layer(self, component: str, path: str) -> tuple[str, torch.nn.Module] | None:
        """The layer of a path, and its path in this version of its library."""
        model = self._components.get(component)
        if model is None:
            return None
        spellings = [path]
        if component in TEXT_ENCODERS:
            spellings += [path.removeprefix("text_model."), f"text_model.{path}"]
        layers = dict(model.named_modules())
        for spelling in spellings:
            layer = layers.get(spelling)
            if isinstance(layer, BaseTunerLayer):
                layer = layer.get_base_layer()
            if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
                return spelling, layer
        return None

    def _misfit(
        self, file: LoraFile, row: LoraRow, where: str, part: LowRank, layer: torch.nn.Module
    ) -> ModelLoadError:
        widths = {
            each.down.shape[1]
            for (_name, path), each in file.parts.items()
            if _WORD_PATH.search(path)
        }
        ours = self._family.cross_attention_dim
        if (row.family is not None and row.family.name != self._family.name) or (
            len(widths) == 1 and ours not in widths
        ):
            return self._of_another_family(file, row, widths)
        return ModelLoadError(
            f"The LoRA {row.title} doesn't fit {self._title}: its part for {where} is "
            f"{tuple(part.down.shape)} and {tuple(part.up.shape)}, for a weight of "
            f"{_weight_shape(layer)}."
        )

    def _of_another_family(
        self, file: LoraFile, row: LoraRow, widths: frozenset[int] | set[int] = frozenset()
    ) -> ModelLoadError:
        told = f"{self._title} is of the family {self._family.title}"
        if row.family is not None and row.family.name != self._family.name:
            return ModelLoadError(
                f"The LoRA {row.title} is for {row.family.title}, but {told}. "
                "Choose another LoRA, or another model."
            )
        if widths:
            return ModelLoadError(
                f"The LoRA {row.title} is for a model whose words are {min(widths)} numbers wide, "
                f"but {told}, where they are {self._family.cross_attention_dim}."
            )
        return ModelLoadError(
            f"The LoRA {row.title} is for another family of models: none of its {len(file.parts)} "
            f"parts fits; {told}."
        )


def _tuned(component: torch.nn.Module) -> list[Any]:
    return [layer for layer in component.modules() if isinstance(layer, BaseTunerLayer)]


def _weight_shape(layer: torch.nn.Module) -> tuple[int, ...]:
    if isinstance(layer, torch.nn.Linear):  # of quantized weights the tensor's shape is another
        return (layer.out_features, layer.in_features)
    assert isinstance(layer, torch.nn.Conv2d)
    return (layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size)


def _shaped(part: LowRank, layer: torch.nn.Module) -> LowRank | None:
    """The pair in the shapes that a layer takes, None if they are others. A linear layer and a
    convolution of 1x1 are the same thing.
    """
    outputs, inputs, *kernel = _weight_shape(layer)
    rank = part.rank
    if not 1 <= rank <= max(outputs, inputs):
        return None
    down, up = part.down, part.up
    if not kernel or kernel == [1, 1]:
        if down.shape[2:].numel() != 1 or up.shape[2:].numel() != 1:
            return None
        tail = (1,) * len(kernel)
        down, up = (half.reshape(*half.shape[:2], *tail) for half in (down, up))
    elif up.ndim == 2:
        up = up[..., None, None]
    tail = (1,) * len(kernel)
    if down.shape != (rank, inputs, *kernel) or up.shape != (outputs, rank, *tail):
        return None
    return LowRank(down, up)


def _put_into(component: Any, key: str, parts: Mapping[str, LowRank]) -> None:
    """Wrap the layers of these paths. All paths are the component's own."""
    ranks = {f"^{re.escape(path)}": part.rank for path, part in parts.items()}
    config = peft.LoraConfig(
        r=1,
        lora_alpha=1,
        rank_pattern=ranks,
        alpha_pattern=dict(ranks),  # alpha / rank is 1: it is in the numbers already
        target_modules="|".join(map(re.escape, parts)),
    )
    state: dict[str, torch.Tensor] = {}
    for path, part in parts.items():
        state[f"{path}.lora_A.weight"] = part.down
        state[f"{path}.lora_B.weight"] = part.up
    before = vars(component).pop("peft_config", {})  # peft warns of those that are there already
    peft.inject_adapter_in_model(config, component, key, low_cpu_mem_usage=True, state_dict=state)
    peft.set_peft_model_state_dict(component, state, key, low_cpu_mem_usage=True)
    component.peft_config = {**before, **component.peft_config}
