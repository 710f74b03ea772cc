"""What is on which device, on a GPU that is only pretended: it computes as the CPU does, and what
mixes devices fails.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paintdiff.engine import Engine
from paintdiff.geometry import Size
from paintdiff.ingredients import ControlInput, FreeU, HiresFix, Upscaling
from paintdiff.input_images import InputImage
from paintdiff.models.catalog import Catalog
from paintdiff.models.denoising import Denoising
from paintdiff.models.manager import ModelManager
from paintdiff.models.plans import USUAL_PLAN, Placement, Plan
from paintdiff.requests import ImageToImage, Inpaint, Request, TextToImage, Upscale
from tests.pictures import png_of
from tests.pretended_gpu import GPU, Remote, pretended_gpu

GIB = 2**30
RUN = Denoising("a red house", "", Size(64, 64), 2, 5.0, "Euler", seed=3)


def test_it_tells_what_mixes_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch, free_bytes=GIB):
        layer = torch.nn.Linear(3, 2)
        expected = layer(torch.ones(1, 3))
        layer.to("cuda")
        assert layer.weight.device == GPU and isinstance(layer.weight, Remote)
        assert torch.equal(layer(torch.ones(1, 3, device="cuda")).cpu(), expected)
        with pytest.raises(RuntimeError, match="same device"):
            layer(torch.ones(1, 3))
        layer.to("cpu")
        assert torch.equal(layer(torch.ones(1, 3)), expected)


def painted(manager: ModelManager, plan: Plan = USUAL_PLAN) -> NDArray[np.uint8]:
    with manager.lease("mini", plan=plan) as leased:
        latents = leased.denoised(RUN, lambda _step, _preview: None)
        return np.asarray(leased.decoded(latents))


@pytest.mark.parametrize("placement", ["resident", "encoders", "models", "groups", "leaves"])
def test_every_placement_has_together_what_belongs_together(
    placement: Placement, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cpu = painted(ModelManager(tiny_catalog, device="cpu"))
    with pretended_gpu(monkeypatch, free_bytes=4 * GIB):
        manager = ModelManager(tiny_catalog, device="cuda", dtype="float32")
        placed, resident = painted(manager, Plan(placement)), painted(manager)
    assert np.array_equal(placed, resident)
    assert np.abs(resident.astype(int) - on_cpu).max() <= 1, "attention is summed in another order"


def drawn(mode: str, box: tuple[int, int, int, int], ground: str, ink: str) -> InputImage:
    picture = Image.new(mode, (64, 64), ground)
    ImageDraw.Draw(picture).rectangle(box, fill=ink)
    return InputImage(data=png_of(picture))


HOUSE = drawn("RGB", (20, 30, 45, 55), "#88bbee", "#cc3333")
MASK = drawn("L", (16, 16, 48, 60), "black", "white")
ASKED: dict[str, Any] = {
    "prompt": "a red house",
    "width": 64,
    "height": 64,
    "num_inference_steps": 4,
    "seed": 3,
}
REQUESTS: dict[str, Request] = {
    "several": TextToImage(**ASKED, num_images=2, variation_strength=0.3),
    "fast": TextToImage(**ASKED, profile="fast"),
    "turbo": TextToImage(**ASKED, profile="turbo"),
    "free u": TextToImage(**ASKED, free_u=FreeU()),
    "hires": TextToImage(**ASKED, hires=HiresFix(scale=1.5, strength=0.6)),
    "hires, latents": TextToImage(**ASKED, hires=HiresFix(scale=1.5, upscaler="latent")),
    "hires, tiled": TextToImage(**ASKED, hires=HiresFix(scale=2, tiled=True)),
    "enlarged": TextToImage(**ASKED, upscaling=Upscaling(scale=2)),
    "controlled": TextToImage(
        **ASKED, controls=(ControlInput(image=HOUSE, preprocessor="canny"),) * 2
    ),
    "image to image": ImageToImage(**ASKED, image=HOUSE, strength=0.6, loopback=2),
    "inpaint": Inpaint(**ASKED, image=HOUSE, mask=MASK, soft=True),
    "inpaint, noise": Inpaint(**ASKED, image=HOUSE, mask=MASK, masked_content="noise"),
    "upscale": Upscale(images=(HOUSE,), upscaling=Upscaling(scale=2)),
}


def test_every_kind_of_run_has_together_what_belongs_together(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pretended_gpu(monkeypatch, free_bytes=4 * GIB),
        Engine(ModelManager(tiny_catalog, device="cuda")) as engine,
    ):
        for name, request in REQUESTS.items():
            pictures = engine.generate(request).pictures
            assert np.asarray(pictures[-1].image).std() > 0, name
        assert engine.status().device == "cuda"
        assert engine.status().memory_total_bytes == 8 * GIB
        for name in tiny_catalog.model("mini").family.sampler_names():
            assert engine.generate(TextToImage(**ASKED, sampler=name)).pictures
