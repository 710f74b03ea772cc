"""The hires fix in a drawer: paint small, upscale, then paint over the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.imaging.geometry import Size, round_to_multiple, scale_size
from paintdiff.jobs.request_parts import LATENT_UPSCALER, MAX_HIRES_SCALE, HiresFix
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.ui.common import messages as common
from paintdiff.ui.common import widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages
from paintdiff.ui.settings.form_fields import MAX_STEPS_OFFERED
from paintdiff.ui.settings.upscale_setting import upscaler_title

FIRST = HiresFix()
MIN_SCALE = 1.25


class HiresDrawer:
    """The components of a request's `hires`."""

    def __init__(self, context: PageContext, ids: Ids) -> None:
        self.context = context
        self._ids = ids
        self._figures: dict[str, Component] = {}
        self._notes: dict[str, Note] = {}

    def add(self) -> None:
        """Add the drawer to the page."""
        with widgets.drawer(messages.HIRES_FIX, self._ids("hires-drawer")):
            self.on = gr.Checkbox(
                False,
                label=messages.HIRES_INFO,
                elem_id=self._ids("hires-on"),
                elem_classes=["turns-on"],
            )
            scale = {
                "step": 0.25,
                "label": messages.ENLARGE,
                "info": messages.ENLARGE_INFO,
            }
            self._add("scale", gr.Slider, MIN_SCALE, MAX_HIRES_SCALE, FIRST.scale, **scale)
            self._add(
                "upscaler", gr.Dropdown, filterable=False, label=messages.UPSCALER, **self._offer()
            )
            strength = {"label": messages.STRENGTH, "info": messages.HIRES_STRENGTH_INFO}
            first = self._strength_of(self.context.default_model)
            self._add("strength", gr.Slider, 0, 1, first, step=0.05, **strength)
            steps = {"label": messages.STEPS, "info": messages.HIRES_STEPS_INFO}
            self._add("steps", gr.Slider, 0, MAX_STEPS_OFFERED, 0, step=1, **steps)

    def _add(self, name: str, component: Any, *arguments: Any, **settings: Any) -> None:
        """Make a component with an id and a place for an error below it."""
        elem_id = self._ids(f"hires-{name}")
        self._figures[name] = component(*arguments, elem_id=elem_id, **settings)
        self._notes[name] = add_note(self._ids, f"hires-{name}")

    def wire(self, model: gr.Dropdown, quick: Mapping[str, Any]) -> None:
        """Let another model set its own strength."""
        model.input(self._strength_of, [model], [self._figures["strength"]], **quick)

    def _strength_of(self, model: object) -> float:
        return self.context.model(model).family.hires_strength

    def inputs(self) -> dict[str, Component]:
        """Return the components, by the keys of their storage."""
        return {
            "hires_on": self.on,
            **{f"hires_{name}": component for name, component in self._figures.items()},
        }

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        places = {f"hires.{field}": note for field, note in self._notes.items()}
        steps = {"hires.num_inference_steps": self._notes["steps"]}
        return {"hires": self._notes["scale"], **places, **steps}

    def read(self, values: Values, model: object) -> dict[str, object] | None:
        """Return the value of a request's `hires`; None if it is off.

        An unchanged strength of `model` is left to the engine, which adapts it to few steps.
        """
        if not values[self.on]:
            return None
        figures: dict[str, Any] = {name: values[item] for name, item in self._figures.items()}
        figures["num_inference_steps"] = figures.pop("steps") or None
        if figures["strength"] == self._strength_of(model):
            figures["strength"] = None
        return figures

    def refined_size(self, values: Values, size: Size, multiple: int) -> Size | None:
        """Return the size of the second pass; None if it is off or unknown."""
        scale = values[self._figures["scale"]]
        if not values[self.on] or not isinstance(scale, (int, float)) or scale <= 1:
            return None
        return round_to_multiple(scale_size(size, scale, "hires.scale"), multiple)

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        figures = self._figures
        scale = memory.number("hires_scale", FIRST.scale, MIN_SCALE, MAX_HIRES_SCALE)
        offered = self._offer(memory.settings.get("hires_upscaler"))
        strength = self._strength_of(memory.settings.get("model"))
        return {
            self.on: memory.switch("hires_on"),
            figures["scale"]: scale,
            figures["upscaler"]: gr.Dropdown(**offered),
            figures["strength"]: memory.number("hires_strength", strength, 0, 1),
            figures["steps"]: memory.number("hires_steps", 0, 0, MAX_STEPS_OFFERED),
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture.

        An unknown upscaler changes nothing.
        """
        hires = request.hires if isinstance(request, TextToImage) else None
        if hires is None:
            return {self.on: False}
        figures = self._figures
        updates: Updates = {
            self.on: True,
            figures["scale"]: hires.scale,
            figures["steps"]: hires.num_inference_steps or 0,
        }
        if hires.strength is not None:
            updates[figures["strength"]] = hires.strength
        if hires.upscaler in [name for _, name in self._choices()]:
            updates[figures["upscaler"]] = gr.Dropdown(**self._offer(hires.upscaler))
        return updates

    def _choices(self) -> list[tuple[str, str]]:
        rows = [(upscaler_title(row), row.name) for row in self.context.upscalers()]
        return [*rows, (common.LATENT, LATENT_UPSCALER)]

    def _offer(self, chosen: object = None) -> dict[str, Any]:
        choices = self._choices()
        names = [name for _, name in choices]
        return {"choices": choices, "value": chosen if chosen in names else names[0]}
