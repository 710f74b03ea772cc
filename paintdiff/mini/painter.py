"""The painter: a small CLIP text encoder and a UNet, trained together from nothing on cached
latents.

v-prediction after Salimans & Ho 2022 (arXiv:2202.00512), weighted by min-SNR-gamma (Hang et al.
2023, arXiv:2303.09556), with the caption dropped at random for classifier-free guidance (Ho &
Salimans 2022, arXiv:2207.12598). The linear noise schedule ends at a signal-to-noise ratio of 4e-5,
close enough to zero that dark and bright scenes keep their brightness without special samplers.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from paintdiff.mini.autoencoder import LATENT_CHANNELS, scaling_factor
from paintdiff.mini.dataset import Dataset, mirrored
from paintdiff.mini.loop import Losses, Machine, TrainingLoop
from paintdiff.mini.recipe import PainterRecipe, Recipe
from paintdiff.mini.tokenizer import MAX_TOKENS, build_tokenizer
from paintdiff.mini.world import Scene, describe, words

TRAIN_TIMESTEPS = 1000


@dataclass(frozen=True)
class Painter:
    """What is trained here; the VAE comes from `autoencoder`."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel


def build_painter(recipe: Recipe) -> Painter:
    """An untrained painter of the recipe's shape."""
    part = recipe.painter
    tokenizer = build_tokenizer(words(recipe.world.config()))
    text = part.text_encoder
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=text.hidden_size,
            intermediate_size=4 * text.hidden_size,
            num_hidden_layers=text.num_hidden_layers,
            num_attention_heads=text.num_attention_heads,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=text.hidden_size,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return Painter(tokenizer, text_encoder, _build_unet(part, recipe.latent_side))


def build_scheduler(recipe: PainterRecipe) -> DDIMScheduler:
    """The noise schedule, as the scheduler that ships with the model."""
    return DDIMScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_schedule=recipe.beta_schedule,
        beta_start=recipe.beta_start,
        beta_end=recipe.beta_end,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def _build_unet(recipe: PainterRecipe, side: int) -> UNet2DConditionModel:
    down = tuple("CrossAttnDownBlock2D" if here else "DownBlock2D" for here in recipe.attention)
    up = tuple("CrossAttnUpBlock2D" if here else "UpBlock2D" for here in recipe.attention[::-1])
    # diffusers' attention_head_dim is the number of heads, not their width.
    heads = tuple(channels // recipe.head_channels for channels in recipe.block_out_channels)
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=recipe.block_out_channels,
        layers_per_block=recipe.layers_per_block,
        down_block_types=down,
        up_block_types=up,
        attention_head_dim=heads,
        cross_attention_dim=recipe.text_encoder.hidden_size,
    )


class _Denoiser(nn.Module):
    """Token numbers (B, 77), noisy latents (B, 4, H, W) and timesteps (B,) to the predicted
    velocity.
    """

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.text_encoder, self.unet = painter.text_encoder, painter.unet

    def forward(self, tokens: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        hidden = self.text_encoder(tokens).last_hidden_state
        return self.unet(noisy, timesteps, hidden).sample


class CaptionedLatents:
    """Draws batches of (token numbers, latents): a random picture or its mirror image, and a fresh
    caption.
    """

    def __init__(self, data: Dataset, latents_path: Path, tokenizer: CLIPTokenizer) -> None:
        self.recipe, self.tokenizer = data.recipe.painter, tokenizer
        self.latents: NDArray[np.float16] = np.load(latents_path)
        self.scale = scaling_factor(self.latents)
        blank = np.zeros((1, 1, 3), np.uint8)
        scenes = [data.scene(index) for index in range(len(data))]
        mirrors = [mirrored(scene, blank)[0] for scene in scenes]
        self.scenes: tuple[list[Scene], list[Scene]] = (scenes, mirrors)

    def draw(self, random: np.random.Generator, batch: int) -> tuple[Tensor, Tensor]:
        """Token numbers (batch, 77) and scaled latents (batch, 4, H, W) float32."""
        views = random.integers(2, size=batch)
        rows = random.integers(self.latents.shape[1], size=batch)
        captions = [
            self._caption(self.scenes[view][row], random)
            for view, row in zip(views.tolist(), rows.tolist(), strict=True)
        ]
        tokens = self.tokenizer(
            captions,
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        latents = torch.from_numpy(self.latents[views, rows].astype(np.float32)) * self.scale
        return tokens, latents

    def _caption(self, scene: Scene, random: np.random.Generator) -> str:
        if random.random() < self.recipe.caption_dropout:
            return ""
        text = describe(scene, int(random.integers(2**31))).text
        if random.random() < self.recipe.junk_word_probability:
            text = _with_junk_word(text, random)
        return text


def _with_junk_word(text: str, random: np.random.Generator) -> str:
    """The caption with a made-up word in it, so that words it doesn't know leave the rest of a
    prompt alone.
    """
    letters = random.choice(list(string.ascii_lowercase), size=int(random.integers(3, 10)))
    parts = text.split(" ")
    parts.insert(int(random.integers(len(parts) + 1)), "".join(letters.tolist()))
    return " ".join(parts)


def min_snr_weight(alphas_cumprod: Tensor, gamma: float) -> Tensor:
    """Weights of the v-prediction loss by timestep: min(SNR, gamma) / (SNR + 1)."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    return snr.clamp(max=gamma) / (snr + 1)


def train_painter(data: Dataset, folder: Path, machine: Machine) -> Painter:
    """Train (or go on training) text encoder and UNet; return the averaged weights."""
    recipe = data.recipe.painter
    painter = build_painter(data.recipe)
    machine.prepared(painter.unet).train()
    machine.prepared(painter.text_encoder).train()
    batches = CaptionedLatents(data, folder / "latents.npy", painter.tokenizer)
    modules: dict[str, nn.Module] = {"text_encoder": painter.text_encoder, "unet": painter.unet}
    loop = TrainingLoop("painter", folder, modules, recipe.plan, data.recipe.seed)
    denoiser = torch.compile(_Denoiser(painter)) if machine.compile else _Denoiser(painter)
    schedule = build_scheduler(recipe)
    alphas_cumprod = schedule.alphas_cumprod.to(machine.device)
    weights = min_snr_weight(alphas_cumprod, recipe.min_snr_gamma)

    def losses(random: np.random.Generator, progress: float) -> Losses:
        batch = recipe.plan.batch_size
        tokens, latents = (tensor.to(machine.device) for tensor in batches.draw(random, batch))
        latents = latents.contiguous(memory_format=torch.channels_last)
        noise = torch.randn_like(latents)
        # One timestep from each of `batch` equal spans: less noise than independent draws.
        spans = (np.arange(batch) + random.random(batch)) / batch * TRAIN_TIMESTEPS
        timesteps = torch.from_numpy(spans.astype(np.int64)).to(machine.device)
        signal = alphas_cumprod[timesteps].sqrt().view(-1, 1, 1, 1)
        spread = (1 - alphas_cumprod[timesteps]).sqrt().view(-1, 1, 1, 1)
        with machine.autocast():
            velocity = denoiser(tokens, signal * latents + spread * noise, timesteps)
        error = (velocity.float() - (signal * noise - spread * latents)).pow(2).mean((1, 2, 3))
        return {"loss": (weights[timesteps] * error).mean(), "error": error.mean()}

    loop.run(losses)
    loop.use_average()
    return painter
