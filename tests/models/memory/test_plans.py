"""The plans of a run, their estimated memory, and the choice among them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel

from paintdiff.errors import MemoryBudgetError
from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.formats.weight_files import list_weight_files
from paintdiff.models.loading import pipelines
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import planner as planning
from paintdiff.models.memory import usage
from paintdiff.models.memory.planner import Forecast, Ladder, Planner, Room
from paintdiff.models.memory.plans import (
    Hardware,
    PartBytes,
    Plan,
    Planned,
    RunFacts,
    choose_plan,
    list_plans,
)
from paintdiff.models.memory.weight_sizes import measure_part_bytes
from paintdiff.models.registry.model_rows import ModelRow

GIB = 2**30
SD1 = Catalog.default().find(ModelRow, "stable-diffusion-1.5")
SDXL = Catalog.default().find(ModelRow, "stable-diffusion-xl")
SD1_FULL = PartBytes(int(3.2 * GIB), int(0.46 * GIB), int(0.31 * GIB), word_tables=int(0.14 * GIB))
SDXL_HALF = PartBytes(int(4.8 * GIB), int(1.5 * GIB), int(0.16 * GIB), bytes_per_number=2)
AT_512 = RunFacts(Size(512, 512), 512 * 512)
AT_1024 = RunFacts(Size(1024, 1024), 1024 * 1024)


def peaks(ladder: tuple[Planned, ...]) -> dict[Plan, float]:
    return {each.plan: round(each.peak_bytes / GIB, 2) for each in ladder}


def test_a_ladder_goes_down() -> None:
    for parts, run, device, row in (
        (SD1_FULL, AT_512, "cpu", SD1),
        (SDXL_HALF, AT_1024, "cuda", SDXL),
        (SDXL_HALF, AT_1024, "mps", SDXL),
    ):
        ladder = list_plans(row.family, parts, run, Hardware(device))
        found = [each.painting_bytes for each in ladder]
        assert found == sorted(set(found), reverse=True)
        assert ladder[0].plan == Plan()
        assert ladder[-1].plan.part == 0.5
        assert [each.plan.part for each in ladder[:-1]] == [1.0] * (len(ladder) - 1)


def test_what_is_kept_away_from_the_device_needs_one() -> None:
    for device in ("cpu", "mps"):
        rungs = list_plans(SD1.family, SD1_FULL, AT_1024, Hardware(device))
        assert {each.plan.placement for each in rungs} == {"resident"}
    rungs = list_plans(SDXL.family, SDXL_HALF, AT_1024, Hardware("cuda:1"))
    assert [each.plan.placement for each in rungs if each.plan.part == 1][-4:] == [
        "encoders",
        "models",
        "groups",
        "leaves",
    ]


def test_tiles_are_smaller_than_the_picture_and_hold_less() -> None:
    at_512 = peaks(list_plans(SD1.family, SD1_FULL, AT_512, Hardware("cpu")))
    assert Plan(vae_tile_px=512) not in at_512
    # Measured beside the weights: 472 MiB to denoise, 976 MiB to decode.
    assert at_512[Plan()] == pytest.approx(3.97 + 0.46 + 0.95, abs=0.1)
    at_1024 = peaks(list_plans(SD1.family, SD1_FULL, AT_1024, Hardware("cpu")))
    assert at_1024[Plan()] > at_1024[Plan(vae_tile_px=512)] + 1


def test_weights_in_eight_bits_take_a_quarter_and_word_tables_stay() -> None:
    rungs = list_plans(SD1.family, SD1_FULL, AT_512, Hardware("cpu"))
    packed = next(each for each in rungs if each.plan == Plan(int8_weights=True, vae_tile_px=256))
    expected = (3.2 + 0.46 - 0.14) / 4 + 0.14 + 0.31
    assert packed.weights_bytes == pytest.approx(expected * GIB, rel=0.03)
    quantized = replace(SD1_FULL, quantized=True).convert_to(packed.plan)
    assert quantized.denoiser == SD1_FULL.denoiser


def test_half_precision_is_only_for_runs_that_are_the_models_alone() -> None:
    rungs = list_plans(SD1.family, SD1_FULL, AT_512, Hardware("cpu"))
    assert any(each.plan.dtype for each in rungs if each.plan.part == 1)
    half = SD1_FULL.convert_to(Plan(dtype="bfloat16"))
    assert half.total == pytest.approx(SD1_FULL.total / 2, rel=0.01)
    beside = replace(AT_512, plain=False, beside_bytes=GIB)
    others = [each.plan for each in list_plans(SD1.family, SD1_FULL, beside, Hardware("cpu"))]
    assert all(plan.dtype is None for plan in others)
    assert any(plan.int8_weights for plan in others if plan.part == 1)
    first = list_plans(SD1.family, SD1_FULL, beside, Hardware("cpu"))[0]
    assert first.peak_bytes == rungs[0].peak_bytes + GIB


def test_the_first_that_fits_is_chosen() -> None:
    ladder = list_plans(SDXL.family, SDXL_HALF, AT_1024, Hardware("cuda"))
    assert choose_plan(ladder, 100 * GIB) == ladder[0]
    assert choose_plan(ladder, ladder[2].peak_bytes) == ladder[2]
    assert choose_plan(ladder, ladder[2].peak_bytes - 1) == ladder[3]
    assert choose_plan(ladder, 1000) is None


def test_a_ladder_begins_where_it_fits_and_below_what_failed() -> None:
    rungs = list_plans(SDXL.family, SDXL_HALF, AT_1024, Hardware("cuda"))
    assert Ladder(rungs, 100 * GIB, frozenset(), "it").planned == rungs[0]
    assert Ladder(rungs, 100 * GIB, frozenset({rungs[1].plan}), "it").planned == rungs[2]
    assert Ladder(rungs, 1000, frozenset({rungs[0].plan}), "it").planned == rungs[1]
    with pytest.raises(MemoryBudgetError, match=r"it needs at least 372 MiB for this") as caught:
        Ladder(rungs, 1000, frozenset(), "it")
    assert caught.value.needed_bytes == rungs[-1].peak_bytes


def test_a_ladder_ends_and_knows_its_last_whole_plan() -> None:
    rungs = list_plans(SDXL.family, SDXL_HALF, AT_1024, Hardware("cuda"))
    ladder = Ladder(rungs, 100 * GIB, frozenset(), "it")
    seen = [ladder.planned]
    while ladder.step_down(lighter=False):
        assert ladder.last_whole == (ladder.planned in rungs[-2:])
        seen.append(ladder.planned)
    assert seen == list(rungs)


def test_what_was_refused_is_tried_with_less_weights() -> None:
    rungs = list_plans(SDXL.family, SDXL_HALF, AT_1024, Hardware("cuda"))
    ladder = Ladder(rungs, 100 * GIB, frozenset(), "it")
    assert ladder.step_down(lighter=True)
    assert ladder.planned.plan.placement == "models"


def test_planners_remember_by_model_and_about_the_size() -> None:
    planner = Planner(lambda _row: Room(Hardware("cuda"), 100 * GIB, SDXL_HALF))
    first = planner.build_ladder(SDXL, AT_1024).planned.plan
    planner.remember_failed(SDXL, AT_1024, frozenset({first}))
    assert planner.build_ladder(SDXL, AT_1024).planned.plan != first
    nearly = RunFacts(Size(1024, 960), 1024 * 960)
    assert planner.build_ladder(SDXL, nearly).planned.plan != first
    assert planner.build_ladder(SDXL, AT_512).planned.plan == first
    assert planner.build_ladder(SD1, AT_1024).planned.plan == first


def test_what_failed_is_tried_again_later_or_once_there_is_more_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = Room(Hardware("cuda"), 100 * GIB, SDXL_HALF)
    planner = Planner(lambda _row: room)
    first = planner.build_ladder(SDXL, AT_1024).planned.plan
    planner.remember_failed(SDXL, AT_1024, frozenset({first}), alone=True)
    assert planner.build_ladder(SDXL, AT_1024).planned.plan != first
    assert planner.count_together(SDXL, AT_1024, first, 4) == 1
    room = Room(Hardware("cuda"), 120 * GIB, SDXL_HALF)
    assert planner.build_ladder(SDXL, AT_1024).planned.plan == first
    assert planner.count_together(SDXL, AT_1024, first, 4) == 4
    room = Room(Hardware("cuda"), 100 * GIB, SDXL_HALF)
    assert planner.build_ladder(SDXL, AT_1024).planned.plan != first
    later = time.monotonic() + planning.RETRY_SECONDS
    monkeypatch.setattr(planning.time, "monotonic", lambda: later)
    assert planner.build_ladder(SDXL, AT_1024).planned.plan == first
    assert planner.count_together(SDXL, AT_1024, first, 4) == 4


def test_forecasts_in_words() -> None:
    def forecast(room: float) -> Forecast:
        planner = Planner(lambda _row: Room(Hardware("cuda"), int(room * GIB), SDXL_HALF))
        found = planner.forecast(SDXL, AT_1024)
        assert found is not None
        return found

    plenty, little, none = forecast(24), forecast(6.3), forecast(0.1)
    assert (plenty.words, plenty.slow) == ("fits: about 9.5 of 24.0 GiB", False)
    assert "of 6.3 GiB, weights offloaded to RAM" in little.words and little.slow
    assert none.words.startswith("won't fit: needs about") and none.slow


def test_nothing_is_foretold_of_what_nobody_knows() -> None:
    assert Planner(lambda _row: None).forecast(SD1, AT_512) is None
    assert Planner(lambda _row: Room(Hardware("cpu"), GIB, None)).forecast(SD1, AT_512) is None
    planned = Planner(lambda _row: None).build_ladder(SD1, AT_512).planned
    assert planned.plan == Plan()


def test_parts_by_headers_are_what_loading_takes(tiny_folder: Path) -> None:
    loaded = pipelines.load_pipeline(
        Catalog.default().with_source(str(tiny_folder)).find(ModelRow, "tiny"), "cpu"
    )
    found = measure_part_bytes(list_weight_files(tiny_folder), 4)
    for ours, theirs in (
        (found.denoiser, loaded.parts.denoiser),
        (found.text_encoders, loaded.parts.text_encoders),
        (found.vae, loaded.parts.vae),
    ):
        assert ours == pytest.approx(theirs, rel=0.03)
    assert found.total == pytest.approx(loaded.weights_bytes, rel=0.03)


def test_the_room_is_the_budget_or_what_is_free(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog.default().with_source(str(tiny_folder))
    row = catalog.find(ModelRow, "tiny")
    facts = RunFacts(Size(128, 128), 128 * 128)

    def room(budget: int | None, free: int) -> int:
        manager = ModelManager(catalog, device="cpu", memory_budget_bytes=budget)
        monkeypatch.setattr(usage, "count_free_bytes", lambda: free)
        mini = row.model_copy(update={"family": SD1.family})
        found = manager.planner.forecast(mini, facts)
        assert found is not None
        return found.room_bytes

    assert room(3 * GIB, 2 * GIB) == 2 * GIB
    assert room(GIB, 2 * GIB) == GIB
    assert ModelManager(catalog).planner.forecast(row, facts) is None, "auto: nobody knows yet"


def test_attention_that_is_not_fused_is_sliced_before_all_else() -> None:
    unfused = Hardware("mps", fused_attention=False)
    ladder = list_plans(SDXL.family, SDXL_HALF, AT_1024, unfused)
    assert ladder[0].plan == Plan() and ladder[1].plan == Plan(sliced_attention=True)
    assert all(each.plan.sliced_attention for each in ladder[1:])
    assert ladder[1].plan.words == "sliced attention" and not ladder[1].plan.slow
    found = peaks(ladder)
    # Decoding holds (1024 / 8)^4 scores of 9 bytes, and in slices no more than 2^24 of them.
    assert found[ladder[0].plan] - found[ladder[1].plan] == pytest.approx(2.25 - 0.14, abs=0.02)
    fused = peaks(list_plans(SDXL.family, SDXL_HALF, AT_1024, Hardware("mps")))
    assert found[ladder[1].plan] - fused[Plan()] == pytest.approx(0.14, abs=0.02)
    assert not any(plan.sliced_attention for plan in fused)


def test_attention_is_not_sliced_where_that_would_save_nothing() -> None:
    small = RunFacts(Size(128, 128), 128 * 128)
    for row in (SD1, Catalog.default().find(ModelRow, "mini")):
        ladder = list_plans(row.family, SD1_FULL, small, Hardware("cpu", fused_attention=False))
        assert [each.plan for each in ladder if each.plan == Plan(sliced_attention=True)] == []
        whole = list_plans(row.family, SD1_FULL, small, Hardware("cpu"))
        assert ladder[0].painting_bytes - whole[0].painting_bytes < 2**26


def test_where_attention_is_fused() -> None:
    assert usage.attention_is_fused("cpu") and usage.attention_is_fused("cuda:0")
    assert not usage.attention_is_fused("mps")
    with sdpa_kernel(SDPBackend.MATH):
        assert not usage.attention_is_fused("cpu")
        assert not usage.attention_is_fused("cuda")
    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION):
        assert usage.attention_is_fused("cuda") and not usage.attention_is_fused("cpu")


def test_a_manager_plans_with_attention_as_it_is_now(tiny_catalog: Catalog) -> None:
    manager = ModelManager(tiny_catalog, device="cpu")
    row, run = tiny_catalog.find(ModelRow, "mini"), RunFacts(Size(1024, 1024), 1024 * 1024)
    usual = manager.planner.estimate_peak_bytes(row, run, Plan())
    with sdpa_kernel(SDPBackend.MATH):
        whole = manager.planner.estimate_peak_bytes(row, run, Plan())
        sliced = manager.planner.estimate_peak_bytes(row, run, Plan(sliced_attention=True))
    assert whole > sliced >= usual


def test_estimates_without_fused_attention_are_near_what_was_measured() -> None:
    """By `python -m benchmarks memory --model sd15 --size 512x512 --math-kernel`.

    The scores are gone when decoding begins, so the two aren't added.
    """
    unfused = Hardware("cpu", fused_attention=False)
    found = peaks(list_plans(SD1.family, SD1_FULL, AT_512, unfused))
    assert found[Plan()] == pytest.approx(6.44, rel=0.15)
    assert found[Plan(sliced_attention=True)] == pytest.approx(4.97, rel=0.15)
