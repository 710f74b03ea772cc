"""Kind and family of a file by its tensors' names and shapes: common layouts, and diffusers' own
networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers
import pytest
import torch
import transformers

from paintdiff.models.discovery.detection import DetectedWeights, detect
from paintdiff.models.formats.headers import TensorShape
from tests.models.weight_files import (
    Shapes,
    checkpoint,
    controlnet,
    kohya_lora,
    unet,
    vae,
)


def told(shapes: Mapping[str, tuple[int, ...]], **metadata: str) -> DetectedWeights:
    tensors = {name: TensorShape("F16", shape) for name, shape in shapes.items()}
    said = {name.replace("__", "."): text for name, text in metadata.items()}
    return detect(tensors, said)


def network(class_: Any, **config: Any) -> Shapes:
    """The shapes of a network of diffusers', without its numbers."""
    with torch.device("meta"):
        made = class_(**config)
    return {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


UNET_CONFIG: Mapping[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
}
SD3 = {
    "joint_blocks.0.context_block.adaLN_modulation.1.weight": (9216, 1536),
    "x_embedder.proj.weight": (1536, 16, 2, 2),
}
FLUX = {
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "img_in.weight": (3072, 64),
    "txt_in.weight": (3072, 4096),
    "vector_in.in_layer.weight": (3072, 768),
}
PIXART = {
    "y_embedder.y_proj.fc1.weight": (1152, 4096),
    "t_block.1.weight": (6912, 1152),
    "blocks.0.cross_attn.kv_linear.weight": (2304, 1152),
    "blocks.0.mlp.fc1.weight": (4608, 1152),
}
IN_COMFY = "model.diffusion_model."


@pytest.mark.parametrize(
    ("shapes", "kind", "family"),
    [
        (checkpoint(768), "checkpoint", "sd1"),
        (checkpoint(1024), "checkpoint", "sd2"),
        (checkpoint(2048), "checkpoint", "sdxl"),
        (checkpoint(1280), "checkpoint", "sdxl-refiner"),
        (checkpoint(256), "checkpoint", "mini"),
        (unet(768), "denoiser", "sd1"),
        (unet(2048, prefix=""), "denoiser", "sdxl"),
        (prefixed(IN_COMFY, SD3), "denoiser", "sd3"),
        (SD3, "denoiser", "sd3"),
        (prefixed(IN_COMFY, SD3) | vae(16, "first_stage_model."), "checkpoint", "sd3"),
        (FLUX, "denoiser", "flux"),
        (prefixed(IN_COMFY, FLUX), "denoiser", "flux"),
        (prefixed(IN_COMFY, FLUX) | vae(16, "vae."), "checkpoint", "flux"),
        (PIXART, "denoiser", "pixart"),
        (prefixed(IN_COMFY, PIXART), "denoiser", "pixart"),
        (
            prefixed(
                IN_COMFY,
                {
                    "layers.0.adaLN_modulation.0.weight": (15360, 256),
                    "cap_embedder.0.weight": (2560,),
                    "x_embedder.weight": (3840, 64),
                },
            ),
            "denoiser",
            "z-image",
        ),
    ],
)
def test_original_layouts(shapes: Shapes, kind: str, family: str) -> None:
    found = told(shapes)
    assert (found.kind, found.family, found.families) == (kind, family, (family,))
    assert not found.inpainting and not found.zero_terminal_snr and not found.prediction_type
    assert found.parts[0] == "denoiser"
    assert ("vae" in found.parts) == (kind == "checkpoint")


def test_diffusers_own_denoisers() -> None:
    transformer = diffusers.FluxTransformer2DModel
    flux = network(transformer, num_layers=1, num_single_layers=1)
    sd3 = network(diffusers.SD3Transformer2DModel, num_layers=1)
    for shapes, family in (
        (network(diffusers.UNet2DConditionModel, cross_attention_dim=768, **UNET_CONFIG), "sd1"),
        (network(diffusers.UNet2DConditionModel, cross_attention_dim=2048, **UNET_CONFIG), "sdxl"),
        (flux, "flux"),
        (prefixed("transformer.", flux), "flux"),
        (sd3, "sd3"),
        (
            network(
                diffusers.PixArtTransformer2DModel,
                num_layers=1,
                sample_size=32,
                caption_channels=64,
            ),
            "pixart",
        ),
        (network(diffusers.QwenImageTransformer2DModel, num_layers=1), "qwen-image"),
        (network(diffusers.ZImageTransformer2DModel, n_layers=1, n_refiner_layers=1), "z-image"),
    ):
        found = told(shapes)
        assert (found.kind, found.family) == ("denoiser", family)
    alpha = network(
        diffusers.PixArtTransformer2DModel, num_layers=1, sample_size=128, caption_channels=64
    )
    assert "PixArt-alpha" in told(alpha).reason
    lumina = network(diffusers.Lumina2Transformer2DModel, num_layers=1, num_refiner_layers=1)
    assert told(lumina).kind == "unknown"


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        (checkpoint(768, channels=8), "InstructPix2Pix"),
        (checkpoint(1024, channels=5), "depth maps"),
        (checkpoint(1024, channels=7), "upscaler"),
        ({**FLUX, "img_in.weight": (3072, 128)}, "depth maps or edges"),
        ({**FLUX, "distilled_guidance_layer.in_proj.bias": (1,)}, "Chroma"),
        ({"head.modulation": (1, 2, 5120)}, "Wan, a model for videos"),
        ({"single_stream_modulation.lin.weight": (1, 2)}, "FLUX.2"),
        ({"a.b": (3, 4)}, r"isn't a known kind of weights; its first tensor is 'a.b'"),
        ({}, "no tensors"),
        (vae(32), "VAE with 32 latent channels"),
        ({"image_proj.proj.0.weight": (1, 512), "ip_adapter.1.to_k_ip.weight": (1, 768)}, "FaceID"),
        ({"lora_controlnet": (1,), "input_blocks.0.0.weight": (1,)}, "Control-LoRA"),
        ({"body.0.in_conv.weight": (1,)}, "T2I adapter"),
    ],
)
def test_what_cannot_be_used_is_named(shapes: Shapes, complaint: str) -> None:
    import re  # noqa: PLC0415 (only here)

    found = told(shapes)
    assert found.kind == "unknown" and found.family is None
    assert re.search(complaint, found.reason), found.reason


