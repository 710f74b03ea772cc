"""The painter: a small CLIP text encoder and a UNet, trained from nothing on cached latents.

First the text encoder alone learns to classify the content of captions. Then both learn to paint,
while the text encoder keeps that first task: trained on painting alone it forgets attributes that
seldom help, such as sides.

`objective` says how they learn it, and which noise is added.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from paintdiff.mini.data.dataset import Dataset, mirror
from paintdiff.mini.loop import Losses, Machine, TrainingLoop
from paintdiff.mini.networks.autoencoder import scaling_factor
from paintdiff.mini.networks.judge import Labels, list_judged_labels, value_of
from paintdiff.mini.networks.objective import (
    add_noise,
    build_scheduler,
    draw_timesteps,
    timestep_weights,
    weighted_mean,
)
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.tokenizer import MAX_TOKENS, build_tokenizer
from paintdiff.mini.world import Caption, Scene, describe, words

UNSAID = "unsaid"


@dataclass(frozen=True)
class Painter:
    """The networks trained here; the VAE comes from `autoencoder`."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel


def build_painter(recipe: Recipe) -> Painter:
    """Build an untrained painter of the recipe's shape."""
    part = recipe.painter
    tokenizer = build_tokenizer(words(recipe.world.config()))
    text = part.text_encoder
    config: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": text.hidden_size,
        "intermediate_size": 4 * text.hidden_size,
        "num_hidden_layers": text.num_hidden_layers,
        "num_attention_heads": text.num_attention_heads,
        "max_position_embeddings": MAX_TOKENS,
        "projection_dim": text.hidden_size,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text_encoder = CLIPTextModel(CLIPTextConfig(**config))
    return Painter(tokenizer, text_encoder, _build_unet(recipe))


