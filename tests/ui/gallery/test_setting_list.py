"""A picture's settings in the page's words."""

from __future__ import annotations

import pytest

from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Axis, ControlInput, Upscaling
from paintdiff.jobs.requests import Grid, Inpaint, Request, TextToImage, Upscale
from paintdiff.ui.gallery.setting_list import list_settings
from tests.gallery.records import record
from tests.ui.fake_engine import WORDS

PICTURE = InputImage(sha256="0" * 64)
PAINTED = TextToImage(
    prompt="a house",
    quality="fast",
    profile="fast",
    width=64,
    height=64,
    num_inference_steps=12,
    guidance_scale=4,
    sampler="DDIM",
    seed=7,
    wildcards="off",
)


def listed(request: Request, model: str = "mini") -> dict[str, str]:
    made = record("a house", kind=request.kind, model=model, params=request.model_dump(mode="json"))
    pairs = list(list_settings(made, "house.png", WORDS))
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_names_are_those_of_the_page_and_what_is_as_usual_is_left_out() -> None:
    found = listed(PAINTED)
    assert {name: found.pop(name) for name in ("Model", "Quality", "Speed")} == {
        "Model": "Mini",
        "Quality": "Draft",
        "Speed": "Fast",
    }
    assert found.keys() == {"Size", "Steps", "Guidance", "Sampler", "File"}


def test_parts_begin_with_their_names() -> None:
    control = ControlInput(
        image=PICTURE, preprocessor="canny", controlnet="edges", conditioning_scale=0.8
    )
    inpainted = Inpaint(
        prompt="a house",
        image=PICTURE,
        masked_content="fill",
        only_masked=True,
        prompt_syntax="plain",
        controls=(control,),
        upscaling=Upscaling(upscaler="small", scale=2),
    )
    found = listed(inpainted)
    assert found["Started from"] == "Surrounding colours"
    assert found["Only the masked part"] == "on"
    assert found["Brackets in prompts"] == "Plain text"
    assert found["ControlNets"] == "Edges (Canny), edges, strictness 0.8"
    assert found["Upscaling"] == "Small, 2x"
    assert found["Strength"] == "0.75"
    assert not found.keys() & {"Image", "Mask", "Mask blur", "Padding", "Grown by", "Wildcards"}


def test_an_enlarged_picture_names_its_upscaler() -> None:
    request = Upscale(images=(PICTURE,), upscaling=Upscaling(upscaler="small", scale=4))
    found = listed(request, model="small")
    assert (found["Upscaler"], found["Upscaling"]) == ("Small", "Small, 4x")
    assert not found.keys() & {"Model", "Images"}


def test_a_grid_lists_its_axes() -> None:
    grid = Grid(
        base=PAINTED,
        x=Axis(field="quality", values=("fast", "unheard of")),
        y=Axis(field="num_inference_steps", values=("5", "10")),
    )
    found = listed(grid)
    assert found["From left to right"] == "Quality: Draft, unheard of"
    assert found["Downwards"] == "Steps: 5, 10"
    assert found["Speed"] == "Fast"
    assert "Base" not in found


@pytest.mark.parametrize("value", [{"a": [1]}, [["b"]], 3, "c", True])
def test_settings_of_an_unknown_kind_are_listed_too(value: object) -> None:
    made = record("a house", kind="later", params={"kind": "later", "new_thing": value})
    assert dict(list_settings(made, "house.png", WORDS))["New thing"]
