"""What a file of weights turned out to be, and its tensors as the rules that tell it ask for them.
Importable without torch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

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
    "unknown",
]

UNET_WIDTHS: Mapping[int, str] = {
    768: "sd1",
    1024: "sd2",
    2048: "sdxl",
    1280: "sdxl-refiner",
    256: "mini",
}
"""How many numbers stand for a word in a family's UNet, by which UNets and what is made for them
are told apart."""


@dataclass(frozen=True)
class DetectedWeights:
    """What a file is. `family` is the one it is of or for, None if there is none or several, all of
    which are in `families`; `reason` says in words how it was told, or why it can't be used.

    `prediction_type` and `zero_terminal_snr` are what a checkpoint says of its training,
    `inpainting` that its denoiser sees masks. `parts` are "denoiser", "vae" and "text_encoder", as
    far as a checkpoint has them, or "encoder" and "decoder". `widths` are how many numbers stand
    for a word (ControlNets, LoRAs, embeddings: one for each text encoder), or for a picture: in its
    projection and hidden (image encoders, and IP-Adapters, which have 0 for what they don't take).
    `latent_channels` is an autoencoder's.
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
    """The tensors of a file, as the rules below ask for them."""

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
        """All names, each on a line of its own, with a line's end before the first and after the
        last."""
        return "\n" + "\n".join(self.tensors) + "\n"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, () if there is none of that name."""
        return self.tensors[name].shape if name in self.tensors else ()

    def side(self, name: str, axis: int) -> int:
        """One side of a tensor's shape, 0 if there is no such tensor or side."""
        shape = self.shape(name)
        return shape[axis] if -len(shape) <= axis < len(shape) else 0

    def ending(self, end: str) -> str:
        """The first name with that end, "" if there is none."""
        place = self.lines.find(end + "\n")
        if place < 0:
            return ""
        return self.lines[self.lines.rfind("\n", 0, place) + 1 : place + len(end)]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.tensors)

    def begins(self, start: str) -> bool:
        """Whether a name begins so."""
        place = bisect_left(self._sorted, start)
        return place < len(self._sorted) and self._sorted[place].startswith(start)

    def has(self, names: tuple[str, ...], prefix: str = "") -> bool:
        """Whether there are tensors of all these names."""
        return all(prefix + name in self.tensors for name in names)

    def has_ends(self, ends: tuple[str, ...]) -> bool:
        """Whether for each of these ends there is a name with it."""
        return all(end + "\n" in self.lines for end in ends)


def has_width(contents: Contents, width: int, kind: Kind, what: str) -> DetectedWeights:
    """Something that is made for the UNets of one family; of no known family it has none."""
    family = contents.widths.get(width)
    reason = f"{what} for text embeddings of width {width:,}"
    if family is None:
        return DetectedWeights(
            kind, reason=f"{reason}, which fits no supported family", widths=(width,)
        )
    return DetectedWeights(kind, family, reason, families=(family,), widths=(width,))
