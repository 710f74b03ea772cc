"""The tables that `detection` uses: tensor names, and sides of tensor shapes.

Sources: diffusers' `loaders/single_file_utils.py` and the state dicts of its models; kohya's
sd-scripts; the original releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

UNET = "unet"
"""Stands for the UNet family with the detected width."""

DENOISER_PREFIXES = (
    "model.diffusion_model.",
    "",
    "diffusion_model.",
    "model.",
    "transformer.",
    "unet.",
    "model_ema.diffusion_model.",
    "ema.diffusion_model.",
    "ema.model.diffusion_model.",
    "ema_model.diffusion_model.",
)

PARTS: Mapping[str, tuple[str, ...]] = {
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": (
        "cond_stage_model.",
        "conditioner.embedders.",
        "text_encoders.",
        "text_encoder.",
        "text_model.",
    ),
}
"""Components that a checkpoint has beside its denoiser, and the starts of their tensor names."""

WORD_WEIGHTS = (
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
    "middle_block.1.transformer_blocks.0.attn2.to_k.weight",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
)
"""Cross-attention weights of UNets. The second side is the text embeddings' width."""


@dataclass(frozen=True)
class DenoiserRow:
    """A denoiser, identified by required tensors. `family` None: known but unsupported."""

    family: str | None
    title: str
    needs: tuple[str, ...]
    channels_of: str = ""
    inpainting_channels: tuple[int, ...] = ()
    refused_channels: Mapping[int, str] = field(default_factory=dict[int, str])


_UNET_REFUSED: Mapping[int, str] = {
    5: "Stable Diffusion made for depth maps",
    7: "Stable Diffusion's upscaler",
    8: "InstructPix2Pix",
}
_FLUX_REFUSED: Mapping[int, str] = {128: "FLUX made for depth maps or edges"}

# The first match counts, so a row whose tensors include another row's comes before it.
DENOISERS: tuple[DenoiserRow, ...] = (
    DenoiserRow(
        UNET,
        "a UNet in the original layout",
        ("input_blocks.0.0.weight", "time_embed.0.weight", "out.2.weight"),
        "input_blocks.0.0.weight",
        (9,),
        _UNET_REFUSED,
    ),
    DenoiserRow(
        None,
        "an AnimateDiff motion module",
        (
            "down_blocks.0.motion_modules.0."
            "temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe",
        ),
    ),
    DenoiserRow(
        UNET,
        "a UNet in the layout of diffusers",
        ("conv_in.weight", "time_embedding.linear_1.weight", "conv_out.weight"),
        "conv_in.weight",
        (9,),
        _UNET_REFUSED,
    ),
    DenoiserRow(None, "FLUX.2", ("single_stream_modulation.lin.weight",)),
    DenoiserRow(None, "FLUX.3", ("early_stream_modulations.image.lin.weight",)),
    DenoiserRow(None, "Chroma", ("distilled_guidance_layer.in_proj.bias",)),
    DenoiserRow(None, "Chroma", ("distilled_guidance_layer.in_proj.weight",)),
    DenoiserRow(
        None,
        "HunyuanVideo",
        ("txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias",),
    ),
    DenoiserRow(None, "Qwen-Image 2.1", ("txt_in.text_norm.weight",)),
    DenoiserRow(None, "Krea 2", ("txtfusion.projector.weight",)),
    DenoiserRow(
        "sd3",
        "an SD3 transformer in the original layout",
        ("joint_blocks.0.context_block.adaLN_modulation.1.weight",),
    ),
    DenoiserRow(
        "flux",
        "a FLUX transformer in the original layout",
        ("double_blocks.0.img_attn.norm.key_norm.scale", "img_in.weight", "txt_in.weight"),
        "img_in.weight",
        (384,),
        _FLUX_REFUSED,
    ),
    DenoiserRow(
        "flux",
        "a FLUX transformer in the layout of diffusers",
        (
            "single_transformer_blocks.0.proj_mlp.weight",
            "context_embedder.weight",
            "time_text_embed.timestep_embedder.linear_1.weight",
        ),
        "x_embedder.weight",
        (384,),
        _FLUX_REFUSED,
    ),
    DenoiserRow(
        "sd3",
        "an SD3 transformer in the layout of diffusers",
        (
            "transformer_blocks.0.attn.add_k_proj.weight",
            "context_embedder.weight",
            "pos_embed.proj.weight",
        ),
    ),
    DenoiserRow(
        "qwen-image",
        "a Qwen-Image transformer",
        ("transformer_blocks.0.img_mod.1.weight", "txt_norm.weight", "img_in.weight"),
        "img_in.weight",
    ),
    DenoiserRow(
        "z-image",
        "a Z-Image transformer",
        ("layers.0.adaLN_modulation.0.weight", "cap_embedder.0.weight"),
    ),
    DenoiserRow(
        None,
        "Lumina 2",
        ("layers.0.adaLN_modulation.1.weight", "cap_embedder.0.weight"),
    ),
    DenoiserRow(None, "PixArt-alpha", ("csize_embedder.mlp.0.weight",)),
    DenoiserRow(
        None,
        "PixArt-alpha",
        ("adaln_single.emb.resolution_embedder.linear_1.weight",),
    ),
    DenoiserRow(
        "pixart",
        "a PixArt transformer in the original layout",
        (
            "y_embedder.y_proj.fc1.weight",
            "t_block.1.weight",
            "blocks.0.cross_attn.kv_linear.weight",
            "blocks.0.mlp.fc1.weight",
        ),
    ),
    DenoiserRow(
        "pixart",
        "a PixArt transformer in the layout of diffusers",
        (
            "adaln_single.linear.weight",
            "caption_projection.linear_1.weight",
            "transformer_blocks.0.attn2.to_k.weight",
            "pos_embed.proj.weight",
        ),
    ),
    DenoiserRow(None, "Sana", ("blocks.0.cross_attn.q_linear.weight",)),
    DenoiserRow(None, "AuraFlow", ("double_layers.0.attn.w1q.weight",)),
    DenoiserRow(None, "Wan, a model for videos", ("head.modulation",)),
    DenoiserRow(None, "LTX, a model for videos", ("patchify_proj.weight",)),
    DenoiserRow(None, "Mochi, a model for videos", ("blocks.0.attn.qkv_x.weight",)),
    DenoiserRow(None, "HiDream", ("double_stream_blocks.0.block.adaLN_modulation.1.bias",)),
    DenoiserRow(None, "Hunyuan-DiT", ("text_embedding_padding",)),
    DenoiserRow(None, "Stable Cascade", ("clip_txt_mapper.weight",)),
    DenoiserRow(None, "Stable Cascade", ("down_blocks.1.0.channelwise.0.weight",)),
    DenoiserRow(None, "Cosmos, a model for videos", ("x_embedder.proj.1.weight",)),
)

