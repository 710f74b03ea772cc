"""Networks of every architecture, at work."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from paintdiff.errors import MemoryBudgetError
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.tiles import Enlargement, Network
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.loaders import UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.models.upscaling import upscaler as upscaling
from paintdiff.models.upscaling.upscaler import (
    MAX_CONTEXT_PX,
    Floats,
    LoadedUpscaler,
    load_upscaler,
)
from paintdiff.tasks.upscaling import upscale_raster
from tests.models.architectures import SMALL, small_network
from tests.models.small_upscalers import compact, loaded, picture, small
from tests.tasks.pictures import photo

Tensors = Mapping[str, torch.Tensor]

LEVEL = 1 / 255


def in_tiles(
    pixels: Floats,
    upscaler: LoadedUpscaler,
    tile_px: int,
    margins: tuple[int, int] | None = None,
) -> Floats:
    size = Size(pixels.shape[1], pixels.shape[0])
    target = Size(size.width * upscaler.scale, size.height * upscaler.scale)
    network = Network(
        upscaler.enlarge,
        upscaler.scale,
        lambda: margins or (upscaler.context_px, upscaler.multiple),
    )
    work = Enlargement(size, target, network, tile_px)
    return np.concatenate(list(work.rows(iter([pixels]), lambda _tile: None)))


# Every architecture


@pytest.mark.parametrize("name", SMALL)
def test_every_architecture_is_loaded_and_enlarges(name: str, tmp_path: Path) -> None:
    upscaler = small(name, tmp_path)
    settings = SMALL[name][1]
    names = ("upscale", "upscaling_factor", "up_scale", "upscale_factor", "scale")
    factor = next((settings[each] for each in names if each in settings), 1)
    factor = 2 if name == "RealCUGAN" else factor // settings.get("shuffle_factor", 1)
    assert upscaler.scale == factor
    assert upscaler.weights_bytes > 0
    made = upscaler.enlarge(picture(19, 17))
    assert made.shape == (17 * factor, 19 * factor, 3)
    assert made.dtype == np.float32
    assert made.min() >= 0 and made.max() <= 1
    assert made.std() > 0, "a picture"


@pytest.mark.parametrize("name", ["Compact", "ESRGAN", "SPAN"])
def test_it_computes_what_the_network_does(name: str, tmp_path: Path) -> None:
    pixels = picture(24, 20)
    with torch.inference_mode():
        expected = small_network(name)(torch.from_numpy(pixels.transpose(2, 0, 1))[None])
    made = small(name, tmp_path).enlarge(pixels)
    assert np.abs(made - expected[0].clamp(0, 1).permute(1, 2, 0).numpy()).max() < 1e-5


def _as_published(tensors: Tensors) -> dict[str, torch.Tensor]:
    """An ESRGAN of one block with the names that Real-ESRGAN's own files have."""
    names = {
        "model.0": "conv_first",
        "model.1.sub.1": "conv_body",
        "model.3": "conv_up1",
        "model.6": "conv_up2",
        "model.8": "conv_hr",
        "model.10": "conv_last",
    }

    def renamed(name: str) -> str:
        inner = re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(\w+)", name)
        if inner is not None:
            return f"body.{inner[1]}.rdb{inner[2]}.conv{inner[3]}.{inner[4]}"
        module, _, kind = name.rpartition(".")
        return f"{names[module]}.{kind}"

    return {renamed(name): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("name", "wrapped"),
    [
        ("Compact", lambda tensors: tensors),
        ("Compact", lambda tensors: {"params": tensors}),
        ("Compact", lambda tensors: {f"module.{key}": value for key, value in tensors.items()}),
        ("SwinIR", lambda tensors: {"params_ema": tensors, "params": {}}),
        ("ESRGAN", lambda tensors: {"params_ema": _as_published(tensors)}),
        ("SPAN", lambda tensors: {"state_dict": tensors, "epoch": 3, "note": "best"}),
    ],
)
def test_pickled_tensors_are_read_however_they_are_wrapped(
    name: str, wrapped: Callable[[Tensors], dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "x.pth"
    torch.save(wrapped(dict(small_network(name).state_dict())), file)
    pixels = picture(16, 16)
    expected = small(name, tmp_path).enlarge(pixels)
    assert np.array_equal(loaded(file).enlarge(pixels), expected)


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_for_grey_and_for_alpha_enlarge_colours_too(channels: int, tmp_path: Path) -> None:
    upscaler = compact(tmp_path, num_in_ch=channels, num_out_ch=channels)
    made = upscaler.enlarge(picture(20, 18))
    assert made.shape == (36, 40, 3)
    assert made.std() > 0.01


# Tiles


@pytest.fixture(scope="module")
def shipped() -> LoadedUpscaler:
    return load_upscaler(Catalog.default().find(UpscalerRow, "mini-upscaler"), "cpu")


def test_the_shipped_one_is_the_same_in_tiles(shipped: LoadedUpscaler) -> None:
    pixels = picture(70, 45)
    assert shipped.scale == 4
    assert 2 <= shipped.context_px <= MAX_CONTEXT_PX
    at_once = in_tiles(pixels, shipped, 1000)
    assert at_once.std() > 0.05
    assert np.abs(in_tiles(pixels, shipped, 32) - at_once).max() <= LEVEL
    bare = in_tiles(pixels, shipped, 32, (0, 1))  # the control
    assert np.abs(bare - at_once).max() > LEVEL


@pytest.mark.parametrize("name", ["ESRGAN x2", "Swin2SR", "FDAT"])
def test_others_are_the_same_in_tiles(name: str, tmp_path: Path) -> None:
    """As random networks differ in contrast, by a level of what there is of it."""
    upscaler = small(name, tmp_path)
    pixels = picture(75, 36)
    at_once = in_tiles(pixels, upscaler, 1000)
    wrong = np.abs(in_tiles(pixels, upscaler, 33) - at_once).max()
    assert wrong <= LEVEL * np.ptp(at_once)
    bare = in_tiles(pixels, upscaler, 33, (0, 1))
    assert np.abs(bare - at_once).max() > LEVEL * np.ptp(at_once), "the control"


def test_how_far_it_looks_is_measured(tmp_path: Path) -> None:
    """Each of the n + 2 convolutions looks a pixel further."""
    assert 2 <= compact(tmp_path, num_conv=0).context_px <= 3
    assert 3 <= compact(tmp_path, num_conv=3).context_px <= 6


@pytest.mark.parametrize(
    ("name", "multiple"), [("SwinIR", 8), ("FDAT", 8), ("DAT", 8), ("ESRGAN x2", 2), ("SPAN", 1)]
)
def test_windows_are_seen(name: str, multiple: int, tmp_path: Path) -> None:
    upscaler = small(name, tmp_path)
    assert upscaler.multiple % multiple == 0
    assert (upscaler.context_px == MAX_CONTEXT_PX) == (multiple == 8)


def test_the_tiles_are_as_large_as_the_memory_lets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = compact(tmp_path)

    def side_of(budget_bytes: int, bytes_per_pixel: int) -> int:
        monkeypatch.setattr(upscaling, "_budget_bytes", lambda _device: budget_bytes)
        monkeypatch.setitem(vars(upscaler), "bytes_per_pixel", bytes_per_pixel)
        return upscaler.tile_px(Size(3000, 2000))

    assert side_of(2**40, 64) == 512
    assert side_of(2**40, 768) == 352, "so that no tensor has more than 32 MiB"
    assert (352 + 2 * MAX_CONTEXT_PX) ** 2 * 768 // 4 < 32 * 2**20
    assert side_of(2**40, 8192) == 512, "they would be too small for that"
    assert side_of(768 * 300**2, 768) == 288
    assert side_of(1, 768) == 128


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
    ],
)
def test_short_memory_makes_the_tiles_smaller(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = compact(tmp_path)
    pixels = np.asarray(photo(1, 120, 90))
    whole = upscale_raster(pixels, Size(240, 180), upscaler, lambda _step: None, 0)
    run = upscaling._in_channels  # pyright: ignore[reportPrivateUsage]
    largest = 100 * 100

    def limited(network: object, tile: torch.Tensor) -> torch.Tensor:
        if tile.shape[2] * tile.shape[3] > largest:
            raise error
        return run(network, tile)

    monkeypatch.setattr(upscaling, "_in_channels", limited)
    made = upscale_raster(pixels, Size(240, 180), upscaler, lambda _step: None, 0)
    levels = [np.asarray(one.raster.image(), int) for one in (made, whole)]
    assert np.abs(levels[0] - levels[1]).max() <= 1
    assert whole.notes == ("Upscaled 120x90 to 240x180 with The compact.",)
    assert re.search(r"Memory ran low.* tiles of \d\d pixels instead of \d{3}", made.notes[1])
    largest = 0
    with pytest.raises(MemoryBudgetError, match=r"The compact.*smaller one"):
        upscale_raster(pixels, Size(240, 180), upscaler, lambda _step: None, 0)


def test_other_trouble_is_not_taken_for_short_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = compact(tmp_path)

    def broken(*_arguments: object) -> torch.Tensor:
        raise RuntimeError("something else")

    monkeypatch.setattr(upscaling, "_in_channels", broken)
    with pytest.raises(RuntimeError, match="something else"):
        upscaler.enlarge(picture(20, 20))


# Precision


def test_half_precision_is_used_where_the_network_can(tmp_path: Path) -> None:
    pixels = picture(32, 32)
    full, half = compact(tmp_path), loaded(tmp_path / "compact.safetensors", "bfloat16")
    assert (full.half, half.half) == (False, True)
    assert half.weights_bytes * 2 == full.weights_bytes
    made = half.enlarge(pixels)
    assert made.dtype == np.float32
    assert 0 < np.abs(made - full.enlarge(pixels)).max() < 0.05
    assert not small("SwinIR", tmp_path, "float16").half, "it can't, so it isn't"
    assert small("SwinIR", tmp_path, "bfloat16").half


# The manager


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the upscalers that were loaded."""
    names: list[str] = []
    real = upscaling.load_upscaler

    def noted(row: UpscalerRow, *rest: Any) -> LoadedUpscaler:
        names.append(row.name)
        return real(row, *rest)

    monkeypatch.setattr(upscaling, "load_upscaler", noted)
    return names


def _bytes_of(catalog: Catalog, name: str) -> int:
    tensors = load_file(catalog.find(UpscalerRow, name).file)
    return sum(tensor.numel() * 4 for tensor in tensors.values())


def test_the_least_recently_used_one_makes_room(tiny_catalog: Catalog, loads: list[str]) -> None:
    each = [_bytes_of(tiny_catalog, name) for name in ("mini-upscaler", "double")]
    manager = ModelManager(tiny_catalog, device="cpu", memory_budget_bytes=sum(each) - 1)
    with manager.lease_weights(UPSCALER, "mini-upscaler") as upscaler:
        dropped = weakref.ref(upscaler)
        del upscaler
        with (
            pytest.raises(MemoryBudgetError, match="budget"),
            manager.lease_weights(UPSCALER, "double"),
        ):
            pass
    with manager.lease_weights(UPSCALER, "double"):
        gc.collect()
        assert dropped() is None
    with manager.lease_weights(UPSCALER, "double"), pytest.raises(MemoryBudgetError):
        manager.lease_weights(UPSCALER, "mini-upscaler").__enter__()
    with manager.lease_weights(UPSCALER, "mini-upscaler"):
        pass
    assert loads == ["mini-upscaler", "double", "mini-upscaler"]


def test_one_is_loaded_once_while_there_is_room(tiny_catalog: Catalog, loads: list[str]) -> None:
    manager = ModelManager(tiny_catalog, device="cpu")
    for name in ("mini-upscaler", "double", "mini-upscaler"):
        with (
            manager.lease_weights(UPSCALER, name) as upscaler,
            manager.lease_weights(UPSCALER, name) as again,
        ):
            assert again is upscaler
    assert loads == ["mini-upscaler", "double"]
    kept = weakref.ref(upscaler)
    del upscaler, again
    manager.cache.unload()
    gc.collect()
    assert kept() is None


# The order of numbers in memory


def test_channels_lie_last_where_the_network_can(tmp_path: Path) -> None:
    upscaler, pixels = compact(tmp_path), picture(40, 30)
    made = upscaler.enlarge(pixels)
    assert upscaler.memory_format == torch.channels_last
    (first, *_others) = (each for each in upscaler.network.model.parameters() if each.dim() == 4)
    assert first.is_contiguous(memory_format=torch.channels_last)
    usual = upscaler.network(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])[0]
    assert np.abs(made - usual.permute(1, 2, 0).numpy()).max() < LEVEL / 100


def test_a_network_that_views_its_numbers_in_the_usual_order_is_left_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler, pixels = compact(tmp_path), picture(40, 30)
    made = compact(tmp_path).enlarge(pixels)
    forward = upscaler.network.model.forward

    def viewing(tensor: torch.Tensor) -> torch.Tensor:
        flat = tensor.view(tensor.shape[0], -1)
        return forward(flat.view_as(tensor))

    monkeypatch.setattr(upscaler.network.model, "forward", viewing)
    assert np.abs(upscaler.enlarge(pixels) - made).max() < LEVEL / 100
    assert upscaler.memory_format == torch.contiguous_format


def test_what_overflows_in_half_precision_is_computed_in_float32(tmp_path: Path) -> None:
    compact(tmp_path)
    half = loaded(tmp_path / "compact.safetensors", "float16")
    first, last = _convolutions(half)
    with torch.no_grad():  # larger than float16 can hold on the way, and small at the end
        first.weight.fill_(6e4)
        last.weight.fill_(1e-7)
    pixels = picture(24, 24)
    weights_bytes = half.weights_bytes
    made = half.enlarge(pixels)
    assert np.isfinite(made).all() and not half.half
    assert half.weights_bytes == 2 * weights_bytes
    assert half.enlarge(pixels).tobytes() == made.tobytes()


def test_the_notes_say_that_half_precision_was_given_up(tmp_path: Path) -> None:
    compact(tmp_path)
    half = loaded(tmp_path / "compact.safetensors", "float16")
    with torch.no_grad():
        for layer, value in zip(_convolutions(half), (6e4, 1e-7), strict=True):
            layer.weight.fill_(value)
    pixels = (picture(24, 24) * 255).astype(np.uint8)
    target = Size(24 * half.scale, 24 * half.scale)
    notes = [upscale_raster(pixels, target, half, lambda _step: None, 0).notes for _ in range(2)]
    assert ["NaN" in " ".join(each) for each in notes] == [True, False]


def _convolutions(upscaler: LoadedUpscaler) -> tuple[Any, Any]:
    layers = [
        each for each in upscaler.network.model.modules() if isinstance(each, torch.nn.Conv2d)
    ]
    return layers[0], layers[-1]
