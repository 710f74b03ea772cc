"""A StableDiffusionPipeline of random weights, small enough for every test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import save_file
from transformers.convert_slow_tokenizer import bytes_to_unicode

WORDS = (
    "a",
    "an",
    "the",
    "and",
    "on",
    "in",
    "at",
    "of",
    "red",
    "green",
    "blue",
    "house",
    "boat",
    "tree",
    "hill",
    "sea",
    "night",
    "day",
    "sunset",
    "cat",
    "dog",
    "snow",
    "calm",
    "sailboat",
    ",",
    ".",
)


def save_tiny_pipeline(
    folder: Path,
    *,
    prediction_type: str = "v_prediction",
    seed: int = 0,
    sees_masks: bool = False,
) -> None:
    """Build it in the layout of `presets/mini` (fp16 safetensors, own vocabulary, v-prediction) and
    save it. With `sees_masks` its UNet takes 9 channels, as one that was trained to inpaint.
    """
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    text_config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
            layers_per_block=1,
            sample_size=128,
            scaling_factor=0.9,
        ),
        text_encoder=transformers.CLIPTextModel(text_config),
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(
            sample_size=16,
            in_channels=9 if sees_masks else 4,
            out_channels=4,
            block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=32,
            attention_head_dim=4,
            norm_num_groups=8,
        ),
        scheduler=diffusers.DDIMScheduler(
            beta_schedule="linear",
            beta_start=0.0001,
            beta_end=0.02,
            prediction_type=prediction_type,
            clip_sample=False,
            timestep_spacing="trailing",
            set_alpha_to_one=True,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16, silence_dtype_warnings=True)
    pipeline.save_pretrained(folder, safe_serialization=True)
    matrix = [[0.5, 0.1, 0.0], [0.0, 0.5, 0.1], [0.1, 0.0, 0.5], [-0.2, -0.2, -0.2]]
    (folder / "words.json").write_text(json.dumps(WORDS))
    (folder / "latent_rgb.json").write_text(
        json.dumps({"matrix": matrix, "bias": [0.1, 0.0, -0.1]})
    )


def save_tiny_xl_pipeline(folder: Path) -> None:
    """Save a StableDiffusionXLPipeline of random weights."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    text_config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    pipeline = diffusers.StableDiffusionXLPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
        ),
        text_encoder=transformers.CLIPTextModel(text_config),
        text_encoder_2=transformers.CLIPTextModelWithProjection(text_config),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=64,
            attention_head_dim=4,
            norm_num_groups=8,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=80,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear"),
    )
    pipeline.save_pretrained(folder)


def save_tiny_controlnet(folder: Path, unet: Any, *, seed: int = 0, pooled: bool = False) -> None:
    """Save a ControlNet of random weights for a UNet: its zero convolutions aren't zero. `pooled`
    is as of one made for the "shuffle" preprocessor.
    """
    torch.manual_seed(seed)
    controlnet = diffusers.ControlNetModel.from_unet(unet)
    controlnet.register_to_config(global_pool_conditions=pooled)
    for name, tensor in controlnet.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding")):
            torch.nn.init.normal_(tensor, std=0.2)
    controlnet.save_pretrained(folder)


def save_tiny_upscaler(path: Path, *, factor: int = 4, seed: int = 0) -> None:
    """Save a compact ESRGAN of random weights that isn't far from repeating each pixel."""
    from spandrel.architectures.Compact import Compact  # noqa: PLC0415 (imports every architecture)

    torch.manual_seed(seed)
    network = Compact(num_feat=8, num_conv=3, upscale=factor, act_type="prelu")
    save_file(network.state_dict(), path)


def tiny_tokenizer() -> transformers.CLIPTokenizer:
    """A CLIP tokenizer that knows WORDS as single tokens and spells every other word in bytes."""
    letters = list(bytes_to_unicode().values())
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    merges: list[str] = []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            left, right = pieces[-2:]
            pieces[-2:] = [left + right]
            if f"{left} {right}" not in merges:
                merges.append(f"{left} {right}")
                vocabulary.append(left + right)
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: number for number, token in enumerate(dict.fromkeys(vocabulary))}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    return transformers.CLIPTokenizer(vocab=ids, merges=pairs, model_max_length=77)
