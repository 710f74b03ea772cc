"""IP-Adapters: images as prompts. Ye et al. 2023, arXiv:2308.06721.

Imports torch, diffusers and transformers: import it in a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.models.adapters import messages
from paintdiff.models.adapters.specs import IpAdapterUse
from paintdiff.models.formats.pickles.tensor_tables import read_tensor_table
from paintdiff.models.formats.weight_files import check_weights_in
from paintdiff.models.hub.file_selection import find_part_variant
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.loading.part_checks import check_part
from paintdiff.models.memory.devices import DTYPES, choose_dtype
from paintdiff.models.registry.adapter_rows import IpAdapterRow

_GROUPS = ("image_proj", "ip_adapter")


@dataclass(frozen=True)
class LoadedIpAdapter:
    """An IP-Adapter in memory, with the network that encodes its images.

    `tensors` are in the two groups "image_proj" and "ip_adapter".
    """

    row: IpAdapterRow
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    image_encoder: Any
    feature_extractor: Any
    weights_bytes: int


def load_ip_adapter(
    row: IpAdapterRow, device: str, dtype: str | None, _report: Callable[[str], None]
) -> LoadedIpAdapter:
    """Load an IP-Adapter and its image encoder.

    Args:
        row: The adapter's row.
        device: Where it is loaded to.
        dtype: A key of `DTYPES`; None is the device's usual precision.

    Raises:
        ModelNotFoundError: A file is missing, or there is no image encoder.
        UnsafeWeightsError: A file isn't in a format that is safe to read.
        ModelLoadError: It isn't an IP-Adapter, or the image encoder doesn't fit it.
    """
    precision = DTYPES[dtype] if dtype else choose_dtype(device)
    tensors = {
        group: {key: value.to(device, precision) for key, value in part.items()}
        for group, part in _group_tensors(read_tensor_table(Path(row.source)), row.title).items()
    }
    folder = row.image_encoder
    if folder is None:
        raise ModelNotFoundError(messages.no_image_encoder(row.title))
    check_weights_in(folder)
    check_part(folder)
    class_: Any = transformers.CLIPVisionModelWithProjection
    try:
        encoder = class_.from_pretrained(
            str(folder),
            dtype=precision,
            local_files_only=True,
            use_safetensors=True,
            variant=find_part_variant(folder),
        ).to(device)
    except Exception as error:
        raise make_load_error(messages.encoder_not_loaded(row.title), error) from error
    encoder.requires_grad_(False).eval()
    side = encoder.config.image_size
    extractor = transformers.CLIPImageProcessor(size=side, crop_size=side)
    _check_width(row, tensors["image_proj"], encoder.config)
    numbers = [each for part in tensors.values() for each in part.values()]
    total = sum(each.numel() * each.element_size() for each in (*numbers, *encoder.parameters()))
    return LoadedIpAdapter(row, tensors, encoder, extractor, total)


def _group_tensors(content: Mapping[str, Any], title: str) -> dict[str, dict[str, torch.Tensor]]:
    groups: dict[str, dict[str, torch.Tensor]] = {group: {} for group in _GROUPS}
    for key, value in content.items():
        group, _dot, rest = key.partition(".")
        if isinstance(value, torch.Tensor) and group in groups and rest:
            groups[group][rest] = value
        elif isinstance(value, dict) and key in groups:
            tensors = {name: t for name, t in value.items() if isinstance(t, torch.Tensor)}
            groups[key].update(tensors)
    if not all(groups.values()):
        raise ModelLoadError(messages.not_an_ip_adapter(title, " or ".join(_GROUPS)))
    if _is_face_id(groups["image_proj"]):
        raise ModelLoadError(messages.face_id(title))
    return groups


def _is_face_id(image_proj: Mapping[str, torch.Tensor]) -> bool:
    """Return whether it is a FaceID, by the names that diffusers checks."""
    if "perceiver_resampler.proj_in.weight" in image_proj:
        return True
    return "norm.weight" in image_proj and not {"proj.weight", "proj.3.weight"} & image_proj.keys()


def _check_width(row: IpAdapterRow, tensors: Mapping[str, torch.Tensor], config: Any) -> None:
    """Check that the image encoder is the one the adapter was made for.

    Raises:
        ModelLoadError: It is another one.
    """
    if "proj.weight" in tensors:
        theirs, ours = tensors["proj.weight"].shape[-1], config.projection_dim
    elif "proj.0.weight" in tensors:
        theirs, ours = tensors["proj.0.weight"].shape[-1], config.hidden_size
    elif "proj_in.weight" in tensors:
        theirs, ours = tensors["proj_in.weight"].shape[-1], config.hidden_size
    else:
        raise ModelLoadError(messages.unknown_ip_adapter(row.title))
    if theirs != ours:
        raise ModelLoadError(
            messages.encoder_does_not_fit(row.title, theirs, row.image_encoder, ours)
        )


class IpAdapters:
    """The IP-Adapters in one model's UNet. Use it from one thread at a time."""

    def __init__(self, components: Mapping[str, Any], title: str) -> None:
        self._unet: Any = components.get("unet")
        self._title = title
        self._before: dict[str, Any] | None = None
        self._identities: tuple[tuple[str, ...], ...] = ()

    def set(self, uses: Sequence[IpAdapterUse], loaded: Mapping[str, LoadedIpAdapter]) -> None:
        """Give the UNet these adapters and no others, one for each image of a run.

        After an error the state is undefined: call `clear`.

        Raises:
            ModelLoadError: One doesn't fit the model.
        """
        wanted = [loaded[use.name] for use in uses]
        identities = tuple(each.row.identity for each in wanted)
        if identities != self._identities:
            self.clear()
            if wanted:
                self._load(wanted)
                self._identities = identities
        if wanted:
            for processor in self._unet.attn_processors.values():
                if hasattr(processor, "to_k_ip"):
                    processor.scale = [use.scale for use in uses]

    def clear(self) -> None:
        """Remove all adapters: the UNet has its own attention processors again."""
        if self._before is not None:
            self._unet.set_attn_processor(dict(self._before))
            self._unet.encoder_hid_proj = None
            self._unet.config.encoder_hid_dim_type = None
        self._before, self._identities = None, ()

    def _load(self, adapters: Sequence[LoadedIpAdapter]) -> None:
        unet = self._unet
        if unet is None or unet.encoder_hid_proj is not None:
            raise ModelLoadError(messages.no_image_prompts(self._title))
        if len({each.row.image_encoder for each in adapters}) > 1:
            raise ModelLoadError(
                messages.different_encoders(" and ".join(each.row.title for each in adapters))
            )
        width = unet.config.cross_attention_dim
        for each in adapters:
            widths = {
                tensor.shape[-1]
                for name, tensor in each.tensors["ip_adapter"].items()
                if name.endswith("to_k_ip.weight")
            }
            if widths != {width}:
                raise ModelLoadError(
                    messages.ip_adapter_does_not_fit(
                        each.row.title,
                        self._title,
                        "/".join(map(str, sorted(widths))) or "no",
                        width,
                        each.row.families,
                    )
                )
        self._before = dict(unet.attn_processors)
        try:
            unet._load_ip_adapter_weights([dict(each.tensors) for each in adapters])
        except Exception as error:
            names = ", ".join(each.row.title for each in adapters)
            raise make_load_error(messages.does_not_fit(names, self._title), error) from error
        for module in (unet.encoder_hid_proj, *unet.attn_processors.values()):
            if isinstance(module, torch.nn.Module):
                module.requires_grad_(False).eval()
