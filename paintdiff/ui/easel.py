"""Where a picture comes to be: the run buttons, the picture, its progress and the filmstrip. It
starts a job, watches it, and finds it again after a reload."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from paintdiff.errors import EngineError, RequestError, UnknownNameError
from paintdiff.requests import Request
from paintdiff.sentences import field_of
from paintdiff.ui import markup, relay, remembered, widgets
from paintdiff.ui.form import Updates
from paintdiff.ui.notes import Note, listen, note_below, notes_cleared, notes_for
from paintdiff.ui.parts import Parts
from paintdiff.ui.pictures import size_of_result
from paintdiff.ui.relay import View
from paintdiff.ui.remembered import Remembered
from paintdiff.ui.widgets import Ids

TICK_SECONDS = 0.3
WAITING_TICK_SECONDS = 1.0

# The script that has the viewer may come after this; it then looks for itself. The value may have
# come before, while the tab was still hidden.
_VIEWERS = """
const mount = () => window.paintdiff?.viewer?.mount(element);
mount();
watch("value", mount);
"""

Values = Mapping[Any, Any]
"""What the page sends with an event, by component."""


@dataclass(frozen=True)
class RunButtons:
    """Generate, Cancel, and the room below them for what is about no setting in particular.

    `verb` is what Generate says, `doing` what it says while a job runs.
    """

    generate: gr.Button
    cancel: gr.Button
    note: Note
    verb: str
    doing: str

    @classmethod
    def built(cls, ids: Ids, verb: str = "Generate", doing: str = "Painting…") -> RunButtons:
        """Lay them out where we are."""
        with gr.Row(elem_classes=["pair"]):
            generate = gr.Button(
                verb,
                variant="primary",
                elem_id=ids("generate"),
                elem_classes=["generate"],
                min_width=0,
            )
            cancel = gr.Button(
                "Cancel",
                elem_id=ids("cancel"),
                elem_classes=["cancel"],
                interactive=False,
                min_width=0,
                scale=0,
            )
        return cls(generate, cancel, note_below(ids, "run"), verb, doing)


@dataclass(frozen=True)
class Easel:
    """The components of one tab that a running job changes, and the handlers that change them.

    A page keeps no state of its own on the server: it names its job by id with every event, and
    the job belongs to the engine. `notes` has room for sentences about the request's fields, by
    field: "" takes errors about all others, "warnings" what else the engine has to say.
    `seed` the seed that it drew, if there is one to draw.
    """

    parts: Parts
    ids: Ids
    buttons: RunButtons
    stage: gr.HTML
    progress: gr.HTML
    strip: gr.HTML
    job: gr.Textbox
    film: gr.Textbox
    timer: gr.Timer
    notes: Mapping[str, Note]
    seed: gr.Number | None

    @classmethod
    def built(
        cls,
        parts: Parts,
        ids: Ids,
        invitation: str,
        *,
        buttons: RunButtons,
        notes: Mapping[str, Note],
        seed: gr.Number | None,
    ) -> Easel:
        """Lay picture, progress and filmstrip out where we are. `invitation` is the markup of the
        stage before there is a picture.
        """
        return cls(
            parts,
            ids,
            buttons,
            stage=widgets.clickable(
                invitation,
                ids("stage"),
                "stage-place",
                script=_VIEWERS,
                example="click",
                send="select",
                open="expand",
            ),
            progress=widgets.static("", ids("progress"), "progress-place"),
            strip=widgets.clickable(
                markup.filmstrip(()), ids("filmstrip"), "film-place", picture="click"
            ),
            job=widgets.hidden_text(ids("job")),
            film=widgets.hidden_text(ids("film")),
            timer=gr.Timer(TICK_SECONDS, active=False),
            notes=notes,
            seed=seed,
        )

    def wire(self, quiet: Mapping[str, Any]) -> None:
        """Let it live. `quiet` are the settings of events that show no spinner."""
        own: set[Any] = {self.job, self.film}
        shown = self.shown()
        listen(self.timer.tick, self.watch, own, shown, **quiet)
        listen(self.buttons.cancel.click, self.cancel, own, shown, queue=False, **quiet)
        for chosen in (self.strip.click, self.stage.expand):
            chosen(self.show, own, [self.stage, self.progress], queue=False, **quiet)
        for component, keep in ((self.job, "keepJob"), (self.film, "keepFilm")):
            js = f"(value) => paintdiff.{keep}({json.dumps(self.ids.tab)}, value)"
            component.change(None, [component], None, js=js)

    def shown(self) -> list[Any]:
        """The components that change while a job runs."""
        return [
            self.stage,
            self.progress,
            self.buttons.generate,
            self.buttons.cancel,
            self.timer,
            self.job,
            self.strip,
            self.film,
            *dict.fromkeys(self.notes.values()),
            *([] if self.seed is None else [self.seed]),
        ]

    # What a click does

    def start(self, request_of: Callable[[Values], Request], values: Values) -> Updates:
        """Submit a job. A tab runs one at a time: a click while one is alive changes nothing.

        What can't be used is said in the place that there is for it.
        """
        current = relay.found(self.parts.engine, values[self.job])
        if current is not None and not current.done:
            return {self.timer: gr.Timer(active=True)}
        try:
            job = self.parts.engine.submit(request_of(values))
        except RequestError as error:
            return notes_for(self.notes, error.field, str(error), self._choices(error))
        except EngineError as error:
            return notes_for(self.notes, None, str(error))
        cleared = notes_cleared(self.notes.values())
        shown = self.showing(relay.view_of(job, job.latest), values)
        return {**cleared, **shown, self.job: job.id}

    def _choices(self, error: RequestError) -> str:
        """What a person may do about an error with one click, as markup."""
        if not isinstance(error, UnknownNameError) or (error.what, error.field) != (
            "LoRA",
            "prompt",
        ):
            return ""
        ids = (self.ids("prompt"), self.ids("generate"))
        return markup.lora_choices(error.name, error.suggestion, *ids)

    async def watch(self, values: Values) -> AsyncIterator[Updates]:
        """Show a running job until it is over or this turn is; the timer gives the next turn."""
        job = relay.found(self.parts.engine, values[self.job])
        if job is None:
            gone = f"This run is gone: the app was started anew. {self.buttons.verb} does it again."
            yield {**self.idle(), self.progress: markup.said_line(gone), self.job: ""}
            return
        async for view in relay.watch(job):
            yield self.showing(view, values)

    def cancel(self, values: Values) -> Updates:
        """Stop the job. One that only waits is over at once, a running one at its next step."""
        job = relay.found(self.parts.engine, values[self.job])
        if job is None:
            return self.idle()
        job.cancel()
        view = relay.view_of(job, job.latest)
        if view.over:
            return self.showing(view, values)
        stopping = markup.progress_line("Cancelling…")
        return {self.buttons.cancel: gr.Button(interactive=False), self.progress: stopping}

    def show(self, values: Values, event: gr.EventData) -> tuple[Any, Any]:
        """Put a picture alone on the stage, or all those of its job, unless one is being made
        there."""
        current = relay.found(self.parts.engine, values[self.job])
        chosen = remembered.picture_id(getattr(event, "picture", None))
        if chosen is None or (current is not None and not current.done):
            return gr.skip(), gr.skip()
        job = relay.found(self.parts.engine, chosen[0])
        if job is not None and getattr(event, "open", "") == "all":
            return relay.all_pictures(job) or (gr.skip(), gr.skip())
        return (relay.one_picture(job, chosen[1]) if job else None) or (gr.skip(), gr.skip())

    # What a view of the job changes

    def showing(self, view: View, values: Values) -> Updates:
        """The page as it should look now. `values` has the filmstrip."""
        if view.over:
            return self._over(view, remembered.film_ids(values[self.film]))
        waiting = view.position > 0
        return {
            self.stage: gr.skip() if view.stage is None else view.stage,
            self.progress: view.progress,
            self.buttons.generate: gr.Button(self.buttons.doing, interactive=False),
            self.buttons.cancel: gr.Button(interactive=True),
            self.timer: gr.Timer(WAITING_TICK_SECONDS if waiting else TICK_SECONDS, active=True),
            **self._said(view.warnings),
        }

    def _over(self, view: View, film: tuple[markup.PictureId, ...]) -> Updates:
        longer = tuple(dict.fromkeys((*view.pictures, *film)))
        return {
            **self.idle(),
            self.stage: gr.skip() if view.stage is None else view.stage,
            self.progress: view.progress,
            self.strip: relay.film_of(self.parts.engine, longer),
            self.film: remembered.film_text(longer),
            **self._said(view.warnings),
            **({} if self.seed is None or view.seed is None else {self.seed: view.seed}),
        }

    def _said(self, warnings: Sequence[str]) -> Updates:
        """Each sentence in its place."""
        general = self.notes["warnings"]
        by_place: dict[Any, list[str]] = {general: []}
        for sentence in warnings:
            place = self.notes.get(field_of(sentence) or "warnings", general)
            by_place.setdefault(place, []).append(sentence)
        return {place: markup.note(each, "warning") for place, each in by_place.items()}

    def idle(self) -> Updates:
        """Nothing runs: Generate may be clicked."""
        return {
            self.buttons.generate: gr.Button(self.buttons.verb, interactive=True),
            self.buttons.cancel: gr.Button(interactive=False),
            self.timer: gr.Timer(active=False),
        }

    def restored(self, memory: Remembered) -> Updates:
        """The filmstrip as it was, and the job if the engine still knows it."""
        engine = self.parts.engine
        film = remembered.film_text(memory.film)
        updates: Updates = {self.strip: relay.film_of(engine, memory.film), self.film: film}
        job = relay.found(engine, memory.job_id)
        if job is None:
            return updates
        view = relay.view_of(job, job.latest)
        shown = self.showing(view, {self.film: film})
        if view.stage is None:  # a step without a preview; the next one brings it
            shown[self.stage] = markup.blank_stage(size_of_result(job), view.state)
        if view.over:
            shown.pop(self.seed, None)  # what the person wrote since then counts
        return {**updates, **shown, self.job: job.id}