def test_a_unet_of_an_unknown_width_has_no_family() -> None:
    found = told(checkpoint(555))
    assert (found.kind, found.family) == ("checkpoint", None)
    assert "555" in found.reason and "no supported family" in found.reason
    tensors = {name: TensorShape("F16", shape) for name, shape in checkpoint(555).items()}
    assert detect(tensors, {}, {555: "sd1"}).family == "sd1"


def test_inpainting_and_how_it_was_trained() -> None:
    assert told(checkpoint(768, channels=9)).inpainting
    assert told(checkpoint(2048, channels=9)).family == "sdxl"
    assert told({**FLUX, "img_in.weight": (3072, 384)}).inpainting
    assert told(checkpoint(2048) | {"v_pred": ()}).prediction_type == "v_prediction"
    both = told(checkpoint(2048) | {"v_pred": (), "ztsnr": ()})
    assert both.zero_terminal_snr and both.prediction_type == "v_prediction"
    assert told(checkpoint(1024), modelspec__prediction_type="v").prediction_type == "v_prediction"
    assert told(checkpoint(1024), modelspec__prediction_type="epsilon").prediction_type == "epsilon"
    architecture = "stable-diffusion-v2-768-v"
    assert (
        told(checkpoint(1024), modelspec__architecture=architecture).prediction_type
        == "v_prediction"
    )


