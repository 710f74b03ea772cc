"""OpenAI's own package against the app, with only its base URL changed."""

from __future__ import annotations

import asyncio
import base64
import io
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, cast

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import ImageEditCompletedEvent, ImageGenCompletedEvent, ImageGenPartialImageEvent
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.gallery.settings.metadata import read_settings
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import TextToImage
from paintdiff.server.authentication.gate import Gate
from tests.api.conftest import Served, serve
from tests.api.sockets import listen

QUICK: dict[str, Any] = {"num_inference_steps": 3, "seed": 5}


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[str]:
    with listen(served.app) as address:
        yield address


@pytest.fixture(scope="module")
def ai(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        yield client


def decode(text: str | None) -> Image.Image:
    assert text is not None
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def encode(image: Image.Image, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def more(answer: Any) -> dict[str, Any]:
    """Return the members that OpenAI's types don't have."""
    return answer.model_extra or {}


def hole(side: int = 128) -> bytes:
    """Return a mask that is transparent in the middle."""
    mask = Image.new("RGBA", (side, side), "black")
    mask.paste((0, 0, 0, 0), (side // 4, side // 4, 3 * side // 4, 3 * side // 4))
    return encode(mask)


# Painting


def test_a_picture_in_base64(ai: OpenAI) -> None:
    answer = ai.images.generate(prompt="a red house", model="mini", extra_body=QUICK)
    assert answer.data is not None and answer.usage is not None
    image = decode(answer.data[0].b64_json)
    assert (image.format, f"{image.width}x{image.height}") == ("PNG", answer.size)
    assert abs(answer.created - time.time()) < 60
    assert (answer.output_format, answer.quality, answer.background) == ("png", "medium", "opaque")
    assert answer.usage.input_tokens == answer.usage.total_tokens == 3
    assert more(answer)["warnings"] == []
    assert more(answer.data[0])["seed"] == 5


def test_several_pictures_of_a_size(ai: OpenAI) -> None:
    answer = ai.images.generate(
        prompt="a red house", n=2, size="64x96", quality="low", extra_body=QUICK
    )
    assert answer.data is not None and answer.size == "64x96"
    images = [decode(each.b64_json) for each in answer.data]
    assert [each.size for each in images] == [(64, 96)] * 2
    assert images[0].tobytes() != images[1].tobytes()


@pytest.mark.parametrize(("format", "magic"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_other_formats_keep_the_settings(ai: OpenAI, format: Any, magic: str) -> None:
    def paint(compression: int) -> bytes:
        answer = ai.images.generate(
            prompt="a red house",
            output_format=format,
            output_compression=compression,
            extra_body=QUICK,
        )
        assert answer.data is not None and answer.data[0].b64_json is not None
        assert answer.output_format == format
        return base64.b64decode(answer.data[0].b64_json)

    best, worst = paint(100), paint(5)
    assert len(worst) < len(best)
    assert Image.open(io.BytesIO(best)).format == magic
    request = read_settings(best).request
    assert isinstance(request, TextToImage)
    assert (request.prompt, request.seed) == ("a red house", 5)


def test_a_link_works_for_everybody_until_it_expires(
    ai: OpenAI, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ai.images.generate(
        prompt="a red house", response_format="url", output_format="jpeg", extra_body=QUICK
    )
    assert answer.data is not None and answer.data[0].b64_json is None
    url = answer.data[0].url
    assert url is not None and url.startswith(f"{address}/v1/images/files/") and ".jpeg?" in url
    with urllib.request.urlopen(url) as response:
        assert response.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(response.read())).format == "JPEG"
    for wrong in (
        url.replace(".jpeg?", ".png?"),
        url.replace("expires=", "expires=9"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
    ):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(wrong)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3700)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url)


@pytest.mark.parametrize("name", ["gpt-image-2", "dall-e-3", "chatgpt-image-latest"])
def test_their_own_models_are_ours(ai: OpenAI, name: str) -> None:
    answer = ai.images.generate(prompt="a red house", model=name, extra_body=QUICK)
    assert name in more(answer)["warnings"][0] and "mini" in more(answer)["warnings"][0]


def test_what_has_no_effect_is_named(ai: OpenAI) -> None:
    answer = ai.images.generate(
        prompt="a red house",
        background="transparent",
        moderation="low",
        user="somebody",
        output_compression=50,
        extra_body=QUICK,
    )
    ignored, transparent, compression = more(answer)["warnings"]
    assert ignored == "These fields have no effect here: moderation, user."
    assert "background" in transparent and "output_compression" in compression


# Editing


def test_an_edit_of_the_whole_picture(ai: OpenAI) -> None:
    image = encode(Image.new("RGB", (128, 128), "red"))
    answer = ai.images.edit(
        image=("red.png", image), prompt="a red house", extra_body={**QUICK, "seed": 1}
    )
    assert answer.data is not None and answer.size == "128x128"
    assert decode(answer.data[0].b64_json).convert("RGB").tobytes() != image


def test_only_the_transparent_part_of_the_mask_changes(ai: OpenAI) -> None:
    source = Image.effect_noise((128, 128), 50).convert("RGB")
    answer = ai.images.edit(
        image=io.BytesIO(encode(source)),
        mask=hole(),
        prompt="a red house",
        size="64x64",
        extra_body=QUICK,
    )
    assert answer.data is not None
    result = decode(answer.data[0].b64_json).convert("RGB")
    corner, middle = (0, 0, 8, 8), (56, 56, 72, 72)
    assert result.crop(corner).tobytes() == source.crop(corner).tobytes()
    assert result.crop(middle).tobytes() != source.crop(middle).tobytes()
    assert "size" in more(answer)["warnings"][0] and result.size == (128, 128)


def test_further_images_are_said_to_have_no_effect(ai: OpenAI) -> None:
    images = [
        ("one.webp", encode(Image.new("RGB", (64, 64), colour), "WEBP"))
        for colour in ("red", "blue", "green")
    ]
    answer = ai.images.edit(image=images, prompt="a red house", extra_body=QUICK)
    assert any("last 2 images" in each for each in more(answer)["warnings"])


# Streams


def test_a_stream_has_previews_then_the_picture(ai: OpenAI) -> None:
    events = list(
        ai.images.generate(
            prompt="a red house",
            stream=True,
            partial_images=2,
            output_format="webp",
            extra_body={"seed": 5, "num_inference_steps": 24},
        )
    )
    *partial, end = events
    assert isinstance(end, ImageGenCompletedEvent)
    assert end.type == "image_generation.completed" and end.usage.input_tokens == 3
    assert decode(end.b64_json).format == "WEBP" and end.size == "128x128"
    assert 1 <= len(partial) <= 2
    for index, each in enumerate(partial):
        assert isinstance(each, ImageGenPartialImageEvent)
        assert each.partial_image_index == index
        assert decode(each.b64_json).format == "WEBP"


def test_a_stream_of_an_edit(ai: OpenAI) -> None:
    image = encode(Image.new("RGB", (128, 128), "red"))
    (end,) = ai.images.edit(image=image, prompt="a red house", stream=True, extra_body=QUICK)
    assert isinstance(end, ImageEditCompletedEvent)
    assert end.type == "image_edit.completed"


def wait_until_idle(engine: Engine) -> None:
    until = time.monotonic() + 60
    while (now := engine.status()).running_job_id is not None or now.queue_length:
        assert time.monotonic() < until
        time.sleep(0.02)


def find_running(engine: Engine) -> Job:
    until = time.monotonic() + 60
    while (running := engine.status().running_job_id) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    return engine.job(running)


@pytest.mark.parametrize("key", [None, "stream-goes-on"])
def test_a_stream_that_nobody_reads_ends_its_job_unless_it_has_a_key(
    served: Served, ai: OpenAI, key: str | None
) -> None:
    engine = served.context.engine
    steps = 1000 if key is None else 60
    stream = ai.images.generate(
        prompt="a red house",
        stream=True,
        partial_images=3,
        extra_body={"num_inference_steps": steps, "profile": "exact"},
        extra_headers={} if key is None else {"Idempotency-Key": key},
    )
    job = find_running(engine)
    stream.close()
    wait_until_idle(engine)
    assert type(job.latest).__name__ == ("Cancelled" if key is None else "Finished")


def test_an_error_in_a_stream_is_raised(served: Served, ai: OpenAI) -> None:
    engine = served.context.engine
    stream = ai.images.generate(
        prompt="a red house",
        stream=True,
        partial_images=1,
        extra_body={"num_inference_steps": 1000},
    )
    find_running(engine).cancel()
    with pytest.raises(openai.APIError, match="cancelled"):
        list(stream)


# Models


def test_models(ai: OpenAI) -> None:
    models = list(ai.models.list())
    assert "mini" in [each.id for each in models]
    assert all(each.object == "model" and each.created > 0 for each in models)
    assert ai.models.retrieve("mini").owned_by == "paintdiffusion"
    with pytest.raises(openai.NotFoundError) as caught:
        ai.models.retrieve("owner/other")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


# Errors


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"prompt": 3}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 10**9}, "n"),
        ({"size": "99999x1"}, "size"),
        ({"size": "1x1"}, "size"),
        ({"size": "big"}, "size"),
        ({"size": "-1x64"}, "size"),
        ({"size": "\u0661\u0662\u0668x128"}, "size"),
        ({"quality": "best"}, "quality"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"partial_images": 4}, "partial_images"),
        ({"response_format": "png"}, "response_format"),
        ({"stream": "perhaps"}, "stream"),
        ({"extra_body": {"seed": -1}}, "seed"),
        ({"extra_body": {"guidance_scale": 1e9}}, "guidance_scale"),
        ({"prompt": "a" * 10_001}, "prompt"),
    ],
)
def test_wrong_values(ai: OpenAI, values: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        cast(Any, ai.images).generate(**{"prompt": "a red house", **values})
    error = caught.value
    assert (error.param, error.type) == (param, "invalid_request_error")
    assert param in error.message


def test_an_unknown_model(ai: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="mino") as caught:
        ai.images.generate(prompt="a red house", model="mino")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("values", "param", "said"),
    [
        ({"image": b"hello"}, "image", "PNG, JPEG or WebP"),
        ({"mask": hole(64)}, "mask", "64"),
        ({"mask": b"hello"}, "mask", "PNG, JPEG or WebP"),
        ({"mask": encode(Image.new("RGB", (128, 128)))}, "mask", "transparent"),
        ({"n": 11}, "n", "10"),
        ({"image": [hole()] * 17}, "image", "16"),
        ({"prompt": "a" * 10_001}, "prompt", "10,000"),
    ],
)
def test_wrong_edits(ai: OpenAI, values: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        cast(Any, ai.images).edit(**{"image": hole(), "prompt": "a red house", **values})
    assert caught.value.param == param


def test_the_guards_refusals_are_theirs_too(served: Served) -> None:
    gate = Gate(("somebody", "secret"))
    with (
        listen(serve(served.context, gate)) as address,
        OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as ai,
    ):
        with pytest.raises(openai.AuthenticationError) as caught:
            ai.models.list()
        assert caught.value.code == "invalid_api_key"
        right = base64.b64encode(b"somebody:secret").decode()
        headers = {"Authorization": f"Basic {right}"}
        assert list(ai.models.list(extra_headers=headers))
        for extra, error in (
            ({"Host": "evil.example"}, openai.APIStatusError),
            ({"Origin": "http://evil.example"}, openai.PermissionDeniedError),
        ):
            with pytest.raises(error) as refused:
                ai.images.generate(prompt="a", extra_headers={**headers, **extra})
            assert refused.value.type == "invalid_request_error"
        with pytest.raises(openai.NotFoundError) as unknown:
            ai.files.list(extra_headers=headers)
        assert unknown.value.code == "not_found"


# The same, without waiting in turn


def test_the_asynchronous_client(address: str) -> None:
    async def paint() -> None:
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as ai:
            one, other = await asyncio.gather(
                *(
                    ai.images.generate(prompt="a red house", extra_body={**QUICK, "seed": seed})
                    for seed in (1, 2)
                )
            )
            assert one.data is not None and other.data is not None
            assert [more(each.data[0])["seed"] for each in (one, other) if each.data] == [1, 2]
            assert one.data[0].b64_json != other.data[0].b64_json
            stream = await ai.images.edit(
                image=hole(), mask=hole(), prompt="a red house", stream=True, extra_body=QUICK
            )
            assert [event.type async for event in stream] == ["image_edit.completed"]
            assert "mini" in [each.id async for each in ai.models.list()]

    asyncio.run(paint())
