"""Describes detected weight files, and answers detection rules' questions about their tensors.

Importable without torch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from paintdiff.models.formats import messages
from paintdiff.models.formats.headers import TensorShape

Kind = Literal[
    "checkpoint",
    "denoiser",
    "lora",
    "embedding",
    "vae",
    "tiny_autoencoder",
    "controlnet",
    "ip_adapter",
    "image_encoder",
    "text_encoder",
    "upscaler",
    "face_restorer",
    "language_model",
    "unknown",
]

UNET_WIDTHS: Mapping[int, str] = {
    768: "sd1",
    1024: "sd2",
    2048: "sdxl",
    1280: "sdxl-refiner",
    256: "mini",
}
"""The width of a family's text embeddings, which identifies UNets and what is made for them."""


@dataclass(frozen=True)
class DetectedWeights:
    """The result of detecting a weight file.

    `family` is the family the weights belong to or are made for, None if unknown or if several
    match; `families` has them all. `reason` says what identified the file, or why it can't be used.

    `prediction_type` and `zero_terminal_snr` come from a checkpoint's metadata. `inpainting` means
    that its denoiser takes masks. `parts` are "denoiser", "vae" and "text_encoder" for a
    checkpoint, "encoder" and "decoder" for an autoencoder, as far as the file has them. `widths`
    are those of text embeddings (ControlNets, LoRAs, embeddings: one per text encoder), or of image
    embeddings: projected and hidden (image encoders and IP-Adapters, which have 0 for what they
    don't take). `latent_channels` is an autoencoder's.
    """

    kind: Kind
    family: str | None = None
    reason: str = ""
    prediction_type: Literal["", "epsilon", "v_prediction"] = ""
    zero_terminal_snr: bool = False
    inpainting: bool = False
    parts: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    latent_channels: int = 0


class Contents:
    """The tensors of a file, indexed for the detection rules."""

    def __init__(
        self,
        tensors: Mapping[str, TensorShape],
        metadata: Mapping[str, str],
        widths: Mapping[int, str],
    ) -> None:
        self.tensors = tensors
        self.metadata = metadata
        self.widths = widths

    @cached_property
    def lines(self) -> str:
        """All names, one per line, with a line break before the first and after the last."""
        return "\n" + "\n".join(self.tensors) + "\n"

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor, () if it is missing."""
        return self.tensors[name].shape if name in self.tensors else ()

    def side(self, name: str, axis: int) -> int:
        """Return one side of a tensor's shape, 0 if the tensor or side is missing."""
        shape = self.shape(name)
        return shape[axis] if -len(shape) <= axis < len(shape) else 0

    def find_ending(self, end: str) -> str:
        """Return the first name with that ending, "" if none has it."""
        place = self.lines.find(end + "\n")
        if place < 0:
            return ""
        return self.lines[self.lines.rfind("\n", 0, place) + 1 : place + len(end)]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.tensors)

    def begins(self, start: str) -> bool:
        """Return whether any name begins with `start`."""
        place = bisect_left(self._sorted, start)
        return place < len(self._sorted) and self._sorted[place].startswith(start)

    def has(self, names: tuple[str, ...], prefix: str = "") -> bool:
        """Return whether all these names exist."""
        return all(prefix + name in self.tensors for name in names)

    def has_ends(self, ends: tuple[str, ...]) -> bool:
        """Return whether each of these endings belongs to some name."""
        return all(end + "\n" in self.lines for end in ends)


def match_width(contents: Contents, width: int, kind: Kind, what: str) -> DetectedWeights:
    """Describe weights made for one family's UNets, identified by the text embeddings' width."""
    family = contents.widths.get(width)
    reason = messages.for_width(what, width)
    if family is None:
        return DetectedWeights(kind, reason=messages.fits_no_family(reason), widths=(width,))
    return DetectedWeights(kind, family, reason, families=(family,), widths=(width,))
