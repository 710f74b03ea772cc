"""Controls through the engine: resolved, mapped at the painted size, and of effect everywhere."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    AnnotatorError,
    PaintError,
    RequestError,
    UnknownNameError,
)
from paintdiff.imaging.geometry import Box, Size
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import ControlInput, Outpaint
from paintdiff.jobs.requests import Inpaint, PaintingRequest, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.preprocessors.lines import detect_canny_edges
from paintdiff.tasks.controls import make_control_map, prepare_controls
from paintdiff.tasks.resolve.controls import resolve_controls
from tests.tasks.contexts import resolve_context, task_context
from tests.tasks.pictures import (
    finished,
    given,
    image_to_image,
    inpaint,
    mask,
    painted,
    photo,
)

MAP = Image.fromarray(detect_canny_edges(np.asarray(photo(1, 64, 64)))).convert("RGB")


def control(**changes: Any) -> ControlInput:
    values: dict[str, Any] = {"image": given(MAP), "preprocessor": "none"}
    return ControlInput(**values | changes)


def text_to_image(**changes: Any) -> TextToImage:
    values: dict[str, Any] = {
        "prompt": "a red house",
        "seed": 7,
        "num_inference_steps": 3,
        "width": 64,
        "height": 64,
    }
    return TextToImage(**values | changes)


def resolve(catalog: Catalog, request: PaintingRequest) -> tuple[Any, tuple[str, ...]]:
    context = resolve_context(catalog, catalog.find(ModelRow, request.model))
    return resolve_controls(request, context), tuple(context.warnings)


# What resolving does

SAMPLING: dict[str, Any] = {"guidance_scale": 4.0, "sampler": "DDIM"}


def test_a_control_gets_the_first_that_fits(tiny_engine: Engine, tiny_catalog: Catalog) -> None:
    job = tiny_engine.submit(text_to_image(controls=(control(),)))
    assert job.request.controls[0].controlnet == "mini-sketch"
    job.cancel()
    other = tiny_catalog.with_first(ControlNetRow, "mini-other")
    request, warnings = resolve(other, text_to_image(controls=(control(),), **SAMPLING))
    assert request.controls[0].controlnet == "mini-other"
    assert warnings == ()


@pytest.mark.parametrize(
    ("changes", "field", "complaint"),
    [
        ({"controlnet": "nobody"}, "controlnet", "no ControlNet 'nobody'"),
        (
            {"controlnet": "big"},
            "controlnet",
            r"Big is for Stable Diffusion 1\.x.*family Mini.*mini-sketch, mini-other",
        ),
        ({"preprocessor": "cany"}, "preprocessor", "canny"),
        ({"image": InputImage(sha256="0" * 64)}, "image", "Open it again"),
        ({"image": InputImage(data=b"no picture")}, "image", "Use PNG"),
    ],
)
@pytest.mark.parametrize("build", [text_to_image, image_to_image, inpaint])
def test_what_cant_be_used_is_refused_before_anything_is_loaded(
    build: Any, changes: dict[str, Any], field: str, complaint: str, tiny_catalog: Catalog
) -> None:
    manager = ModelManager(tiny_catalog, device="cpu")
    request = build(controls=(control(), control(**changes)))
    with Engine(manager) as engine, pytest.raises(RequestError, match=complaint) as caught:
        engine.submit(request)
    assert caught.value.field == f"controls.1.{field}"
    assert manager.status().state == "none"


def test_without_a_controlnet_for_the_model_it_says_so(
    tiny_catalog: Catalog, tiny_xl_folder: Path
) -> None:
    catalog = tiny_catalog.with_source(str(tiny_xl_folder), name="xl")
    with pytest.raises(RequestError, match=r"No ControlNet found for xl.*--controlnet") as caught:
        resolve(catalog, text_to_image(model="xl", controls=(control(),), **SAMPLING))
    assert caught.value.field == "controls.0.controlnet"


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"conditioning_scale": 0.0}, "no effect at a strictness of 0"),
        (
            {"guidance_start": 0.4, "guidance_end": 0.41},
            "no step lies between start 0.4",
        ),
        ({"preprocessor": "tile"}, "Sketch was made for canny, scribble, not for tile"),
    ],
)
def test_what_has_no_effect_is_said(
    changes: dict[str, Any], warning: str, tiny_catalog: Catalog
) -> None:
    request = text_to_image(controls=(control(**changes),), **SAMPLING)
    assert [each for each in resolve(tiny_catalog, request)[1] if warning in each]
    sound = text_to_image(controls=(control(preprocessor="canny"),), **SAMPLING)
    assert resolve(tiny_catalog, sound)[1] == ()
    both = text_to_image(controls=(control(), control(**changes)), **SAMPLING)
    told = resolve(tiny_catalog, both)[1]
    assert len(told) == 1
    assert "Sketch" in told[0] or told[0].startswith("ControlNet 2")


def test_the_steps_that_are_really_run_count(tiny_catalog: Catalog) -> None:
    late = (control(guidance_start=0.3, guidance_end=0.6),)
    long = image_to_image(num_inference_steps=20, strength=1.0, controls=late, **SAMPLING)
    sized = {"width": 64, "height": 64}
    assert resolve(tiny_catalog, long.model_copy(update=sized))[1] == ()
    short = long.model_copy(update={"strength": 0.1, **sized})
    assert "no step" in resolve(tiny_catalog, short)[1][0]


# What painting does


@pytest.mark.parametrize("build", [text_to_image, image_to_image, inpaint])
def test_a_control_changes_the_picture_of_every_task(build: Any, tiny_engine: Engine) -> None:
    free = painted(tiny_engine, build())
    held = painted(tiny_engine, build(controls=(control(),)))
    again = painted(tiny_engine, build(controls=(control(),)))
    without = painted(tiny_engine, build(controls=(control(conditioning_scale=0.0),)))
    assert held.tobytes() != free.tobytes()
    assert held.tobytes() == again.tobytes()
    assert without.tobytes() == free.tobytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessor": "invert"},
        {"controlnet": "mini-other"},
        {"conditioning_scale": 0.5},
        {"guidance_start": 0.5},
        {"guidance_end": 0.5},
        {"image": given(photo(3, 96, 64))},
    ],
    ids=str,
)
def test_each_field_of_a_control_matters(changes: dict[str, Any], tiny_engine: Engine) -> None:
    one = painted(tiny_engine, text_to_image(controls=(control(),)))
    other = painted(tiny_engine, text_to_image(controls=(control(**changes),)))
    assert one.tobytes() != other.tobytes()


def test_several_act_together_and_the_request_paints_it_again(tiny_engine: Engine) -> None:
    second = control(image=given(photo(3)), preprocessor="canny", controlnet="mini-other")
    one = painted(tiny_engine, text_to_image(controls=(control(),)))
    both = finished(tiny_engine, text_to_image(controls=(control(), second), num_images=2))
    assert one.tobytes() != both.pictures[0].image.tobytes()
    again = painted(tiny_engine, both.pictures[1].request)
    assert again.tobytes() == both.pictures[1].image.tobytes()


def test_what_lies_outside_an_inpainting_mask_stays(tiny_engine: Engine) -> None:
    request = inpaint(controls=(control(),), outpaint=Outpaint(left=16))
    (picture,) = finished(tiny_engine, request).pictures
    assert "0 pixels changed outside the mask" in picture.notes[0]


def test_a_controlnet_that_isnt_needed_isnt_loaded(tiny_catalog: Catalog) -> None:
    # `big` is nowhere: only its row is there.
    big = tiny_catalog.find(ControlNetRow, "big").model_copy(
        update={"family": tiny_catalog.find(ModelRow, "mini").family}
    )
    catalog = Catalog(FoundRows((*tiny_catalog.rows(ModelRow), big)))
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        painted(engine, text_to_image(controls=(control(conditioning_scale=0.0),)))
        with pytest.raises(PaintError, match="doesn't exist"):
            painted(engine, text_to_image(controls=(control(),)))
        assert engine.status().model_state == "ready", "the model itself is well"


def test_weights_that_cant_be_had_end_the_job_in_words(
    tiny_manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotators = Annotators()

    def refused(*_arguments: object) -> Image.Image:
        raise AnnotatorError("it needs x.pth")

    monkeypatch.setattr(annotators, "make_map", refused)
    with Engine(tiny_manager, annotators=annotators) as engine:
        with pytest.raises(AnnotatorError, match=r"x\.pth"):
            painted(engine, text_to_image(controls=(control(preprocessor="hed"),)))
        with pytest.raises(AnnotatorError, match=r"x\.pth"):
            engine.control_map(given(MAP), "hed", Size(64, 64))


# The maps


def test_the_engines_map_is_what_is_painted_with(tiny_engine: Engine) -> None:
    picture = given(photo(3, 200, 120))
    made = tiny_engine.control_map(picture, "canny", Size(64, 64))
    by_map = painted(tiny_engine, text_to_image(controls=(control(image=given(made)),)))
    drawn = control(image=picture, preprocessor="canny")
    by_picture = painted(tiny_engine, text_to_image(controls=(drawn,)))
    assert by_map.tobytes() == by_picture.tobytes()
    found: list[Image.Image] = []
    thread = threading.Thread(
        target=lambda: found.append(tiny_engine.control_map(picture, "canny", Size(64, 64)))
    )
    thread.start()
    thread.join(60)
    assert found[0].tobytes() == made.tobytes()


def test_the_engines_map_names_what_is_wrong(tiny_engine: Engine) -> None:
    with pytest.raises(RequestError) as caught:
        tiny_engine.control_map(InputImage(data=b"x"), "canny", Size(64, 64))
    assert caught.value.field == "image"
    with pytest.raises(UnknownNameError) as caught:
        tiny_engine.control_map(given(MAP), "magic", Size(64, 64))
    assert caught.value.field == "preprocessor"


def as_it_is(picture: Image.Image, _preprocessor: str) -> Image.Image:
    return picture


def quarters() -> Image.Image:
    """128x64: red, green, blue, white from left to right."""
    image = Image.new("RGB", (128, 64))
    for index, colour in enumerate(("#ff0000", "#00ff00", "#0000ff", "#ffffff")):
        image.paste(colour, (32 * index, 0, 32 * index + 32, 64))
    return image


@pytest.mark.parametrize(
    ("mode", "left", "right", "corner"),
    [
        ("stretch", (255, 0, 0), (255, 255, 255), (255, 0, 0)),
        ("crop", (0, 255, 0), (0, 0, 255), (0, 255, 0)),
        ("pad", (255, 0, 0), (255, 255, 255), (0, 0, 0)),
    ],
)
def test_each_way_to_fit_the_picture(
    mode: Any, left: tuple[int, ...], right: tuple[int, ...], corner: tuple[int, ...]
) -> None:
    made = make_control_map(given(quarters()), "none", Size(64, 64), mode, as_it_is)
    assert made.size == (64, 64)
    assert made.getpixel((3, 32)) == left
    assert made.getpixel((60, 32)) == right
    assert made.getpixel((3, 3)) == corner


def test_edges_are_those_of_the_painted_size(tiny_engine: Engine) -> None:
    picture = photo(4, 512, 512)
    made = tiny_engine.control_map(given(picture), "canny", Size(64, 64))
    small = picture.resize((64, 64), Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(made)[:, :, 0], detect_canny_edges(np.asarray(small)))


def test_what_a_pad_adds_has_no_edge_and_stays_black(tiny_engine: Engine) -> None:
    plain = given(Image.new("RGB", (128, 64), "#ffffff"))
    edges = tiny_engine.control_map(plain, "canny", Size(64, 64), "pad")
    assert not np.asarray(edges).any()
    drawing = Image.new("RGB", (128, 64), "#000000")
    inverted = np.asarray(tiny_engine.control_map(given(drawing), "invert", Size(64, 64), "pad"))
    assert (inverted[20:44] == 255).all()
    assert not inverted[:12].any()
    assert not inverted[52:].any()


def test_nothing_is_black_in_a_map_and_white_in_a_drawing() -> None:
    empty = given(Image.new("RGBA", (64, 64), (0, 0, 0, 0)))
    assert make_control_map(empty, "none", Size(64, 64), "crop", as_it_is).getpixel((0, 0)) == (
        0,
        0,
        0,
    )
    drawing = make_control_map(empty, "canny", Size(64, 64), "crop", as_it_is)
    assert drawing.getpixel((0, 0)) == (255, 255, 255)


def test_in_inpainting_the_map_lies_where_the_picture_lies() -> None:
    request = inpaint(
        width=64,
        height=64,
        guidance_scale=4.0,
        sampler="DDIM",
        controls=(control(image=given(quarters()), controlnet="x", resize_mode="stretch"),),
    )
    tools = task_context(as_it_is)
    (whole,) = prepare_controls(request, tools, Size(256, 128))
    assert whole.map.size == (64, 64)
    assert whole.map.getpixel((3, 32)) == (255, 0, 0)
    (part,) = prepare_controls(
        request, task_context(as_it_is), Size(256, 128), Box(192, 0, 256, 64)
    )
    assert part.map.getpixel((32, 32)) == (255, 255, 255)
    (middle,) = prepare_controls(
        request, task_context(as_it_is), Size(256, 128), Box(64, 0, 192, 128)
    )
    assert middle.map.getpixel((3, 32)) == (0, 255, 0)
    assert middle.map.getpixel((60, 32)) == (0, 0, 255)


def test_only_the_masked_part_of_the_map_is_used(tiny_engine: Engine) -> None:
    request = inpaint(only_masked=True, padding_px=0, mask=given(mask(8, 8, 40, 40)))
    seen: list[Image.Image] = []
    annotators = Annotators()

    def watch(picture: Image.Image, _name: str, _report: Any) -> Image.Image:
        seen.append(picture)
        return picture

    annotators.make_map = watch  # type: ignore[method-assign]
    with Engine(tiny_engine.manager, annotators=annotators) as engine:
        drawn = control(image=given(photo()), resize_mode="stretch")
        (picture,) = finished(engine, request.model_copy(update={"controls": (drawn,)})).pictures
    assert isinstance(picture.request, Inpaint)
    assert seen[0].size == (picture.request.width, picture.request.height)
    part = photo().crop((0, 0, 48, 48)).resize(seen[0].size, Image.Resampling.LANCZOS)
    whole = photo().resize(seen[0].size, Image.Resampling.LANCZOS)
    closeness = [
        float(np.abs(np.asarray(seen[0], float) - np.asarray(other, float)).mean())
        for other in (part, whole)
    ]
    assert closeness[0] < closeness[1] * 0.8


# What the manager does with them


def test_a_controlnet_is_loaded_once_counted_and_dropped(tiny_catalog: Catalog) -> None:
    manager = ModelManager(tiny_catalog, device="cpu")
    names = ("mini-sketch", "mini-other", "mini-sketch")
    found: list[Any] = []

    def ask() -> None:
        with manager.lease("mini", controlnets=names) as leased:
            found.append(leased.controlnets)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    for each in found:
        assert {name: id(one.network) for name, one in each.items()} == {
            name: id(one.network) for name, one in found[0].items()
        }
    with manager.lease("mini", controlnets=["mini-sketch"]):
        manager.cache.unload()
        assert list(manager.cache._entries) == ["model mini", "ControlNet mini-sketch"]  # pyright: ignore[reportPrivateUsage]
    assert found[0]["mini-sketch"].weights_bytes == sum(
        tensor.numel() * 4 for tensor in found[0]["mini-sketch"].network.parameters()
    )


def test_controlnets_count_in_the_budget(tiny_catalog: Catalog) -> None:
    manager = ModelManager(tiny_catalog, device="cpu")
    with manager.lease("mini", controlnets=["mini-sketch"]) as leased:
        (network,) = leased.controlnets.values()
    sizes = [entry.loaded.weights_bytes for entry in manager.cache._entries.values()]  # pyright: ignore[reportPrivateUsage]
    assert sizes[1] == network.weights_bytes
    both = int((sum(sizes)) * 1.03)
    tight = ModelManager(tiny_catalog, device="cpu", memory_budget_bytes=both)
    for name in ("mini-sketch", "mini-other"):
        with tight.lease("mini", controlnets=[name]):
            pass
    assert list(tight.cache._entries) == ["model mini", "ControlNet mini-other"]  # pyright: ignore[reportPrivateUsage]
    tiny = ModelManager(tiny_catalog, device="cpu", memory_budget_bytes=int(sizes[0] * 1.03))
    with (
        pytest.raises(PaintError, match="memory budget"),
        tiny.lease("mini", controlnets=["mini-sketch"]),
    ):
        pytest.fail("it can't fit")
    with tiny.lease("mini"):
        pass
