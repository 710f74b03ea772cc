"""What every painting tab is made of: prompt, ingredients, Generate and settings on one side, the
easel on the other. A tab adds its ingredients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import PaintError, RequestError
from paintdiff.imaging.geometry import Size, check_size, round_to_multiple
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import PaintingRequest, Request, Upscale
from paintdiff.ui.common import markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note, listen
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting.picture_tab import PictureTab
from paintdiff.ui.run.run_panel import RunButtons, RunPanel, SeedFields
from paintdiff.ui.settings.adapter_drawer import AdapterDrawer, replace_in_prompt
from paintdiff.ui.settings.control_map import SizeOf
from paintdiff.ui.settings.form import Form
from paintdiff.ui.settings.ip_adapter_drawer import IpAdapterDrawer
from paintdiff.ui.settings.size_advice import SizeAdvice
from paintdiff.ui.settings.upscale_setting import UpscaleSetting


@dataclass(frozen=True)
class Sizing:
    """How large a tab's pictures are, and how large they are `painted` if that is another size.
    `inputs` and the `canvases` are what these and `Ingredients.refined` look at."""

    size: SizeOf
    inputs: frozenset[Any]
    canvases: tuple[gr.HTML, ...] = ()
    painted: SizeOf | None = None


class TabInputs:
    """What a tab paints from, besides words. Subclasses say what they add; this one adds nothing.

    `ids` names the tab and its elements, `sized` says whether the person may choose the picture's
    size (and `size_shown`, whether at once), `prompt_needed` whether there must be words.
    Components are made in `add_controls` (between the prompt and Generate), `add_settings` (below
    the settings) and `add_canvas` (beside the picture).
    """

    ids = Ids("")
    sized = True
    size_shown = True
    title = "What should we paint?"
    text = "Describe a picture, or start with one of these."
    prompt_needed = True

    def __init__(self, parts: PageContext) -> None:
        self.parts = parts

    def add_controls(self) -> None:
        """Lay out what belongs beside the settings."""

    def add_settings(self) -> None:
        """Lay out what belongs below the settings."""

    def add_canvas(self) -> None:
        """Lay out what belongs beside the picture."""

    def inputs(self) -> dict[str, Component]:
        """The components that go into a request, by the names under which they are remembered."""
        return {}

    def remembered_by_itself(self) -> frozenset[str]:
        """Those of `inputs` that look after their own memory in the browser."""
        return frozenset()

    def notes(self) -> dict[str, Note]:
        """Room for an error about a field of the request, by field."""
        return {}

    def wire(self, studio: PaintingTab) -> None:
        """Let choices bring what belongs to them."""

    def sizing(self, form: Form) -> Sizing:
        """How large the pictures are: as the form says. The model is among the inputs."""
        return Sizing(self.size_in(form), frozenset({form.model, form.width, form.height}))

    def size_in(self, form: Form) -> SizeOf:
        """The size that the form says, rounded to what its model can paint."""

        def size(values: Values) -> Size:
            multiple = self.parts.model(values[form.model]).family.size_multiple
            chosen = Size(int(values[form.width] or 0), int(values[form.height] or 0))
            return round_to_multiple(check_size(chosen), multiple)

        return size

    def refined(self, values: Values, form: Form, size: Size) -> Size | None:
        """The size at which a picture of that size is painted a second time, None if it isn't."""
        return None

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Those of `inputs` whose pixels have to be sent before a job starts."""
        return ()

    def request(self, fields: dict[str, object], values: Values) -> Request:
        """The request: `fields` are what all painting requests share. Raises RequestError."""
        raise NotImplementedError

    def restored(self, memory: BrowserState) -> Updates:
        """The inputs as they were, each checked."""
        return {}

    def filled(self, request: PaintingRequest) -> Updates:
        """The inputs that take settings of a picture that was painted before."""
        return {}

    def received(self, picture: Picture) -> Updates:
        """The inputs that take a finished picture."""
        return {}


@dataclass(frozen=True)
class PaintingTab(PictureTab):
    """One painting tab's components and handlers. Build it with `built`."""

    ingredients: TabInputs
    prompt: gr.Textbox
    categories: gr.CheckboxGroup
    surprise: gr.Button
    form: Form
    upscaling: UpscaleSetting
    adapters: AdapterDrawer
    picture_prompt: IpAdapterDrawer
    fits: gr.HTML

    @classmethod
    def built(cls, parts: PageContext, ingredients: TabInputs) -> PaintingTab:
        """Lay the tab out inside the current `gr.Tab`, and wire it."""
        ids = ingredients.ids
        upscaling = UpscaleSetting(parts, ids, optional=True, name="enlarge")
        adapters, picture_prompt = AdapterDrawer(parts, ids), IpAdapterDrawer(parts, ids)
        with gr.Row(elem_classes=["studio", f"studio-{ids.tab}"]):
            with gr.Column(elem_classes=["controls"], scale=0, min_width=0):
                with gr.Column(elem_classes=["group", "prompt-group"]):
                    prompt, prompt_note, categories, surprise = _prompt_box(
                        parts, ids, surprising=ingredients.prompt_needed
                    )
                    ingredients.add_controls()
                with gr.Column(elem_classes=["group", "run-group"]):
                    buttons = RunButtons.built(ids)
                    fits = widgets.static("", ids("fits"), "foreseen-place")
                with gr.Column(elem_classes=["group", "settings-group"]):
                    form = Form.built(
                        parts,
                        ids,
                        sized=ingredients.sized,
                        size_shown=ingredients.size_shown,
                        before_more=upscaling.add,
                    )
                    adapters.add()
                    picture_prompt.add()
                    ingredients.add_settings()
            ingredients.add_canvas()
            notes = {"": buttons.note, "prompt": prompt_note, "warnings": prompt_note, **form.notes}
            for part in (upscaling, adapters, picture_prompt, ingredients):
                notes |= part.notes()
            with gr.Column(elem_classes=["easel-side"], min_width=0):
                easel = RunPanel.built(
                    parts,
                    ids,
                    markup.empty_stage(
                        parts.examples if ingredients.prompt_needed else (),
                        ingredients.title,
                        ingredients.text,
                    ),
                    buttons=buttons,
                    notes=notes,
                    seeds=SeedFields(form.seed, form.keep_seed),
                )
        studio = cls(
            parts=parts,
            ids=ids,
            easel=easel,
            ingredients=ingredients,
            prompt=prompt,
            categories=categories,
            surprise=surprise,
            form=form,
            upscaling=upscaling,
            adapters=adapters,
            picture_prompt=picture_prompt,
            fits=fits,
        )
        studio._wire()
        return studio

    def _wire(self) -> None:
        self.wire_run()
        example = self.easel.stage.click(self.use_example, None, [self.prompt], **QUICK)
        js = self.start_js()
        listen(example.success, self.start, self.started_with(), self.started(), js=js, **QUICK)
        self.surprise.click(self.surprised, {self.categories}, [self.prompt], **QUICK)
        self.form.wire(**QUICK)
        self.upscaling.wire(QUICK)
        self.adapters.wire(self.prompt, self.form.model, QUICK)
        self.picture_prompt.wire(self.form.model, QUICK)
        sides: set[Any] = {self.form.width, self.form.height}
        factors: set[Any] = {self.upscaling.factor, self.upscaling.other}
        self.form.final_size.click(
            self.use_native_size,
            {self.form.model, *sides, *factors},
            [*sides, *factors],
            **QUICK,
        )
        self.ingredients.wire(self)
        self._wire_foreseen()

    def _wire_foreseen(self) -> None:
        """Say what will become of the size, and whether it fits into memory, whenever that
        changes."""
        sizing = self.ingredients.sizing(self.form)
        looked_at: set[Any] = {*sizing.inputs, self.upscaling.factor, self.upscaling.other}
        asked = {*looked_at, *sizing.canvases}
        canvases = [(each.upload, each.clear) for each in sizing.canvases]
        gr.on(
            [*(each.change for each in looked_at), *(event for pair in canvases for event in pair)],
            lambda values: {
                self.form.final_size: self.final_words(values, sizing.size),
                self.fits: self.memory_words(values, sizing.painted or sizing.size),
            },
            asked,
            [self.form.final_size, self.fits],
            js=canvas.flush_js(asked, *sizing.canvases) if sizing.canvases else None,
            trigger_mode="always_last",
            **QUICK,
        )

    def asked(self) -> set[Any]:
        """The components that `request` looks at."""
        return {self.prompt, self.form.keep_seed, *self.inputs().values()}

    def inputs(self) -> dict[str, Component]:
        """The components of a request's fields but the prompt, as they are remembered."""
        return {
            **self.form.requested(),
            **self.upscaling.inputs(),
            **self.adapters.inputs(),
            **self.picture_prompt.inputs(),
            **self.ingredients.inputs(),
        }

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Those of the ingredients, and the picture that is a prompt."""
        return (*self.ingredients.canvases(), self.picture_prompt.canvas)

    def kept(self) -> dict[str, Any]:
        """The components whose values the browser remembers, by name."""
        own = self.inputs()
        apart = self.ingredients.remembered_by_itself() | self.picture_prompt.remembered_by_itself()
        return {
            "prompt": self.prompt,
            "categories": self.categories,
            "keep_seed": self.form.keep_seed,
            **{name: component for name, component in own.items() if name not in apart},
        }

    # What a click does

    def request(self, values: Values) -> Request:
        """The request that the page asks for. Raises RequestError with the first bad field."""
        fields = {name: values[component] for name, component in self.form.requested().items()}
        if not values[self.form.keep_seed]:
            fields["seed"] = None
        fields["negative_prompt"] = fields["negative_prompt"] or ""
        fields["prompt"] = str(values[self.prompt] or "").strip()
        if self.ingredients.prompt_needed and not fields["prompt"]:
            raise RequestError("Write what the picture should show.", field="prompt")
        fields["upscaling"] = self.upscaling.requested(values)
        fields |= self.adapters.requested(values)
        fields["ip_adapters"] = self.picture_prompt.requested(values)
        width, height = fields.get("width"), fields.get("height")
        if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
            check_size(Size(width, height))
        return self.ingredients.request(fields, values)

    def use_example(self, event: gr.EventData) -> str:
        """The prompt of a chip. The page names it by number; anything else is no chip."""
        number = str(getattr(event, "example", ""))
        if not (number.isascii() and number.isdigit() and int(number) < len(self.parts.examples)):
            raise gr.Error("Unknown example.", print_exception=False)
        return self.parts.examples[int(number)]

    def surprised(self, values: Values) -> str:
        """A prompt drawn from the chosen categories."""
        try:
            return self.parts.surprise(values[self.categories] or ())
        except PaintError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def final_words(self, values: Values, size_of: SizeOf) -> str:
        """What will become of the size that is painted, as markup; "" if it stays."""
        try:
            size = size_of(values)
            refined = self.ingredients.refined(values, self.form, size)
            upscaled = self.upscaling.enlarged(values, refined or size)
        except PaintError:
            return ""  # no picture, or no size: Generate says what is wrong
        advice = self._size_advice(values)
        words = [f"refined at {refined}"] if refined is not None else []
        words += [f"upscaled to {upscaled}"] if upscaled is not None else []
        aside = markup.aside(f"{', '.join([str(size), *words])}.") if words else ""
        return f"{'' if advice is None else advice.markup}{aside}"

    def _size_advice(self, values: Values) -> SizeAdvice | None:
        """Return what to paint instead, if the chosen size doesn't suit the model. Raises
        PaintError for a size or scale that can't be used.
        """
        if not (self.ingredients.sized and self.ingredients.size_shown):
            return None  # it follows a picture
        scale = float(self.upscaling.scale(values) or 1)
        size = self.ingredients.size_in(self.form)(values)
        return SizeAdvice.about(size, self.parts.model(values[self.form.model]), scale)

    def use_native_size(self, values: Values) -> Updates:
        """Follow the advice about the size."""
        try:
            advice = self._size_advice(values)
        except PaintError as error:
            raise gr.Error(str(error), print_exception=False) from error
        if advice is None:
            return {}
        upscaled = self.upscaling.scaled(advice.scale) if advice.scale > 1 else {}
        sides = {self.form.width: advice.size.width, self.form.height: advice.size.height}
        return {**sides, **upscaled}

    def memory_words(self, values: Values, size_of: SizeOf) -> str:
        """What is done to fit the picture into memory, as markup: a warning if it will be slow or
        won't fit, "" if it fits as it is or nobody can tell."""
        model = self.parts.model(values[self.form.model]).name
        try:
            size = size_of(values)
            refined = self.ingredients.refined(values, self.form, size)
            forecast = self.parts.engine.forecast(model, size, refined)
        except PaintError:
            return ""  # no picture, or no size: Generate says what is wrong
        if forecast is None or (forecast.planned is not None and not forecast.planned.plan.words):
            return ""  # it fits as it is
        words = f"{forecast.words[:1].upper()}{forecast.words[1:]}."
        return markup.note([words], "warning") if forecast.slow else markup.aside(words)

    # Settings that come from elsewhere

    def filled(self, request: Request) -> Updates:
        """Words and settings as those of a picture that was made before; only how it was enlarged,
        if nothing was painted."""
        if isinstance(request, Upscale):
            return self.upscaling.filled(request.upscaling)
        return {
            self.prompt: replace_in_prompt(request.prompt, request.loras),
            **self.form.filled(request),
            **self.upscaling.filled(request.upscaling),
            **self.adapters.filled(request),
            **self.picture_prompt.filled(request),
            **self.ingredients.filled(request),
        }

    def received(self, picture: Picture) -> Updates:
        """A finished picture to go on from, with its words and settings; an enlarged one is taken
        as it is. Raises RequestError if it can't be taken."""
        taken = self.ingredients.received(picture)
        if isinstance(picture.request, Upscale):
            return taken
        return {**self.filled(picture.request), **taken}

    def receivable(self) -> list[Any]:
        """The components that `filled` and `received` may change."""
        own = [*self.inputs().values(), self.adapters.rows]
        return [self.prompt, *own, self.form.keep_seed]

    # A page that is loaded again

    def settings_restored(self, memory: BrowserState) -> Updates:
        """The settings as they were before a reload, each checked."""
        return {
            self.prompt: memory.text("prompt"),
            self.categories: memory.choices("categories", self.parts.surprise_categories),
            **self.form.restored(memory),
            **self.upscaling.restored(memory),
            **self.adapters.restored(memory),
            **self.picture_prompt.restored(memory),
            **self.ingredients.restored(memory),
        }

    def restorable(self) -> list[Any]:
        """The components that `restored` may change."""
        return [*super().restorable(), self.form.size_preset, self.adapters.rows]


def _prompt_box(
    parts: PageContext, ids: Ids, *, surprising: bool
) -> tuple[gr.Textbox, Note, gr.CheckboxGroup, gr.Button]:
    prompt = gr.Textbox(
        label="Prompt",
        lines=3,
        max_lines=8,
        elem_id=ids("prompt"),
        elem_classes=["prompt"],
        placeholder=parts.examples[0] if parts.examples else "",
    )
    note = add_note(ids, "prompt")
    categories = gr.CheckboxGroup(
        list(parts.surprise_categories),
        label="Surprise me with",
        elem_id=ids("categories"),
        visible=surprising,
    )
    surprise = gr.Button(
        "Surprise me",
        elem_id=ids("surprise"),
        elem_classes=["surprise"],
        min_width=0,
        visible=surprising,
    )
    return prompt, note, categories, surprise
