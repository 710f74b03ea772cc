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

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters import messages
from paintdiff.models.adapters.injection import (
    eject,
    find_layer,
    find_weight_shape,
    inject_pair,
    reshape_pair,
    set_strengths,
    unwrap_all,
)
from paintdiff.models.adapters.lora_formats import LoraFile, read_lora
from paintdiff.models.adapters.lora_layers import TEXT_ENCODERS
from paintdiff.models.adapters.low_rank import LowRank
from paintdiff.models.adapters.specs import LoraUse
from paintdiff.models.formats.pickles.tensor_tables import hash_tensors
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.families import DENOISERS, Family

_HASH_DIGITS = 12  # as the A1111 web UI has them
_WORD_PATH = re.compile(r"\.attn2\.to_[kv]$")

OnApplying = Callable[[str], None]
"""Called with a message, several times a second; what it raises ends the work."""


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
        """Return the injected LoRAs by their names in the catalog."""
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

        LoRAs that are in it already stay. After an error the state is undefined: call `clear`.

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
            unwrap_all(component)

    def _inject(self, row: LoraRow, on_applying: OnApplying) -> None:
        path = Path(row.source)
        message = messages.applying(row.title)
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
                size_bytes += self._inject_part(row, component, where, key, part)
        on_applying(message)
        digest = hash_tensors(path)[:_HASH_DIGITS]
        self._injected[row.name] = InjectedLora(row, key, digest, size_bytes, notes)

    def _inject_part(
        self, row: LoraRow, component: str, where: str, key: str, part: LowRank
    ) -> int:
        try:
            return inject_pair(self._components[component], where, key, part)
        except ArithmeticError as error:
            raise ModelLoadError(
                messages.dora_not_applied(row.title, self._title, component, where, error)
            ) from error

    def _eject(self, name: str) -> None:
        key = self._injected.pop(name).key
        for component in self._components.values():
            eject(component, key)

    def _set_weights(self, uses: Sequence[LoraUse]) -> None:
        for name, component in self._components.items():
            is_text = name in TEXT_ENCODERS
            set_strengths(
                component,
                {
                    self._injected[use.name].key: (
                        use.text_encoder_weight if is_text else use.weight
                    )
                    for use in uses
                },
            )

    def _fit(
        self, file: LoraFile, row: LoraRow
    ) -> tuple[dict[str, dict[str, LowRank]], tuple[str, ...]]:
        """Return the parts by component and path, in the shapes of the layers, and the notes."""
        layers = {name: dict(part.named_modules()) for name, part in self._components.items()}
        fitting: dict[str, dict[str, LowRank]] = {}
        unknown = 0
        for (name, path), part in file.parts.items():
            found = find_layer(layers.get(name, {}), _spell(name, path))
            if found is None:
                unknown += 1
                continue
            where, layer = found
            shaped = reshape_pair(part, layer)
            if shaped is None:
                raise self._make_shape_error(file, row, f"{name}.{path}", part, layer)
            fitting.setdefault(name, {})[where] = shaped
        matched = sum(map(len, fitting.values()))
        if not matched:
            raise self._make_family_error(file, row)
        notes = file.remarks
        total = matched + unknown + (file.unread + 1) // 2
        if matched < total:
            notes += (messages.parts_without_effect(matched, total, row.title, self._title),)
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
            messages.lora_does_not_fit(
                row.title,
                self._title,
                where,
                tuple(part.down.shape),
                tuple(part.up.shape),
                find_weight_shape(layer),
            )
        )

    def _make_family_error(
        self, file: LoraFile, row: LoraRow, widths: frozenset[int] | set[int] = frozenset()
    ) -> ModelLoadError:
        ours = (self._title, self._family.title)
        if row.family is not None and row.family.name != self._family.name:
            return ModelLoadError(messages.for_other_family(row.title, row.family.title, *ours))
        if widths:
            return ModelLoadError(
                messages.for_other_width(
                    row.title, min(widths), *ours, self._family.cross_attention_dim
                )
            )
        return ModelLoadError(messages.no_part_fits(row.title, len(file.parts), *ours))


def _spell(component: str, path: str) -> Iterator[str]:
    """Yield a layer's path as different versions of its library spell it."""
    yield path
    if component in TEXT_ENCODERS:
        yield path.removeprefix("text_model.")
        yield f"text_model.{path}"
