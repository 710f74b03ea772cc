"""A folder with pictures as five other programs write them is imported with all their settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.gallery.checking import find_mismatches
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.import_folder import import_folder
from paintdiff.gallery.records.query import PictureQuery

PROMPT, NEGATIVE = "a lighthouse by the sea, (storm:1.2)", "blurry, low quality"
FORGE = (
    f"{PROMPT} <lora:ink:0.7>\nNegative prompt: {NEGATIVE}\nSteps: 24, Sampler: DPM++ 2M, "
    "Schedule type: Karras, CFG scale: 6.5, Seed: 1234567, Size: 832x1216, Model hash: 31e35c80fc, "
    "Model: sd_xl_base_1.0, Denoising strength: 0.4, Hires Module 1: Use same choices, "
    "Hires upscale: 1.5, Hires steps: 12, Hires upscaler: Latent, "
    'Lora hashes: "ink: 0a1b2c3d4e5f", '
    "Clip skip: 2, Version: f2.0.1v1.10.1-previous-669-gdfdcbab6"
)
COMFYUI = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            **{"seed": 987654321, "steps": 28, "cfg": 5.5, "sampler_name": "dpmpp_2m"},
            **{"scheduler": "karras", "denoise": 1.0, "model": ["10", 0], "positive": ["6", 0]},
            **{"negative": ["7", 0], "latent_image": ["5", 0]},
        },
        "_meta": {"title": "KSampler"},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "XL/dream.safetensors"}},
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 832, "height": 1216, "batch_size": 1},
    },
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": PROMPT, "clip": ["11", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": NEGATIVE, "clip": ["11", 0]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {
        "class_type": "SaveImage",
        "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]},
    },
    "10": {
        "class_type": "LoraLoader",
        "inputs": {
            **{"lora_name": "ink.safetensors", "strength_model": 0.7, "strength_clip": 0.7},
            **{"model": ["4", 0], "clip": ["4", 1]},
        },
    },
    "11": {
        "class_type": "CLIPSetLastLayer",
        "inputs": {"stop_at_clip_layer": -2, "clip": ["10", 1]},
    },
}
WORKFLOW = {"last_node_id": 11, "nodes": [{"id": 3, "type": "KSampler"}], "links": [], "version": 0}
INVOKEAI = {
    **{"app_version": "5.6.0", "generation_mode": "sdxl_txt2img", "positive_prompt": PROMPT},
    **{"negative_prompt": NEGATIVE, "width": 832, "height": 1216, "seed": 424242},
    **{"rand_device": "cpu", "cfg_scale": 5.5, "cfg_rescale_multiplier": 0.0, "steps": 28},
    **{"scheduler": "dpmpp_2m_k", "clip_skip": 1, "seamless_x": False, "seamless_y": False},
    "model": {
        **{"key": "0d4f6e3a", "hash": "blake3:aa11", "name": "Dream XL", "base": "sdxl"},
        "type": "main",
    },
    "loras": [{"model": {"key": "77", "hash": "blake3:bb", "name": "ink"}, "weight": 0.7}],
}
FOOOCUS = {
    **{"adm_guidance": "(1.5, 0.8, 0.3)", "base_model": "juggernautXL_v8", "seed": "99"},
    **{"base_model_hash": "aeb7e9e689", "clip_skip": 2, "created_by": "ann", "steps": 30},
    **{"full_negative_prompt": [NEGATIVE], "full_prompt": [PROMPT], "guidance_scale": 4.0},
    **{"loras": [["ink.safetensors", 0.7, "1a2b3c"]], "metadata_scheme": "fooocus"},
    **{"negative_prompt": NEGATIVE, "performance": "Speed", "prompt": PROMPT},
    **{"prompt_expansion": "", "refiner_model": "None", "refiner_switch": 0.5},
    **{"resolution": "(832, 1216)", "sampler": "dpmpp_2m", "scheduler": "karras"},
    **{"sharpness": 2.0, "styles": "['Fooocus V2']", "vae": "Default (model)"},
    "version": "Fooocus v2.5.5",
}
NOVELAI = {
    **{"prompt": PROMPT, "steps": 28, "height": 1216, "width": 832, "scale": 5.5, "seed": 31415},
    **{"uncond_scale": 0.0, "cfg_rescale": 0.0, "n_samples": 1, "noise_schedule": "karras"},
    **{"sampler": "k_dpmpp_2m", "uc": NEGATIVE, "request_type": "PromptGenerateRequest"},
    **{"signed_hash": "AAAA", "dynamic_thresholding": False},
    "v4_prompt": {
        "caption": {"base_caption": PROMPT, "char_captions": [{"char_caption": "a cat"}]}
    },
}
LORA = {"name": "ink", "weight": 0.7}
COMMON: dict[str, Any] = {
    **{"prompt": PROMPT, "negative_prompt": NEGATIVE, "width": 832, "height": 1216},
    "sampler": "DPM++ 2M Karras",
}
FOUND: dict[str, dict[str, Any]] = {
    "forge.png": {
        **{**COMMON, "num_inference_steps": 24, "guidance_scale": 6.5, "seed": 1234567},
        "prompt": f"{PROMPT} <lora:ink:0.7>",
        **{"model": "sd_xl_base_1.0", "clip_skip": 2},
        # 12 steps of 30 run at a strength of 0.4
        "hires": {"scale": 1.5, "strength": 0.4, "num_inference_steps": 30},
    },
    "comfyui.png": {
        **{**COMMON, "num_inference_steps": 28, "guidance_scale": 5.5, "seed": 987654321},
        **{"model": "dream", "clip_skip": 2, "loras": [LORA]},
    },
    "invokeai.png": {
        **{**COMMON, "num_inference_steps": 28, "guidance_scale": 5.5, "seed": 424242},
        **{"model": "Dream XL", "clip_skip": 2, "loras": [LORA]},
    },
    "fooocus.png": {
        **{**COMMON, "num_inference_steps": 30, "guidance_scale": 4.0, "seed": 99},
        **{"model": "juggernautXL_v8", "clip_skip": 2, "loras": [LORA]},
    },
    "novelai.png": {
        **{**COMMON, "num_inference_steps": 28, "guidance_scale": 5.5, "seed": 31415},
    },
}
FOUND["forge.jpg"] = FOUND["forge.png"]
FOUND["comfyui.webp"] = FOUND["comfyui.png"]
"""What each file says, as our settings."""
UNMAPPED = {
    "forge.png": ("Hires Module 1",),
    "forge.jpg": ("Hires Module 1",),
    "fooocus.png": ("adm_guidance", "performance", "refiner_switch", "sharpness", "styles"),
    "invokeai.png": ("cfg_rescale_multiplier",),
    "novelai.png": ("uncond_scale", "cfg_rescale", "v4_prompt.char_captions"),
}
"""What has no counterpart here."""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    texts = {
        "forge.png": {"parameters": FORGE},
        "comfyui.png": {"prompt": json.dumps(COMFYUI), "workflow": json.dumps(WORKFLOW)},
        "invokeai.png": {
            "invokeai_metadata": json.dumps(INVOKEAI),
            "invokeai_graph": json.dumps({"id": "g", "nodes": {}, "edges": []}),
        },
        "fooocus.png": {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
        "novelai.png": {
            **{"Title": "NovelAI generated image", "Description": PROMPT, "Software": "NovelAI"},
            **{"Source": "NovelAI Diffusion V4 37442FCA", "Generation time": "4.2"},
            "Comment": json.dumps(NOVELAI),
        },
    }
    folder.mkdir()
    for number, (name, chunks) in enumerate(texts.items()):
        info = PngInfo()
        for key, text in chunks.items():
            info.add_text(key, text)
        Image.new("RGB", (64, 96), (number * 30, 9, 9)).save(folder / name, pnginfo=info)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + FORGE.encode("utf-16-be")
    Image.new("RGB", (64, 96), "red").save(folder / "forge.jpg", exif=exif.tobytes())
    exif = Image.Exif()
    exif[0x010F], exif[0x010E] = f"prompt:{json.dumps(COMFYUI)}", f"workflow:{json.dumps(WORKFLOW)}"
    Image.new("RGB", (64, 96), "red").save(folder / "comfyui.webp", exif=exif.tobytes())
    return folder


@pytest.mark.parametrize("copy", [False, True])
def test_every_setting_is_imported_or_named(gallery: Gallery, theirs: Path, copy: bool) -> None:
    report = import_folder(gallery, theirs, copy=copy)
    assert (report.imported, report.failed) == (len(FOUND), [])
    assert {path.name: names for path, names in report.unmapped} == UNMAPPED
    records = {record.file: record for record in gallery.store.records(PictureQuery())}
    for name, wanted in FOUND.items():
        stem, _, suffix = name.partition(".")
        (record,) = (
            each
            for file, each in records.items()
            if Path(file).name.startswith(stem) and file.endswith(suffix)
        )
        found = dict(record.params)
        assert pick(found, wanted) == wanted, name
        assert (record.prompt, record.negative_prompt) == (wanted["prompt"], NEGATIVE), name
        assert (record.seed, record.model) == (wanted["seed"], wanted.get("model", "")), name
    assert gallery.store.count(PictureQuery(search="lighthouse storm")) == len(FOUND)
    assert list(find_mismatches(gallery, thorough=True)) == []
    again = import_folder(gallery, theirs, copy=copy)
    assert (again.imported, again.present) == (0, len(FOUND))


def pick(found: Any, wanted: Any) -> Any:
    """Return the part of a value that `wanted` has."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {key: pick(found.get(key), value) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(found, list):
        return [pick(*pair) for pair in zip(found, wanted, strict=True)]
    return found
