"""The hires fix through the engine: resolved, painted twice, and painted again from its request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import JobCancelledError, RequestError, SizeError, UnknownNameError
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.images import resize_image
from paintdiff.jobs.events import Finished, Progress
from paintdiff.jobs.request_parts import ControlInput, HiresFix
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.inference.denoising_run import Denoising, count_steps_run
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.tasks.hires import SecondPass
from paintdiff.tasks.resolve.hires import resolve_hires
from paintdiff.tasks.resolve.sampling import find_least_strength
from paintdiff.tasks.runs import build_run
from paintdiff.tasks.text_to_image import resolve as resolve_painting
from tests.job_helpers import story
from tests.tasks.contexts import resolve_context, task_context
from tests.tasks.pictures import difference, finished, given, image_to_image, painted, photo
from tests.tiny import save_tiny_controlnet

LATENT: dict[str, Any] = {"upscaler": "latent", "strength": 0.7}


@pytest.fixture(scope="module")
def catalog(tiny_catalog: Catalog) -> Catalog:
    return tiny_catalog


@pytest.fixture
def engine(tiny_engine: Engine) -> Engine:
    return tiny_engine


def request(hires: dict[str, Any] | None = None, **changes: Any) -> TextToImage:
    """A quick one: 96x64 becomes 192x128, three steps and then two of three."""
    values: dict[str, Any] = {
        "prompt": "a red house",
        "seed": 7,
        "num_inference_steps": 3,
        "width": 96,
        "height": 64,
        "hires": HiresFix(**LATENT | (hires or {})),
    }
    return TextToImage(**values | changes)


def resolve(catalog: Catalog, one: TextToImage) -> tuple[TextToImage, tuple[str, ...]]:
    context = resolve_context(catalog, catalog.find(ModelRow, one.model))
    resolved = resolve_painting(one, context)
    context.warnings.clear()
    return resolve_hires(resolved, context), tuple(context.warnings)


# What resolving does


def test_nothing_is_left_open(catalog: Catalog) -> None:
    open_ = TextToImage(prompt="x", width=128, height=128, hires=HiresFix())
    filled, warnings = resolve(catalog, open_)
    assert filled.hires == HiresFix(
        scale=2.0,
        upscaler="mini-upscaler",
        strength=catalog.find(ModelRow, "mini").family.hires_strength,
        num_inference_steps=filled.num_inference_steps,
        tiled=True,
        controlnet="none",
    )
    assert warnings == ()
    assert resolve(catalog, filled) == (filled, ())
    plain = open_.model_copy(update={"hires": None})
    assert resolve(catalog, plain)[0].hires is None


def test_a_strength_left_open_leaves_a_step_to_run(catalog: Catalog) -> None:
    mini = catalog.find(ModelRow, "mini")
    family = mini.family.model_copy(update={"hires_strength": 0.05})
    low = Catalog(FoundRows((mini.model_copy(update={"family": family}),)))
    filled, _warnings = resolve(low, request({"strength": None}))
    assert filled.hires is not None
    assert filled.hires.strength == 0.34  # of three steps one
    for steps in (1, 7, 20, 150, 998):
        assert count_steps_run(steps, find_least_strength(steps)) == 1


def test_mini_only_enlarges_unless_a_strength_is_given(catalog: Catalog) -> None:
    """More than that made its pictures worse (benchmarks/RESULTS.md)."""
    filled, warnings = resolve(catalog, request({"strength": None, "upscaler": None}))
    assert filled.hires is not None and filled.hires.strength == 0
    assert warnings == ()


def test_without_an_upscaler_the_latents_are_enlarged(tiny_catalog: Catalog) -> None:
    bare = Catalog(FoundRows(tiny_catalog.rows(ModelRow)))
    filled, _warnings = resolve(bare, request({"upscaler": None}))
    assert filled.hires is not None
    assert filled.hires.upscaler == "latent"


@pytest.mark.parametrize(
    ("hires", "size", "tiled"),
    [
        ({"scale": 2.0}, (96, 64), False),
        ({"scale": 2.0}, (128, 64), False),  # twice the native area, and not more
        ({"scale": 2.0}, (136, 64), True),
        ({"scale": 2.0, "tiled": True}, (96, 64), True),
        ({"scale": 4.0, "tiled": False}, (96, 64), False),
    ],
)
def test_what_is_too_large_to_be_seen_at_once_is_tiled(
    hires: dict[str, Any], size: tuple[int, int], tiled: bool, catalog: Catalog
) -> None:
    filled, _warnings = resolve(catalog, request(hires, width=size[0], height=size[1]))
    assert filled.hires is not None
    assert filled.hires.tiled is tiled


@pytest.mark.parametrize("upscaler", ["latent", None])
def test_a_second_pass_at_a_strength_of_0_only_enlarges(
    upscaler: str | None, engine: Engine
) -> None:
    done = finished(engine, request({"strength": 0.0, "upscaler": upscaler}))
    (picture,) = done.pictures
    assert picture.image.size == (192, 128)
    assert "refined" not in " ".join(picture.notes)
    assert "enlarged to" in " ".join(picture.notes)


@pytest.mark.parametrize(
    ("hires", "changes", "error", "field", "complaint"),
    [
        ({"strength": 0.3}, {}, RequestError, "strength", "leaves none of the"),
        (
            {"strength": 0.3, "num_inference_steps": 3},
            {"num_inference_steps": 20},
            RequestError,
            "strength",
            "none of the 3 steps to run. Use 0.34 or more",
        ),
        ({"scale": 4.0}, {"width": 1032}, SizeError, "scale", "1032x64 enlarged 4 times"),
        (
            {"scale": 4.0},
            {"width": 1024, "height": 520},
            SizeError,
            "scale",
            r"at most 4,194,304 can",
        ),
        ({"scale": 1.01}, {}, RequestError, "scale", "doesn't change 96x64"),
        ({"upscaler": "nobody"}, {}, UnknownNameError, "upscaler", "'latent' is always available"),
        ({"controlnet": "nobody"}, {}, UnknownNameError, "controlnet", "no ControlNet 'nobody'"),
        ({"controlnet": "big"}, {}, RequestError, "controlnet", r"is for Stable Diffusion 1\.x"),
        (
            {"num_inference_steps": 60},
            {"sampler": "LCM"},
            RequestError,
            "num_inference_steps",
            "at most 50 steps, not 60",
        ),
    ],
)
def test_what_cant_be_used_is_refused_before_anything_is_loaded(
    hires: dict[str, Any],
    changes: dict[str, Any],
    error: type[RequestError],
    field: str,
    complaint: str,
    catalog: Catalog,
) -> None:
    manager = ModelManager(catalog, device="cpu")
    with Engine(manager) as engine, pytest.raises(error, match=complaint) as caught:
        engine.submit(request(hires, **changes))
    assert caught.value.field == f"hires.{field}"
    assert manager.status().state == "none"


def test_a_size_that_is_rounded_and_soft_latents_are_told(catalog: Catalog) -> None:
    (warning,) = resolve(catalog, request({"scale": 1.3}))[1]
    assert "The enlarged size 125x83 became 128x80" in warning
    (warning,) = resolve(catalog, request({"strength": 0.4}))[1]
    assert "Enlarged latents stay soft" in warning


# What painting does


@pytest.mark.parametrize("hires", [{}, {"upscaler": None}, {"tiled": True, "scale": 2.5}], ids=str)
def test_the_request_of_each_picture_paints_it_again(hires: dict[str, Any], engine: Engine) -> None:
    both = finished(engine, request(hires, num_images=2)).pictures
    alone = painted(engine, request(hires, seed=8))
    again = painted(engine, both[0].request)
    assert both[1].image.tobytes() == alone.tobytes()
    assert both[0].image.tobytes() == again.tobytes()
    assert both[0].image.tobytes() != both[1].image.tobytes()


def test_the_picture_is_larger_and_says_how_it_was_made(engine: Engine) -> None:
    (picture,) = finished(engine, request({"tiled": True, "upscaler": "mini-upscaler"})).pictures
    assert picture.image.size == (192, 128)
    assert (picture.request.width, picture.request.height) == (96, 64)  # type: ignore[union-attr]
    assert picture.notes == (
        "Painted at 96x64, enlarged to 192x128 with mini-upscaler, then refined at a strength "
        "of 0.7 in 2 steps through 2 windows of 128x128.",
    )


def test_the_embedded_painters_composition_is_the_small_pictures(mini_engine: Engine) -> None:
    """Painting large at once makes another picture."""
    hires = HiresFix()
    one = TextToImage(prompt="a red sailboat on the sea", seed=3, num_inference_steps=5)
    small = painted(mini_engine, one)
    large = painted(mini_engine, one.model_copy(update={"hires": hires}))
    at_once = painted(mini_engine, one.model_copy(update={"width": 256, "height": 256}))
    reduced = [
        resize_image(each, Size(128, 128), "stretch", "#000000") for each in (large, at_once)
    ]
    assert large.size == at_once.size
    assert difference(reduced[0], small) < 0.7 * difference(reduced[1], small)


@pytest.mark.parametrize(
    "hires",
    [
        {"upscaler": "mini-upscaler"},
        {"tiled": True},
        {"strength": 1.0},
        {"num_inference_steps": 6},
        {"scale": 1.5},
    ],
    ids=str,
)
def test_each_setting_matters(hires: dict[str, Any], engine: Engine) -> None:
    one = painted(engine, request())
    other = painted(engine, request(hires))
    assert one.size != other.size or one.tobytes() != other.tobytes()


def test_the_steps_of_both_passes_are_counted_together(engine: Engine) -> None:
    events = story(engine, request({"upscaler": "mini-upscaler"}))
    steps = [e for e in events if isinstance(e, Progress) and e.stage == "denoising"]
    assert [event.step for event in steps] == sorted(event.step for event in steps)
    assert {event.total_steps for event in steps} == {5}
    last = events[-1]
    assert isinstance(last, Finished) and last.steps_per_second > 0


def test_every_step_is_told_once_with_its_stage(
    tiny_manager: ModelManager, catalog: Catalog
) -> None:
    told: list[tuple[str, int]] = []
    filled, _warnings = resolve(catalog, request())
    with tiny_manager.lease("mini") as leased:
        second = SecondPass(filled, leased, task_context())
        second.paint(build_run(filled), lambda step: told.append((step.stage, step.step)), 0)
    assert told == [*(("denoising", step) for step in (1, 2, 3, 4, 5)), ("decoding", 5)]


def test_it_can_be_cancelled_within_the_second_pass(engine: Engine) -> None:
    job = engine.submit(request({"num_inference_steps": 998}))
    for event in job.events(120):
        if isinstance(event, Progress) and event.step > 5:
            job.cancel()
            break
    with pytest.raises(JobCancelledError):
        job.result(120)
    assert painted(engine, request()).size == (192, 128)


def test_control_maps_are_made_at_both_sizes(tiny_manager: ModelManager) -> None:
    sizes: list[tuple[int, int]] = []

    class Watching(Annotators):
        def make_map(
            self, picture: Image.Image, preprocessor: str, report: Any = None
        ) -> Image.Image:
            sizes.append(picture.size)
            return picture

    control = ControlInput(image=given(photo()), preprocessor="canny")
    with Engine(tiny_manager, annotators=Watching()) as engine:
        held = painted(engine, request({"tiled": True}, controls=(control,)))
        free = painted(engine, request({"tiled": True}))
    assert sizes == [(96, 64), (192, 128)]
    assert held.tobytes() != free.tobytes()


def test_variations_stay_near_their_picture(engine: Engine) -> None:
    plain = painted(engine, request())
    none = painted(engine, request(variation_strength=0.0, variation_seed=3))
    near = painted(engine, request(variation_strength=0.1, variation_seed=3))
    far = painted(engine, request(variation_strength=1.0, variation_seed=3))
    assert none.tobytes() == plain.tobytes()
    assert 0 < difference(plain, near) < difference(plain, far)


@pytest.mark.parametrize("upscaler", ["mini-upscaler", "latent"])
def test_without_memory_for_the_second_pass_the_first_isnt_lost(
    upscaler: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = painted(engine, request().model_copy(update={"hires": None}))
    whole = LeasedPipeline.denoise

    def short(self: LeasedPipeline, run: Denoising, *more: Any) -> Any:
        if run.size.width > small.width:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, run, *more)

    monkeypatch.setattr(LeasedPipeline, "denoise", short)
    (picture,) = engine.generate(request({"upscaler": upscaler})).pictures
    assert picture.image.size == small.size
    assert difference(picture.image, small) < 2, "in half precision, which was tried last"
    assert "Not enough memory to refine at 192x128" in picture.notes[0]


def test_open_values_arent_painted(tiny_manager: ModelManager, catalog: Catalog) -> None:
    one = resolve_painting(request({"upscaler": None}), resolve_context(catalog))
    with (
        tiny_manager.lease("mini") as leased,
        pytest.raises(RequestError, match="has open values"),
    ):
        SecondPass(one, leased, task_context())


# The tile ControlNet


@pytest.fixture(scope="module")
def with_tile(
    catalog: Catalog, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Catalog:
    """With a ControlNet that was made to add detail, and one whose name but sounds like it."""
    folder = tmp_path_factory.mktemp("tile")
    unet = diffusers.UNet2DConditionModel.from_pretrained(tiny_folder / "unet")
    rows = list(catalog.rows(ControlNetRow))
    for seed, name in ((4, "textiles"), (5, "control_f1e_tile")):
        save_tiny_controlnet(folder / name, unet, seed=seed)
        family = catalog.find(ModelRow, "mini").family
        source = str(folder / name)
        rows.append(ControlNetRow(name=name, title=name, family=family, source=source))
    return Catalog(FoundRows((*catalog.rows(ModelRow), *rows, *catalog.rows(UpscalerRow))))


CONTROL = ControlInput(image=given(photo()))


@pytest.mark.parametrize(
    ("hires", "controls", "chosen"),
    [
        ({"tiled": True}, (), "control_f1e_tile"),
        ({"tiled": False}, (), "none"),
        ({"tiled": True}, (CONTROL,), "none"),
        (
            {"tiled": True},
            (CONTROL.model_copy(update={"conditioning_scale": 0.0}),),
            "control_f1e_tile",
        ),
        ({"tiled": True, "controlnet": "none"}, (), "none"),
        ({"tiled": False, "controlnet": "mini-other"}, (CONTROL,), "mini-other"),
    ],
)
def test_a_tiled_pass_is_held_by_a_tile_controlnet_if_there_is_one(
    hires: dict[str, Any], controls: tuple[ControlInput, ...], chosen: str, with_tile: Catalog
) -> None:
    filled, _warnings = resolve(with_tile, request(hires, controls=controls))
    assert filled.hires is not None
    assert filled.hires.controlnet == chosen


def test_one_that_lists_tile_among_its_preprocessors_is_one(catalog: Catalog) -> None:
    rows = [
        row.model_copy(update={"preprocessors": ("tile",)}) if row.name == "mini-other" else row
        for row in catalog.rows(ControlNetRow)
    ]
    filled, _w = resolve(
        Catalog(FoundRows((*catalog.rows(ModelRow), *rows))), request({"tiled": True})
    )
    assert filled.hires is not None
    assert filled.hires.controlnet == "mini-other"


@pytest.mark.parametrize("upscaler", ["latent", "mini-upscaler"])
def test_it_acts_and_says_so(upscaler: str, with_tile: Catalog) -> None:
    with Engine(ModelManager(with_tile, device="cpu")) as engine:
        chosen = {"tiled": True, "upscaler": upscaler}
        (held,) = finished(engine, request(chosen)).pictures
        (free,) = finished(engine, request({**chosen, "controlnet": "none"})).pictures
        again = painted(engine, held.request)
    assert "guided by the ControlNet control_f1e_tile" in held.notes[0]
    assert "ControlNet" not in free.notes[0]
    assert held.image.tobytes() != free.image.tobytes()
    assert held.image.tobytes() == again.tobytes()


# Large pictures from pictures


def test_image_to_image_is_tiled_by_the_same_rule(engine: Engine) -> None:
    large = finished(engine, image_to_image(width=264, height=128)).pictures[0]
    whole = painted(engine, image_to_image(width=264, height=128, tiled=False))
    assert large.request.tiled is True  # type: ignore[union-attr]
    assert large.notes == ("Painted through 4 windows of 128x128, blended at every step.",)
    assert large.image.tobytes() != whole.tobytes()
    assert painted(engine, large.request).tobytes() == large.image.tobytes()
    small = finished(engine, image_to_image()).pictures[0]
    assert small.request.tiled is False  # type: ignore[union-attr]
    forced = painted(engine, image_to_image(tiled=True))  # it fits into one window
    assert forced.tobytes() == small.image.tobytes()
