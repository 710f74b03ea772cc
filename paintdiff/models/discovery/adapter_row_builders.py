"""Rows of what is put on top of a model, made of files and folders that were found. Importable
without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paintdiff.models.discovery.detection_cache import Known
from paintdiff.models.discovery.scanning import FoundFile, FoundFolder
from paintdiff.models.discovery.sidecars import SidecarMetadata
from paintdiff.models.formats.tensor_inventory import DetectedWeights
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.base_rows import GENERAL_STEMS, display_name
from paintdiff.models.registry.families import Family

# What a VAE is for can't be told from its shapes, but well-known ones have telling names: the first
# of these that a name has counts.
_TELLING_NAMES: Mapping[str, tuple[str, ...]] = {
    "taesdxl": ("sdxl", "sdxl-refiner", "pixart"),
    "taesd3": ("sd3",),
    "taef1": ("flux", "z-image"),
    "taesd": ("sd1", "sd2"),
    "sdxl": ("sdxl", "sdxl-refiner", "pixart"),
    "xl_vae": ("sdxl", "sdxl-refiner", "pixart"),
    "sd3": ("sd3",),
    "flux": ("flux", "z-image"),
    "vae-ft-": ("sd1", "sd2"),
    "kl-f8": ("sd1", "sd2"),
    "840000": ("sd1", "sd2"),
    "560000": ("sd1", "sd2"),
}


@dataclass(frozen=True)
class FoundItem:
    """A file or a part's folder (`file` is None then) that is going to be a row."""

    path: Path
    recognized: DetectedWeights
    said: SidecarMetadata
    size_bytes: int
    fingerprint: str
    preview: Path | None
    file: FoundFile | None = None


def make_file_item(file: FoundFile, known: Known, said: SidecarMetadata) -> FoundItem:
    """Return the item of a known file. `said` is what is said of it, in it and beside it."""
    fingerprint, found = file.fingerprint, known.recognized
    return FoundItem(file.path, found, said, file.size_bytes, fingerprint, file.preview, file)


def make_folder_item(folder: FoundFolder, found: DetectedWeights) -> FoundItem:
    """The item of a part's folder."""
    fingerprint = folder.fingerprint
    return FoundItem(
        folder.path, found, SidecarMetadata(), folder.size_bytes, fingerprint, folder.preview
    )


def stamp(item: FoundItem) -> dict[str, object]:
    """The fields of a row that tell whether it is still the same, and what else it is called."""
    return {
        "fingerprint": item.fingerprint,
        "size_bytes": item.size_bytes,
        "aliases": aliases_of(item),
    }


def aliases_of(item: FoundItem) -> tuple[str, ...]:
    """The name that its training gave it, and its folder's if its own says nothing."""
    general = item.file is not None and item.path.stem.lower() in GENERAL_STEMS
    names = (item.said.name, item.path.parent.name if general else "")
    return tuple(filter(None, names))


def both_stamps(item: FoundItem, other: str | None) -> str:
    """The fingerprint of what is loaded together with a second file, of which it is `other`."""
    return item.fingerprint if other is None else f"{item.fingerprint}+{other}"


def make_lora_row(item: FoundItem, name: str, families: Mapping[str, Family]) -> LoraRow:
    """The row of a LoRA; of a family that isn't among `families` it has none."""
    said = item.said
    return LoraRow.model_validate(
        {
            **_common(item, name, said),
            "family": families.get(item.recognized.family or ""),
            "trigger_words": said.trigger_words,
            "weight": said.weight,
            "preview": item.preview,
        }
    )


def make_embedding_row(item: FoundItem, name: str) -> EmbeddingRow:
    """The row of an embedding."""
    said = item.said
    return EmbeddingRow.model_validate(
        {
            **_common(item, name, said),
            "widths": item.recognized.widths,
            "trigger_words": said.trigger_words,
            "preview": item.preview,
        }
    )


def make_vae_row(item: FoundItem, name: str) -> VaeRow:
    """The row of a VAE."""
    return VaeRow.model_validate(
        {
            **_common(item, name, item.said),
            "families": _by_name(item),
            "latent_channels": item.recognized.latent_channels,
        }
    )


def make_tiny_row(item: FoundItem, name: str) -> TinyAutoencoderRow:
    """The row of a tiny autoencoder."""
    return TinyAutoencoderRow.model_validate(
        {
            **_common(item, name, item.said),
            "families": _by_name(item),
            "latent_channels": item.recognized.latent_channels,
            "parts": item.recognized.parts,
        }
    )


def make_ip_adapter_row(item: FoundItem, name: str, encoders: Iterable[FoundItem]) -> IpAdapterRow:
    """The row of an IP-Adapter, with the image encoder of its width; the nearest comes first."""
    wanted = item.recognized.widths
    fitting = [each for each in encoders if _fits(wanted, each.recognized.widths)]
    fitting.sort(key=lambda each: -len(_shared(each.path, item.path)))
    return IpAdapterRow.model_validate(
        {
            **_common(item, name, item.said),
            "image_encoder": fitting[0].path if fitting else None,
            "fingerprint": both_stamps(item, fitting[0].fingerprint if fitting else None),
        }
    )


def _fits(wanted: tuple[int, ...], widths: tuple[int, ...]) -> bool:
    """Whether an encoder has all the widths that are asked for (0: it doesn't matter)."""
    pairs = list(zip(wanted, widths, strict=False))
    return any(wanted) and all(want in (0, width) for want, width in pairs)


def _shared(one: Path, other: Path) -> list[str]:
    pairs = zip(one.parts, other.parts, strict=False)
    shared: list[str] = []
    for left, right in pairs:
        if left != right:
            break
        shared.append(left)
    return shared


def _by_name(item: FoundItem) -> tuple[str, ...]:
    """The families it fits by its tensors, fewer if its name is a telling one."""
    name, known = display_name(item.path).lower(), item.recognized.families
    for telling, families in _TELLING_NAMES.items():
        if telling in name:
            return tuple(family for family in known if family in families) or known
    return known


def _common(item: FoundItem, name: str, said: SidecarMetadata) -> dict[str, object]:
    """What all these rows have."""
    return {
        "name": name,
        "title": name,
        "source": str(item.path),
        "families": item.recognized.families,
        "description": said.description,
        "licence": said.licence,
        **stamp(item),
    }
