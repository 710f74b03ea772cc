"""The Text to image tab."""

from __future__ import annotations

from gradio.components import Component

from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.painting.settings_offer import DroppedSettings
from paintdiff.ui.painting.tab_inputs import FormTab, Sizing, TabInputs
from paintdiff.ui.settings.form import Form
from paintdiff.ui.settings.hires_drawer import HiresDrawer


class TextToImageInputs(TabInputs):
    """A prompt alone."""

    ids = Ids("text_to_image", first=True)

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        self.hires = HiresDrawer(context, self.ids)

    def add_controls(self) -> None:
        """Add the place for an offer of dropped or pasted settings."""
        self.dropped = DroppedSettings.build(self.context, self.ids)

    def add_settings(self) -> None:
        """Add the hires fix in a drawer."""
        self.hires.add()

    def inputs(self) -> dict[str, Component]:
        """Return the components of the hires fix."""
        return self.hires.inputs()

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        return self.hires.notes()

    def wire(self, tab: FormTab) -> None:
        """Register the events of the hires fix and of dropped settings."""
        self.dropped.wire(tab, QUICK)
        self.hires.wire(tab.form.model, QUICK)

    def sizing(self, form: Form) -> Sizing:
        """Return the size of the form and the hires fix."""
        painted = super().sizing(form)
        return Sizing(painted.size, painted.inputs.union(self.hires.inputs().values()))

    def refined_size(self, values: Values, form: Form, size: Size) -> Size | None:
        """Return the size of the hires fix."""
        multiple = self.context.model(values[form.model]).family.size_multiple
        return self.hires.refined_size(values, size, multiple)

    def request(self, fields: dict[str, object], values: Values) -> TextToImage:
        """Build the request.

        Raises:
            RequestError: A value is invalid.
        """
        return TextToImage.parse({**fields, "hires": self.hires.read(values, fields["model"])})

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        return self.hires.restore(memory)

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture."""
        return self.hires.fill(request)
