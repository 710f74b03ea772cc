"""An error at every call of a run: each ends its own job at most, and the next job paints."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest
from PIL import Image

import paintdiff
from paintdiff.engine.engine import Engine
from paintdiff.errors import PaintError
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import ControlInput, HiresFix, Upscaling
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import planner
from tests.job_helpers import QUICK, Folder, pixels

OURS = str(Path(paintdiff.__file__).parent)


class PanicException(BaseException):
    """As pyo3 raises one when Rust panics: no Exception."""


class UnprintableError(Exception):
    """As some libraries' errors: they can't be printed."""

    def __str__(self) -> str:
        raise ValueError("no text")


KINDS: tuple[type[BaseException], ...] = (
    RuntimeError,
    PanicException,
    SystemExit,
    MemoryError,
    KeyboardInterrupt,
    UnprintableError,
)

CORE = (
    "/engine/engine.py",
    "/engine/worker.py",
    "/engine/memory_fallback.py",
    "/engine/progress.py",
    "/jobs/job.py",
)
EVERY_NTH = pytest.mark.parametrize("every", [24, pytest.param(1, marks=pytest.mark.long)])

SMALLEST = {"num_inference_steps": 1, "width": 64, "height": 64}

Where = tuple[str, str, int]


def where(code: CodeType) -> Where:
    return code.co_filename.removeprefix(OURS), code.co_qualname, code.co_firstlineno


class Injector:
    """Watches the engine's and the loads' threads: notes each function of ours that they call, or
    raises an error at the first call of one.
    """

    def __init__(self, thread_name: str) -> None:
        self._thread_name = thread_name
        self.called: dict[Where, None] = {}
        self.target: Where | None = None
        self.error: type[BaseException] = RuntimeError

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(OURS) or code.co_name == "<module>":
            return
        if not threading.current_thread().name.startswith(self._thread_name):
            return
        place = where(code)
        self.called.setdefault(place)
        if place == self.target:
            self.target = None
            raise self.error

    @contextmanager
    def watching(self) -> Iterator[None]:
        threading.setprofile(self)
        try:
            yield
        finally:
            threading.setprofile(None)


@pytest.fixture
def watched_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Injector], None]]:
    """A profiler that raises is taken out, so each job puts it in again."""
    original = Engine._next

    def install(injector: Injector) -> None:
        def after_profile(engine: Engine) -> Job | None:
            sys.setprofile(injector)
            return original(engine)

        monkeypatch.setattr(Engine, "_next", after_profile)

    yield install


def everything() -> TextToImage:
    """A request that goes through most of what a run can do."""
    picture = InputImage.from_image(Image.new("RGB", (64, 64), "seagreen"))
    control = ControlInput(image=picture, preprocessor="canny")
    return QUICK.model_copy(
        update={
            **SMALLEST,
            "controls": (control,),
            "hires": HiresFix(scale=1.5, upscaler="double", num_inference_steps=2),
            "upscaling": Upscaling(scale=2, upscaler="double"),
        }
    )


def outcome(job: Job) -> str:
    """Wait for the end of a job and return what kind of end it is, "" if none comes."""
    try:
        job.result(120)
    except TimeoutError:
        return ""
    except PaintError as error:
        return str(error)
    return "Finished"


def chosen(places: Iterable[Where], others: int) -> list[Where]:
    """Return all functions of the engine and its worker, and every `others`-th of the rest."""
    core, rest = [], []
    for place in places:
        (core if place[0] in CORE else rest).append(place)
    assert {file for file, _, _ in core} == set(CORE), "each is called"
    return [*core, *rest[::others]]


@EVERY_NTH
def test_an_error_at_any_call_of_a_run_ends_that_run_alone(
    every: int,
    tiny_catalog: Catalog,
    watched_again: Callable[[Injector], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planner, "RETRY_SECONDS", 0)  # memory that ran out once is forgotten
    injector = Injector("engine")
    watched_again(injector)
    request, quick = everything(), QUICK.model_copy(update=SMALLEST)
    with injector.watching():
        engine = Engine(ModelManager(tiny_catalog, device="cpu"), store=Folder())
    with engine:
        engine.generate(quick)
        always = set(injector.called) if every > 1 else set[Where]()  # by the quickest run, too
        whole = engine.generate(request)
        places = list(injector.called)
        assert len(places) > 400, "nearly all that a run calls"
        some, raised = chosen(places, every), 0
        for number, place in enumerate(some):
            injector.error, injector.target = KINDS[number % len(KINDS)], place
            job = engine.submit(quick if place in always else request)
            assert outcome(job), f"{injector.error.__name__} in {place}"
            raised += injector.target is None
        injector.target = None
        assert raised > 0.8 * len(some), "most are called in each run"
        again = engine.generate(request)
        assert pixels(again.pictures[0]) == pixels(whole.pictures[0])
        assert not any(each.in_use for each in engine.manager.cache.loaded())
        assert engine.status().queue_length == 0


@EVERY_NTH
def test_an_error_at_any_call_of_a_load_ends_that_load_alone(
    every: int, tiny_catalog: Catalog
) -> None:
    injector = Injector("load ")
    request = QUICK.model_copy(update=SMALLEST)
    with injector.watching():
        with Engine(ModelManager(tiny_catalog, device="cpu")) as engine:
            engine.generate(request)
        places = list(injector.called)[1:]  # the first is the thread's own function
        assert len(places) > 80, "nearly all that a load calls"
        some = places[:: min(every, len(places) // len(KINDS))]  # each kind at least once
        for number, place in enumerate(some):
            injector.error, injector.target = KINDS[number % len(KINDS)], place
            with Engine(ModelManager(tiny_catalog, device="cpu")) as engine:
                assert outcome(engine.submit(request)), f"{injector.error.__name__} in {place}"
                assert injector.target is None, "it was raised"
                assert engine.generate(request).pictures[0].image.size == (64, 64), place


def test_an_error_at_any_call_of_a_submission_leaves_a_working_engine(
    tiny_catalog: Catalog,
) -> None:
    injector = Injector("MainThread")
    request = QUICK.model_copy(update=SMALLEST)
    with Engine(ModelManager(tiny_catalog, device="cpu")) as engine:
        engine.generate(request)
        sys.setprofile(injector)
        try:
            engine.submit(request)
        finally:
            sys.setprofile(None)
        for place in injector.called:
            injector.error, injector.target = RuntimeError, place
            sys.setprofile(injector)
            try:
                with pytest.raises(RuntimeError):
                    engine.submit(request)
            finally:
                sys.setprofile(None)
            assert engine.generate(request).pictures, place
