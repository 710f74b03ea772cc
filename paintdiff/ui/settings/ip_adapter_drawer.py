"""A picture as a prompt, in a drawer. An IP-Adapter is off without a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import RequestError
from paintdiff.jobs.request_parts import IpAdapterInput
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.models.registry.adapter_rows import IpAdapterRow
from paintdiff.ui.common import widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.settings import messages
from paintdiff.ui.settings.control_map import has_strokes

FIRST_SCALE: float = IpAdapterInput.model_fields["scale"].default


class IpAdapterDrawer:
    """The components of one entry in a request's `ip_adapters`."""

    def __init__(self, context: PageContext, ids: Ids) -> None:
        self.context = context
        self._ids = ids
        self._notes: dict[str, Note] = {}

    def add(self) -> None:
        """Add the drawer to the page."""
        with widgets.drawer(messages.IMAGE_PROMPT, self._ids("prompt-picture-drawer")):
            self.canvas = canvas.paint_canvas(self._ids("prompt-picture"), tools=False)
            self._notes["image"] = add_note(self._ids, "prompt-picture")
            self.adapter = gr.Dropdown(
                label=messages.IP_ADAPTER,
                filterable=False,
                elem_id=self._ids("ip-adapter"),
                **self._offer(self.context.default_model, None),
            )
            self._notes["name"] = add_note(self._ids, "ip-adapter")
            self.scale = gr.Slider(
                0,
                1,
                FIRST_SCALE,
                step=0.05,
                label=messages.STRENGTH,
                elem_id=self._ids("ip-adapter-scale"),
            )
            self._notes["scale"] = add_note(self._ids, "ip-adapter-scale")

    def inputs(self) -> dict[str, Component]:
        """Return the components, by the keys of their storage."""
        return {
            "prompt_picture": self.canvas,
            "ip_adapter": self.adapter,
            "ip_adapter_scale": self.scale,
        }

    def self_storing_inputs(self) -> frozenset[str]:
        """Return the key of the canvas, which stores its picture itself."""
        return frozenset({"prompt_picture"})

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        return {f"ip_adapters.0.{field}": note for field, note in self._notes.items()}

    def read(self, values: Values) -> list[dict[str, object]]:
        """Return the value of a request's `ip_adapters`: one, or none without a picture.

        Raises:
            RequestError: A value is invalid; its field is in `ip_adapters`.
        """
        if canvas.is_empty(values[self.canvas]):
            return []
        try:
            picture = has_strokes(canvas.read_canvas(values[self.canvas], self.context.uploads))
        except RequestError as error:
            raise RequestError(str(error), field="ip_adapters.0.image") from error
        if not values[self.adapter]:
            raise RequestError(
                messages.NO_IP_ADAPTER_HERE,
                field="ip_adapters.0.image",
            )
        return [{"image": picture, "name": values[self.adapter], "scale": values[self.scale]}]

    def wire(self, model: gr.Dropdown, quick: Mapping[str, Any]) -> None:
        """Offer the IP-Adapters that fit the model."""
        model.change(
            lambda chosen, adapter: gr.Dropdown(**self._offer(chosen, adapter)),
            [model, self.adapter],
            [self.adapter],
            **quick,
        )

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        offered = self._offer(memory.settings.get("model"), memory.settings.get("ip_adapter"))
        return {
            self.adapter: gr.Dropdown(**offered),
            self.scale: memory.number("ip_adapter_scale", FIRST_SCALE, 0, 1),
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture; its prompt picture is unknown."""
        if not request.ip_adapters:
            return {}
        used = request.ip_adapters[0]
        return {
            self.adapter: gr.Dropdown(**self._offer(request.model, used.name)),
            self.scale: used.scale,
        }

    def _offer(self, model: object, chosen: object) -> dict[str, Any]:
        row = self.context.model(model)
        rows = self.context.engine.manager.catalog.fitting(IpAdapterRow, row)
        names = [each.name for each in rows]
        if not names:
            info = messages.no_ip_adapter(row.title)
            return {"choices": [], "value": None, "interactive": False, "info": info}
        return {
            "choices": [(each.title, each.name) for each in rows],
            "value": chosen if chosen in names else names[0],
            "interactive": True,
            "info": "",
        }
