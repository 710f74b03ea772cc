"""The adapters that a lease may ask for, as values. Importable without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class LoraUse:
    """A LoRA of the catalog, with its weights in the denoiser and in the text encoders.

    A weight of 0 has no effect; 1 is the strength it was trained with.
    """

    name: str
    weight: float = 1.0
    text_encoder_weight: float = 1.0

    @property
    def acts(self) -> bool:
        """Return whether it has an effect."""
        return bool(self.weight or self.text_encoder_weight)


@dataclass(frozen=True)
class IpAdapterUse:
    """An IP-Adapter of the catalog; `scale` is the strength of its image, 0..1."""

    name: str
    scale: float = 0.6


@dataclass(frozen=True)
class FreeUFactors:
    """The factors of FreeU, in the first two decoder stages of a UNet.

    `b1` and `b2` scale the backbone, `s1` and `s2` the skip connections. Si et al. 2023,
    arXiv:2309.11497.
    """

    b1: float
    b2: float
    s1: float
    s2: float


@dataclass(frozen=True)
class Adapters:
    """The adapters of a whole lease. All names are the catalog's.

    Attributes:
        loras: The LoRAs.
        embeddings: The embeddings that its prompts may name.
        vae: Replaces the model's own VAE; None: nothing does.
        free_u: The factors of FreeU; None: it is off.
        ip_adapters: Each takes one image of a run, in order.
        refiner: A second model that is leased too; None: none.
        channels_last: Whether the weights of convolutions are in the channels-last format, which
            is faster on some machines and rounds differently.
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
        """Return those that change the model's shared networks and have an effect."""
        loras = tuple(use for use in self.loras if use.acts)
        return replace(self, loras=loras, vae=None, refiner=None)


NO_ADAPTERS = Adapters()
