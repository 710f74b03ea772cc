"""The tab where words become a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradio.components import Component

from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.painting.painting_tab import Sizing, TabInputs
from paintdiff.ui.painting.settings_offer import DroppedSettings
from paintdiff.ui.settings.form import Form
from paintdiff.ui.settings.hires_drawer import HiresDrawer

if TYPE_CHECKING:
    from paintdiff.ui.painting.painting_tab import PaintingTab


class TextToImageInputs(TabInputs):
    """Words alone."""

    ids = Ids("text_to_image", first=True)

    def __init__(self, parts: PageContext) -> None:
        super().__init__(parts)
        self.hires = HiresDrawer(parts, self.ids)

    def add_controls(self) -> None:
        """Room to offer the settings of a picture or a text that is dropped or pasted."""
        self.dropped = DroppedSettings.built(self.parts, self.ids)

    def add_settings(self) -> None:
        """The hires fix, in a drawer."""
        self.hires.add()

    def inputs(self) -> dict[str, Component]:
        """The hires fix."""
        return self.hires.inputs()

    def notes(self) -> dict[str, Note]:
        """Places for errors."""
        return self.hires.notes()

    def wire(self, studio: PaintingTab) -> None:
        """Let another model bring its own hires fix, and settings be taken from elsewhere."""
        self.dropped.wire(studio, QUICK)
        self.hires.wire(studio.form.model, QUICK)

    def sizing(self, form: Form) -> Sizing:
        """As the form and the hires fix say."""
        painted = super().sizing(form)
        return Sizing(painted.size, painted.inputs.union(self.hires.inputs().values()))

    def refined(self, values: Values, form: Form, size: Size) -> Size | None:
        """As the hires fix says."""
        multiple = self.parts.model(values[form.model]).family.size_multiple
        return self.hires.refined(values, size, multiple)

    def request(self, fields: dict[str, object], values: Values) -> TextToImage:
        """Raises RequestError."""
        return TextToImage.parsed(
            {**fields, "hires": self.hires.requested(values, fields["model"])}
        )

    def restored(self, memory: BrowserState) -> Updates:
        """The settings as they were."""
        return self.hires.restored(memory)

    def filled(self, request: PaintingRequest) -> Updates:
        """The settings of a picture that was painted before."""
        return self.hires.filled(request)