NATIVE = "diffusion_model.double_blocks.0.img_attn.qkv"
SINGLE = "single_transformer_blocks.0.attn.to_q"
JOINT = "transformer.transformer_blocks.{}.attn.to_k.lora_A.weight"


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        (kohya_lora(768), "sd1"),
        (kohya_lora(1024), "sd2"),
        (kohya_lora(2048), "sdxl"),
        (kohya_lora(1280), "sdxl-refiner"),
        (kohya_lora(256), "mini"),
        # diffusers, PEFT, and diffusers before PEFT
        ({"unet.down.attn2.to_k.lora.down.weight": (4, 768)}, "sd1"),
        ({"unet.down.attn2.to_k.lora_A.weight": (4, 2048)}, "sdxl"),
        ({"base_model.model.down.attn2.to_k.lora_A.weight": (4, 1024)}, "sd2"),
        ({"down.attn2.processor.to_k_lora.down.weight": (4, 768)}, "sd1"),
        ({"unet.down.attn2.processor.to_k_lora.down.weight": (4, 2048)}, "sdxl"),
        # LyCORIS: LoHa, LoKr, a difference
        (
            {
                "lora_unet_x_attn2_to_k.hada_w1_a": (320, 8),
                "lora_unet_x_attn2_to_k.hada_w1_b": (8, 768),
            },
            "sd1",
        ),
        (
            {"lora_unet_x_attn2_to_k.lokr_w1": (8, 8), "lora_unet_x_attn2_to_k.lokr_w2": (40, 96)},
            "sd1",
        ),
        (
            {
                "lora_unet_x_attn2_to_k.lokr_w1": (8, 16),
                "lora_unet_x_attn2_to_k.lokr_w2_a": (40, 4),
                "lora_unet_x_attn2_to_k.lokr_w2_b": (4, 128),
            },
            "sdxl",
        ),
        ({"lora_unet_x_attn2_to_k.diff": (320, 1024)}, "sd2"),
        # without attention to words
        (
            {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (4, 768)},
            "sd1",
        ),
        (
            {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (4, 1024)},
            "sd2",
        ),
        ({"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 1280)}, "sdxl"),
        (
            {"lora_unet_input_blocks_7_1_transformer_blocks_5_ff_net_2.lora_down.weight": (4, 9)},
            "sdxl",
        ),
        # transformers
        ({f"{NATIVE}.lora_A.weight": (16, 3072)}, "flux"),
        ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (16, 3072)}, "flux"),
        ({"lora_unet_single_blocks_0_linear1.lora_down.weight": (16, 3072)}, "flux"),
        ({f"transformer.{SINGLE}.lora_A.weight": (16, 3072)}, "flux"),
        ({f"transformer.{SINGLE}.lora.down.weight": (16, 3072)}, "flux"),
        ({JOINT.format(0): (16, 3072), JOINT.format(18): (16, 3072)}, "flux"),
        ({JOINT.format(0): (16, 3072), JOINT.format(59): (16, 3072)}, "qwen-image"),
        ({"transformer_blocks.0.img_mlp.net.2.lora_A.weight": (16, 12288)}, "qwen-image"),
        ({"lora_unet_transformer_blocks_0_img_mod_1.lora_down.weight": (16, 3072)}, "qwen-image"),
        ({JOINT.format(0): (16, 1536)}, "sd3"),
        ({JOINT.format(37): (16, 2432)}, "sd3"),
        ({"lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight": (16, 1536)}, "sd3"),
        ({"transformer.transformer_blocks.0.attn2.to_k.lora_A.weight": (16, 1152)}, "pixart"),
        ({"diffusion_model.layers.0.attention.to_q.lora_A.weight": (16, 3840)}, "z-image"),
        ({"lora_unet_layers_0_attention_qkv.lora_down.weight": (16, 3840)}, "z-image"),
    ],
)
def test_loras(shapes: Shapes, family: str) -> None:
    found = told(shapes)
    assert (found.kind, found.family) == ("lora", family)


def test_a_lora_whose_tensors_do_not_tell_is_asked() -> None:
    silent = {"lora_unet_conv_in.lora_down.weight": (4, 4, 3, 3)}
    assert told(silent) == DetectedWeights("lora", reason="a LoRA of an unknown family")
    assert told(silent, ss_base_model_version="sdxl_base_v1-0").family == "sdxl"
    assert told(silent, modelspec__architecture="flux-1-dev/lora").family == "flux"
    assert told(silent, ss_base_model_version="sd_v1").family == "sd1"
    assert told(silent, ss_v2="True").family == "sd2"
    lying = told(kohya_lora(768), ss_base_model_version="sdxl_base_v1-0")
    assert lying.family == "sd1", "shapes can't lie"
    assert told(kohya_lora(999)).family is None


@pytest.mark.parametrize(
    ("shapes", "families", "widths"),
    [
        ({"emb_params": (4, 768)}, ("sd1",), (768,)),
        ({"emb_params": (4, 1024)}, ("sd2",), (1024,)),
        ({"string_to_param.*": (2, 768)}, ("sd1",), (768,)),
        ({"<cat-toy>": (768,)}, ("sd1",), (768,)),
        ({"<cat-toy>": (1, 1024)}, ("sd2",), (1024,)),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, ("sdxl",), (768, 1280)),
        ({"text_encoders_0": (2, 768), "text_encoders_1": (2, 1280)}, ("sdxl",), (768, 1280)),
        ({"emb_params": (4, 256)}, ("mini",), (256,)),
        ({"emb_params": (4, 333)}, (), (333,)),
    ],
)
def test_embeddings(shapes: Shapes, families: tuple[str, ...], widths: tuple[int, ...]) -> None:
    found = told(shapes)
    assert (found.kind, found.families, found.widths) == ("embedding", families, widths)
    assert found.family == (families[0] if families else None)