def _build_unet(whole: Recipe) -> UNet2DConditionModel:
    recipe, channels = whole.painter, whole.autoencoder.latent_channels
    down = tuple("CrossAttnDownBlock2D" if here else "DownBlock2D" for here in recipe.attention)
    up = tuple("CrossAttnUpBlock2D" if here else "UpBlock2D" for here in recipe.attention[::-1])
    # diffusers' attention_head_dim is the number of heads, not their width.
    heads: Any = tuple(channels // recipe.head_channels for channels in recipe.block_out_channels)
    return UNet2DConditionModel(
        sample_size=whole.latent_side,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=recipe.block_out_channels,
        layers_per_block=recipe.layers_per_block,
        down_block_types=down,
        up_block_types=up,
        attention_head_dim=heads,
        cross_attention_dim=recipe.text_encoder.hidden_size,
    )


class _Denoiser(nn.Module):
    """A network from token numbers, noisy latents and timesteps to the predicted velocity.

    The inputs are (B, 77), (B, C, H, W) and (B,). It also returns the text encoder's output.
    """

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.text_encoder, self.unet = painter.text_encoder, painter.unet

    def forward(self, tokens: Tensor, noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.text_encoder(tokens).last_hidden_state
        return self.unet(noisy, timesteps, hidden).sample, hidden


@dataclass(frozen=True)
class Batch:
    """The input of one training step.

    It holds token numbers (B, 77), scaled latents (B, C, H, W) float32, the share of each latent
    that the subject covers (B, 1, H, W) in 0..1, the numbers (B) of the values that the captions
    state, by attribute, and which pictures they are: rows of the dataset, and whether mirrored (1)
    or not (0).
    """

    tokens: Tensor
    latents: Tensor
    subject: Tensor
    stated: dict[str, Tensor]
    rows: NDArray[np.int64]
    views: NDArray[np.int64]


class CaptionedLatents:
    """A source of training batches.

    It draws a random picture or its mirror image, a new caption, and the subject's place. Pictures
    of some subjects are drawn more often, as the recipe says.

    A subject in the middle isn't mirrored, unless it may be `facing_anywhere`: it would face the
    other way than in all other pictures, which no caption states, and a small UNet would paint both
    ways at once.
    """

    def __init__(
        self,
        data: Dataset,
        folder: Path,
        tokenizer: CLIPTokenizer,
        *,
        facing_anywhere: bool = False,
    ) -> None:
        self.recipe, self.tokenizer = data.recipe.painter, tokenizer
        self.stated = list_statable_labels(data.recipe)
        self.latents: NDArray[np.float16] = np.load(folder / "latents.npy", mmap_mode="r")
        self.masks: NDArray[np.uint8] = np.load(folder / "masks.npy")
        self.scale = scaling_factor(self.latents)
        blank = np.zeros((1, 1, 3), np.uint8)
        scenes = [data.scene(index) for index in range(len(data))]
        mirrors = [mirror(scene, blank)[0] for scene in scenes]
        self.scenes: tuple[list[Scene], list[Scene]] = (scenes, mirrors)
        self._pairs = np.array(
            [
                (row, view)
                for row, each in enumerate(scenes)
                for view in (0, 1)
                if view == 0 or each.side != "centre" or facing_anywhere or each.edition
            ]
        )
        shares = self.recipe.subject_shares
        chances = np.array([shares.get(scenes[row].subject or "", 1) for row, _ in self._pairs])
        self._chances = chances / chances.sum()

    def draw(self, random: np.random.Generator, batch: int) -> Batch:
        """Draw a batch of that many pictures."""
        rows, views = self._pairs[random.choice(len(self._pairs), size=batch, p=self._chances)].T
        captions = [
            self._caption(self.scenes[view][row], random)
            for view, row in zip(views.tolist(), rows.tolist(), strict=True)
        ]
        tokens = number_tokens(self.tokenizer, [text for text, _ in captions])
        latents = torch.from_numpy(self.latents[views, rows].astype(np.float32)) * self.scale
        masks = self.masks[rows]
        masks = np.where(views[:, None, None] == 1, masks[:, :, ::-1], masks)
        subject = torch.from_numpy(masks.astype(np.float32) / 255).unsqueeze(1)
        stated = number_stated(self.stated, [stated for _, stated in captions])
        return Batch(tokens, latents, subject, stated, rows, views)

    def _caption(self, scene: Scene, random: np.random.Generator) -> tuple[str, dict[str, str]]:
        """Return a caption or "", and the values that it states by attribute."""
        if random.random() < self.recipe.caption_dropout:
            return "", {}
        caption = describe(scene, int(random.integers(2**31)))
        text = caption.text
        if random.random() < self.recipe.junk_word_probability:
            text = _with_junk_word(text, random)
        return text, find_stated_values(scene, caption, self.stated)


def number_tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Return the captions as token numbers (B, 77), cut and padded as pipelines do."""
    return tokenizer(
        captions,
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def _with_junk_word(text: str, random: np.random.Generator) -> str:
    """Return the caption with a made-up word in it.

    The model learns that unknown words don't affect the rest of a prompt.
    """
    letters = random.choice(list(string.ascii_lowercase), size=int(random.integers(3, 10)))
    parts = text.split(" ")
    parts.insert(int(random.integers(len(parts) + 1)), "".join(letters.tolist()))
    return " ".join(parts)


def list_statable_labels(recipe: Recipe) -> Labels:
    """Return the values that a caption can state, by attribute; the first means "not stated"."""
    return {name: (UNSAID, *values) for name, values in list_judged_labels(recipe).items()}


def find_stated_values(scene: Scene, caption: Caption, labels: Labels) -> dict[str, str]:
    """Return the values that a caption of the scene states, by attribute, without unstated ones."""
    return {name: value_of(scene, name) for name in labels if name in caption.stated}


def number_stated(labels: Labels, stated: list[dict[str, str]]) -> dict[str, Tensor]:
    """Return the `stated_values` of B captions as places in `labels`, (B) int64 by attribute."""
    return {
        name: torch.tensor([values.index(one.get(name, UNSAID)) for one in stated])
        for name, values in labels.items()
    }


class Reader(nn.Module):
    """The text encoder with a head an attribute, which keep its meaning readable.

    Heads read the last position (which has seen the whole caption) and the mean of all positions,
    so that the UNet finds the meaning wherever it looks.
    """

    def __init__(self, text_encoder: CLIPTextModel, labels: Labels) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        width = text_encoder.config.hidden_size
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(v)) for name, v in labels.items()})

    def loss(self, hidden: Tensor, stated: dict[str, Tensor]) -> Tensor:
        """Return the sum of the heads' cross-entropies for the values that captions state.

        `hidden` is the text encoder's output (B, 77, width).
        """
        return torch.stack(
            [
                functional.cross_entropy(head(place).float(), stated[name].to(place.device))
                for name, head in self.heads.items()
                for place in (hidden[:, -1], hidden.mean(1))
            ]
        ).sum()


def build_reader(painter: Painter, recipe: Recipe) -> Reader:
    """Build a reader, with untrained heads, over the painter's text encoder."""
    return Reader(painter.text_encoder, list_statable_labels(recipe))


def train_words(data: Dataset, folder: Path, machine: Machine) -> Reader:
    """Train the text encoder to classify the content of captions; return the averaged weights.

    Resumes a run that was stopped.
    """
    recipe = data.recipe
    painter = build_painter(recipe)
    reader = machine.prepare(build_reader(painter, recipe)).train()
    plan = recipe.painter.words_plan
    loop = TrainingLoop("words", folder, {"reader": reader}, plan, recipe.seed)
    scenes = [data.scene(index) for index in range(len(data))]
    labels = list_statable_labels(recipe)

    def losses(random: np.random.Generator, progress: float) -> Losses:
        some = [scenes[row] for row in random.integers(len(scenes), size=plan.batch_size)]
        captions = [describe(scene, int(random.integers(2**31))) for scene in some]
        tokens = number_tokens(painter.tokenizer, [caption.text for caption in captions])
        stated = [
            find_stated_values(scene, caption, labels)
            for scene, caption in zip(some, captions, strict=True)
        ]
        with machine.autocast():
            hidden = reader.text_encoder(tokens.to(machine.device)).last_hidden_state
            return {"loss": reader.loss(hidden, number_stated(labels, stated))}

    loop.run(losses, machine.now)
    loop.use_average()
    return reader


def train_painter(data: Dataset, folder: Path, machine: Machine) -> Painter:
    """Train text encoder and UNet, or resume their training; return the averaged weights."""
    recipe = data.recipe.painter
    painter = build_painter(data.recipe)
    reader = machine.prepare(build_reader(painter, data.recipe)).train()
    machine.prepare(painter.unet).train()
    batches = CaptionedLatents(data, folder, painter.tokenizer)
    modules: dict[str, nn.Module] = {"reader": reader, "unet": painter.unet}
    if not (folder / "painter.pt").exists():
        reader.load_state_dict(train_words(data, folder, machine).state_dict())
    loop = TrainingLoop("painter", folder, modules, recipe.plan, data.recipe.seed)
    denoiser = torch.compile(_Denoiser(painter)) if machine.compile else _Denoiser(painter)
    schedule = build_scheduler(recipe)
    alphas_cumprod = schedule.alphas_cumprod.to(machine.device)

    def losses(random: np.random.Generator, progress: float) -> Losses:
        batch = batches.draw(random, recipe.plan.batch_size)
        latents = batch.latents.to(machine.device).contiguous(memory_format=torch.channels_last)
        timesteps = draw_timesteps(random, recipe).to(machine.device)
        noisy, target = add_noise(latents, timesteps, alphas_cumprod, recipe.prediction)
        with machine.autocast():
            predicted, hidden = denoiser(batch.tokens.to(machine.device), noisy, timesteps)
            reading = reader.loss(hidden, batch.stated)
        error = (predicted.float() - target).pow(2)
        counted = error * timestep_weights(timesteps, alphas_cumprod, recipe)
        painting = weighted_mean(counted, batch.subject.to(machine.device), recipe.subject_weight)
        return {
            "loss": painting + recipe.reading_weight * reading,
            "error": error.mean(),
            "reading": reading,
        }

    loop.run(losses, machine.now)
    loop.use_average()
    return painter
