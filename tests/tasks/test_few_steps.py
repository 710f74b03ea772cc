"""Turbo takes a LoRA that makes few steps enough, where there is one and it suits what was asked
for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
from safetensors.torch import save_file

from paintdiff.engine.engine import Engine
from paintdiff.gallery.a1111.text import parse_parameters, request_from_parameters, write_parameters
from paintdiff.jobs.request_parts import LoraInput
from paintdiff.jobs.requests import MAX_LORAS, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.few_step_loras import find_few_steps
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.tasks.resolve.few_steps import apply_few_steps, find_acting_profile
from paintdiff.tasks.resolve.resolve_request import resolve_request
from tests import adapter_files as files
from tests.models.adapters.test_lora_formats import Changing
from tests.tasks.contexts import resolve_context

NAME = "lcm-lora-tiny"
WORDS = TextToImage(prompt="a red house", seed=7, width=64, height=64)


@pytest.fixture
def catalog(tiny_catalog: Catalog, tiny_folder: Path, tmp_path: Path) -> Catalog:
    """With a LoRA (of random numbers) for its model that is called like one for few steps."""
    unet = diffusers.UNet2DConditionModel.from_pretrained(tiny_folder / "unet")
    layers = files.lora_layers({"unet": unet})
    path = tmp_path / f"{NAME}.safetensors"
    save_file(files.in_peft_keys(layers), path)
    lora = files.lora_row(path, families=("mini",), family=tiny_catalog.families()["mini"])
    return files.with_adapters(tiny_catalog, loras=(lora,))


@pytest.fixture
def engine(catalog: Catalog) -> Iterator[Engine]:
    with Engine(ModelManager(Changing(catalog), device="cpu")) as running:
        yield running


def resolve(catalog: Catalog, **asked: Any) -> tuple[TextToImage, tuple[str, ...]]:
    asked = {"profile": "turbo", **asked}
    resolved = resolve_request(WORDS.model_copy(update=asked), catalog, Profiles.default())
    assert isinstance(resolved.request, TextToImage)
    return resolved.request, resolved.warnings


def test_what_was_left_open_is_the_loras(catalog: Catalog) -> None:
    request, said = resolve(catalog)
    assert [(each.name, each.weight) for each in request.loras] == [(NAME, 1.0)]
    assert (request.num_inference_steps, request.guidance_scale) == (6, 1.0)
    assert request.sampler == "LCM"
    assert said == (f"Turbo used the LoRA {NAME}, which needs few steps.",)
    again = resolve_request(request, catalog, Profiles.default())
    assert again.request == request and again.warnings == ()


def test_other_profiles_take_none(catalog: Catalog) -> None:
    for profile in ("exact", "fast"):
        request, _said = resolve(catalog, profile=profile)
        assert request.loras == () and request.sampler == catalog.find(ModelRow, "mini").sampler


def test_what_doesnt_suit_it_is_painted_without(catalog: Catalog) -> None:
    for asked in ({"num_inference_steps": 30}, {"guidance_scale": 7.5}):
        request, said = resolve(catalog, **asked)
        assert request.loras == () and request.sampler == catalog.find(ModelRow, "mini").sampler
        assert NAME in said[0] and "didn't use the LoRA" in said[0]
    request, said = resolve(catalog, num_inference_steps=8, guidance_scale=1.5, sampler="Euler a")
    assert [each.name for each in request.loras] == [NAME]
    assert request.sampler == "Euler a" and said == ()


def test_where_no_lora_fits_in_any_more_that_is_said(catalog: Catalog) -> None:
    others = tuple(LoraInput(name=f"other-{number}") for number in range(MAX_LORAS))
    request = WORDS.model_copy(update={"loras": others})
    context = resolve_context(catalog, profile="turbo")
    same, said = apply_few_steps(request, context)
    assert same == request and context.model == catalog.find(ModelRow, "mini")
    assert f"there are {MAX_LORAS} LoRAs already" in said[0]


@pytest.mark.parametrize(
    "asked",
    [{"loras": (LoraInput(name=NAME, weight=0.6),)}, {"prompt": f"a red house <lora:{NAME}:0.6>"}],
)
def test_one_that_is_there_already_isnt_taken_twice(
    asked: dict[str, Any], catalog: Catalog
) -> None:
    request, said = resolve(catalog, **asked)
    assert len(request.loras) == len(asked.get("loras", ()))
    assert (request.num_inference_steps, request.sampler, said) == (6, "LCM", ())


def test_no_step_is_skipped_beside_it(catalog: Catalog) -> None:
    turbo = Profiles.default().profile("turbo")
    assert turbo.keeps_features and turbo.limits_guidance
    request, _said = resolve(catalog)
    mini = catalog.find(ModelRow, "mini")
    acting = find_acting_profile(request, turbo, mini, catalog)
    assert not acting.keeps_features and not acting.limits_guidance
    assert acting.decoder == turbo.decoder
    without, _said = resolve(catalog, num_inference_steps=30)
    assert find_acting_profile(without, turbo, mini, catalog) == turbo


def test_it_is_painted_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[int, float, str, bool, tuple[str, ...]]] = []
    original = LeasedPipeline.denoise

    def denoised(self: LeasedPipeline, run: Any, *rest: Any) -> Any:
        names = tuple(name for name in self.hashes if name.startswith("LoRA"))
        skips = self.profile.keeps_features
        steps = run.num_inference_steps
        runs.append((steps, run.guidance_scale, run.sampler, skips, names))
        return original(self, run, *rest)

    monkeypatch.setattr(LeasedPipeline, "denoise", denoised)
    picture = engine.generate(WORDS.model_copy(update={"profile": "turbo"})).pictures[0]
    assert runs == [(6, 1.0, "LCM", False, (f"LoRA {NAME}",))]
    read = request_from_parameters(parse_parameters(write_parameters(picture)))
    assert isinstance(read, TextToImage)
    assert engine.generate(read).pictures[0].image.tobytes() == picture.image.tobytes()
    assert (
        find_few_steps(engine.manager.catalog.find(ModelRow, "mini"), engine.manager.catalog)
        is not None
    )
