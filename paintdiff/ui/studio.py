"""What every painting tab is made of: prompt, ingredients, Generate and settings on one side, the
easel on the other. A tab adds its ingredients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import PaintError, RequestError
from paintdiff.events import Picture
from paintdiff.geometry import Size, checked
from paintdiff.requests import Request
from paintdiff.ui import markup, widgets
from paintdiff.ui.easel import Easel, RunButtons, Values
from paintdiff.ui.form import Form, Updates
from paintdiff.ui.parts import Parts
from paintdiff.ui.remembered import Remembered
from paintdiff.ui.widgets import Ids

QUIET: Mapping[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
QUICK: Mapping[str, Any] = {"queue": False, **QUIET}


class Ingredients:
    """What a tab paints from, besides words. Subclasses say what they add; this one adds nothing.

    `ids` names the tab and its elements, `sized` says whether the person may choose the picture's
    size (and `size_shown`, whether at once), `prompt_needed` whether there must be words.
    Components are made in `add_controls` (between the prompt and Generate) and `add_canvas`
    (beside the picture).
    """

    ids = Ids("")
    sized = True
    size_shown = True
    title = "What shall we paint?"
    text = "Describe a picture, or start with one of these."
    prompt_needed = True

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def add_controls(self) -> None:
        """Lay out what belongs beside the settings."""

    def add_canvas(self) -> None:
        """Lay out what belongs beside the picture."""

    def inputs(self) -> dict[str, Component]:
        """The components that go into a request, by the names under which they are remembered."""
        return {}

    def remembered_by_itself(self) -> frozenset[str]:
        """Those of `inputs` that look after their own memory in the browser."""
        return frozenset()

    def notes(self) -> dict[str, gr.HTML]:
        """Room for an error about a field of the request, by field."""
        return {}

    def wire(self, studio: Studio) -> None:
        """Let choices bring what belongs to them."""

    def before_start(self, inputs: list[Component]) -> str | None:
        """JavaScript that runs in the browser before Generate's event, given the event's inputs."""
        return None

    def request(self, fields: dict[str, object], values: Values) -> Request:
        """The request: `fields` are what all painting requests share. Raises RequestError."""
        raise NotImplementedError

    def restored(self, memory: Remembered) -> Updates:
        """The inputs as they were, each checked."""
        return {}

    def filled(self, request: Request) -> Updates:
        """The inputs that take settings of a picture that was painted before."""
        return {}

    def received(self, picture: Picture) -> Updates:
        """The inputs that take a finished picture."""
        return {}


@dataclass(frozen=True)
class Studio:
    """One tab's components and handlers. Build it with `built`."""

    parts: Parts
    ingredients: Ingredients
    prompt: gr.Textbox
    categories: gr.CheckboxGroup
    surprise: gr.Button
    form: Form
    easel: Easel
    notes: Mapping[str, gr.HTML]

    @classmethod
    def built(cls, parts: Parts, ingredients: Ingredients) -> Studio:
        """Lay the tab out inside the current `gr.Tab`, and wire it."""
        ids = ingredients.ids
        with gr.Row(elem_classes=["studio", f"studio-{ingredients.ids.tab}"]):
            with gr.Column(elem_classes=["controls"], scale=0, min_width=0):
                with gr.Column(elem_classes=["group", "prompt-group"]):
                    prompt, prompt_note, categories, surprise = _prompt_box(
                        parts, ids, surprising=ingredients.prompt_needed
                    )
                    ingredients.add_controls()
                with gr.Column(elem_classes=["group", "run-group"]):
                    buttons = RunButtons.built(ids)
                with gr.Column(elem_classes=["group", "settings-group"]):
                    form = Form.built(
                        parts, ids, sized=ingredients.sized, size_shown=ingredients.size_shown
                    )
            ingredients.add_canvas()
            with gr.Column(elem_classes=["easel-side"], min_width=0):
                easel = Easel.built(
                    parts,
                    ids,
                    markup.empty_stage(
                        parts.examples if ingredients.prompt_needed else (),
                        ingredients.title,
                        ingredients.text,
                    ),
                    buttons=buttons,
                    warnings=prompt_note,
                    seed=form.seed,
                )
        notes = {"": buttons.note, "prompt": prompt_note, **form.notes, **ingredients.notes()}
        studio = cls(parts, ingredients, prompt, categories, surprise, form, easel, notes)
        studio._wire()
        return studio

    def _wire(self) -> None:
        asked: set[Any] = {self.prompt, self.easel.job, self.easel.film, self.form.keep_seed}
        asked |= {*self.form.requested().values(), *self.ingredients.inputs().values()}
        shown = self.easel.shown()
        started = [*shown, *(note for note in self.notes.values() if note not in shown)]
        script = self.ingredients.before_start(_in_order(asked))
        self.easel.buttons.generate.click(
            self.start, asked, started, trigger_mode="once", js=script, **QUICK
        )
        self.easel.stage.click(self.use_example, None, [self.prompt], **QUICK).success(
            self.start, asked, started, js=script, **QUICK
        )
        self.surprise.click(self.surprised, {self.categories}, [self.prompt], **QUICK)
        self.easel.wire(QUIET)
        self.form.wire(**QUICK)
        self.ingredients.wire(self)
        self._keep()

    def _keep(self) -> None:
        """Let the page's script store what should survive a reload."""
        kept = self.kept()
        names = f"{json.dumps(self.ingredients.ids.tab)}, {json.dumps(list(kept))}"
        gr.on(
            [component.change for component in kept.values()],
            None,
            list(kept.values()),
            None,
            js=f"(...values) => paintdiff.keepSettings({names}, values)",
        )

    def kept(self) -> dict[str, Any]:
        """The components whose values the browser remembers, by name."""
        own = self.ingredients.inputs()
        apart = self.ingredients.remembered_by_itself()
        return {
            "prompt": self.prompt,
            "categories": self.categories,
            "keep_seed": self.form.keep_seed,
            **self.form.requested(),
            **{name: component for name, component in own.items() if name not in apart},
        }

    # What a click does

    def start(self, values: Values) -> Updates:
        """Submit a job, or say next to a setting why it can't be."""
        return self.easel.start(self.request, values, self.notes)

    def request(self, values: Values) -> Request:
        """The request that the page asks for. Raises RequestError with the first bad field."""
        fields = {name: values[component] for name, component in self.form.requested().items()}
        if not values[self.form.keep_seed]:
            fields["seed"] = None
        fields["negative_prompt"] = fields["negative_prompt"] or ""
        fields["prompt"] = str(values[self.prompt] or "").strip()
        if self.ingredients.prompt_needed and not fields["prompt"]:
            raise RequestError("Write what the picture should show.", field="prompt")
        width, height = fields.get("width"), fields.get("height")
        if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
            checked(Size(width, height))
        return self.ingredients.request(fields, values)

    def use_example(self, event: gr.EventData) -> str:
        """The prompt of a chip. The page names it by number; anything else is no chip."""
        number = str(getattr(event, "example", ""))
        if not (number.isascii() and number.isdigit() and int(number) < len(self.parts.examples)):
            raise gr.Error("There is no such example.", print_exception=False)
        return self.parts.examples[int(number)]

    def surprised(self, values: Values) -> str:
        """A prompt drawn from the chosen categories."""
        try:
            return self.parts.surprise(values[self.categories] or ())
        except PaintError as error:
            raise gr.Error(str(error), print_exception=False) from error

    # Settings that come from elsewhere

    def filled(self, request: Request) -> Updates:
        """Words and settings as those of a picture that was painted before."""
        own = self.ingredients.filled(request)
        return {self.prompt: request.prompt, **self.form.filled(request), **own}

    def received(self, picture: Picture) -> Updates:
        """A finished picture to go on from, with its words and settings."""
        return {**self.filled(picture.request), **self.ingredients.received(picture)}

    def receivable(self) -> list[Any]:
        """The components that `filled` and `received` may change."""
        own = self.ingredients.inputs().values()
        return [self.prompt, *self.form.requested().values(), self.form.keep_seed, *own]

    # A page that is loaded again

    def restored(self, memory: Remembered) -> Updates:
        """Everything as it was before the reload, and the job if the engine still knows it."""
        return {
            self.prompt: memory.text("prompt"),
            self.categories: memory.choices("categories", self.parts.surprise_categories),
            **self.form.restored(memory),
            **self.ingredients.restored(memory),
            **self.easel.restored(memory),
        }

    def restorable(self) -> list[Any]:
        """The components that `restored` may change."""
        shown = self.easel.shown()
        return list(dict.fromkeys([*shown, self.form.size_preset, *self.kept().values()]))


def _in_order(components: set[Any]) -> list[Any]:
    """In the order in which gradio hands a set's values to a script."""
    return sorted(components, key=lambda component: component._id)


def _prompt_box(
    parts: Parts, ids: Ids, *, surprising: bool
) -> tuple[gr.Textbox, gr.HTML, gr.CheckboxGroup, gr.Button]:
    prompt = gr.Textbox(
        label="Prompt",
        lines=3,
        max_lines=8,
        elem_id=ids("prompt"),
        elem_classes=["prompt"],
        placeholder=parts.examples[0] if parts.examples else "",
    )
    note = widgets.note(ids, "prompt")
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
