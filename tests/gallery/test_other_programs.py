"""Settings that other programs write: everything usable is kept, and the rest is named."""

from __future__ import annotations

import io
import json
import time
from html import escape
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import MetadataError, NoMetadataError
from paintdiff.gallery.settings.found_settings import FoundSettings
from paintdiff.gallery.settings.metadata import find_settings, read_settings
from paintdiff.gallery.settings.sampler_names import from_others, to_a1111
from paintdiff.jobs.request_parts import HiresFix, LoraInput
from paintdiff.jobs.requests import ImageToImage
from paintdiff.models.registry.samplers import SAMPLERS

TEXT = (
    "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, "
    "Size: 512x768, Model hash: abc, Model: dream"
)
CAT: dict[str, Any] = {
    "prompt": "a cat",
    "negative_prompt": "a dog",
    "num_inference_steps": 20,
    "sampler": "Euler a",
    "guidance_scale": 7.0,
    "seed": 5,
    "width": 512,
    "height": 768,
    "model": "dream",
}


def png(**texts: str) -> bytes:
    buffer, info = io.BytesIO(), PngInfo()
    for key, text in texts.items():
        info.add_text(key.replace("_", "-") if key == "sd_metadata" else key, text)
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def with_exif(kind: str, comment: bytes = b"", **strings: str) -> bytes:
    exif, buffer = Image.Exif(), io.BytesIO()
    if comment:
        exif.get_ifd(0x8769)[0x9286] = comment
    for tag, text in strings.items():
        exif[{"make": 0x010F, "description": 0x010E}[tag]] = text
    Image.new("RGB", (8, 8)).save(buffer, kind, exif=exif.tobytes())
    return buffer.getvalue()


_IMPLIED = ("kind", "version", "prompt_syntax", "emphasis")


def said(found: FoundSettings | None, *names: str) -> dict[str, Any]:
    """The found settings, without those left open."""
    assert found is not None
    values = found.request.model_dump(exclude_unset=True)
    values = {name: value for name, value in values.items() if name not in _IMPLIED}
    return {name: values[name] for name in names} if names else values


def found_in(text: str) -> FoundSettings:
    """The same from a picture and from a text that was pasted."""
    found = read_settings(png(parameters=text))
    assert find_settings(text) == found
    return found


# A1111's text and its relatives


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        f"\ufeff  {TEXT}\n\n",
        TEXT.replace("\n", " "),
        TEXT.replace("\n", ", ", 1).replace("\n", " ").replace(", Neg", " Neg"),
        f"{TEXT}\nTemplate: a {{cat|dog}}, Steps: 3, nothing: else\nNegative Template: x, y: z",
        f'{TEXT},\nHashes: {{"model": "abc", "lora:x": "def"}}, Version: v1.9.4',
        f"{TEXT}, Version: f2.0.1v1.10.1-previous-669, Module 1: ae",
        TEXT.replace("Seed: 5", 'Seed: 5, Lora hashes: "a: b, c: d"'),
        TEXT + ', Civitai resources: [{"type":"checkpoint","modelVersionId":1,"modelName":"A, B"}],'
        ' Civitai metadata: {"remixOfId":7}, Created Date: 2024-10-05T1407:41.3742Z',
    ],
)
def test_a1111s_text_in_many_forms(text: str) -> None:
    found = found_in(text)
    assert said(found) == CAT
    assert found.left_open == ()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le"),
        b"UNICODE\0" + TEXT.encode("utf-16"),
        b"UNICODE\0\xfe\xff" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode(),
        b"ASCII\0\0\0" + TEXT.encode(),
        bytes(8) + TEXT.encode(),
        bytes(8) + TEXT.encode("utf-16-le"),
        b"ASCII\0\0\0" + TEXT.encode() + bytes(9),
        b"UNICODE\0" + TEXT.encode("utf-16-be") + bytes(4),
    ],
)
def test_exif_comments_in_every_coding(comment: bytes, kind: str) -> None:
    assert said(read_settings(with_exif(kind, comment))) == CAT


@pytest.mark.parametrize("prompt", ["山の猫、海", "кошка", "chat à l'été", "🐈 und ein Hut"])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-8"])
def test_comments_that_arent_ascii(prompt: str, encoding: str) -> None:
    code = b"ASCII\0\0\0" if encoding == "utf-8" else b"UNICODE\0"
    data = with_exif("JPEG", code + TEXT.replace("a cat", prompt).encode(encoding))
    assert said(read_settings(data), "prompt", "seed") == {"prompt": prompt, "seed": 5}


