"""The offer to use settings in a picture or a text, whichever program wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from textwrap import shorten
from typing import Any

import gradio as gr

from paintdiff.errors import MetadataError, NoMetadataError
from paintdiff.gallery.settings.found_settings import FoundSettings
from paintdiff.gallery.settings.metadata import find_settings, read_settings
from paintdiff.jobs.grid_cells import count_cells
from paintdiff.jobs.requests import Grid, Painting, Request, find_painting
from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common.assets import ASSETS
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.painting import messages
from paintdiff.ui.painting.tab_inputs import FormTab
from paintdiff.ui.settings.form_fields import MAX_GUIDANCE_OFFERED, MAX_STEPS_OFFERED

_OFFER_CHARACTERS = 90
_MAX_ID_CHARACTERS = 64
_SCRIPT = ASSETS / "settings-offer.js"


@dataclass(frozen=True)
class PaintingSettings:
    """Settings to paint with.

    `painting` holds all that can be used, `left_open` names the rest, and `program` wrote them (""
    if unknown). `grid` is that of the painting if it is the sheet of one.
    """

    painting: Painting
    left_open: tuple[str, ...]
    program: str
    grid: Grid | None = None

    @classmethod
    def of(cls, found: FoundSettings | None) -> PaintingSettings | None:
        """Return the settings found; None if they aren't about painting."""
        painting = None if found is None else find_painting(found.request)
        if found is None or painting is None:
            return None
        grid = found.request if isinstance(found.request, Grid) else None
        return cls(painting, found.left_open, found.program, grid)

    @property
    def request(self) -> Request:
        """The painting, or the grid of it."""
        if self.grid is None:
            return self.painting
        return self.grid.model_copy(update={"base": self.painting})

    def for_page(self, context: PageContext, model: object) -> PaintingSettings:
        """Adapt the settings to a page on which a model is chosen.

        The page's model stays if the settings name none that is here; what the page's form can't
        show is left open.
        """
        painting, named = self.painting, list(self.left_open)
        known = self.names_a_model(context)
        row = context.model(painting.model if known else model)
        changes: dict[str, object] = {} if known else {"model": row.name}
        steps, guidance = painting.num_inference_steps, painting.guidance_scale
        if steps is not None and steps > MAX_STEPS_OFFERED:
            changes["num_inference_steps"] = None
            named.append(messages.steps_not_offered(steps, MAX_STEPS_OFFERED))
        if guidance is not None and guidance > MAX_GUIDANCE_OFFERED:
            changes["guidance_scale"] = None
            named.append(messages.guidance_not_offered(guidance, MAX_GUIDANCE_OFFERED))
        if painting.sampler is not None and painting.sampler not in row.family.sampler_names():
            changes["sampler"] = None
            named.append(messages.sampler_not_offered(painting.sampler, row.title))
        return replace(self, painting=painting.model_copy(update=changes), left_open=tuple(named))

    def names_a_model(self, context: PageContext) -> bool:
        """Return whether the settings name a model of the catalog."""
        named = "model" in self.painting.model_fields_set
        return named and any(row.name == self.painting.model for row in context.models)


@dataclass(frozen=True)
class DroppedSettings:
    """Offers the settings in dropped or pasted pictures and texts.

    Pictures may be dropped anywhere on a tab without a canvas, texts pasted into its prompt.
    """

    context: PageContext
    place: gr.HTML

    @classmethod
    def build(cls, context: PageContext, ids: Ids) -> DroppedSettings:
        """Add the place for the offer to the page."""
        script = _SCRIPT.read_text(encoding="utf-8")
        return cls(context, widgets.clickable_html("", ids("offer"), "offer-place", script=script))

    def wire(self, tab: FormTab, quick: Mapping[str, Any]) -> None:
        """Check dropped and pasted content for settings; fill the tab's form on request."""
        model = tab.form.model

        def offered(values: Values, event: gr.EventData) -> str:
            return self.build_offer(event, values[model])

        def use(values: Values, event: gr.EventData) -> Updates:
            try:
                found = self._read_settings(event)
            except MetadataError as error:
                raise gr.Error(str(error), print_exception=False) from error
            if found is None:
                return {self.place: ""}
            fitting = found.for_page(self.context, values[model])
            return {self.place: "", **tab.fill(fitting.request)}

        self.place.upload(offered, {model}, [self.place], **quick)
        self.place.click(use, {model}, [self.place, *tab.receive_outputs()], **quick)

    def build_offer(self, event: gr.EventData, model: object) -> str:
        """Return the offer as markup, or why there can't be one."""
        failed = getattr(event, "failed", None)
        if failed:
            return message_markup.note([str(failed)], "warning")
        try:
            found = self._read_settings(event)
        except MetadataError as error:
            return message_markup.note([str(error)], "warning")
        if found is not None:
            return build_offer(
                found, self.context, model, brought="text" if _read_text(event) else "picture"
            )
        return "" if _read_text(event) else message_markup.note([messages.NO_SETTINGS], "warning")

    def _read_settings(self, event: gr.EventData) -> PaintingSettings | None:
        """Return the settings in what the page sent; None without any.

        Raises:
            MetadataError: They can't be used.
        """
        text = _read_text(event)
        if text:
            return PaintingSettings.of(find_settings(text))
        sent = str(getattr(event, "picture", ""))
        upload = self.context.uploads.get(sent) if len(sent) <= _MAX_ID_CHARACTERS else None
        if upload is None:
            raise MetadataError(messages.DROP_AGAIN)
        return read_painting_settings(upload.data)


def read_painting_settings(picture: bytes) -> PaintingSettings | None:
    """Read the painting settings in a picture; None if it contains none.

    Raises:
        MetadataError: They can't be used.
    """
    try:
        return PaintingSettings.of(read_settings(picture))
    except NoMetadataError:
        return None


def build_offer(
    found: PaintingSettings, context: PageContext, model: object, *, brought: str = "picture"
) -> str:
    """Return the offer to use settings, as markup: what they are, and which can't be used.

    `model` is the one chosen on the page; `brought` names the source of the settings.
    """
    fitting, request = found.for_page(context, model), found.painting
    words = shorten(request.prompt, _OFFER_CHARACTERS, placeholder=" …")
    said = [messages.contains_settings(brought, found.program, words)]
    if "model" in request.model_fields_set and not found.names_a_model(context):
        said.append(messages.model_not_installed(request.model))
    if found.grid is not None:
        said.append(messages.contains_grid(count_cells(found.grid)))
    if request.controls:
        said.append(messages.CONTROL_PICTURE_MISSING)
    if painted_with := _describe_differences(request, context):
        said.append(painted_with)
    if fitting.left_open:
        said.append(messages.not_used(fitting.left_open))
    return (
        f'<p class="offer">{escape(" ".join(said), quote=False)} '
        f'<button type="button" data-use="settings">{escape(messages.USE_THEM)}</button></p>'
    )


def _describe_differences(request: Painting, context: PageContext) -> str:
    """Return what may differ when a picture is painted again with its profile; "" if nothing."""
    if request.profile not in context.profiles.names():
        return ""
    profile = context.profiles.profile(request.profile)
    return messages.painted_at_speed(profile.title, profile.repeating) if profile.repeating else ""


def _read_text(event: gr.EventData) -> str:
    return str(getattr(event, "text", "") or "")