V_PREDICTIONS = frozenset({"v", "v_prediction", "v-prediction"})

CONTROLNET_STARTS = (
    "control_model.",
    "input_hint_block.",
    "controlnet_cond_embedding.",
    "controlnet_down_blocks.",
    "controlnet_blocks.",
    "control_all_x_embedder.",
)
CONTROLNET_FAMILIES: Mapping[str, str] = {
    "control_all_x_embedder.": "z-image",
    "single_transformer_blocks.": "flux",
    "transformer_blocks.0.img_mod.": "qwen-image",
    "transformer_blocks.0.attn.add_k_proj.": "sd3",
}
"""Families of ControlNets without a UNet, by the start of a tensor name; the first match counts."""
T2I_ADAPTER_STARTS = ("body.0.in_conv.", "adapter.body.", "body.0.resnets.0.block1.")

FACE_ID_WIDTH = 512

MAX_EMBEDDING_TENSORS = 8
MAX_TOKEN_VECTORS = 256
EMBEDDING_NAMES = frozenset(
    {"emb_params", "clip_l", "clip_g", "t5", "t5xxl", "text_encoders_0", "text_encoders_1"}
)
EMBEDDING_STARTS = ("string_to_param.",)
TOKEN_WIDTHS = (768, 1024, 1280)
"""Widths of text encoders whose embeddings may come as a single tensor."""
EMBEDDING_FAMILIES: Mapping[tuple[int, ...], tuple[str, ...]] = {
    (768, 1280): ("sdxl",),
    (1280,): ("sdxl-refiner",),
    (768, 1280, 4096): ("sd3",),
    (768, 4096): ("flux",),
}
"""Families by the sorted widths of an embedding's vectors; a single other width is a UNet's."""

FAMILIES_OF_LATENTS: Mapping[int, tuple[str, ...]] = {
    4: ("sd1", "sd2", "sdxl", "sdxl-refiner", "pixart"),
    16: ("sd3", "flux", "z-image"),
}
FAMILIES_OF_VIDEO_LATENTS: Mapping[int, tuple[str, ...]] = {16: ("qwen-image",)}


@dataclass(frozen=True)
class TinyRow:
    """A tiny autoencoder; side `axis` of its first required tensor is the latent channels."""

    needs: tuple[str, ...]
    axis: int
    parts: tuple[str, ...]


TINY_AUTOENCODERS: tuple[TinyRow, ...] = (
    TinyRow(
        ("decoder.layers.0.weight", "encoder.layers.0.weight", "decoder.layers.2.conv.0.weight"),
        1,
        ("encoder", "decoder"),
    ),
    TinyRow(
        ("decoder.1.weight", "encoder.0.weight", "decoder.3.conv.0.weight"),
        1,
        ("encoder", "decoder"),
    ),
    TinyRow(("1.weight", "3.conv.0.weight", "18.weight"), 1, ("decoder",)),
    TinyRow(("14.weight", "0.weight", "1.conv.0.weight"), 0, ("encoder",)),
)

FACE_RESTORERS: Mapping[str, tuple[str, ...]] = {
    "GFPGAN": ("toRGB.0.weight", "stylegan_decoder.style_mlp.1.weight"),
    "RestoreFormer": ("quantize.embedding.weight", "encoder.down.0.block.0.norm1.weight"),
}

TEXT_ENCODER_ENDS = (
    "text_model.embeddings.token_embedding.weight",
    "encoder.block.0.layer.0.SelfAttention.k.weight",
    "model.embed_tokens.weight",
    "token_embd.weight",
)

UPSCALERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ESRGAN", ("conv_first.weight", "body.0.rdb1.conv1.weight")),
    ("ESRGAN", ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight")),
    ("ESRGAN", ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight")),
    ("DAT", ("before_RG.1.weight", "conv_first.weight")),
    ("HAT", ("conv_first.weight", "layers.0.residual_group.overlap_attn.qkv.weight")),
    ("SwinIR", ("conv_first.weight", "layers.0.residual_group.blocks.0.attn.qkv.weight")),
    ("SPAN", ("conv_1.sk.weight", "block_1.c1_r.sk.weight")),
    ("OmniSR", ("residual_layer.0.residual_layer.0.layer.0.fn.0.weight", "input.weight")),
    ("PLKSR", ("feats.0.weight", "feats.1.lk.conv.weight")),
    ("Compact", ("body.0.weight", "body.1.weight", "body.2.weight", "body.2.bias")),
)
