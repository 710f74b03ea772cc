"""The run panel: run buttons, picture, progress and filmstrip.

It starts a job, watches it, and finds it again after a reload.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from paintdiff.errors import EngineError, RequestError, UnknownNameError
from paintdiff.jobs.field_messages import message_choices, message_field
from paintdiff.jobs.requests import Request
from paintdiff.server.identities import current_identity
from paintdiff.server.visitors import current_visitor
from paintdiff.ui.common import browser_state, markup, message_markup, widgets
from paintdiff.ui.common.browser_state import BrowserState, FilmPicture
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note, clear_notes, listen, show_notes
from paintdiff.ui.common.messages import GENERATE
from paintdiff.ui.common.pictures import size_of_result
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.run import job_view, messages
from paintdiff.ui.run.job_view import View

if TYPE_CHECKING:
    from paintdiff.jobs.job import Job

TICK_SECONDS = 0.3
WAITING_TICK_SECONDS = 1.0

# The viewer's script may load later; it then looks for itself. The value may have arrived before,
# while the tab was still hidden.
_VIEWERS = """
const mount = () => {
  window.paintdiff?.viewer?.mount(element);
  window.paintdiff?.ratings?.mount(element);
};
mount();
watch("value", mount);
"""


@dataclass(frozen=True)
class RunButtons:
    """Generate, Cancel, and the place below them for messages about no particular setting.

    `verb` is Generate's label, `queue` its label while a job runs.
    """

    generate: gr.Button
    cancel: gr.Button
    note: Note
    verb: str
    queue: str

    @classmethod
    def build(
        cls, ids: Ids, verb: str = GENERATE, queue: str = messages.QUEUE_ANOTHER
    ) -> RunButtons:
        """Add the buttons to the page."""
        with gr.Row(elem_classes=["pair"]):
            generate = gr.Button(
                verb,
                variant="primary",
                elem_id=ids("generate"),
                elem_classes=["generate"],
                min_width=0,
            )
            cancel = gr.Button(
                messages.CANCEL,
                elem_id=ids("cancel"),
                elem_classes=["cancel"],
                interactive=False,
                min_width=0,
                scale=0,
            )
        return cls(generate, cancel, add_note(ids, "run"), verb, queue)


@dataclass(frozen=True)
class SeedFields:
    """The seed, which shows the one drawn, and whether to keep it."""

    seed: gr.Number
    keep: gr.Checkbox


@dataclass(frozen=True)
class RunPanel:
    """The components of one tab that a running job changes, and their handlers.

    A page has no state of its own on the server: it names its jobs by id with every event, and they
    belong to the engine. `job` has the ids of those that weren't done when the last one was
    started, in order; `ended` is the value of `job` when all of them were done. `notes` are places
    for messages about the request's fields, by field: "" takes all other errors, "warnings" the
    engine's warnings. `seeds` is None if no seed is drawn; `drawn` is the seed that the last job
    drew.
    """

    context: PageContext
    ids: Ids
    buttons: RunButtons
    stage: gr.HTML
    progress: gr.HTML
    strip: gr.HTML
    job: gr.Textbox
    film: gr.Textbox
    ended: gr.Textbox
    timer: gr.Timer
    notes: Mapping[str, Note]
    drawn: gr.Textbox
    seeds: SeedFields | None

    @classmethod
    def build(
        cls,
        context: PageContext,
        ids: Ids,
        invitation: str,
        *,
        buttons: RunButtons,
        notes: Mapping[str, Note],
        seeds: SeedFields | None = None,
    ) -> RunPanel:
        """Add picture, progress and filmstrip to the page.

        `invitation` is the stage's markup before the first picture.
        """
        return cls(
            context,
            ids,
            buttons,
            stage=widgets.clickable_html(
                invitation,
                ids("stage"),
                "stage-place",
                script=_VIEWERS,
                example="click",
                send="select",
            ),
            progress=widgets.static_html("", ids("progress"), "progress-place"),
            strip=widgets.static_html(markup.filmstrip(()), ids("filmstrip"), "film-place"),
            job=widgets.hidden_text(ids("job")),
            film=widgets.hidden_text(ids("film")),
            ended=widgets.hidden_text(ids("ended")),
            timer=gr.Timer(TICK_SECONDS, active=False),
            notes=notes,
            drawn=widgets.hidden_text(ids("drawn")),
            seeds=seeds,
        )

    def wire(self, quiet: Mapping[str, Any]) -> None:
        """Register events. `quiet` are the settings of events that show no spinner."""
        own: set[Any] = {self.job, self.film}
        shown = self.outputs()
        listen(self.timer.tick, self.watch, own, shown, **quiet)
        listen(self.buttons.cancel.click, self.cancel, own, shown, queue=False, **quiet)
        for component, keep in ((self.job, "keepJob"), (self.film, "keepFilm")):
            js = f"(value) => paintdiff.{keep}({json.dumps(self.ids.tab)}, value)"
            component.change(None, [component], None, js=js)
        if self.seeds is not None:
            asked: list[Any] = [self.drawn, self.seeds.seed, self.seeds.keep]
            js = "(drawn, seed, keep) => [keep || drawn === '' ? seed : Number(drawn)]"
            self.drawn.change(None, asked, [self.seeds.seed], js=js)
        # Only the page knows whether another job was queued meanwhile.
        idle: list[Any] = [self.timer, self.buttons.generate, self.buttons.cancel]
        js = f"(ended, jobs) => paintdiff.idle(ended === jobs, {json.dumps(self.buttons.verb)})"
        self.ended.change(None, [self.ended, self.job], idle, js=js)

    def outputs(self) -> list[Any]:
        """Return the components that change while a job runs."""
        return [
            self.stage,
            self.progress,
            self.buttons.generate,
            self.buttons.cancel,
            self.timer,
            self.job,
            self.strip,
            self.film,
            self.ended,
            *dict.fromkeys(self.notes.values()),
            self.drawn,
        ]

    # Handlers

    def start(self, request_of: Callable[[Values], Request], values: Values) -> Updates:
        """Submit a job. It waits for the tab's earlier jobs.

        If the request is invalid, say so beside its field.
        """
        before = [job for job in self._jobs(values) if not job.done]
        try:
            identity = current_identity.get()
            job = self.context.engine.submit(
                request_of(values),
                current_visitor.get(),
                identity.owner,
                sees_all=identity.sees_all,
            )
        except RequestError as error:
            return show_notes(self.notes, error.field, str(error), self._choices(error))
        except EngineError as error:
            return show_notes(self.notes, None, str(error))
        jobs = [*before, job]
        shown = self.show(jobs, values)
        text = browser_state.format_job_ids([each.id for each in jobs])
        return {**clear_notes(self.notes.values()), **shown, self.job: text}

    def _choices(self, error: RequestError) -> str:
        """Return buttons that fix an error with one click, as markup."""
        if not isinstance(error, UnknownNameError) or (error.what, error.field) != (
            "LoRA",
            "prompt",
        ):
            return ""
        ids = (self.ids("prompt"), self.ids("generate"))
        return message_markup.lora_choices(error.name, error.suggestion, *ids)

    async def watch(self, values: Values) -> AsyncIterator[Updates]:
        """Show the first unfinished job until it ends or this turn is over.

        The timer starts the next turn.
        """
        jobs = self._jobs(values)
        job = _find_current(jobs)
        if job is not None and not job.done:
            async for view in job_view.watch_job(job, self.context.words):
                yield self._show(view, jobs, values)
            return
        if job is not None:  # it may have ended between two turns
            shown = self.show(jobs, values)
            for each in (self.timer, self.buttons.generate, self.buttons.cancel):
                shown.pop(each)  # `ended` triggers these
            yield {**shown, self.ended: values[self.job]}
            return
        gone = messages.run_lost(self.buttons.verb)
        yield {self.progress: message_markup.error_line(gone), self.ended: values[self.job]}

    def cancel(self, values: Values) -> Updates:
        """Cancel the running job; those after it go on.

        A waiting job ends at once, a running one at its next step.
        """
        jobs = self._jobs(values)
        job = _find_current(jobs)
        if job is None or job.done:
            return {self.ended: values[self.job]}
        job.cancel()
        if job.done:
            return self._show(self._view(job), jobs, values)
        stopping = message_markup.progress_line(messages.CANCELLING)
        return {self.buttons.cancel: gr.Button(interactive=False), self.progress: stopping}

    def _view(self, job: Job) -> View:
        return job_view.build_view(job, job.latest, self.context.words)

    def _jobs(self, values: Values) -> list[Job]:
        return job_view.read_jobs(self.context.engine, values[self.job])

    # Updates from a view of the job

    def show(self, jobs: Sequence[Job], values: Values) -> Updates:
        """Return the page's current state: the first unfinished job, else the last one."""
        job = _find_current(jobs)
        return {} if job is None else self._show(self._view(job), jobs, values)

    def _show(self, view: View, jobs: Sequence[Job], values: Values) -> Updates:
        waiting = view.position > 0
        others = sum(not job.done for job in jobs) - (not view.is_over)
        line = message_markup.queue_text(view.progress, max(0, others))
        updates: Updates = {
            self.stage: gr.skip() if view.stage is None else view.stage,
            self.progress: line,
            self.buttons.generate: gr.Button(self.buttons.queue),
            self.buttons.cancel: gr.Button(interactive=True),
            self.timer: gr.Timer(WAITING_TICK_SECONDS if waiting else TICK_SECONDS, active=True),
            **self._show_warnings(view.warnings),
            **self._update_film(jobs, values),
        }
        if view.is_over and view.seed is not None:
            updates[self.drawn] = str(view.seed)
        return updates

    def _update_film(self, jobs: Sequence[Job], values: Values) -> Updates:
        """Return the filmstrip with all finished pictures, if it lacks one."""
        film = browser_state.parse_film(values[self.film])
        done = [
            FilmPicture((job.id, index), picture.id)
            for job in reversed(jobs)
            for index, picture in enumerate(job.pictures)
        ]
        by_id = {each.id: each for each in (*film, *done)}
        order = dict.fromkeys(each.id for each in (*done, *film))
        longer = tuple(by_id[id] for id in order)[: browser_state.MAX_FILM]
        if longer == film:
            return {}
        return {self.strip: self._build_film(longer), self.film: browser_state.format_film(longer)}

    def _build_film(self, film: Sequence[FilmPicture]) -> str:
        return job_view.build_film(
            self.context.engine, film, self.context.words, self.context.gallery
        )

    def _show_warnings(self, warnings: Sequence[str]) -> Updates:
        """Show each warning in its place."""
        general = self.notes["warnings"]
        by_place: dict[Any, list[str]] = {general: []}
        for sentence in warnings:
            place = self.notes.get(message_field(sentence) or "warnings", general)
            by_place.setdefault(place, []).append(sentence)
        prompt = self.ids("prompt")
        return {
            place: message_markup.note(each, "warning")
            + message_markup.prompt_chips(message_choices(each), prompt)
            for place, each in by_place.items()
        }

    def restore(self, memory: BrowserState) -> Updates:
        """Return the filmstrip as it was, and the jobs that the engine still knows."""
        engine = self.context.engine
        pictures = memory.film or job_view.find_recent(self.context.gallery, self.ids.tab)
        film = browser_state.format_film(pictures)
        updates: Updates = {self.strip: self._build_film(pictures), self.film: film}
        text = browser_state.format_job_ids(memory.job_ids)
        jobs = job_view.read_jobs(engine, text)
        job = _find_current(jobs)
        if job is None:
            return updates
        shown = self.show(jobs, {self.film: film})
        if shown[self.stage] == gr.skip():  # a step without a preview; the next one has one
            shown[self.stage] = markup.blank_stage(size_of_result(job), "painting")
        if job.done:
            shown |= {
                self.buttons.generate: gr.Button(self.buttons.verb),
                self.buttons.cancel: gr.Button(interactive=False),
                self.timer: gr.Timer(active=False),
            }
        return {**updates, **shown, self.job: text}


def _find_current(jobs: Sequence[Job]) -> Job | None:
    """Return the first unfinished job, else the last one."""
    return next((job for job in jobs if not job.done), jobs[-1] if jobs else None)
