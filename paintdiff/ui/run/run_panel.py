"""Where a picture comes to be: the run buttons, the picture, its progress and the filmstrip. It
starts a job, watches it, and finds it again after a reload."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from paintdiff.errors import EngineError, RequestError, UnknownNameError
from paintdiff.jobs.messages import message_choices, message_field
from paintdiff.jobs.requests import Request
from paintdiff.server.visitors import current_visitor
from paintdiff.ui.common import browser_state, markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note, clear_notes, listen, show_notes
from paintdiff.ui.common.pictures import size_of_result
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.run import job_view
from paintdiff.ui.run.job_view import View

if TYPE_CHECKING:
    from paintdiff.jobs.job import Job

TICK_SECONDS = 0.3
WAITING_TICK_SECONDS = 1.0

# The script that has the viewer may come after this; it then looks for itself. The value may have
# come before, while the tab was still hidden.
_VIEWERS = """
const mount = () => window.paintdiff?.viewer?.mount(element);
mount();
watch("value", mount);
"""


@dataclass(frozen=True)
class RunButtons:
    """Generate, Cancel, and the room below them for what is about no setting in particular.

    `verb` is what Generate says, `queue` what it says while a job runs.
    """

    generate: gr.Button
    cancel: gr.Button
    note: Note
    verb: str
    queue: str

    @classmethod
    def built(cls, ids: Ids, verb: str = "Generate", queue: str = "Queue another") -> RunButtons:
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
        return cls(generate, cancel, add_note(ids, "run"), verb, queue)


@dataclass(frozen=True)
class SeedFields:
    """The seed, which shows what was drawn, and whether it is kept."""

    seed: gr.Number
    keep: gr.Checkbox


@dataclass(frozen=True)
class RunPanel:
    """The components of one tab that a running job changes, and the handlers that change them.

    A page keeps no state of its own on the server: it names its jobs by id with every event, and
    they belong to the engine. `job` has the ids of those that weren't done when the last one was
    started, in their order; `ended` is what `job` was when all of them were done. `notes` has room
    for sentences about the request's fields, by field: "" takes errors about all others,
    "warnings" what else the engine has to say. `seeds` is None if there is no seed to draw;
    `drawn` is what the last job drew.
    """

    parts: PageContext
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
    def built(
        cls,
        parts: PageContext,
        ids: Ids,
        invitation: str,
        *,
        buttons: RunButtons,
        notes: Mapping[str, Note],
        seeds: SeedFields | None = None,
    ) -> RunPanel:
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
            ),
            progress=widgets.static("", ids("progress"), "progress-place"),
            strip=widgets.static(markup.filmstrip(()), ids("filmstrip"), "film-place"),
            job=widgets.hidden_text(ids("job")),
            film=widgets.hidden_text(ids("film")),
            ended=widgets.hidden_text(ids("ended")),
            timer=gr.Timer(TICK_SECONDS, active=False),
            notes=notes,
            drawn=widgets.hidden_text(ids("drawn")),
            seeds=seeds,
        )

    def wire(self, quiet: Mapping[str, Any]) -> None:
        """Let it live. `quiet` are the settings of events that show no spinner."""
        own: set[Any] = {self.job, self.film}
        shown = self.shown()
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
            self.ended,
            *dict.fromkeys(self.notes.values()),
            self.drawn,
        ]

    # What a click does

    def start(self, request_of: Callable[[Values], Request], values: Values) -> Updates:
        """Submit a job. It waits for those that the tab has started before.

        What can't be used is said in the place that there is for it.
        """
        before = [job for job in self._jobs(values) if not job.done]
        try:
            job = self.parts.engine.submit(request_of(values), current_visitor.get())
        except RequestError as error:
            return show_notes(self.notes, error.field, str(error), self._choices(error))
        except EngineError as error:
            return show_notes(self.notes, None, str(error))
        jobs = [*before, job]
        shown = self.showing(jobs, values)
        text = browser_state.job_text([each.id for each in jobs])
        return {**clear_notes(self.notes.values()), **shown, self.job: text}

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
        """Show the first job that isn't done until it is, or this turn is over; the timer gives
        the next turn."""
        jobs = self._jobs(values)
        job = _first(jobs)
        if job is not None and not job.done:
            async for view in job_view.watch_job(job):
                yield self._showing(view, jobs, values)
            return
        if job is not None:  # it may have ended between two turns
            shown = self.showing(jobs, values)
            for each in (self.timer, self.buttons.generate, self.buttons.cancel):
                shown.pop(each)  # `ended` sees to these
            yield {**shown, self.ended: values[self.job]}
            return
        gone = f"The app was restarted and this run was lost. {self.buttons.verb} again."
        yield {self.progress: markup.error_line(gone), self.ended: values[self.job]}

    def cancel(self, values: Values) -> Updates:
        """Stop the job that runs; those after it go on. One that only waits is over at once, a
        running one at its next step."""
        jobs = self._jobs(values)
        job = _first(jobs)
        if job is None or job.done:
            return {self.ended: values[self.job]}
        job.cancel()
        if job.done:
            return self._showing(job_view.build_view(job, job.latest), jobs, values)
        stopping = markup.progress_line("Cancelling…")
        return {self.buttons.cancel: gr.Button(interactive=False), self.progress: stopping}

    def _jobs(self, values: Values) -> list[Job]:
        return job_view.read_jobs(self.parts.engine, values[self.job])

    # What a view of the job changes

    def showing(self, jobs: Sequence[Job], values: Values) -> Updates:
        """The page as it should look now: the first job that isn't done, else the last one."""
        job = _first(jobs)
        return (
            {} if job is None else self._showing(job_view.build_view(job, job.latest), jobs, values)
        )

    def _showing(self, view: View, jobs: Sequence[Job], values: Values) -> Updates:
        waiting = view.position > 0
        others = sum(not job.done for job in jobs) - (not view.over)
        line = markup.queue_text(view.progress, max(0, others))
        updates: Updates = {
            self.stage: gr.skip() if view.stage is None else view.stage,
            self.progress: line,
            self.buttons.generate: gr.Button(self.buttons.queue),
            self.buttons.cancel: gr.Button(interactive=True),
            self.timer: gr.Timer(WAITING_TICK_SECONDS if waiting else TICK_SECONDS, active=True),
            **self._said(view.warnings),
            **self._filmed(jobs, values),
        }
        if view.over and view.seed is not None:
            updates[self.drawn] = str(view.seed)
        return updates

    def _filmed(self, jobs: Sequence[Job], values: Values) -> Updates:
        """The filmstrip with the pictures that are finished, if it lacks one."""
        film = browser_state.film_ids(values[self.film])
        done = [(job.id, each) for job in reversed(jobs) for each in range(len(job.pictures))]
        longer = tuple(dict.fromkeys((*done, *film)))[: browser_state.MAX_FILM]
        if longer == film:
            return {}
        film_of = job_view.build_film(self.parts.engine, longer)
        return {self.strip: film_of, self.film: browser_state.film_text(longer)}

    def _said(self, warnings: Sequence[str]) -> Updates:
        """Each sentence in its place."""
        general = self.notes["warnings"]
        by_place: dict[Any, list[str]] = {general: []}
        for sentence in warnings:
            place = self.notes.get(message_field(sentence) or "warnings", general)
            by_place.setdefault(place, []).append(sentence)
        prompt = self.ids("prompt")
        return {
            place: markup.note(each, "warning") + markup.prompt_chips(message_choices(each), prompt)
            for place, each in by_place.items()
        }

    def restored(self, memory: BrowserState) -> Updates:
        """The filmstrip as it was, and the jobs that the engine still knows."""
        engine = self.parts.engine
        film = browser_state.film_text(memory.film)
        updates: Updates = {self.strip: job_view.build_film(engine, memory.film), self.film: film}
        text = browser_state.job_text(memory.job_ids)
        jobs = job_view.read_jobs(engine, text)
        job = _first(jobs)
        if job is None:
            return updates
        shown = self.showing(jobs, {self.film: film})
        if shown[self.stage] == gr.skip():  # a step without a preview; the next one brings it
            shown[self.stage] = markup.blank_stage(size_of_result(job), "painting")
        if job.done:
            shown |= {
                self.buttons.generate: gr.Button(self.buttons.verb),
                self.buttons.cancel: gr.Button(interactive=False),
                self.timer: gr.Timer(active=False),
            }
        return {**updates, **shown, self.job: text}


def _first(jobs: Sequence[Job]) -> Job | None:
    """The first job that isn't done, else the last one."""
    return next((job for job in jobs if not job.done), jobs[-1] if jobs else None)
