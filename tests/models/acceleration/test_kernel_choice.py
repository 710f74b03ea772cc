"""The choice of kernels: what is measured decides, is remembered, and is taken back exactly."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from paintdiff.imaging.geometry import Size
from paintdiff.models.acceleration import kernel_choice
from paintdiff.models.acceleration.kernel_choice import (
    CANDIDATES,
    FILE_NAME,
    USUAL,
    KernelChoice,
    Kernels,
    choose_fastest,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.speed_profiles import EXACT, Profile

CPU = torch.device("cpu")
RUN = Denoising("a red house", "", Size(64, 64), 3, 5.0, "DDIM", seed=3)
FAST = Profile(name="fast", title="", says="", kernels="measured")
LAST = Kernels(channels_last=True)
HALF = Kernels(channels_last=True, bfloat16=True)


def machine(*seconds: float) -> kernel_choice.Measure:
    """A machine that takes that long with each of CANDIDATES."""
    return lambda _device, _dtype, _channels: dict(zip(CANDIDATES, seconds, strict=True))


@pytest.mark.parametrize(
    ("seconds", "dtype", "expected"),
    [
        ((1.0, 0.7, 0.2), torch.float32, HALF),  # with AMX
        ((1.0, 0.7, 2.4), torch.float32, LAST),  # without
        ((1.0, 0.97, 2.4), torch.float32, USUAL),  # not worth it
        ((1.0, 0.7, 0.2), torch.float16, LAST),  # in half precision already
    ],
)
def test_what_is_clearly_quickest_is_taken(
    seconds: tuple[float, ...], dtype: torch.dtype, expected: Kernels
) -> None:
    assert choose_fastest(dict(zip(CANDIDATES, seconds, strict=True)), dtype) == expected


def test_it_is_measured_once_for_each_machine_and_network(tmp_path: Path) -> None:
    asked: list[int] = []

    def measure(device: torch.device, dtype: torch.dtype, channels: int) -> dict[Kernels, float]:
        asked.append(channels)
        return machine(1.0, 0.7, 0.2)(device, dtype, channels)

    choice = KernelChoice(tmp_path / "new", measure)
    assert [choice.choose(CPU, torch.float32, each) for each in (96, 96, 320)] == [HALF] * 3
    assert asked == [96, 320]
    assert KernelChoice(tmp_path / "new", measure).choose(CPU, torch.float32, 320) == HALF
    assert asked == [96, 320]
    assert KernelChoice(tmp_path / "new", measure).choose(CPU, torch.bfloat16, 320) == LAST
    assert asked == [96, 320, 320]


def test_what_cant_be_read_is_measured_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"a": {"channels_last": "perhaps"}}')
    choice = KernelChoice(tmp_path, machine(1.0, 0.7, 2.0))
    assert choice.choose(CPU, torch.float32, 8) == LAST
    assert KernelChoice(tmp_path, machine(1.0, 1.0, 1.0)).choose(CPU, torch.float32, 8) == LAST


def test_what_cant_be_kept_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        choice = KernelChoice(tmp_path / "file", machine(1.0, 0.7, 2.0))
        assert choice.choose(CPU, torch.float32, 8) == LAST
    assert "can't be kept" in caplog.text


def test_all_candidates_are_really_measured() -> None:
    seconds = kernel_choice.measure_kernels(CPU, torch.float32, 8)
    assert set(seconds) == set(CANDIDATES)
    assert min(seconds.values()) > 0


@pytest.mark.parametrize("profile", [FAST, FAST.model_copy(update={"feature_interval": 2})])
def test_weights_kept_in_half_precision_change_no_bit_and_are_cast_once(
    profile: Profile, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KernelChoice, "choose", lambda *_args: HALF)

    def painted(has_room: bool) -> tuple[torch.Tensor, torch.Tensor, int]:
        manager = ModelManager(tiny_catalog, device="cpu")
        manager._backends._has_room = lambda *_args: has_room  # pyright: ignore[reportPrivateUsage]
        with manager.lease("mini", profile=profile) as leased:
            before = leased.pipeline.unet.conv_in.weight
            with torch.profiler.profile() as seen:
                latents = leased.denoise(RUN, lambda _step, _preview: None)
            casts = [each.count for each in seen.key_averages() if each.key == "aten::_to_copy"]
            assert leased.pipeline.unet.conv_in.weight is before
            return latents, before, sum(casts)

    kept, cast = painted(True), painted(False)
    assert kept[1].dtype == torch.float32
    assert torch.equal(kept[0], cast[0])
    assert kept[2] < 0.8 * cast[2]


@pytest.mark.parametrize("chosen", [LAST, HALF])
def test_the_next_exact_picture_is_exact_to_the_last_bit(
    chosen: Kernels, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KernelChoice, "choose", lambda *_args: chosen)
    manager = ModelManager(tiny_catalog, device="cpu")

    def painted(profile: Profile) -> tuple[torch.Tensor, bytes, dict[str, tuple[int, ...]]]:
        with manager.lease("mini", profile=profile) as leased:
            latents = leased.denoise(RUN, lambda _step, _preview: None)
            strides = {
                name: tensor.stride() for name, tensor in leased.pipeline.unet.named_parameters()
            }
            return latents, leased.decode(latents).tobytes(), strides

    exact, fast, again = painted(EXACT), painted(FAST), painted(EXACT)
    assert fast[2] != exact[2]
    assert fast[0].dtype == torch.float32
    assert 0 < (fast[0] - exact[0]).abs().max() < (0.2 if chosen.bfloat16 else 1e-3)
    assert again[2] == exact[2]
    assert torch.equal(again[0], exact[0])
    assert again[1] == exact[1]
