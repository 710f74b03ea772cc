"""A painting tab: prompt, inputs, Generate and settings on one side, the run panel on the other.

Each kind of tab adds its own inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import PaintError, RequestError
from paintdiff.imaging.geometry import Size, check_size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import Request, Upscale, check_painting, find_painting
from paintdiff.ui.common import markup, message_markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note, listen
from paintdiff.ui.common.updates import QUICK, Updates, Values, make_room
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting import messages
from paintdiff.ui.painting.picture_tab import PictureTab
from paintdiff.ui.painting.tab_inputs import TabInputs
from paintdiff.ui.run.run_panel import RunButtons, RunPanel, SeedFields
from paintdiff.ui.settings import grid_drawer
from paintdiff.ui.settings.adapter_drawer import AdapterDrawer, replace_in_prompt
from paintdiff.ui.settings.control_map import SizeOf
from paintdiff.ui.settings.form import Form
from paintdiff.ui.settings.grid_drawer import GridDrawer
from paintdiff.ui.settings.ip_adapter_drawer import IpAdapterDrawer
from paintdiff.ui.settings.prompt_ideas import PromptIdeas
from paintdiff.ui.settings.size_advice import SizeAdvice
from paintdiff.ui.settings.style_drawer import StyleDrawer
from paintdiff.ui.settings.upscale_setting import UpscaleSetting

_CHOSEN_FOR_BUDGET = frozenset({"num_inference_steps", "profile", "width", "height"})


@dataclass(frozen=True)
class PaintingTab(PictureTab):
    """One painting tab's components and handlers. Call `build` to create it."""

    tab_inputs: TabInputs
    prompt: gr.Textbox
    ideas: PromptIdeas
    styles: StyleDrawer
    form: Form
    upscaling: UpscaleSetting
    adapters: AdapterDrawer
    picture_prompt: IpAdapterDrawer
    grid: GridDrawer
    fits: gr.HTML

    @classmethod
    def build(cls, context: PageContext, tab_inputs: TabInputs) -> PaintingTab:
        """Lay out the tab inside the current `gr.Tab`, and register its events."""
        ids = tab_inputs.ids
        upscaling = UpscaleSetting(context, ids, optional=True, name="enlarge")
        adapters, picture_prompt = AdapterDrawer(context, ids), IpAdapterDrawer(context, ids)
        ideas, styles = PromptIdeas(context, ids), StyleDrawer(context, ids)
        grid = GridDrawer(context, ids)
        with gr.Row(elem_classes=["studio", f"studio-{ids.tab}"]):
            with gr.Column(elem_classes=["controls"], scale=0, min_width=0):
                with gr.Column(elem_classes=["group", "prompt-group"]):
                    prompt, prompt_note = _prompt_box(context, ids)
                    with gr.Row(elem_classes=["prompt-tools"]):
                        ideas.add(surprising=tab_inputs.prompt_needed)
                        styles.add()
                    tab_inputs.add_controls()
                with gr.Column(elem_classes=["group", "run-group"]):
                    buttons = RunButtons.build(ids)
                    fits = widgets.static_html("", ids("fits"), "foreseen-place")
                with gr.Column(elem_classes=["group", "settings-group"]):
                    form = Form.build(
                        context,
                        ids,
                        sized=tab_inputs.sized,
                        size_shown=tab_inputs.size_shown,
                        before_more=upscaling.add,
                    )
                    adapters.add()
                    picture_prompt.add()
                    tab_inputs.add_settings()
                    grid.add()
            tab_inputs.add_canvas()
            notes = {"": buttons.note, "prompt": prompt_note, "warnings": prompt_note, **form.notes}
            for part in (styles, upscaling, adapters, picture_prompt, grid, tab_inputs):
                notes |= part.notes()
            with gr.Column(elem_classes=["easel-side"], min_width=0):
                run_panel = RunPanel.build(
                    context,
                    ids,
                    markup.empty_stage(
                        context.examples if tab_inputs.prompt_needed else (),
                        tab_inputs.title,
                        tab_inputs.text,
                    ),
                    buttons=buttons,
                    notes=notes,
                    seeds=SeedFields(form.seed, form.keep_seed),
                )
        tab = cls(
            context=context,
            ids=ids,
            run_panel=run_panel,
            tab_inputs=tab_inputs,
            prompt=prompt,
            ideas=ideas,
            styles=styles,
            form=form,
            upscaling=upscaling,
            adapters=adapters,
            picture_prompt=picture_prompt,
            grid=grid,
            fits=fits,
        )
        tab._wire()
        return tab

    def _wire(self) -> None:
        self.wire_run()
        example = self.run_panel.stage.click(self.use_example, None, [self.prompt], **QUICK)
        js = self.start_js()
        listen(
            example.success, self.start, self.start_inputs(), self.start_outputs(), js=js, **QUICK
        )
        self.ideas.wire(self.prompt, self.form.model, QUICK)
        self.styles.wire(self.prompt, self.form.negative_prompt, QUICK)
        self.form.wire(**QUICK)
        self.upscaling.wire(QUICK)
        self.adapters.wire(self.prompt, self.form.model, QUICK)
        self.picture_prompt.wire(self.form.model, QUICK)
        self.grid.wire(self.form.model, QUICK)
        sides: set[Any] = {self.form.width, self.form.height}
        factors: set[Any] = {self.upscaling.factor, self.upscaling.other}
        self.form.final_size.click(
            self.use_native_size,
            {self.form.model, *sides, *factors},
            [*sides, *factors],
            **QUICK,
        )
        self.tab_inputs.wire(self)
        self._wire_foresight()
        self._wire_grid()

    def _wire_grid(self) -> None:
        """Say how many pictures a grid has, whenever that may change."""
        others = (self.form.num_inference_steps.change, self.form.model.change)
        gr.on(
            [*self.grid.events(), self.prompt.blur, *others],
            self.describe_grid,
            self.request_inputs(),
            [self.grid.forecast],
            trigger_mode="always_last",
            **QUICK,
        )

    def _wire_foresight(self) -> None:
        """Describe the final size and whether it fits into memory, whenever that changes."""
        sizing = self.tab_inputs.sizing(self.form)
        looked_at: set[Any] = {*sizing.inputs, self.upscaling.factor, self.upscaling.other}
        asked = {*looked_at, *sizing.canvases}
        canvases = [(each.upload, each.clear) for each in sizing.canvases]
        gr.on(
            [*(each.change for each in looked_at), *(event for pair in canvases for event in pair)],
            lambda values: {
                self.form.final_size: self.describe_final_size(values, sizing.size),
                self.fits: self.describe_memory(values, sizing.painted or sizing.size),
            },
            asked,
            [self.form.final_size, self.fits],
            js=canvas.flush_js(asked, *sizing.canvases) if sizing.canvases else None,
            trigger_mode="always_last",
            **QUICK,
        )

    def request_inputs(self) -> set[Any]:
        """Return the components that `request` reads."""
        return {self.prompt, self.form.keep_seed, *self.inputs().values()}

    def inputs(self) -> dict[str, Component]:
        """Return the components of a request except the prompt, by the keys of their storage."""
        return {
            **self.form.request_inputs(),
            **self.styles.inputs(),
            **self.upscaling.inputs(),
            **self.adapters.inputs(),
            **self.picture_prompt.inputs(),
            **self.grid.inputs(),
            **self.tab_inputs.inputs(),
        }

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Return the canvases of the inputs, and of the IP-Adapter."""
        return (*self.tab_inputs.canvases(), self.picture_prompt.canvas)

    def stored_inputs(self) -> dict[str, Any]:
        """Return the components whose values the browser stores, by key."""
        own = self.inputs()
        apart = self.tab_inputs.self_storing_inputs() | self.picture_prompt.self_storing_inputs()
        return {
            "prompt": self.prompt,
            **self.ideas.inputs(),
            "keep_seed": self.form.keep_seed,
            **{name: component for name, component in own.items() if name not in apart},
        }

    # Handlers

    def request(self, values: Values) -> Request:
        """Build the page's request.

        Raises:
            RequestError: A value is invalid; it names the first such field.
        """
        fields = {name: values[component] for name, component in self.form.request_inputs().items()}
        if not values[self.form.keep_seed]:
            fields["seed"] = None
        if fields["time_budget_seconds"]:  # then these are chosen for the person
            fields |= dict.fromkeys(_CHOSEN_FOR_BUDGET & fields.keys())
        fields["negative_prompt"] = fields["negative_prompt"] or ""
        fields["prompt"] = str(values[self.prompt] or "").strip()
        prompted = bool(fields["prompt"]) or self.grid.has_prompts(values)
        if self.tab_inputs.prompt_needed and not prompted:
            raise RequestError(messages.EMPTY_PROMPT, field="prompt")
        fields["upscaling"] = self.upscaling.read(values)
        fields |= self.styles.read(values)
        fields |= self.adapters.read(values)
        fields["ip_adapters"] = self.picture_prompt.read(values)
        width, height = fields.get("width"), fields.get("height")
        if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
            check_size(Size(width, height))
        painting = check_painting(self.tab_inputs.request(fields, values))
        return self.grid.build(painting, values)

    def describe_grid(self, values: Values) -> Updates:
        """Describe the grid before it is painted, as markup; "" without one."""
        if values[self.grid.kind] == grid_drawer.OFF:
            return {self.grid.forecast: ""}
        try:
            said = self.grid.describe(self.request(values))
        except PaintError:
            said = ""  # Generate says what is wrong
        return {self.grid.forecast: said}

    def use_example(self, event: gr.EventData) -> str:
        """Return a chip's prompt. The page sends its number; anything else changes nothing."""
        number = str(getattr(event, "example", ""))
        if not (number.isascii() and number.isdigit() and int(number) < len(self.context.examples)):
            raise gr.Error(messages.UNKNOWN_EXAMPLE, print_exception=False)
        return self.context.examples[int(number)]

    def describe_final_size(self, values: Values, size_of: SizeOf) -> str:
        """Describe the size after all steps, as markup; "" if it is the chosen one."""
        try:
            size = size_of(values)
            refined = self.tab_inputs.refined_size(values, self.form, size)
            upscaled = self.upscaling.enlarged_size(values, refined or size)
        except PaintError:
            return ""  # no picture, or no size: Generate says what is wrong
        advice = self._size_advice(values)
        words = [messages.refined_at(refined)] if refined is not None else []
        words += [messages.upscaled_to(upscaled)] if upscaled is not None else []
        aside = message_markup.aside(f"{', '.join([str(size), *words])}.") if words else ""
        return f"{'' if advice is None else advice.markup}{aside}"

    def _size_advice(self, values: Values) -> SizeAdvice | None:
        """Return a better size if the chosen one doesn't suit the model.

        Raises:
            PaintError: A size or scale can't be used.
        """
        if not (self.tab_inputs.sized and self.tab_inputs.size_shown):
            return None  # the size follows a picture
        scale = float(self.upscaling.scale(values) or 1)
        size = self.tab_inputs.form_size(self.form)(values)
        return SizeAdvice.about(size, self.context.model(values[self.form.model]), scale)

    def use_native_size(self, values: Values) -> Updates:
        """Follow the advice about the size."""
        try:
            advice = self._size_advice(values)
        except PaintError as error:
            raise gr.Error(str(error), print_exception=False) from error
        if advice is None:
            return {}
        upscaled = self.upscaling.choose_scale(advice.scale) if advice.scale > 1 else {}
        sides = {self.form.width: advice.size.width, self.form.height: advice.size.height}
        return {**sides, **upscaled}

    def describe_memory(self, values: Values, size_of: SizeOf) -> str:
        """Describe what is done to fit the picture into memory, as markup.

        A warning if it will be slow or won't fit; "" if it simply fits or nobody knows.
        """
        model = self.context.model(values[self.form.model]).name
        try:
            size = size_of(values)
            refined = self.tab_inputs.refined_size(values, self.form, size)
            forecast = self.context.engine.forecast(model, size, refined)
        except PaintError:
            return ""  # no picture, or no size: Generate says what is wrong
        if forecast is None or (forecast.planned is not None and not forecast.planned.plan.words):
            return ""  # it simply fits
        words = f"{forecast.words[:1].upper()}{forecast.words[1:]}."
        return (
            message_markup.note([words], "warning")
            if forecast.slow
            else message_markup.aside(words)
        )

    # Settings from elsewhere

    def fill(self, request: Request) -> Updates:
        """Return updates with the prompt and settings of an earlier picture.

        If nothing was painted, only those of its upscaling.
        """
        if isinstance(request, Upscale):
            return self.upscaling.fill(request.upscaling)
        painting = check_painting(find_painting(request) or request)
        updates = {
            self.prompt: replace_in_prompt(painting.prompt, painting.loras),
            **self.form.fill(painting),
            **self.styles.fill(painting),
            **self.upscaling.fill(painting.upscaling),
            **self.adapters.fill(painting),
            **self.picture_prompt.fill(painting),
            **self.grid.fill(request),
            **self.tab_inputs.fill(painting),
        }
        return {each: make_room(each, value) for each, value in updates.items()}

    def receive(self, picture: Picture) -> Updates:
        """Take a finished picture to continue from, with its prompt and settings.

        An enlarged one keeps its size.

        Raises:
            RequestError: It can't be used here.
        """
        taken = self.tab_inputs.receive(picture)
        if isinstance(picture.request, Upscale):
            return taken
        return {**self.fill(picture.request), **taken}

    def receive_outputs(self) -> list[Any]:
        """Return the components that `fill` and `receive` may change."""
        own = [*self.inputs().values(), self.adapters.rows, *self.grid.extra_outputs()]
        return [self.prompt, *own, self.form.keep_seed]

    # After a reload

    def restore_settings(self, memory: BrowserState) -> Updates:
        """Return updates with the settings from before a reload, each checked."""
        return {
            self.prompt: memory.text("prompt"),
            **self.ideas.restore(memory),
            **self.styles.restore(memory),
            **self.form.restore(memory),
            **self.upscaling.restore(memory),
            **self.adapters.restore(memory),
            **self.picture_prompt.restore(memory),
            **self.grid.restore(memory),
            **self.tab_inputs.restore(memory),
        }

    def restore_outputs(self) -> list[Any]:
        """Return the components that `restore` may change."""
        own = [self.form.size_preset, self.adapters.rows, *self.grid.extra_outputs()]
        return [*super().restore_outputs(), *own]


def _prompt_box(context: PageContext, ids: Ids) -> tuple[gr.Textbox, Note]:
    prompt = gr.Textbox(
        label=messages.PROMPT,
        lines=3,
        max_lines=8,
        elem_id=ids("prompt"),
        elem_classes=["prompt"],
        placeholder=context.examples[0] if context.examples else "",
    )
    return prompt, add_note(ids, "prompt")
