"""LoRAs that are injected into a loaded model and ejected again, beside its weights.

Imports torch and peft: import it in a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft.tuners import lora
from peft.tuners.tuners_utils import BaseTunerLayer

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters.lora_formats import TEXT_ENCODERS, LoraFile, LowRank, read_lora
from paintdiff.models.adapters.specs import LoraUse
from paintdiff.models.formats.tensor_tables import hash_tensors
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.families import DENOISERS, Family

_HASH_DIGITS = 12  # as the A1111 web UI has them
_WORD_PATH = re.compile(r"\.attn2\.to_[kv]$")

OnApplying = Callable[[str], None]
"""Called with a message, several times a second; what it raises ends the work."""

# The same for all layers of all LoRAs: no dropout, no bias, no initial values.
_PLAIN = lora.LoraConfig(init_lora_weights=False, inference_mode=True)


@dataclass(frozen=True)
class InjectedLora:
    """A LoRA in the model: `row` is its row, `key` its name there, `notes` are for people."""

    row: LoraRow
    key: str
    hash: str
    weights_bytes: int
    notes: tuple[str, ...]


class Loras:
    """The LoRAs in one model's denoiser and text encoders. Use it from one thread at a time.

    `components` are the model's. `pipeline_class` is the class in diffusers that converts the names
    of tensors.
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
        """Return those in the model, by their names in the catalog."""
        return self._injected

    def find_missing(self, rows: Mapping[str, LoraRow]) -> set[str]:
        """Return the names of the rows that aren't in the model.

        A file that was replaced on disk counts as missing.
        """
        return {
            name
            for name, row in rows.items()
            if name not in self._injected or self._injected[name].row.identity != row.identity
        }

    def set(
        self,
        uses: Sequence[LoraUse],
        rows: Mapping[str, LoraRow],
        on_applying: OnApplying = lambda _message: None,
    ) -> None:
        """Give the model these LoRAs and no others, with their weights.

        LoRAs that it has already stay. After an error the state is undefined: call `clear`.

        Raises:
            ModelLoadError: One doesn't fit the model; or whatever reading it or `on_applying`
                raises.
        """
        wanted = {use.name: use for use in uses}
        if not wanted:
            self.clear()
            return
        missing = self.find_missing(rows)
        for name in [name for name in self._injected if name not in wanted or name in missing]:
            self._eject(name)
        for name in wanted:
            if name in missing:
                self._inject(rows[name], on_applying)
        self._set_weights(list(wanted.values()))

    def clear(self) -> None:
        """Remove all LoRAs: every layer is the original object again."""
        self._injected.clear()
        for component in self._components.values():
            for parent in list(component.modules()):
                for name, child in parent.named_children():
                    if isinstance(child, BaseTunerLayer):
                        setattr(parent, name, child.get_base_layer())

    def _inject(self, row: LoraRow, on_applying: OnApplying) -> None:
        path = Path(row.source)
        message = f"Applying the LoRA {row.title}"
        on_applying(message)
        file = read_lora(path, row.title, self._pipeline_class, self._components)
        on_applying(message)
        fitting, notes = self._fit(file, row)
        key = f"lora_number_{self._count}"
        self._count += 1
        size_bytes = 0
        for component, parts in fitting.items():
            for where, part in parts.items():
                on_applying(message)
                size_bytes += _inject_part(self._components[component], where, key, part)
        on_applying(message)
        digest = hash_tensors(path)[:_HASH_DIGITS]
        self._injected[row.name] = InjectedLora(row, key, digest, size_bytes, notes)

    def _eject(self, name: str) -> None:
        key = self._injected.pop(name).key
        for component in self._components.values():
            for layer in _find_tuned_layers(component):
                layer.set_adapter([each for each in layer.active_adapters if each != key])
                layer.delete_adapter(key)

    def _set_weights(self, uses: Sequence[LoraUse]) -> None:
        for name, component in self._components.items():
            weights = {
                self._injected[use.name].key: (
                    use.text_encoder_weight if name in TEXT_ENCODERS else use.weight
                )
                for use in uses
            }
            active = [key for key, weight in weights.items() if weight]
            for layer in _find_tuned_layers(component):
                layer.set_adapter(active, inference_mode=True)
                for key in active:
                    layer.set_scale(key, weights[key])

    def _fit(
        self, file: LoraFile, row: LoraRow
    ) -> tuple[dict[str, dict[str, LowRank]], tuple[str, ...]]:
        """Return the parts by component and path, in the shapes of the layers, and the notes."""
        layers = {name: dict(part.named_modules()) for name, part in self._components.items()}
        fitting: dict[str, dict[str, LowRank]] = {}
        unknown = 0
        for (name, path), part in file.parts.items():
            found = _find_layer(layers.get(name, {}), _spell(name, path))
            if found is None:
                unknown += 1
                continue
            where, layer = found
            shaped = _reshape(part, layer)
            if shaped is None:
                raise self._make_shape_error(file, row, f"{name}.{path}", part, layer)
            fitting.setdefault(name, {})[where] = shaped
        matched = sum(map(len, fitting.values()))
        if not matched:
            raise self._make_family_error(file, row)
        notes = file.remarks
        total = matched + unknown + (file.unread + 1) // 2
        if matched < total:
            notes += (
                f"Only {matched} of {total} parts of the LoRA {row.title} fit {self._title}; "
                "the others have no effect.",
            )
        return fitting, notes

    def _make_shape_error(
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
            return self._make_family_error(file, row, widths)
        return ModelLoadError(
            f"The LoRA {row.title} doesn't fit {self._title}: at {where} it has "
            f"{tuple(part.down.shape)} and {tuple(part.up.shape)} for a weight of "
            f"{_find_weight_shape(layer)}."
        )

    def _make_family_error(
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
                f"The LoRA {row.title} is for text embeddings of width {min(widths)}, but {told}"
                f", which uses {self._family.cross_attention_dim}."
            )
        return ModelLoadError(
            f"The LoRA {row.title} is for another family of models: none of its {len(file.parts)} "
            f"parts fits; {told}."
        )


def _find_tuned_layers(component: torch.nn.Module) -> list[Any]:
    return [layer for layer in component.modules() if isinstance(layer, BaseTunerLayer)]


def _spell(component: str, path: str) -> Iterator[str]:
    """Yield a layer's path as different versions of its library spell it."""
    yield path
    if component in TEXT_ENCODERS:
        yield path.removeprefix("text_model.")
        yield f"text_model.{path}"


def _find_layer(
    layers: Mapping[str, torch.nn.Module], spellings: Iterator[str]
) -> tuple[str, torch.nn.Module] | None:
    """Return the first layer of `layers` (by path) that a LoRA can wrap, and its path."""
    for spelling in spellings:
        layer = layers.get(spelling)
        if isinstance(layer, BaseTunerLayer):
            layer = layer.get_base_layer()
        if isinstance(layer, torch.nn.Linear):
            return spelling, layer
        if isinstance(layer, torch.nn.Conv2d) and layer.groups == 1:
            return spelling, layer
    return None


def _find_weight_shape(layer: torch.nn.Module) -> tuple[int, ...]:
    if isinstance(layer, torch.nn.Linear):  # quantized weights have other shapes
        return (layer.out_features, layer.in_features)
    assert isinstance(layer, torch.nn.Conv2d)
    return (layer.out_channels, layer.in_channels, *layer.kernel_size)


def _reshape(part: LowRank, layer: torch.nn.Module) -> LowRank | None:
    """Return the pair in the shapes that a layer takes, None if they don't fit.

    A linear layer and a convolution of 1x1 are equivalent.
    """
    outputs, inputs, *kernel = _find_weight_shape(layer)
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


def _inject_part(component: torch.nn.Module, path: str, key: str, part: LowRank) -> int:
    """Add a pair, which has to fit, to a component's layer; return how many bytes it takes.

    Layers are wrapped one by one: `peft.inject_adapter_in_model` takes ranks as patterns, and
    compares each of them with the path of each layer, which takes minutes.
    """
    layer: Any = component.get_submodule(path)
    # With an alpha equal to the rank the scale is 1: it is multiplied into the numbers already.
    settings: dict[str, Any] = {"r": part.rank, "lora_alpha": part.rank, "config": _PLAIN}
    with torch.device("meta"):  # so no random values are drawn, which are replaced anyway
        if isinstance(layer, BaseTunerLayer):
            wrapper: Any = layer
            wrapper.update_layer(key, **settings)
        else:
            kind = lora.Linear if isinstance(layer, torch.nn.Linear) else lora.Conv2d
            wrapper = kind(layer, key, **settings).train(layer.training)
    weight: torch.Tensor = wrapper.get_base_layer().weight
    dtype = weight.dtype if weight.is_floating_point() else part.down.dtype  # GGUF has bytes
    size_bytes = 0
    for halves, half in ((wrapper.lora_A, part.down), (wrapper.lora_B, part.up)):
        numbers = half.to(weight.device, dtype).contiguous()
        halves[key].weight = torch.nn.Parameter(numbers, requires_grad=False)
        size_bytes += numbers.nbytes
    if wrapper is not layer:
        parent, _, name = path.rpartition(".")
        setattr(component.get_submodule(parent), name, wrapper)
    return size_bytes
