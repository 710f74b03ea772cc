"""The fields of the settings, made one by one, and what each offers for a model."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.widgets import Ids, clickable_html, static_html
from paintdiff.ui.settings import messages

FIRST_QUALITY = "balanced"
MAX_IMAGES_OFFERED = 8
MAX_STEPS_OFFERED = 150
MAX_GUIDANCE_OFFERED = 20.0

_ELEMENT_OF = {
    "size_preset": "sizes",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
}
"""Ids of elements that differ from the request's field."""


class FormFields:
    """The components, made one by one: `made` by name, and `notes` with a place for errors."""

    def __init__(self, context: PageContext, ids: Ids, row: ModelRow) -> None:
        self._context, self._ids, self._row = context, ids, row
        self.made: dict[str, Any] = {}
        self.notes: dict[str, Note] = {}

    def add(self, name: str, component: Any, *arguments: Any, **settings: Any) -> None:
        """Make a component with an id and a place for an error below it."""
        self._make(name, component, *arguments, **settings)
        self.notes[name] = add_note(self._ids, name)

    def _make(self, name: str, component: Any, *arguments: Any, **settings: Any) -> None:
        settings.setdefault("elem_id", self._ids(_ELEMENT_OF.get(name, name).replace("_", "-")))
        self.made[name] = component(*arguments, **settings)

    def add_model(self) -> None:
        """Add the model, the quality and the speed profile."""
        self.add(
            "model",
            gr.Dropdown,
            self._context.model_choices(),
            value=self._row.name,
            label=messages.MODEL,
            filterable=False,
        )
        self.add(
            "quality",
            gr.Radio,
            [(title, name) for name, title in self._context.qualities],
            value=FIRST_QUALITY,
            label=messages.QUALITY,
            info=quality_text(self._row, FIRST_QUALITY),
            elem_classes=["segments"],
        )
        profiles = self._context.profiles
        self.add(
            "profile",
            gr.Radio,
            [(row.title, row.name) for row in profiles.profiles()],
            value=profiles.usual,
            label=messages.SPEED,
            info=profiles.profile(None).says,
            elem_classes=["segments"],
        )

    def add_size(self, visible: bool) -> None:
        """Add the size, and the line about the size after all steps."""
        native = self._row.native_size
        group = gr.Column(elem_id=self._ids("size-group"), elem_classes=["group"], visible=visible)
        self.made["size_group"] = group
        with group:
            self._make(
                "size_preset",
                gr.Radio,
                list_sizes(self._row),
                value=str(native),
                label=messages.SIZE,
            )
            with gr.Row(elem_classes=["pair"]):
                number: dict[str, Any] = {"min_width": 0}
                self._make("width", gr.Number, native.width, label=messages.WIDTH, **number)
                self.made["swap"] = _icon_button("⇄", self._ids("swap"), "swap")
                self._make("height", gr.Number, native.height, label=messages.HEIGHT, **number)
            for side in ("width", "height"):
                self.notes[side] = add_note(self._ids, side)
        final = self._ids("final-size")
        self.made["final_size"] = clickable_html("", final, "foreseen-place", native="click")

    def add_seed(self) -> None:
        """Add the seed, and whether to keep it."""
        with gr.Row(elem_classes=["pair"], elem_id=self._ids("seed-row")):
            self._make(
                "seed",
                gr.Number,
                None,
                label=messages.SEED,
                min_width=0,
                placeholder="random",
            )
            self.made["dice"] = _icon_button("⚄", self._ids("dice"), "dice")
            self._make(
                "keep_seed",
                gr.Checkbox,
                False,
                label=messages.KEEP_SEED,
                elem_classes=["keep-seed"],
                min_width=0,
                scale=0,
            )
        self.notes["seed"] = add_note(self._ids, "seed")
        # Visible while Keep is ticked, whoever ticked it.
        kept = f'<p class="aside" role="status">{escape(messages.SEED_IS_KEPT)}</p>'
        static_html(kept, self._ids("seed-kept"), "kept-place")

    def add_more(self) -> None:
        """Add the rarely used settings."""
        figures = self._row.figures(FIRST_QUALITY)
        self.add(
            "negative_prompt",
            gr.Textbox,
            label=messages.NEGATIVE_PROMPT,
            lines=2,
            placeholder=messages.NEGATIVE_PROMPT_INFO,
        )
        steps = figures.num_inference_steps
        self.add(
            "num_inference_steps",
            gr.Slider,
            1,
            MAX_STEPS_OFFERED,
            steps,
            step=1,
            label=messages.STEPS,
        )
        guidance = figures.guidance_scale
        self.add(
            "guidance_scale",
            gr.Slider,
            0,
            MAX_GUIDANCE_OFFERED,
            guidance,
            step=0.5,
            label=messages.GUIDANCE,
        )
        self.add(
            "sampler",
            gr.Dropdown,
            list(self._row.family.sampler_names()),
            value=self._row.sampler,
            label=messages.SAMPLER,
            filterable=False,
        )
        self._add_variation()
        self.add(
            "time_budget_seconds",
            gr.Number,
            None,
            label=messages.TIME_BUDGET,
            info=messages.TIME_BUDGET_INFO,
            placeholder=messages.NO_TIME_BUDGET,
        )

    def _add_variation(self) -> None:
        self.add(
            "variation_strength",
            gr.Slider,
            0,
            1,
            0,
            step=0.05,
            label=messages.VARIATION,
            info=messages.VARIATION_INFO,
        )
        self.add(
            "variation_seed",
            gr.Number,
            None,
            label=messages.VARIATION_SEED,
            placeholder="random",
        )


def quality_text(row: ModelRow, quality: str) -> str:
    """Describe a quality preset for a model."""
    figures = row.figures(quality)
    return messages.quality_text(figures.num_inference_steps, figures.guidance_scale)


def list_samplers(row: ModelRow, chosen: object = None) -> gr.Dropdown:
    """Return the samplers for a model; selects `chosen` if it is one, else the model's own."""
    names = row.family.sampler_names()
    return gr.Dropdown(choices=list(names), value=str(chosen) if chosen in names else row.sampler)


def list_sizes(row: ModelRow) -> list[str]:
    """Return the sizes offered for a model."""
    return [str(size) for size in row.sizes]


def _icon_button(sign: str, elem_id: str, name: str) -> gr.Button:
    return gr.Button(sign, elem_id=elem_id, elem_classes=["icon", name], min_width=0, scale=0)
