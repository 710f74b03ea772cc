"""The settings of a painting job, as every tab that paints shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.geometry import MAX_SIDE_PX, MIN_SIDE_PX, Size
from paintdiff.models.catalog import ModelRow
from paintdiff.requests import MAX_SEED
from paintdiff.ui.parts import Parts
from paintdiff.ui.remembered import Remembered
from paintdiff.ui.widgets import note

Updates = dict[Any, Any]
"""New values or properties by component."""

FIRST_QUALITY = "balanced"
MAX_IMAGES_OFFERED = 8
MAX_STEPS_OFFERED = 150
MAX_GUIDANCE_OFFERED = 20.0

_REQUESTED = (
    "model",
    "quality",
    "width",
    "height",
    "seed",
    "num_images",
    "negative_prompt",
    "num_inference_steps",
    "guidance_scale",
    "sampler",
)
_MATCHING_PRESET = "(width, height) => `${width} × ${height}`"  # noqa: RUF001 (the sign itself)


@dataclass(frozen=True)
class Form:
    """The components. Those of `requested` are named as in the request; `notes` has a place for an
    error next to each."""

    parts: Parts
    model: gr.Dropdown
    quality: gr.Radio
    size_preset: gr.Radio
    width: gr.Number
    swap: gr.Button
    height: gr.Number
    seed: gr.Number
    dice: gr.Button
    keep_seed: gr.Checkbox
    num_images: gr.Slider
    negative_prompt: gr.Textbox
    num_inference_steps: gr.Slider
    guidance_scale: gr.Slider
    sampler: gr.Dropdown
    notes: Mapping[str, gr.HTML]

    @classmethod
    def built(cls, parts: Parts) -> Form:
        """Lay the settings out where we are, filled with the default model's own figures."""
        row = parts.model(parts.default_model)
        made: dict[str, Any] = {}
        notes: dict[str, gr.HTML] = {}
        _add_model(made, notes, parts, row)
        _add_size(made, notes, row)
        _add_seed(made, notes)
        made["num_images"] = gr.Slider(
            1, MAX_IMAGES_OFFERED, 1, step=1, label="Pictures", elem_id="num-images"
        )
        notes["num_images"] = note("num_images")
        with gr.Accordion("More settings", open=False, elem_id="more"):
            _add_more(made, notes, parts, row)
        return cls(parts, **made, notes=notes)

    def requested(self) -> dict[str, Component]:
        """The components whose values go into a request, by the request's field names."""
        return {name: getattr(self, name) for name in _REQUESTED}

    def wire(self, **quick: Any) -> None:
        """Let choices bring what belongs to them. `quick` goes to every event."""
        chosen: set[Any] = {self.model, self.quality}
        brought: list[Any] = [self.quality, self.num_inference_steps, self.guidance_scale]
        self.quality.input(self._quality_chosen, chosen, brought, **quick)
        sides: list[Any] = [self.width, self.height]
        others = [self.size_preset, *sides, self.sampler]
        self.model.input(self._model_chosen, chosen, [*brought, *others], **quick)
        self.size_preset.input(self._size_chosen, [self.size_preset], sides, **quick)
        for side in (self.width, self.height):
            side.change(None, sides, [self.size_preset], js=_MATCHING_PRESET)
        self.swap.click(None, sides, sides, js="(width, height) => [height, width]")
        drawn = f"crypto.getRandomValues(new Uint32Array(1))[0] % {MAX_SEED + 1}"
        self.dice.click(None, None, [self.seed, self.keep_seed], js=f"() => [{drawn}, true]")

    def restored(self, memory: Remembered) -> Updates:
        """The settings as they were, each checked; what no longer fits is the model's own again."""
        row = self.parts.model(memory.settings.get("model"))
        quality = memory.choice(
            "quality", [name for name, _ in self.parts.qualities], FIRST_QUALITY
        )
        figures = row.figures(quality)
        native = row.native_size
        width = memory.number("width", native.width, MIN_SIDE_PX, MAX_SIDE_PX)
        height = memory.number("height", native.height, MIN_SIDE_PX, MAX_SIDE_PX)
        steps, guidance = figures.num_inference_steps, figures.guidance_scale
        return {
            self.model: row.name,
            self.quality: gr.Radio(value=quality, info=quality_text(row, quality)),
            self.size_preset: gr.Radio(choices=size_choices(row), value=f"{width} × {height}"),  # noqa: RUF001
            self.width: width,
            self.height: height,
            self.seed: memory.number("seed", None, 0, MAX_SEED),
            self.keep_seed: memory.switch("keep_seed"),
            self.num_images: memory.number("num_images", 1, 1, MAX_IMAGES_OFFERED),
            self.negative_prompt: memory.text("negative_prompt"),
            self.num_inference_steps: memory.number(
                "num_inference_steps", steps, 1, MAX_STEPS_OFFERED
            ),
            self.guidance_scale: memory.number("guidance_scale", guidance, 0, MAX_GUIDANCE_OFFERED),
            self.sampler: memory.choice("sampler", self.parts.sampler_names, row.sampler),
        }

    def _quality_chosen(self, values: Mapping[Any, Any]) -> Updates:
        row = self.parts.model(values[self.model])
        quality = str(values[self.quality] or FIRST_QUALITY)
        figures = row.figures(quality)
        return {
            self.quality: gr.Radio(value=quality, info=quality_text(row, quality)),
            self.num_inference_steps: figures.num_inference_steps,
            self.guidance_scale: figures.guidance_scale,
        }

    def _model_chosen(self, values: Mapping[Any, Any]) -> Updates:
        row = self.parts.model(values[self.model])
        sizes = size_choices(row)
        return {
            **self._quality_chosen(values),
            self.size_preset: gr.Radio(choices=sizes, value=sizes[0]),
            self.width: row.sizes[0].width,
            self.height: row.sizes[0].height,
            self.sampler: row.sampler,
        }

    def _size_chosen(self, text: str) -> tuple[int, int]:
        size = Size.parse(text)
        return size.width, size.height


