"""An engine that says what a test tells it to: the seam below the page."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from PIL import Image

from paintdiff.engine.engine import EngineStatus
from paintdiff.engine.speed import TimeForecast
from paintdiff.errors import (
    AnnotatorError,
    JobNotFoundError,
    ModelLoadError,
    UnknownNameError,
)
from paintdiff.imaging.geometry import ResizeMode, Size
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.events import TERMINAL, Cancelled, CellDone, Event, Finished, Picture, Queued
from paintdiff.jobs.grid_cells import Cell, count_cells, plan_cells
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import Grid, Painting, Request, TextToImage, Upscale
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.disk_usage import LoadedSummary
from paintdiff.models.catalog.name_lookup import find_row_by_name
from paintdiff.models.discovery.row_builder import Problem
from paintdiff.models.memory.planner import Forecast
from paintdiff.models.registry.adapter_rows import FittingRow, LoraRow
from paintdiff.models.registry.base_rows import SourceRow, WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.prompts import variations
from paintdiff.prompts.extra_networks import split_lora_tags
from paintdiff.prompts.library import PromptLibrary
from paintdiff.tasks.prompt_check import CheckedPrompt, PromptCheck, PromptChecker
from paintdiff.ui.common.setting_words import SettingWords

RowT = TypeVar("RowT", bound=WeightsRow)
FittingT = TypeVar("FittingT", bound=FittingRow | SourceRow)

UPSCALERS = (
    UpscalerRow(name="small", title="Small", source="/gone/small.pth", description="Quick."),
    UpscalerRow(
        name="large",
        title="<i>Large",
        source="https://models.example/large.pth",
        sha256="0" * 64,
        size_bytes=67_000_000,
        description="Thorough.",
    ),
)


class FakeCatalog:
    """The model that ships, and those that a test gives it in `more`. ControlNets by the name of
    the model that they fit; each test may change `names`. Two upscalers, and the face restorers
    that a test gives it in `faces`; the same for what goes with models, and files left out.
    """

    def __init__(self) -> None:
        self._shipped = Catalog.default()
        self.more: tuple[ModelRow, ...] = ()
        self.beside: tuple[WeightsRow, ...] = ()
        self.left_out: tuple[Problem, ...] = ()
        self.faces: tuple[FaceRestorerRow, ...] = ()
        self.names: dict[str, tuple[str, ...]] = {"mini": ("edges", "depths")}

    def families(self) -> Mapping[str, Family]:
        return self._shipped.families()

    def problems(self) -> tuple[Problem, ...]:
        return self.left_out

    def rows(self, kind: type[RowT]) -> tuple[RowT, ...]:
        rows = (
            self._shipped.find(ModelRow, "mini"),
            *self.more,
            *UPSCALERS,
            *self.faces,
            *self.beside,
        )
        return tuple(row for row in rows if isinstance(row, kind))

    def find(self, kind: type[RowT], name: str) -> RowT:
        return find_row_by_name(kind.what, name, {row.name: row for row in self.rows(kind)}, {})

    def fitting(self, kind: type[FittingT], model: ModelRow) -> tuple[FittingT, ...]:
        controlnets = (
            ControlNetRow(
                name=name,
                title=f"<i>{name}",
                family=model.family,
                source="owner/name",
                preprocessors=("canny", "scribble", "none") if name == "edges" else (),
            )
            for name in self.names.get(model.name, ())
        )
        rows = (*controlnets, *self.beside)
        return tuple(
            row for row in rows if isinstance(row, kind) and row.is_offered_for(model.family.name)
        )


@dataclass
class FakeManager:
    """A manager as the page uses it; a test says what is in memory."""

    catalog: FakeCatalog
    in_memory: list[LoadedSummary] = field(default_factory=list[LoadedSummary])
    unloaded: list[str] = field(default_factory=list[str])

    @property
    def cache(self) -> FakeManager:
        return self

    @property
    def memory(self) -> FakeManager:
        return self

    def loaded(self) -> tuple[LoadedSummary, ...]:
        return tuple(self.in_memory)

    def unload(self, key: str | None = None) -> int:
        kept = [each for each in self.in_memory if each.key != key]
        dropped = len(self.in_memory) - len(kept)
        self.unloaded += [str(key)] * bool(dropped)
        self.in_memory = kept
        return dropped

    def budget_bytes(self) -> int:
        return 8 * 10**9


@dataclass
class FakeJob:
    """A job whose latest event is set from outside."""

    id: str
    request: Request
    latest: Event
    warnings: tuple[str, ...] = ()
    finished: tuple[Picture, ...] = ()
    owner: str = ""
    cells: tuple[Cell, ...] = ()
    cells_done: tuple[CellDone, ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        ended = isinstance(self.latest, (Finished, Cancelled))
        return self.latest.pictures if ended else self.finished

    @property
    def done(self) -> bool:
        return isinstance(self.latest, TERMINAL)

    def cancel(self) -> None:
        if isinstance(self.latest, Queued):
            self.latest = Cancelled()


class FakeEngine:
    """Settles requests to 128x128, 20 steps, seed 7; refuses the sampler "nonsense".

    A control map is the picture stretched to its size; the weights of "hed" can't be had. What
    fits into memory is as a test says in `forecasts`, by size.
    """

    def __init__(self, position: int = 0) -> None:
        self.jobs: OrderedDict[str, FakeJob] = OrderedDict()
        self.library = PromptLibrary()
        self.position = position
        self.manager = FakeManager(FakeCatalog())
        self.mapped: list[tuple[str, Size, ResizeMode]] = []
        self.owners: list[str] = []
        self.varied: list[str] = []
        self.forecasts: dict[Size, Forecast] = {}
        self.foreseen: list[tuple[str, Size, Size | None]] = []
        self._checker = PromptChecker(lambda _catalog: {})

    def control_map(
        self, image: InputImage, preprocessor: str, size: Size, resize_mode: ResizeMode = "crop"
    ) -> Image.Image:
        self.mapped.append((preprocessor, size, resize_mode))
        if preprocessor == "hed":
            raise AnnotatorError("ControlNetHED.pth can't be fetched.")
        picture = decode_image(image.data or b"").convert("RGB")
        return picture.resize((size.width, size.height))

    def propose_prompts(
        self, prompt: str, model: str, count: int, *, enhancer: str
    ) -> tuple[str, ...]:
        if enhancer != "rules":
            raise ModelLoadError("It can't be loaded.")
        return variations(prompt, count, seed=1)

    def forecast(self, model: str, size: Size, refined: Size | None = None) -> Forecast | None:
        self.foreseen.append((model, size, refined))
        return self.forecasts.get(size)

    def check_prompt(self, prompt: CheckedPrompt, model: str) -> PromptCheck:
        catalog: Any = self.manager.catalog
        return self._checker.check(prompt, catalog.find(ModelRow, model), catalog)

    def forecast_time(self, request: Request) -> TimeForecast:
        return TimeForecast(count_cells(request) if isinstance(request, Grid) else 1, 12.0)

    def submit(
        self,
        request: Request,
        visitor: str = "",
        owner: str = "",
        *,
        sees_all: bool = False,
        varied: str = "",
    ) -> FakeJob:
        self.owners.append(owner)
        self.varied.append(varied)
        if isinstance(request, Grid):
            job = self._remembered(request)
            cells = plan_cells(request).cells
            job.cells = tuple(replace(each, request=_settle(each.request)) for each in cells)
            return job
        if isinstance(request, Upscale):
            return self._remembered(request)
        if request.sampler == "nonsense":
            raise UnknownNameError("There is no sampler 'nonsense'.", field="sampler")
        for tag in split_lora_tags(request.prompt)[1]:
            try:
                self.manager.catalog.find(LoraRow, tag.name)
            except UnknownNameError as error:
                raise error.at("prompt") from error
        return self._remembered(_settle(request))

    def _remembered(self, settled: Request) -> FakeJob:
        job = FakeJob(
            f"job-{len(self.jobs)}", settled, Queued(self.position), owner=self.owners[-1]
        )
        self.jobs[job.id] = job
        return job

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise JobNotFoundError("no such job")
        return self.jobs[job_id]

    def remembers(self, job_id: str) -> bool:
        return job_id in self.jobs

    def status(self) -> EngineStatus:
        return EngineStatus("mini", "ready", "cpu", 1, 2, 0, None, 12.5)


def picture(job: FakeJob, colour: str = "red") -> Picture:
    """A finished picture of that job in one colour."""
    painted = isinstance(job.request, TextToImage)
    size = (job.request.width or 128, job.request.height or 128) if painted else (128, 128)
    return Picture(Image.new("RGB", size, colour), job.request)


def _settle(request: Painting) -> Painting:
    """Fill in what is left open, as resolving does."""
    return request.model_copy(
        update={
            "width": request.width or 128,
            "height": request.height or 128,
            "num_inference_steps": request.num_inference_steps or 20,
            "guidance_scale": 4.0 if request.guidance_scale is None else request.guidance_scale,
            "sampler": request.sampler or "DDIM",
            "seed": 7 if request.seed is None else request.seed,
        }
    )


def words_of(engine: Any) -> SettingWords:
    """Return the page's words over an engine's catalog."""
    return SettingWords(engine, {"fast": "Draft"}, Profiles.default())


WORDS = words_of(FakeEngine())
"""The page's words over a catalog of its own."""
