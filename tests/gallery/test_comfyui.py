"""ComfyUI's graphs."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from typing import Any

import pytest

from paintdiff.errors import MetadataError
from paintdiff.gallery.settings.comfyui import is_graph, settings_from_graph
from paintdiff.gallery.settings.metadata import find_settings, read_settings
from tests.gallery.test_other_programs import CAT, png, said, with_exif


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


BASIC = {
    "3": node(
        "KSampler",
        **{"seed": 5, "steps": 20, "cfg": 7.0, "sampler_name": "euler_ancestral", "denoise": 1},
        **{"scheduler": "normal", "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0]},
        latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="SD1.5\\dream.safetensors"),
    "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "6": node("CLIPTextEncode", text="a cat", clip=["4", 1]),
    "7": node("CLIPTextEncode", text="a dog", clip=["4", 1]),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
}


def changed(**nodes: Any) -> dict[str, Any]:
    return {
        **copy.deepcopy(BASIC),
        **{key.removeprefix("n"): value for key, value in nodes.items()},
    }


def test_the_usual_graph() -> None:
    text = json.dumps(BASIC)
    found = read_settings(png(prompt=text, workflow=json.dumps({"nodes": [], "links": []})))
    assert said(found) == CAT
    assert (found.program, found.left_open) == ("ComfyUI", ())
    assert find_settings(text) == found
    assert read_settings(png(parameters=text)) == found
    webp = with_exif("WEBP", make=f"prompt:{text}", description='workflow:{"nodes": []}')
    assert read_settings(webp) == found
    assert read_settings(with_exif("WEBP", description=f"Prompt: {text}")) == found


def test_loras_clip_skip_combined_prompts_and_primitives() -> None:
    graph = changed(
        n6=node("ConditioningCombine", conditioning_1=["20", 0], conditioning_2=["21", 0]),
        n20=node("CLIPTextEncode", text=["22", 0], clip=["12", 0]),
        n21=node("CLIPTextEncode", text="in a hat", clip=["12", 0]),
        n22=node("StringConcatenate", string_a="a", string_b=["23", 0]),
        n23=node("PrimitiveString", value="cat"),
        n10=node(
            "LoraLoader",
            lora_name="one.safetensors",
            strength_model=0.5,
            model=["11", 0],
            clip=["4", 1],
        ),
        n11=node(
            "LoraLoader", lora_name="sub/two.safetensors", strength_model=0.25, model=["4", 0]
        ),
        n12=node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["10", 1]),
        n13=node("Seed (rgthree)", seed=77),
    )
    graph["3"]["inputs"] |= {"seed": ["13", 0], "model": ["10", 0]}
    values = said(settings_from_graph(graph))
    assert values["prompt"] == "in a hat, a, cat" or values["prompt"] == "a, cat, in a hat"
    assert (values["seed"], values["clip_skip"]) == (77, 2)
    assert [(each["name"], each["weight"]) for each in values["loras"]] == [
        ("two", 0.25),
        ("one", 0.5),
    ]


FLUX = {
    "1": node(
        "SamplerCustomAdvanced",
        **{"noise": ["2", 0], "guider": ["3", 0], "sampler": ["4", 0], "sigmas": ["5", 0]},
        latent_image=["6", 0],
    ),
    "2": node("RandomNoise", noise_seed=5),
    "3": node("BasicGuider", model=["7", 0], conditioning=["8", 0]),
    "4": node("KSamplerSelect", sampler_name="euler"),
    "5": node("BasicScheduler", scheduler="simple", steps=20, denoise=1.0, model=["7", 0]),
    "6": node("EmptySD3LatentImage", width=512, height=768, batch_size=1),
    "7": node("UNETLoader", unet_name="dream.safetensors", weight_dtype="default"),
    "8": node("FluxGuidance", guidance=3.5, conditioning=["9", 0]),
    "9": node("CLIPTextEncode", text="a cat", clip=["10", 0]),
    "10": node("DualCLIPLoader", clip_name1="a", clip_name2="b", type="flux"),
}


def test_custom_sampling_nodes() -> None:
    found = settings_from_graph(FLUX)
    wanted = CAT | {"sampler": "Euler", "guidance_scale": 3.5}
    del wanted["negative_prompt"]
    assert said(found) == wanted
    assert found.left_open == ("schedule simple (not available, so Euler uses its default)",)


def test_of_several_passes_the_first_counts() -> None:
    second = copy.deepcopy(BASIC["3"])
    second["inputs"] |= {"seed": 99, "denoise": 0.4, "latent_image": ["31", 0]}
    graph = {"30": second, "31": node("LatentUpscale", samples=["3", 0], width=1024), **BASIC}
    found = settings_from_graph(graph)
    assert said(found) == CAT
    assert found.left_open == ("a second pass",)


def test_a_picture_it_started_from_is_named() -> None:
    graph = changed(n5=node("VAEEncode", pixels=["40", 0], vae=["4", 2]), n40=node("LoadImage"))
    found = settings_from_graph(graph)
    assert found.left_open == ("the picture it was made from",)
    assert said(found, "prompt", "seed") == {"prompt": "a cat", "seed": 5}


def test_loaders_that_hold_the_prompts() -> None:
    loader = node(
        "Efficient Loader",
        **{
            "ckpt_name": "dream.ckpt",
            "positive": "a cat",
            "negative": "a dog",
            "lora_name": "None",
        },
        **{"empty_latent_width": 512, "empty_latent_height": 768},
    )
    graph = {"1": loader, "3": copy.deepcopy(BASIC["3"])}
    for name in ("model", "positive", "negative", "latent_image"):
        graph["3"]["inputs"][name] = ["1", 0]
    assert said(settings_from_graph(graph)) == CAT


@pytest.mark.parametrize(
    "graph",
    [
        {"1": node("SaveImage")},
        {"1": node("KSampler", steps=1, cfg=1, sampler_name="euler")},
        {"1": node("SamplerCustom")},
        {str(number): node("A", a=[str(number), 0]) for number in range(3000)},
    ],
)
def test_what_cant_be_read_says_so(graph: dict[str, Any]) -> None:
    with pytest.raises(MetadataError, match="ComfyUI"):
        settings_from_graph(graph)


def test_links_that_lead_anywhere_end() -> None:
    """Circles, and links to nothing, in every input."""
    dice = random.Random(0)
    names = list(BASIC)
    for _ in range(300):
        graph = copy.deepcopy(BASIC)
        for each in graph.values():
            for name in each["inputs"]:
                if dice.random() < 0.3:
                    each["inputs"][name] = [dice.choice([*names, "99", 3, None]), 0]
                elif dice.random() < 0.1:
                    each["inputs"][name] = dice.choice([None, {}, [], [1], "x", 2**70, -1.5])
        with contextlib.suppress(MetadataError):
            settings_from_graph(graph)


def test_what_is_a_graph() -> None:
    assert is_graph(BASIC)
    assert not is_graph({})
    assert not is_graph({"prompt": "a cat"})
    assert not is_graph({"1": {"class_type": "x"}})