def test_one_tensor_is_not_always_an_embedding() -> None:
    assert told({"positions": (4096, 768)}).kind == "unknown"
    assert told({"kernel": (3, 768, 3, 3)}).kind == "unknown"
    assert told({"bias": (77,)}).kind == "unknown"


def test_vaes_and_tiny_autoencoders() -> None:
    assert told(vae()).families[:3] == ("sd1", "sd2", "sdxl")
    assert told(vae(prefix="first_stage_model.")).kind == "vae"
    assert told(vae(16)).families == ("sd3", "flux", "z-image")
    assert told(vae(16)).family is None
    full = network(diffusers.AutoencoderKL, block_out_channels=(32,))
    assert (told(full).kind, told(full).latent_channels) == ("vae", 4)
    video = told(network(diffusers.AutoencoderKLQwenImage))
    assert (video.kind, video.family) == ("vae", "qwen-image")
    tiny = told(network(diffusers.AutoencoderTiny))
    assert (tiny.kind, tiny.latent_channels, tiny.parts) == (
        "tiny_autoencoder",
        4,
        ("encoder", "decoder"),
    )
    assert told(network(diffusers.AutoencoderTiny, latent_channels=16)).latent_channels == 16
    decoder = {"1.weight": (64, 16, 3, 3), "3.conv.0.weight": (64, 64, 3, 3), "18.weight": (3, 64)}
    assert (told(decoder).latent_channels, told(decoder).parts) == (16, ("decoder",))
    encoder = {"0.weight": (64, 3, 3, 3), "1.conv.0.weight": (64, 64), "14.weight": (4, 64, 3, 3)}
    assert (told(encoder).latent_channels, told(encoder).parts) == (4, ("encoder",))


def test_controlnets() -> None:
    assert (told(controlnet(768)).kind, told(controlnet(768)).family) == ("controlnet", "sd1")
    own = network(
        diffusers.ControlNetModel,
        cross_attention_dim=2048,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    )
    assert told(own).family == "sdxl"
    original = prefixed("control_model.", unet(1024, prefix=""))
    assert (told(original).kind, told(original).family) == ("controlnet", "sd2")
    flux = {"controlnet_blocks.0.weight": (1,), "single_transformer_blocks.0.proj_out.weight": (1,)}
    assert (told(flux).kind, told(flux).family) == ("controlnet", "flux")
    assert told({"controlnet_cond_embedding.conv_in.weight": (1,)}).family is None


def test_ip_adapters_and_image_encoders() -> None:
    plain = {
        "image_proj.proj.weight": (3072, 1024),
        "ip_adapter.1.to_k_ip.weight": (320, 768),
    }
    assert told(plain) == DetectedWeights(
        "ip_adapter",
        "sd1",
        "an IP-Adapter for text embeddings of width 768",
        families=("sd1",),
        widths=(1024, 0),
    )
    plus = {"image_proj.proj_in.weight": (1, 1280), "ip_adapter.1.to_k_ip.weight": (640, 2048)}
    assert (told(plus).family, told(plus).widths) == ("sdxl", (0, 1280))
    encoder = network(
        transformers.CLIPVisionModelWithProjection,
        config=transformers.CLIPVisionConfig(
            hidden_size=64, projection_dim=32, num_hidden_layers=1, num_attention_heads=2
        ),
    )
    assert (told(encoder).kind, told(encoder).widths) == ("image_encoder", (32, 64))
    text = {"text_model.embeddings.token_embedding.weight": (49408, 768)}
    assert told(text).kind == "text_encoder"


@pytest.mark.parametrize(
    "names",
    [
        ("conv_first.weight", "body.0.rdb1.conv1.weight"),
        ("params_ema.conv_first.weight", "params_ema.body.0.rdb1.conv1.weight"),
        ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"),
        (
            "params.body.0.weight",
            "params.body.1.weight",
            "params.body.2.weight",
            "params.body.2.bias",
        ),
    ],
)
def test_upscalers(names: tuple[str, ...]) -> None:
    assert told(dict.fromkeys(names, (64, 3, 3, 3))).kind == "upscaler"


def test_face_restorers_are_no_vaes() -> None:
    restoreformer = {
        "quantize.embedding.weight": (1024, 256),
        "encoder.down.0.block.0.norm1.weight": (64,),
        **vae(256),
    }
    assert told(restoreformer).kind == "face_restorer"
