"""A request is resolved with one model look-up, and each of its pictures is decoded once."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import AnnotatorError, JobCancelledError
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import ControlInput, HiresFix, IpAdapterInput
from paintdiff.jobs.requests import ImageToImage, Inpaint, PaintingRequest, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.tasks.resolve.resolve_request import resolve_request
from tests.tasks.pictures import given, image_to_image, inpaint, mask, photo

SIZE = (113, 97)
"""Of the pictures whose decoded copies are looked for in memory: of nothing else."""


RowT = TypeVar("RowT", bound=WeightsRow)


class CountingCatalog(Catalog):
    """A catalog that counts how often each model is looked up."""

    def __init__(self, catalog: Catalog) -> None:
        self.__dict__.update(catalog.__dict__)
        self.looked_up: Counter[str] = Counter()

    def find(self, kind: type[RowT], name: str) -> RowT:
        if kind is ModelRow:
            self.looked_up[name] += 1
        return super().find(kind, name)


@contextmanager
def counted_decodes() -> Iterator[Counter[bytes]]:
    """Count, by the file's bytes, what this thread and those it starts decode."""
    decoded: Counter[bytes] = Counter()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code is decode_image.__code__:
            decoded[frame.f_locals["source"]] += 1

    sys.setprofile(profile)
    threading.setprofile(profile)
    try:
        yield decoded
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def sources(**more: Any) -> dict[str, Any]:
    """A ControlNet and an IP-Adapter, each with a picture of its own."""
    control = ControlInput(image=given(photo(1, *SIZE)), preprocessor="canny")
    return {
        "controls": (control,),
        "ip_adapters": (IpAdapterInput(image=given(photo(2, *SIZE)), scale=1.0),),
        **more,
    }


def hires(**more: Any) -> TextToImage:
    return TextToImage(
        prompt="a red house",
        seed=7,
        num_inference_steps=3,
        width=64,
        height=64,
        hires=HiresFix(strength=0.7, upscaler="double"),
        **sources(**more),
    )


def from_picture(**more: Any) -> ImageToImage:
    return image_to_image(**sources(**more))


def on_canvas(**more: Any) -> Inpaint:
    sketch = Image.new("RGBA", photo().size)
    sketch.paste((255, 0, 0, 255), (4, 4, 20, 20))
    return inpaint(**sources(mask=given(mask()), sketch=given(sketch), **more))


EVERY_KIND = pytest.mark.parametrize("build", [hires, from_picture, on_canvas])


@EVERY_KIND
def test_the_model_is_looked_up_once_and_each_picture_decoded_once(
    build: Callable[..., PaintingRequest], adapter_catalog: Catalog
) -> None:
    catalog, request = CountingCatalog(adapter_catalog), build()
    with counted_decodes() as decoded:
        resolve_request(request, catalog, Profiles.default())
    assert catalog.looked_up == {"mini": 1}
    assert decoded == {image.data: 1 for image in request.input_images()}


@EVERY_KIND
def test_a_job_decodes_each_picture_once(
    build: Callable[..., PaintingRequest], adapter_catalog: Catalog
) -> None:
    """From submitting to the last of several pictures."""
    request = build(num_images=2)
    with (
        counted_decodes() as decoded,
        Engine(ModelManager(adapter_catalog, device="cpu")) as engine,
    ):
        assert len(engine.generate(request).pictures) == 2
    assert decoded == {image.data: 1 for image in request.input_images()}


def test_a_picture_in_several_roles_is_decoded_once(adapter_catalog: Catalog) -> None:
    same = given(photo(1, *SIZE))
    request = from_picture(image=same)
    with counted_decodes() as decoded:
        resolve_request(request, adapter_catalog, Profiles.default())
    assert decoded[same.data or b""] == 1


def count_decoded_pictures() -> int:
    """How many pictures of that size are in memory."""
    gc.collect()
    return sum(type(each) is Image.Image and each.size == SIZE for each in gc.get_objects())


def wait_until_none_is_decoded() -> bool:
    """A job's result comes a moment before the worker drops its frame."""
    until = time.monotonic() + 30
    while count_decoded_pictures():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def end(job: Job) -> None:
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(120)


def test_a_job_that_has_ended_keeps_no_decoded_pictures(adapter_catalog: Catalog) -> None:
    hed = ControlInput(image=given(photo(1, *SIZE)), preprocessor="hed")
    with Engine(ModelManager(adapter_catalog, device="cpu")) as engine:
        done = engine.submit(hires())
        assert done.result(120).pictures
        assert wait_until_none_is_decoded()
        failed = engine.submit(hires().model_copy(update={"controls": (hed,)}))
        with pytest.raises(AnnotatorError):
            failed.result(120)
        assert wait_until_none_is_decoded()
        cancelled = engine.submit(hires(num_images=64))
        end(cancelled)
        assert engine.generate(TextToImage(prompt="x", num_inference_steps=1)).pictures
        assert wait_until_none_is_decoded()
        assert {done.id, failed.id, cancelled.id} == {
            engine.job(each.id).id for each in (done, failed, cancelled)
        }


def test_a_job_that_waits_keeps_no_decoded_pictures(adapter_catalog: Catalog) -> None:
    endless = TextToImage(prompt="x", num_inference_steps=998, num_images=64)
    with Engine(ModelManager(adapter_catalog, device="cpu")) as engine:
        running = engine.submit(endless)
        waiting = engine.submit(hires())
        assert wait_until_none_is_decoded()
        end(running)
        assert waiting.result(120).pictures
