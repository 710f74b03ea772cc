from __future__ import annotations

from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

from paintdiff.errors import UnknownNameError
from paintdiff.imaging.geometry import Size
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.inference.previews.preview import estimate_clean_latents
from paintdiff.models.inference.schedulers import make_scheduler
from paintdiff.models.loading.prediction_types import Training, apply_training
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.samplers import SAMPLERS, check_sampler, find_samplers, list_samplers

# Written out again, so that a wrong row in the table is seen.
DIFFUSERS = {
    "DDPM": ("DDPMScheduler", {}),
    "DDIM": ("DDIMScheduler", {}),
    "PNDM": ("PNDMScheduler", {"skip_prk_steps": True}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler SGM Uniform": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "LMS": ("LMSDiscreteScheduler", {}),
    "LCM": ("LCMScheduler", {}),
}

CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def test_every_sampler_asked_for_is_there() -> None:
    assert set(find_samplers("diffusion")) == set(DIFFUSERS)
    assert set(find_samplers("flow")) == {"Flow Euler", "Flow Heun", "Flow DPM++ 2M", "Flow UniPC"}
    kinds = ("diffusion", "flow", "own")
    assert sorted(list_samplers()) == sorted(name for kind in kinds for name in find_samplers(kind))


def test_names_are_found_whatever_their_capitals() -> None:
    assert check_sampler(" euler A ") == "Euler a"
    with pytest.raises(UnknownNameError, match="Euler") as caught:
        check_sampler("Eulr")
    assert caught.value.field == "sampler"


@pytest.mark.parametrize("name", sorted(DIFFUSERS))
def test_latents_are_those_of_diffusers_own_scheduler(
    name: str, tiny_manager: ModelManager, tiny_folder: Path
) -> None:
    class_name, settings = DIFFUSERS[name]
    with tiny_manager.lease("mini") as leased:
        ours = latents_of(leased, name)
        pipeline = leased.pipeline
    pipeline.scheduler = getattr(diffusers, class_name).from_config(
        diffusers.DDIMScheduler.load_config(tiny_folder / "scheduler"), **settings
    )
    theirs = pipeline(
        prompt="a red house",
        width=128,
        height=128,
        num_inference_steps=6,
        guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(5),
        output_type="latent",
    ).images
    assert torch.equal(ours, theirs)


def test_the_samplers_differ(tiny_manager: ModelManager) -> None:
    with tiny_manager.lease("mini") as leased:
        names = set(find_samplers("diffusion")) - {"Euler SGM Uniform"}  # it has this model's steps
        all_latents = [latents_of(leased, name) for name in names]
    for index, latents in enumerate(all_latents):
        assert latents.isfinite().all()
        assert not any(torch.equal(latents, other) for other in all_latents[:index])


def test_sgm_uniform_begins_with_the_last_training_step() -> None:
    first: dict[str, float] = {}
    for name in ("Euler", "Euler SGM Uniform"):
        scheduler = make_scheduler(name, CONFIG | {"timestep_spacing": "leading"})
        scheduler.set_timesteps(4)
        first[name] = float(scheduler.timesteps[0])
    assert first == {"Euler": 751.0, "Euler SGM Uniform": 999.0}


def latents_of(leased: LeasedPipeline, sampler: str, steps: int = 6) -> torch.Tensor:
    run = Denoising("a red house", "", Size(128, 128), steps, 4.0, sampler, seed=5)
    return leased.denoise(run, lambda _step, _preview: None)


@pytest.mark.parametrize("name", sorted(find_samplers("diffusion")))
@pytest.mark.parametrize("prediction_type", ["v_prediction", "epsilon"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_a_model_that_knows_the_picture_is_followed_to_it(
    name: str, prediction_type: str, spacing: str
) -> None:
    """An oracle whose every prediction points at one picture: each sampler has to arrive there,
    and the preview has to show it at each step."""
    config = {**CONFIG, "prediction_type": prediction_type, "timestep_spacing": spacing}
    scheduler = make_scheduler(name, config)
    generator = torch.Generator("cpu").manual_seed(1)
    target = torch.randn(1, 4, 8, 8, generator=generator)
    scheduler.set_timesteps(25)
    sample = torch.randn(target.shape, generator=generator) * scheduler.init_noise_sigma
    errors: list[float] = []
    for timestep in scheduler.timesteps:
        seen = scheduler.scale_model_input(sample, timestep)
        output = oracle(seen, float(timestep), target, prediction_type)
        if (
            not name.startswith("PNDM") or len(errors) != 1
        ):  # its second call repeats the first step
            clean = estimate_clean_latents(
                scheduler, SAMPLERS[name].variance_exploding, output, timestep, sample
            )
            errors.append(float((clean - target).abs().max()))
        else:
            errors.append(0.0)
        extra = {} if name in ("PNDM", "UniPC", "Heun", "LMS") else {"generator": generator}
        sample = scheduler.step(output, timestep, sample, **extra, return_dict=False)[0]
    assert float((sample - target).abs().max()) < 0.15
    assert max(errors[1:]) < 0.1, errors


def oracle(
    sample: torch.Tensor, timestep: float, target: torch.Tensor, prediction_type: str
) -> torch.Tensor:
    """The prediction of a perfect model of one picture, for a variance-preserving sample."""
    alphas_cumprod = np.cumprod(1 - np.linspace(0.0001, 0.02, 1000))
    sigmas = np.sqrt((1 - alphas_cumprod) / alphas_cumprod)
    sigma = float(np.interp(timestep, np.arange(1000), sigmas))
    alpha = 1 / np.sqrt(1 + sigma**2)
    noise = (sample - alpha * target) / (alpha * sigma)
    if prediction_type == "epsilon":
        return noise
    return alpha * noise - alpha * sigma * target


@pytest.mark.parametrize("name", sorted(find_samplers("diffusion")))
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1000, 999, 998, 61, 122])
def test_all_steps_that_we_allow_are_steps_it_can_take(name: str, spacing: str, steps: int) -> None:
    """diffusers' schedulers break at 1000 of 1000 steps with "leading" spacing, and with "trailing"
    at 61, 122, 998 and others."""
    steps = min(steps, SAMPLERS[name].max_steps)
    assert steps in (1000, 999, 998, 61, 122) or name == "LCM"
    config = {**CONFIG, "timestep_spacing": spacing}
    scheduler = make_scheduler(name, config, num_inference_steps=steps)
    scheduler.set_timesteps(steps)
    assert 0 <= float(scheduler.timesteps.min()) <= float(scheduler.timesteps.max()) <= 999
    assert len(set(scheduler.timesteps.tolist())) > steps * 0.7
    assert steps - 1 <= len(scheduler.timesteps) <= 2 * steps


def test_ddpm_takes_every_training_step() -> None:
    scheduler = make_scheduler("DDPM", {**CONFIG, "timestep_spacing": "leading"}, "", 1000)
    scheduler.set_timesteps(1000)
    assert scheduler.timesteps.tolist() == list(range(999, -1, -1))


@pytest.mark.parametrize("name", sorted(find_samplers("diffusion")))
def test_few_steps_work(name: str, tiny_manager: ModelManager) -> None:
    with tiny_manager.lease("mini") as leased:
        for steps in (1, 2, 3):
            assert latents_of(leased, name, steps).isfinite().all(), steps


def test_the_noise_schedule_is_the_models_even_where_its_file_is_silent() -> None:
    """LCM's own defaults are another schedule, and not that of a model trained with DDIM's."""
    model = diffusers.DDIMScheduler(prediction_type="v_prediction")
    assert torch.equal(make_scheduler("LCM", model.config).alphas_cumprod, model.alphas_cumprod)
    careless = diffusers.LCMScheduler.from_config(model.config)
    assert not torch.equal(careless.alphas_cumprod, model.alphas_cumprod)


@pytest.mark.parametrize("name", find_samplers("diffusion"))
def test_samplers_that_start_from_pure_noise_do(name: str) -> None:
    if not SAMPLERS[name].knows_zero_snr:
        return
    model = apply_training(diffusers.DDIMScheduler(), Training("v_prediction", True))
    scheduler = make_scheduler(name, model.config)
    scheduler.set_timesteps(10)
    assert scheduler.config.prediction_type == "v_prediction"
    assert float(scheduler.alphas_cumprod[-1]) < 1e-6
    assert float(scheduler.timesteps[0]) > 990  # Karras' sigmas are brought to whole timesteps


def test_latents_are_never_clipped() -> None:
    for name in ("DDIM", "DDPM", "LCM", "Heun"):
        config = {key: value for key, value in CONFIG.items() if key != "clip_sample"}
        assert make_scheduler(name, config).config.clip_sample is False, name


@pytest.mark.parametrize("name", find_samplers("flow"))
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_flow_model_that_knows_the_picture_is_followed_to_it(name: str, dynamic: bool) -> None:
    """As above: every sampler along the model's own schedule, with its shift, shown at each step,
    and from the middle of a picture too."""
    config = {"shift": 3.0, "use_dynamic_shifting": dynamic, "base_shift": 0.4, "max_shift": 1.2}
    model = diffusers.FlowMatchEulerDiscreteScheduler(**config)
    settings = {"sigmas": np.linspace(1.0, 0.1, 10), "mu": 0.7} if dynamic else {}
    model.set_timesteps(10, **settings)
    scheduler = make_scheduler(name, model.config)
    scheduler.set_timesteps(10, **settings)
    assert scheduler.config.get("base_shift") == 0.4
    assert torch.allclose(scheduler.timesteps.unique(), model.timesteps.unique())
    generator = torch.Generator("cpu").manual_seed(1)
    target, noise = (torch.randn(1, 16, 8, 8, generator=generator) for _ in range(2))
    start = 4 * scheduler.order
    scheduler.set_begin_index(start)
    sample = scheduler.scale_noise(target, scheduler.timesteps[start : start + 1], noise)
    sigma = float(model.sigmas[4])
    assert torch.allclose(sample, (1 - sigma) * target + sigma * noise, atol=1e-5)
    for timestep in scheduler.timesteps[start:]:
        slope = (sample - target) / (float(timestep) / 1000)
        clean = estimate_clean_latents(scheduler, False, slope, timestep, sample)
        assert torch.allclose(clean, target, atol=1e-3)
        sample = scheduler.step(slope, timestep, sample, return_dict=False)[0]
    assert torch.allclose(sample, target, atol=1e-4)


def test_a_flux_pipeline_that_holds_its_sigmas_back_gets_them_all_the_same() -> None:
    model = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
    model.set_timesteps(5, sigmas=np.linspace(1.0, 0.2, 5))
    scheduler = make_scheduler("Flow UniPC", model.config)
    scheduler.set_timesteps(5, mu=0.7)
    assert torch.allclose(scheduler.sigmas, model.sigmas, atol=1e-5)