def test_what_is_beyond_our_limits_is_named_and_the_rest_kept() -> None:
    text = TEXT.replace("Seed: 5", "Seed: 693194942663826797").replace("Steps: 20", "Steps: 5000")
    text = text.replace("512x768", "512x9000").replace("scale: 7", "scale: 70")
    found = found_in(text)
    left = {"num_inference_steps", "seed", "width", "height", "guidance_scale"}
    assert said(found) == {name: value for name, value in CAT.items() if name not in left}
    assert found.left_open == (
        "size 512x9000 (at most 4096 each way)",
        "steps 5000 (at most 1000)",
        "guidance 70 (at most 50)",
        "seed 693194942663826797 (at most 4294967295)",
    )


def test_a_prompt_too_long_is_named_and_the_rest_kept() -> None:
    found = found_in(TEXT.replace("a cat", "a cat, " * 2000))
    assert said(found, "seed", "negative_prompt") == {"seed": 5, "negative_prompt": "a dog"}
    assert found.request.model_dump()["prompt"] == ""
    assert found.left_open[0].startswith("prompt a cat, a cat,")


@pytest.mark.parametrize(
    ("sampler", "schedule", "ours", "named"),
    [
        ("DPM++ 2M", "Karras", "DPM++ 2M Karras", ""),
        ("DPM++ 2M Karras", "", "DPM++ 2M Karras", ""),
        ("DPM++ 2M", "Automatic", "DPM++ 2M Karras", ""),
        ("DPM++ 2M", "", "DPM++ 2M", ""),
        ("Euler", "SGM Uniform", "Euler SGM Uniform", ""),
        ("Euler", "Beta", "Euler", "schedule Beta (not available, so Euler uses its default)"),
        ("DPM++ 2M SDE Karras", "", "DPM++ 2M SDE", "schedule karras (not available, so DPM++ 2M"),
        ("DPM++ 3M SDE", "Exponential", None, "sampler DPM++ 3M SDE Exponential (not available)"),
        ("Restart", "Automatic", None, "sampler Restart (not available)"),
        ("PLMS", "", "PNDM", ""),
    ],
)
def test_a_sampler_is_never_replaced_silently(
    sampler: str, schedule: str, ours: str | None, named: str
) -> None:
    text = TEXT.replace("Euler a", f"{sampler}, Schedule type: {schedule}" if schedule else sampler)
    found = found_in(text)
    assert said(found).get("sampler") == ours
    assert found.left_open[0].startswith(named) if named else found.left_open == (), found


def test_all_our_samplers_come_back() -> None:
    for name in SAMPLERS:
        assert from_others(*to_a1111(name)) == (name, ())
    for theirs, ours in (
        ("k_euler_ancestral", "Euler a"),
        ("dpmpp_2m_k", "DPM++ 2M Karras"),
        ("uni_pc_bh2", "UniPC"),
        ("dpmpp_2m_sde_gpu", "DPM++ 2M SDE"),
        ("euler_cfg_pp", None),
    ):
        assert from_others(theirs)[0] == ours


def test_other_settings_are_named() -> None:
    found = found_in(
        f'{TEXT}, ADetailer model: face_yolov8n.pt, ADetailer prompt: "a, b: c", ENSD: 31337, '
        'Hires prompt: "x, y", Clip skip: 2'
    )
    assert said(found) == {**CAT, "clip_skip": 2}
    assert found.left_open == ("ADetailer model", "ADetailer prompt", "ENSD", "Hires prompt")
    many = ", ".join(f"Setting{number}: 1" for number in range(30))
    assert found_in(f"{TEXT}, {many}").left_open[-1] == "22 more"


def test_negative_prompt_within_a_prompt_is_prompt() -> None:
    text = TEXT.replace("a cat", "a sign that says Negative prompt: no")
    assert said(found_in(text), "prompt", "negative_prompt") == {
        "prompt": "a sign that says Negative prompt: no",
        "negative_prompt": "a dog",
    }


def test_lines_stay_lines() -> None:
    text = TEXT.replace("a cat", "a cat,\nin a hat").replace("a dog", "a dog,\na mouse")
    assert said(found_in(text), "prompt", "negative_prompt") == {
        "prompt": "a cat,\nin a hat",
        "negative_prompt": "a dog,\na mouse",
    }


def test_hires_and_image_to_image() -> None:
    hires = "Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent (nearest-exact)"
    request = found_in(f"{TEXT}, {hires}").request
    assert request.model_dump()["hires"]["scale"] == 2
    found = found_in(f"{TEXT}, Denoising strength: 0.5, Hires upscale: 9")
    assert said(found) == {**CAT}
    assert found.left_open == ("hires scale 9 (at most 4)",)
    image = found_in(f"{TEXT}, Denoising strength: 0.4").request
    assert isinstance(image, ImageToImage)
    assert image.strength == 0.4
    wild = found_in(f"{TEXT}, Denoising strength: 4")
    assert wild.left_open == ("strength 4 (at most 1)",)
    assert HiresFix(scale=2) == HiresFix()


