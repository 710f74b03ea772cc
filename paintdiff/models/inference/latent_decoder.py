"""From latents to pixels. Imports torch: import it in a function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from paintdiff.errors import NotFiniteError
from paintdiff.imaging.geometry import Size
from paintdiff.models.acceleration.kernel_choice import use_precision
from paintdiff.models.acceleration.openvino.unet import ComputeChoice
from paintdiff.models.inference import messages
from paintdiff.models.inference.pipelines.overrides import choose_vae
from paintdiff.models.inference.pipelines.setup import PipelineSetup
from paintdiff.models.inference.previews.latent_formats import decode_latents, unscale_latents
from paintdiff.models.memory import usage


class LatentDecoder:
    """Decodes latents with a pipeline's VAE, tile by tile where they are large.

    `tiny_autoencoder` (None: none) decodes instead of the VAE if the profile asks for it.
    """

    def __init__(self, setup: PipelineSetup, tiny_autoencoder: Any = None) -> None:
        self._setup = setup
        self._vae: Any = getattr(setup.pipeline, "vae", None)  # during a run it is replaced
        takes_tiny = setup.profile.decoder == "tiny" and not setup.layout.decoded
        self._tiny_autoencoder = tiny_autoencoder if takes_tiny else None

    def fork(self) -> LatentDecoder:
        """Return one for previews, whose failures don't change how pictures are decoded."""
        setup = replace(self._setup, float32=self._setup.float32.fork())
        return LatentDecoder(setup, self._tiny_autoencoder)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes about how a picture was decoded, as sentences for people."""
        if self._tiny_autoencoder is None:
            return ()
        return (messages.DECODED_BY_TINY_AUTOENCODER,)

    def decode(self, latents: torch.Tensor) -> Image.Image:
        """Return the picture of what the denoiser returned: RGB, 8 bits.

        Where half precision gives NaN values it is decoded again in float32.

        Args:
            latents: (1, channels, height / f, width / f), scaled; pixels (1, 3, height, width),
                0..1, of a pipeline that decodes by itself.

        Raises:
            NotFiniteError: float32 gives NaN values too, or the latents hold them.
        """
        setup = self._setup
        processor = setup.pipeline.image_processor
        if setup.layout.decoded:
            return processor.numpy_to_pil(processor.pt_to_numpy(latents))[0]
        height, width = latents.shape[-2:]
        size = Size(width * setup.latent_px, height * setup.latent_px)
        usage.trim_memory()  # what denoising held
        if self._tiny_autoencoder is not None:
            pixels = self._decode_tiny(self._tiny_autoencoder, latents, size)
        else:
            pixels = self._decode_with_vae(latents, size)
        self._check_finite(latents, pixels)
        if setup.computing.kernels.bfloat16:
            pixels = pixels.float()  # else levels would be rounded to halves of a step
        return processor.postprocess(pixels, output_type="pil")[0]

    def _decode_with_vae(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """Return (1, 3, height, width), about -1..1, of scaled latents."""
        setup = self._setup

        def decode(computing: ComputeChoice) -> torch.Tensor:
            vae = setup.choose_vae(size, self._vae)
            with use_precision(computing.kernels, setup.device), setup.limit_attention():
                unscaled = unscale_latents(latents.to(vae.dtype), vae)
                return decode_latents(unscaled, vae, setup.layout)

        return setup.float32.compute(
            "decoded", [self._vae], decode, may_retry=bool(latents.isfinite().all())
        )

    def _decode_tiny(self, decoder: Any, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """Return (1, 3, height, width), about -1..1, of scaled latents."""
        from paintdiff.models.inference.previews.tiny_autoencoder import TinyVAE  # noqa: PLC0415 (few have one)

        setup = self._setup
        tiny = TinyVAE(decoder, setup.device)
        vae = choose_vae(tiny, size, setup.latent_px, None, setup.plan.vae_tile_px)
        (pixels,) = vae.decode(latents)
        return pixels

    def _check_finite(self, latents: torch.Tensor, pixels: torch.Tensor) -> None:
        if pixels.isfinite().all():
            return
        title = self._setup.row.title
        if latents.isfinite().all():
            raise NotFiniteError(messages.vae_not_finite(title))
        raise NotFiniteError(messages.model_not_finite(title))
