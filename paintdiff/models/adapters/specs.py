"""What may be put into a model while it is on loan. Importable without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class LoraUse:
    """A LoRA of the catalog, with its weight in the denoiser and in the text encoders; 0 is not at
    all, 1 as it was trained.
    """

    name: str
    weight: float = 1.0
    text_encoder_weight: float = 1.0

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return bool(self.weight or self.text_encoder_weight)


@dataclass(frozen=True)
class IpAdapterUse:
    """An IP-Adapter of the catalog; `scale` is how strongly its picture acts, 0..1."""

    name: str
    scale: float = 0.6


@dataclass(frozen=True)
class FreeUFactors:
    """Of the backbone (`b1`, `b2`) and of the skip connections (`s1`, `s2`) of a UNet's first two
    decoder stages. Si et al. 2023, arXiv:2309.11497.
    """

    b1: float
    b2: float
    s1: float
    s2: float


@dataclass(frozen=True)
class Adapters:
    """What acts for a whole lease. All names are the catalog's.

    `embeddings` are those that may stand in its prompts. Each of `ip_adapters` takes one picture of
    a run, in order. `vae` is in the place of the model's own, None for that. `refiner` is a model
    that is leased along. With `channels_last` the weights of convolutions lie channel by channel,
    which is quicker on some machines, and rounds otherwise.
    """

    loras: tuple[LoraUse, ...] = ()
    embeddings: tuple[str, ...] = ()
    vae: str | None = None
    free_u: FreeUFactors | None = None
    ip_adapters: tuple[IpAdapterUse, ...] = ()
    refiner: str | None = None
    channels_last: bool = False

    @property
    def injected(self) -> Adapters:
        """The part that changes the model's shared weights, without what does nothing."""
        loras = tuple(use for use in self.loras if use.acts)
        return replace(self, loras=loras, vae=None, refiner=None)


NO_ADAPTERS = Adapters()