def test_forges_guidance_for_flux() -> None:
    text = TEXT.replace("CFG scale: 7", "CFG scale: 1, Distilled CFG Scale: 3.5")
    assert said(found_in(text), "guidance_scale") == {"guidance_scale": 3.5}


@pytest.mark.parametrize("seed", ["-1", "-100"])
def test_a_seed_that_is_drawn(seed: str) -> None:
    found = found_in(TEXT.replace("Seed: 5", f"Seed: {seed}"))
    assert "seed" not in said(found)
    assert found.left_open == ()


# JSON

FOOOCUS = {
    **{"prompt": "a cat", "negative_prompt": "a dog", "steps": 20, "sampler": "euler_ancestral"},
    **{"prompt_expansion": "", "styles": "['Fooocus V2']", "performance": "Speed", "seed": "5"},
    **{
        "resolution": "(512, 768)",
        "guidance_scale": 7.0,
        "scheduler": "normal",
        "vae": "Default (model)",
    },
    **{"base_model": "dream.safetensors", "base_model_hash": "abc", "refiner_model": "None"},
    **{"loras": [["style.safetensors", 0.5, "ff"], ["None", 1.0, ""]], "version": "Fooocus v2.5"},
    **{"metadata_scheme": "fooocus"},
}
SWARM = {
    "sui_image_params": {
        **{"prompt": "a cat", "negativeprompt": "a dog", "model": "folder/dream", "seed": 5},
        **{"steps": 20, "cfgscale": 7.0, "aspectratio": "Custom", "width": 512, "height": 768},
        **{"sampler": "euler_ancestral", "scheduler": "normal", "automaticvae": True},
        **{"loras": ["style"], "loraweights": ["0.5"], "swarm_version": "0.9.4.0"},
    },
    "sui_extra_data": {"date": "2025-01-01"},
}
INVOKE = {
    **{"app_version": "5.4", "generation_mode": "sdxl_txt2img", "positive_prompt": "a cat"},
    **{"negative_prompt": "a dog", "width": 512, "height": 768, "seed": 5, "rand_device": "cpu"},
    **{"cfg_scale": 7.0, "steps": 20, "scheduler": "euler_a", "strength": None},
    **{"model": {"key": "1", "hash": "x", "name": "dream", "base": "sdxl", "type": "main"}},
    "loras": [{"model": {"name": "style", "key": "2"}, "weight": 0.5}],
}
NOVELAI = {
    **{"prompt": "a cat", "uc": "a dog", "steps": 20, "height": 768, "width": 512, "scale": 7.0},
    **{"seed": 5, "n_samples": 1, "sampler": "k_euler_ancestral", "noise_schedule": "native"},
}
DRAW_THINGS = {
    **{"c": "a cat", "uc": "a dog", "steps": 20, "scale": 7, "seed": 5, "size": "512x768"},
    **{"sampler": "Euler A", "model": "dream.ckpt", "v2": {"x": 1}},
    "lora": [{"model": "style.ckpt", "weight": 0.5}],
}
STYLE = [LoraInput(name="style", weight=0.5).model_dump()]
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><exif:UserComment>\n<rdf:Alt>'
    f'<rdf:li xml:lang="x-default">{escape(json.dumps(DRAW_THINGS))}</rdf:li></rdf:Alt>'
    "</exif:UserComment></rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize(
    ("data", "program", "without"),
    [
        (png(parameters=json.dumps(FOOOCUS)), "Fooocus", ()),
        (with_exif("JPEG", b"UNICODE\0" + json.dumps(FOOOCUS).encode("utf-16-be")), "Fooocus", ()),
        (png(parameters=json.dumps(SWARM)), "SwarmUI", ()),
        (png(parameters=json.dumps(SWARM, indent=2)), "SwarmUI", ()),
        (with_exif("WEBP", b"ASCII\0\0\0" + json.dumps(SWARM).encode()), "SwarmUI", ()),
        (png(invokeai_metadata=json.dumps(INVOKE)), "InvokeAI", ()),
        (png(Comment=json.dumps(NOVELAI), Software="NovelAI"), "NovelAI", ("loras", "model")),
        (png(**{"XML:com.adobe.xmp": XMP}), "Draw Things", ()),
    ],
)
def test_programs_that_write_json(data: bytes, program: str, without: tuple[str, ...]) -> None:
    found = read_settings(data)
    wanted = {
        name: value for name, value in (CAT | {"loras": STYLE}).items() if name not in without
    }
    values = said(found)
    values |= (
        {"loras": [each | {"text_encoder_weight": None} for each in values["loras"]]}
        if ("loras" in values)
        else {}
    )
    assert values == wanted
    assert found.program == program