def quality_text(row: ModelRow, quality: str) -> str:
    """What a quality preset means for a model."""
    figures = row.figures(quality)
    return f"{figures.num_inference_steps} steps, guidance {figures.guidance_scale:g}"


def size_choices(row: ModelRow) -> list[str]:
    """The sizes that the model is offered with."""
    return [f"{size.width} × {size.height}" for size in row.sizes]  # noqa: RUF001 (the sign itself)


def _add_model(
    made: dict[str, Any], notes: dict[str, gr.HTML], parts: Parts, row: ModelRow
) -> None:
    made["model"] = gr.Dropdown(
        [(item.title, item.name) for item in parts.models],
        value=row.name,
        label="Model",
        elem_id="model",
        filterable=False,
    )
    notes["model"] = note("model")
    made["quality"] = gr.Radio(
        [(title, name) for name, title in parts.qualities],
        value=FIRST_QUALITY,
        label="Quality",
        info=quality_text(row, FIRST_QUALITY),
        elem_id="quality",
    )
    notes["quality"] = note("quality")


def _add_size(made: dict[str, Any], notes: dict[str, gr.HTML], row: ModelRow) -> None:
    native = row.native_size
    with gr.Column(elem_id="size-group", elem_classes=["group"]):
        made["size_preset"] = gr.Radio(
            size_choices(row),
            value=f"{native.width} × {native.height}",  # noqa: RUF001 (the sign itself)
            label="Size",
            elem_id="sizes",
        )
        with gr.Row(elem_classes=["pair"]):
            made["width"] = gr.Number(
                native.width, label="Width", precision=0, elem_id="width", min_width=0
            )
            made["swap"] = _icon_button("⇄", "swap")
            made["height"] = gr.Number(
                native.height, label="Height", precision=0, elem_id="height", min_width=0
            )
        notes["width"], notes["height"] = note("width"), note("height")


def _add_seed(made: dict[str, Any], notes: dict[str, gr.HTML]) -> None:
    with gr.Row(elem_classes=["pair"], elem_id="seed-row"):
        made["seed"] = gr.Number(
            None, label="Seed", precision=0, elem_id="seed", min_width=0, placeholder="random"
        )
        made["dice"] = _icon_button("⚄", "dice")
        made["keep_seed"] = gr.Checkbox(
            False, label="Keep", elem_id="keep-seed", min_width=0, scale=0
        )
    notes["seed"] = note("seed")


def _add_more(made: dict[str, Any], notes: dict[str, gr.HTML], parts: Parts, row: ModelRow) -> None:
    figures = row.figures(FIRST_QUALITY)
    made["negative_prompt"] = gr.Textbox(
        label="Negative prompt",
        lines=2,
        elem_id="negative-prompt",
        placeholder="what should not appear",
    )
    notes["negative_prompt"] = note("negative_prompt")
    made["num_inference_steps"] = gr.Slider(
        1, MAX_STEPS_OFFERED, figures.num_inference_steps, step=1, label="Steps", elem_id="steps"
    )
    notes["num_inference_steps"] = note("num_inference_steps")
    made["guidance_scale"] = gr.Slider(
        0,
        MAX_GUIDANCE_OFFERED,
        figures.guidance_scale,
        step=0.5,
        label="Guidance",
        elem_id="guidance",
    )
    notes["guidance_scale"] = note("guidance_scale")
    made["sampler"] = gr.Dropdown(
        list(parts.sampler_names),
        value=row.sampler,
        label="Sampler",
        elem_id="sampler",
        filterable=False,
    )
    notes["sampler"] = note("sampler")


def _icon_button(sign: str, elem_id: str) -> gr.Button:
    return gr.Button(sign, elem_id=elem_id, elem_classes=["icon"], min_width=0, scale=0)
