"""The cells of a grid, from the table of axes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from paintdiff.errors import RequestError
from paintdiff.jobs import request_parts
from paintdiff.jobs.axes import AXES, find_axis
from paintdiff.jobs.grid_cells import MAX_CELLS, count_cells, list_labels, make_matrix, plan_cells
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Axis, ControlInput, IpAdapterInput, LoraInput
from paintdiff.jobs.requests import (
    Grid,
    ImageToImage,
    Inpaint,
    Painting,
    TextToImage,
    parse_request,
)

HOUSE = TextToImage(prompt="a red house", negative_prompt="red clouds", seed=3)
IMAGE = InputImage(data=b"picture")


def requests(x: Axis, base: Painting = HOUSE, **others: Axis) -> list[Painting]:
    return [cell.request for cell in plan_cells(Grid(base=base, x=x, **others)).cells]


def axis(field: str, values: object) -> Axis:
    return Axis.model_validate({"field": field, "values": values})


# The table

NOT_ON_AN_AXIS = {
    *("version", "kind", "prompt_syntax"),  # how a request is read
    "num_images",  # each cell is one picture
    *("styles", "template"),  # "style"; of what it was made
    "time_budget_seconds",  # steps, profile and size are
    *("image", "mask", "sketch", "controls.0.image", "ip_adapters.0.image"),  # pictures
    *("loras.0.name", "loras.0.weight", "loras.0.text_encoder_weight"),  # "lora", "lora_weight"
}


def fields_of(kind: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        text = str(field.annotation)
        parts = {
            each.__name__: each
            for each in BaseModel.__subclasses__()
            if each.__module__ == request_parts.__name__ and f".{each.__name__}" in text
        }
        if not parts:
            yield f"{before}{name}"
        for part in parts.values():
            yield from fields_of(part, f"{before}{name}.{'0.' if 'tuple' in text else ''}")


def test_every_field_of_a_painting_is_on_an_axis_or_named_here() -> None:
    fields = {field for kind in (TextToImage, ImageToImage, Inpaint) for field in fields_of(kind)}
    assert "hires.scale" in fields
    assert "controls.0.controlnet" in fields
    filled_in = ("template.", "expansions.", "branches.")  # by the engine, or further runs
    others = {field for field in fields if not field.startswith(filled_in)}
    assert others - AXES.keys() == NOT_ON_AN_AXIS


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("CFG Scale", "guidance_scale"),
        ("steps", "num_inference_steps"),
        ("prompt s/r", "prompt_replace"),
        ("clip-skip", "clip_skip"),
        ("ControlNet weight", "controls.0.conditioning_scale"),
    ],
)
def test_an_axis_has_several_names(name: str, row: str) -> None:
    assert find_axis(name).name == row


def test_an_unknown_axis_is_named() -> None:
    with pytest.raises(RequestError, match="no axis 'colour'") as caught:
        count_cells(Grid(base=HOUSE, x=axis("seed", "1"), y=axis("colour", "red")))
    assert caught.value.field == "y"


# Cells


def test_x_runs_fastest_and_cells_keep_the_rest() -> None:
    grid = Grid(
        base=HOUSE, x=axis("steps", "1-3"), y=axis("cfg", "2, 3.5"), z=axis("clip_skip", [1, 2])
    )
    cells = plan_cells(grid).cells
    assert count_cells(grid) == len(cells) == 12
    assert [cell.index for cell in cells] == list(range(12))
    assert cells[4].values == ("2", "3.5", "1")
    fourth = HOUSE.model_copy(
        update={"num_inference_steps": 2, "guidance_scale": 3.5, "clip_skip": 1}
    )
    assert cells[4].request == fourth
    assert cells[-1].request.clip_skip == 2


def test_words_are_replaced_in_both_prompts_and_added() -> None:
    found = requests(axis("prompt_replace", "red, blue, "), y=axis("prompt_append", "'', at night"))
    assert [each.prompt for each in found[:3]] == [
        "a red house, ''",
        "a blue house, ''",
        "a  house, ''",
    ]
    assert found[1].negative_prompt == "blue clouds"
    assert found[4].prompt == "a blue house, at night"


def test_a_word_that_is_nowhere_is_an_error() -> None:
    with pytest.raises(RequestError, match="'green' is in neither prompt") as caught:
        requests(axis("prompt_replace", "green, blue"))
    assert caught.value.field == "x"


def test_changes_are_made_in_the_order_that_makes_sense() -> None:
    """A weight is that of the LoRA beside it, and words are replaced in the prompt beside it."""
    found = requests(axis("lora_weight", "0.5"), y=axis("lora", "ink:2, none:gold"))
    assert [each.loras for each in found] == [
        (LoraInput(name="ink", weight=0.5),),
        (LoraInput(name="none:gold", weight=0.5),),
    ]
    found = requests(axis("prompt_replace", "red, blue"), y=axis("prompt", "a red cat, a red dog"))
    assert [each.prompt for each in found[1::2]] == ["a blue cat", "a blue dog"]


def test_parts_of_a_request_are_changed_or_made() -> None:
    base = HOUSE.model_copy(
        update={
            "controls": (ControlInput(image=IMAGE), ControlInput(image=IMAGE)),
            "ip_adapters": (IpAdapterInput(image=IMAGE),),
        }
    )
    found = requests(axis("controls.0.conditioning_scale", "0.5"), base)[0]
    assert [each.conditioning_scale for each in found.controls] == [0.5, 1.0]
    assert requests(axis("ip_adapters.0.scale", "0.1"), base)[0].ip_adapters[0].scale == 0.1
    made = requests(axis("hires.scale", "1.5"))[0]
    assert isinstance(made, TextToImage)
    assert made.hires is not None
    assert made.hires.scale == 1.5
    with pytest.raises(RequestError, match="needs a value for control in the request"):
        requests(axis("controlnet", "canny"))
    with pytest.raises(RequestError, match="refiner"):
        requests(axis("refiner.switch_at", "0.5"))


def test_lines_have_flags_of_their_own() -> None:
    found = requests(axis("prompt_line", 'a cat\n\n--prompt "a dog" --seed 9 --width 64'))
    assert [(each.prompt, each.seed, each.width) for each in found] == [
        ("a cat", 3, None),
        ("a dog", 9, 64),
    ]
    with pytest.raises(RequestError, match=r"Line 2 .*unknown flag --foo"):
        requests(axis("prompt_line", "a cat\na dog --foo 1"))
    with pytest.raises(RequestError, match=r"Line 1 .*must be at most 1000, not"):
        requests(axis("prompt_line", "a cat --steps 1001"))


def test_a_quality_is_called_as_on_the_page_or_as_in_a_request() -> None:
    """The quality of the fewest steps is "Draft" there and "fast" here."""
    qualities = [each.quality for each in requests(axis("quality", "Draft, fast, HIGH"))]
    assert qualities == ["fast", "fast", "high"]
    labels = list_labels(Grid(base=HOUSE, x=axis("quality", "Draft, high")))[0]
    assert labels == ("Quality: Draft", "Quality: high"), "as it was written"


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("steps", "10, ten", r"Steps, value 'ten': must be a whole number"),
        ("steps", "10, 2000", r"Steps, value '2000': .*1000"),
        ("size", "64x64, 64", r"Size, value '64'"),
        ("resize_mode", "crop", r"isn't a setting of text to image"),
        ("emphasis", "loud", r"Emphasis, value 'loud'"),
        ("steps", " , ", r"Steps has no values"),
        ("vae", "default, ''", None),
    ],
)
def test_values_are_checked(field: str, values: str, words: str | None) -> None:
    if words is None:
        assert requests(axis(field, values))[0].vae is None
        return
    with pytest.raises(RequestError, match=words) as caught:
        requests(axis(field, values))
    assert caught.value.field == "x"


def test_two_axes_of_one_setting_are_refused() -> None:
    with pytest.raises(RequestError, match="Two axes change Seed"):
        requests(axis("seed", "1"), y=axis("seed", "2"))
    with pytest.raises(RequestError, match="Size and Width"):
        requests(axis("size", "64x64"), y=axis("width", "64"))


def test_the_number_of_cells_is_limited() -> None:
    assert count_cells(Grid(base=HOUSE, x=axis("seed", "1-25"), y=axis("cfg", "1-20"))) == MAX_CELLS
    with pytest.raises(RequestError, match="520 pictures"):
        count_cells(Grid(base=HOUSE, x=axis("seed", "1-26"), y=axis("cfg", "1-20")))


def test_a_matrix_is_a_grid_of_added_words() -> None:
    grid = make_matrix(HOUSE.model_copy(update={"prompt": "a house|in snow|at night|in fog"}))
    plan = plan_cells(grid)
    assert {cell.request.prompt for cell in plan.cells} == {
        "a house",
        "a house, in snow",
        "a house, at night",
        "a house, in snow, at night",
        "a house, in fog",
        "a house, in snow, in fog",
        "a house, at night, in fog",
        "a house, in snow, at night, in fog",
    }
    assert list_labels(grid)[0][0] == "(no words)"
    assert list_labels(grid)[2] == ("",)


# Requests


def test_a_grid_is_a_request_like_the_others() -> None:
    grid = Grid(base=ImageToImage(prompt="a house", image=IMAGE), x=axis("strength", "0.2-0.8 [4]"))
    again = parse_request(grid.model_dump())
    assert again == grid
    assert grid.input_images() == (IMAGE,)
    stored = parse_request(grid.without_image_data().model_dump(mode="json"))
    assert isinstance(stored, Grid)
    assert isinstance(stored.base, ImageToImage)
    assert stored.base.image.data is None


def test_a_cell_is_one_picture() -> None:
    with pytest.raises(ValidationError, match="one picture"):
        Grid(base=TextToImage(prompt="a", num_images=2), x=axis("seed", "1"))
    with pytest.raises(RequestError, match="characters"):
        values = ["x" * 10_000] * 21
        Grid.parse({"base": HOUSE, "x": {"field": "prompt", "values": values}})