def test_xmp_with_many_comments_that_never_end_is_read_at_once() -> None:
    data = png(**{"XML:com.adobe.xmp": "<exif:UserComment><rdf:li>" * 8000})
    started = time.process_time()
    with pytest.raises(NoMetadataError):
        read_settings(data)
    assert time.process_time() - started < 10  # a minute, if each is followed to the end


@pytest.mark.parametrize(("theirs", "ours"), [(0, 1), (2, 3)])
def test_invokeai_counts_the_layers_that_it_skips(theirs: int, ours: int) -> None:
    found = found_in(json.dumps({**INVOKE, "clip_skip": theirs}))
    assert said(found, "clip_skip") == {"clip_skip": ours}


def test_fooocus_styles_are_named() -> None:
    found = found_in(json.dumps(FOOOCUS))
    assert found.left_open == ("styles", "performance")


def test_old_invokeai() -> None:
    image = {"prompt": [{"prompt": "a cat [a dog]", "weight": 1}], "steps": 20, "cfg_scale": 7.0}
    image |= {"height": 768, "width": 512, "seed": 5, "sampler": "k_euler_a", "type": "txt2img"}
    content = {"model": "stable diffusion", "model_weights": "dream", "image": image}
    assert said(read_settings(png(sd_metadata=json.dumps(content)))) == CAT
    dream = '"a cat [a dog]" -s 20 -S 5 -W 512 -H 768 -C 7.0 -A k_euler_a'
    without_model = {name: value for name, value in CAT.items() if name != "model"}
    assert said(read_settings(png(Dream=dream))) == without_model


def test_settings_in_chunks_of_their_own() -> None:
    data = png(
        **{"prompt": "a cat", "negative_prompt": "a dog", "seed": "5", "width": "512"},
        **{"height": "768", "num_inference_steps": "20", "guidance_scale": "7.0"},
        **{"sampler_name": "euler_a", "use_stable_diffusion_model": "dream"},
    )
    assert said(read_settings(data)) == CAT


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt": "a cat", "seed": ',
        "{broken",
        '{"version": 3}',
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps({"prompt": {"deep": 1}}),
        json.dumps({"nodes": [], "links": []}),
    ],
)
def test_json_is_never_a_prompt(text: str) -> None:
    try:
        found = read_settings(png(parameters=text))
    except MetadataError as error:
        assert "JSON" in str(error)
    else:
        assert text.startswith("[[")
        assert found is not None
    assert find_settings(text) is None


def test_wild_json_keeps_what_can_be_used() -> None:
    wild = {
        **{"prompt": "a cat", "seed": 2**64, "steps": "many", "cfg_scale": None, "width": [1]},
        **{"height": {"a": 1}, "sampler": 5, "model": ["x"], "loras": [1, None, {"weight": 2}, []]},
        **{"clip_skip": "two", "negative_prompt": 7},
    }
    found = found_in(json.dumps(wild))
    assert said(found, "prompt") == {"prompt": "a cat"}
    named = " ".join(found.left_open)
    assert "seed 18446744073709551616" in named
    assert "steps many" in named


# Where there are several, and where there is nothing


def test_our_own_settings_come_first_and_others_stand_in_for_them() -> None:
    own = {"request": {"prompt": "a house", "seed": 1, "version": 1}}
    assert said(read_settings(png(parameters=TEXT, paintdiffusion=json.dumps(own))), "prompt") == {
        "prompt": "a house"
    }
    own["request"]["version"] = 99
    found = read_settings(png(parameters=TEXT, paintdiffusion=json.dumps(own)))
    assert said(found) == CAT
    assert found.left_open[0].startswith("our own settings")


@pytest.mark.parametrize(
    "data",
    [
        png(),
        png(Software="GIMP", Comment="Created with GIMP"),
        png(Description="a holiday, Greece: 2019"),
        with_exif("JPEG", description="a holiday"),
        with_exif("JPEG", make="Canon"),
        with_exif("JPEG", bytes(8)),
        with_exif("JPEG", b"ASCII\0\0\0" + b"   "),
    ],
)
def test_what_has_no_settings(data: bytes) -> None:
    with pytest.raises(NoMetadataError):
        read_settings(data)


@pytest.mark.parametrize(
    "text",
    [
        "a cat",
        "a cat, a dog: brown\nwith a hat",
        "Steps: 3, Seed: 1",
        "",
        "{a|b} cat",
        "x" * 2_000_000,
    ],
)
def test_a_pasted_prompt_is_only_a_prompt(text: str) -> None:
    assert find_settings(text) is None


def test_a_pasted_text_may_have_a_heading() -> None:
    for heading in ("parameters\n", "Prompt: ", "Positive prompt\n"):
        assert said(find_settings(heading + TEXT)) == CAT
