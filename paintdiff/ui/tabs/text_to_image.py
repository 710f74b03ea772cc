"""The tab where words become a picture."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from paintdiff.errors import EngineError, PaintError, RequestError
from paintdiff.geometry import Size, checked
from paintdiff.requests import TextToImage
from paintdiff.ui import markup, relay, remembered, widgets
from paintdiff.ui.form import Form, Updates
from paintdiff.ui.parts import Parts
from paintdiff.ui.relay import View
from paintdiff.ui.remembered import Remembered

TICK_SECONDS = 0.3
WAITING_TICK_SECONDS = 1.0


@dataclass(frozen=True)
class TextToImageTab:
    """The tab's components, and the handlers that read and change them. Build it with `built`.

    A page keeps no state of its own on the server: it names its job by id with every event, and
    the job belongs to the engine.
    """

    parts: Parts
    prompt: gr.Textbox
    categories: gr.CheckboxGroup
    surprise: gr.Button
    generate: gr.Button
    cancel: gr.Button
    form: Form
    stage: gr.HTML
    progress: gr.HTML
    strip: gr.HTML
    job: gr.Textbox
    film: gr.Textbox
    timer: gr.Timer
    notes: Mapping[str, gr.HTML]

    @classmethod
    def built(cls, parts: Parts) -> TextToImageTab:
        """Lay the tab out inside the current `gr.Tab`, and wire it."""
        with gr.Row(elem_id="studio"):
            with gr.Column(elem_id="controls", scale=0, min_width=0):
                with gr.Column(elem_id="prompt-group", elem_classes=["group"]):
                    prompt = gr.Textbox(
                        label="Prompt",
                        lines=3,
                        max_lines=8,
                        elem_id="prompt",
                        placeholder=parts.examples[0] if parts.examples else "",
                    )
                    prompt_note = widgets.note("prompt")
                    categories = gr.CheckboxGroup(
                        list(parts.surprise_categories),
                        label="Surprise me with",
                        elem_id="categories",
                    )
                    surprise = gr.Button("Surprise me", elem_id="surprise", min_width=0)
                with gr.Column(elem_id="run-group", elem_classes=["group"]):
                    with gr.Row(elem_classes=["pair"]):
                        generate = gr.Button(
                            "Generate", variant="primary", elem_id="generate", min_width=0
                        )
                        cancel = gr.Button(
                            "Cancel", elem_id="cancel", interactive=False, min_width=0, scale=0
                        )
                    run_note = widgets.note("run")
                with gr.Column(elem_id="settings-group", elem_classes=["group"]):
                    form = Form.built(parts)
            with gr.Column(elem_id="easel", min_width=0):
                stage = widgets.clickable(markup.empty_stage(parts.examples), "stage", "example")
                progress = widgets.static("", "progress")
                strip = widgets.clickable(markup.filmstrip(()), "filmstrip", "picture")
        tab = cls(
            parts,
            prompt,
            categories,
            surprise,
            generate,
            cancel,
            form,
            stage,
            progress,
            strip,
            job=widgets.hidden_text("job"),
            film=widgets.hidden_text("film"),
            timer=gr.Timer(TICK_SECONDS, active=False),
            notes={"": run_note, "prompt": prompt_note, **form.notes},
        )
        tab._wire()
        return tab

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quick: dict[str, Any] = {"queue": False, **quiet}
        asked: set[Any] = {self.prompt, self.job, self.film, self.form.keep_seed}
        asked |= set(self.form.requested().values())
        own: set[Any] = {self.job, self.film}
        shown = self._shown()
        started = [*shown, *(note for note in self.notes.values() if note not in shown)]

        self.generate.click(self._start, asked, started, trigger_mode="once", **quick)
        self.timer.tick(self._watch, own, shown, **quiet)
        self.cancel.click(self._cancel, own, shown, **quick)
        self.stage.click(self._use_example, None, [self.prompt], **quick).success(
            self._start, asked, started, **quick
        )
        self.strip.click(self._show, own, [self.stage, self.progress], **quick)
        self.surprise.click(self._surprise, {self.categories}, [self.prompt], **quick)
        self.form.wire(**quick)
        self._keep()

    def _keep(self) -> None:
        """Let the page's script store what should survive a reload."""
        kept = self._kept()
        gr.on(
            [component.change for component in kept.values()],
            None,
            list(kept.values()),
            None,
            js=f"(...values) => paintdiff.keepSettings({json.dumps(list(kept))}, values)",
        )
        self.job.change(None, [self.job], None, js="(id) => paintdiff.keepJob(id)")
        self.film.change(None, [self.film], None, js="(ids) => paintdiff.keepFilm(ids)")

    def _kept(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "categories": self.categories,
            "keep_seed": self.form.keep_seed,
            **self.form.requested(),
        }

    def _shown(self) -> list[Any]:
        """The components that change while a job runs."""
        return [
            self.stage,
            self.progress,
            self.generate,
            self.cancel,
            self.timer,
            self.job,
            self.strip,
            self.film,
            self.form.seed,
            self.notes["prompt"],
        ]

    # What a click does

    def _start(self, values: Mapping[Any, Any]) -> Updates:
        """Submit a job. A tab runs one at a time: a click while one is alive changes nothing."""
        current = relay.found(self.parts.engine, values[self.job])
        if current is not None and not current.done:
            return {self.timer: gr.Timer(active=True)}
        try:
            job = self.parts.engine.submit(self._request(values))
        except RequestError as error:
            return widgets.notes_for(self.notes, error.field, str(error))
        except EngineError as error:
            return widgets.notes_for(self.notes, None, str(error))
        cleared = widgets.notes_cleared(self.notes.values())
        shown = self._showing(relay.view_of(job, job.latest), values)
        return {**cleared, **shown, self.job: job.id}

    def _request(self, values: Mapping[Any, Any]) -> TextToImage:
        """The request that the page asks for. Raises RequestError with the first bad field."""
        fields = {name: values[component] for name, component in self.form.requested().items()}
        if not values[self.form.keep_seed]:
            fields["seed"] = None
        fields["negative_prompt"] = fields["negative_prompt"] or ""
        prompt = str(values[self.prompt] or "").strip()
        if not prompt:
            raise RequestError("Write what the picture should show.", field="prompt")
        width, height = fields["width"], fields["height"]
        if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
            checked(Size(width, height))
        return TextToImage.parsed({**fields, "prompt": prompt})

    async def _watch(self, values: Mapping[Any, Any]) -> AsyncIterator[Updates]:
        """Show a running job until it is over or this turn is; the timer gives the next turn."""
        job = relay.found(self.parts.engine, values[self.job])
        if job is None:
            gone = "This run is gone: the app was started anew. Generate paints it again."
            yield {**self._idle(), self.progress: markup.said_line(gone), self.job: ""}
            return
        async for view in relay.watch(job):
            yield self._showing(view, values)

    def _cancel(self, values: Mapping[Any, Any]) -> Updates:
        """Stop the job. One that only waits is over at once, a running one at its next step."""
        job = relay.found(self.parts.engine, values[self.job])
        if job is None:
            return self._idle()
        job.cancel()
        view = relay.view_of(job, job.latest)
        if view.over:
            return self._showing(view, values)
        stopping = markup.progress_line("Cancelling…")
        return {self.cancel: gr.Button(interactive=False), self.progress: stopping}

    def _use_example(self, event: gr.EventData) -> str:
        """The prompt of a chip. The page names it by number; anything else is no chip."""
        number = str(getattr(event, "example", ""))
        if not (number.isascii() and number.isdigit() and int(number) < len(self.parts.examples)):
            raise gr.Error("There is no such example.", print_exception=False)
        return self.parts.examples[int(number)]

    def _show(self, values: Mapping[Any, Any], event: gr.EventData) -> tuple[Any, Any]:
        """Put a picture of the filmstrip on the stage, unless one is being painted there."""
        current = relay.found(self.parts.engine, values[self.job])
        chosen = remembered.picture_id(getattr(event, "picture", None))
        if chosen is None or (current is not None and not current.done):
            return gr.skip(), gr.skip()
        job = relay.found(self.parts.engine, chosen[0])
        return (relay.one_picture(job, chosen[1]) if job else None) or (gr.skip(), gr.skip())

    def _surprise(self, values: Mapping[Any, Any]) -> str:
        try:
            return self.parts.surprise(values[self.categories] or ())
        except PaintError as error:
            raise gr.Error(str(error), print_exception=False) from error

    # What a view of the job changes

    def _showing(self, view: View, values: Mapping[Any, Any]) -> Updates:
        if view.over:
            return self._over(view, remembered.film_ids(values[self.film]))
        waiting = view.position > 0
        return {
            self.stage: gr.skip() if view.stage is None else view.stage,
            self.progress: view.progress,
            self.generate: gr.Button("Painting…", interactive=False),
            self.cancel: gr.Button(interactive=True),
            self.timer: gr.Timer(WAITING_TICK_SECONDS if waiting else TICK_SECONDS, active=True),
            self.notes["prompt"]: markup.note(view.warnings, "warning"),
        }

    def _over(self, view: View, film: tuple[markup.PictureId, ...]) -> Updates:
        longer = tuple(dict.fromkeys((*view.pictures, *film)))
        return {
            **self._idle(),
            self.stage: gr.skip() if view.stage is None else view.stage,
            self.progress: view.progress,
            self.strip: relay.film_of(self.parts.engine, longer),
            self.film: remembered.film_text(longer),
            self.form.seed: gr.skip() if view.seed is None else view.seed,
            self.notes["prompt"]: markup.note(view.warnings, "warning"),
        }

    def _idle(self) -> Updates:
        return {
            self.generate: gr.Button("Generate", interactive=True),
            self.cancel: gr.Button(interactive=False),
            self.timer: gr.Timer(active=False),
        }

    # A page that is loaded again

    def restored(self, memory: Remembered) -> Updates:
        """Everything as it was before the reload, and the job if the engine still knows it."""
        engine = self.parts.engine
        film = remembered.film_text(memory.film)
        updates = {
            self.prompt: memory.text("prompt"),
            self.categories: memory.choices("categories", self.parts.surprise_categories),
            **self.form.restored(memory),
            self.strip: relay.film_of(engine, memory.film),
            self.film: film,
        }
        job = relay.found(engine, memory.job_id)
        if job is None:
            return updates
        view = relay.view_of(job, job.latest)
        shown = self._showing(view, {self.film: film})
        if view.stage is None:  # a step without a preview; the next one brings it
            shown[self.stage] = markup.blank_stage(job.request.sampling().size, view.state)
        if view.over:
            shown.pop(self.form.seed)  # what the person wrote since then counts
        return {**updates, **shown, self.job: job.id}

    def restorable(self) -> list[Any]:
        """The components that `restored` may change."""
        kept = self._kept().values()
        shown = self._shown()
        return [*shown, self.form.size_preset, *(item for item in kept if item not in shown)]
