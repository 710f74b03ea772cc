"""Pipelines of random weights of every family, saved as the folders that diffusers writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.tiny import WORDS, save_tiny_xl_pipeline, tiny_tokenizer

CHANNELS = 16
"""Of the latents of all families but the first ones: as many as the real ones have."""


def save_tiny_family(name: str, folder: Path) -> None:
    """Save a model of the family of that name (or of one of the VARIANTS)."""
    torch.manual_seed(3)
    SAVERS[name](folder)


def _save(pipeline: Any, folder: Path) -> None:
    """With weights large enough to make a difference that can be seen."""
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            for parameter in part.parameters():
                if parameter.ndim > 1 and not parameter.any():
                    torch.nn.init.normal_(parameter, std=0.2)
    pipeline.save_pretrained(folder, safe_serialization=True)


def tiny_vae(channels: int = CHANNELS, shift: float | None = 0.1) -> diffusers.AutoencoderKL:
    """A VAE whose latents are an eighth as wide as its pictures."""
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
        scaling_factor=0.9,
        shift_factor=shift,
        use_quant_conv=shift is None,
        use_post_quant_conv=shift is None,
    )


def tiny_clip(projected: bool = False, width: int = 32) -> Any:
    """A CLIP text encoder for `tiny_tokenizer`."""
    tokenizer = tiny_tokenizer()
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=3 if width < 100 else 1,
        num_attention_heads=2,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    class_ = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return class_(config)


def tiny_t5_tokenizer() -> transformers.T5TokenizerFast:
    """A T5 tokenizer that knows WORDS, and letters."""
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *(f"\u2581{word}" for word in WORDS)]
    letters = [letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in pieces]
    vocabulary = [(piece, -float(number)) for number, piece in enumerate([*pieces, *letters])]
    return transformers.T5TokenizerFast(vocab=vocabulary, extra_ids=0, model_max_length=512)


def tiny_t5(width: int) -> transformers.T5EncoderModel:
    """A T5 encoder for `tiny_t5_tokenizer`."""
    return transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=len(tiny_t5_tokenizer()),
            d_model=width,
            d_ff=32,
            d_kv=8,
            num_layers=1,
            num_heads=2,
        )
    )


def tiny_qwen_tokenizer() -> transformers.Qwen2Tokenizer:
    """A tokenizer of Qwen2 that spells every word in bytes."""
    letters = bytes_to_unicode().values()
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    vocabulary["<|endoftext|>"] = len(vocabulary)
    tokenizer = transformers.Qwen2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return tokenizer


def _flow_scheduler(**settings: Any) -> diffusers.FlowMatchEulerDiscreteScheduler:
    return diffusers.FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **settings})


def _dynamic() -> diffusers.FlowMatchEulerDiscreteScheduler:
    return _flow_scheduler(
        use_dynamic_shifting=True,
        base_shift=0.4,
        max_shift=1.2,
        base_image_seq_len=8,
        max_image_seq_len=64,
    )


def _unet(**settings: Any) -> diffusers.UNet2DConditionModel:
    return diffusers.UNet2DConditionModel(
        **{
            "sample_size": 8,
            "block_out_channels": (16, 32),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": 1,
            "attention_head_dim": 4,
            "norm_num_groups": 8,
            **settings,
        }
    )


def _stable_diffusion(folder: Path, width: int, **scheduler: Any) -> None:
    _save(
        diffusers.StableDiffusionPipeline(
            vae=tiny_vae(4, None),
            text_encoder=tiny_clip(width=width),
            tokenizer=tiny_tokenizer(),
            unet=_unet(cross_attention_dim=width),
            scheduler=diffusers.DDIMScheduler(
                beta_schedule="scaled_linear", clip_sample=False, steps_offset=1, **scheduler
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ),
        folder,
    )


def _sd1(folder: Path) -> None:
    _stable_diffusion(folder, 768)


def _sd2(folder: Path) -> None:
    _stable_diffusion(folder, 1024, prediction_type="v_prediction")


def _refiner(folder: Path) -> None:
    _save(
        diffusers.StableDiffusionXLImg2ImgPipeline(
            vae=tiny_vae(4, None),
            text_encoder=None,
            text_encoder_2=tiny_clip(projected=True, width=1280),
            tokenizer=None,
            tokenizer_2=tiny_tokenizer(),
            unet=_unet(
                cross_attention_dim=1280,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=1280 + 5 * 8,
            ),
            scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear"),
            requires_aesthetics_score=True,
            force_zeros_for_empty_prompt=False,
        ),
        folder,
    )


def _sd3(folder: Path) -> None:
    _save(
        diffusers.StableDiffusion3Pipeline(
            transformer=diffusers.SD3Transformer2DModel(
                sample_size=16,
                patch_size=2,
                in_channels=CHANNELS,
                out_channels=CHANNELS,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=64,
                caption_projection_dim=32,
                pooled_projection_dim=64,
                pos_embed_max_size=96,
                qk_norm="rms_norm",
            ),
            scheduler=_flow_scheduler(),
            vae=tiny_vae(),
            text_encoder=tiny_clip(projected=True),
            tokenizer=tiny_tokenizer(),
            text_encoder_2=tiny_clip(projected=True),
            tokenizer_2=tiny_tokenizer(),
            text_encoder_3=tiny_t5(64),
            tokenizer_3=tiny_t5_tokenizer(),
        ),
        folder,
    )


def _flux(folder: Path, guidance_embeds: bool = True) -> None:
    _save(
        diffusers.FluxPipeline(
            transformer=diffusers.FluxTransformer2DModel(
                in_channels=CHANNELS * 4,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=32,
                pooled_projection_dim=32,
                axes_dims_rope=(4, 4, 8),
                guidance_embeds=guidance_embeds,
            ),
            scheduler=_dynamic() if guidance_embeds else _flow_scheduler(shift=1.0),
            vae=tiny_vae(),
            text_encoder=tiny_clip(),
            tokenizer=tiny_tokenizer(),
            text_encoder_2=tiny_t5(32),
            tokenizer_2=tiny_t5_tokenizer(),
        ),
        folder,
    )


def _schnell(folder: Path) -> None:
    _flux(folder, guidance_embeds=False)


def _pixart(folder: Path) -> None:
    _save(
        diffusers.PixArtSigmaPipeline(
            transformer=diffusers.PixArtTransformer2DModel(
                sample_size=16,
                num_layers=1,
                patch_size=2,
                attention_head_dim=8,
                num_attention_heads=2,
                caption_channels=32,
                in_channels=4,
                out_channels=8,
                cross_attention_dim=16,
                attention_bias=True,
                use_additional_conditions=False,
            ),
            scheduler=diffusers.DPMSolverMultistepScheduler(),
            vae=tiny_vae(4, None),
            text_encoder=tiny_t5(32),
            tokenizer=tiny_t5_tokenizer(),
        ),
        folder,
    )


def _qwen_image(folder: Path) -> None:
    tokenizer = tiny_qwen_tokenizer()
    text_config = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_parameters": {
            "mrope_section": [2, 3, 3],
            "rope_type": "default",
            "rope_theta": 10000.0,
        },
    }
    vision_config = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 32,
    }
    config = transformers.Qwen2_5_VLConfig(text_config=text_config, vision_config=vision_config)
    _save(
        diffusers.QwenImagePipeline(
            transformer=diffusers.QwenImageTransformer2DModel(
                patch_size=2,
                in_channels=CHANNELS * 4,
                out_channels=CHANNELS,
                num_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=32,
                axes_dims_rope=(8, 4, 4),
            ),
            scheduler=_dynamic(),
            vae=diffusers.AutoencoderKLQwenImage(
                base_dim=8,
                z_dim=CHANNELS,
                dim_mult=[1, 1, 1, 1],
                num_res_blocks=1,
                temperal_downsample=[False, True, True],
            ),
            text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
            tokenizer=tokenizer,
        ),
        folder,
    )


def _z_image(folder: Path) -> None:
    tokenizer = tiny_qwen_tokenizer()
    _save(
        diffusers.ZImagePipeline(
            transformer=diffusers.ZImageTransformer2DModel(
                in_channels=CHANNELS,
                dim=32,
                n_layers=1,
                n_refiner_layers=1,
                n_heads=2,
                n_kv_heads=2,
                cap_feat_dim=32,
                axes_dims=[8, 4, 4],
                axes_lens=[1024, 64, 64],
            ),
            scheduler=_flow_scheduler(),
            vae=tiny_vae(),
            text_encoder=transformers.Qwen3Model(
                transformers.Qwen3Config(
                    vocab_size=len(tokenizer),
                    hidden_size=32,
                    intermediate_size=32,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    num_key_value_heads=2,
                    head_dim=16,
                )
            ),
            tokenizer=tokenizer,
        ),
        folder,
    )


def _other(folder: Path) -> None:
    """A class of diffusers that no family has, and that takes no negative prompt."""
    _save(
        diffusers.LatentConsistencyModelPipeline(
            vae=tiny_vae(4, None),
            text_encoder=tiny_clip(),
            tokenizer=tiny_tokenizer(),
            unet=_unet(cross_attention_dim=32, time_cond_proj_dim=16),
            scheduler=diffusers.LCMScheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ),
        folder,
    )


SAVERS: Mapping[str, Callable[[Path], None]] = {
    "sd1": _sd1,
    "sd2": _sd2,
    "sdxl": save_tiny_xl_pipeline,
    "sdxl-refiner": _refiner,
    "sd3": _sd3,
    "flux": _flux,
    "flux-schnell": _schnell,
    "pixart": _pixart,
    "qwen-image": _qwen_image,
    "z-image": _z_image,
    "other": _other,
}

VARIANTS: Mapping[str, str] = {"flux-schnell": "flux"}
"""Models that have a saver of their own, and their family."""
