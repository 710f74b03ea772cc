"""LoRAs, embeddings, VAEs, refiners, IP-Adapters, FreeU and clip skip in requests, from submitting
to the picture's file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.gallery.settings.metadata import png_info, read_request
from paintdiff.jobs.events import Picture
from paintdiff.jobs.field_messages import FieldMessage, message_field
from paintdiff.jobs.request_parts import (
    ControlInput,
    FreeU,
    HiresFix,
    IpAdapterInput,
    LoraInput,
    Refiner,
)
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.adapter_rows import IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.tasks.resolve.resolve_request import resolve_request
from tests import adapter_files
from tests.job_helpers import pixels
from tests.tasks.pictures import finished, given, image_to_image, inpaint, photo
from tests.tiny import save_tiny_xl_pipeline


def quick(prompt: str = "a red house", **changes: Any) -> TextToImage:
    """A quick request."""
    return TextToImage(prompt=prompt, num_inference_steps=3, seed=7, **changes)


@pytest.fixture(scope="module")
def catalog(adapter_catalog: Catalog) -> Catalog:
    return adapter_catalog


@pytest.fixture(scope="module")
def engine(catalog: Catalog) -> Iterator[Engine]:
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        yield engine


def first(engine: Engine, request: PaintingRequest) -> bytes:
    return pixels(finished(engine, request).pictures[0])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "plain",
    [
        quick(),
        quick(width=64, height=64, hires=HiresFix(strength=0.7, upscaler="double")),
        quick(controls=(ControlInput(image=given(photo())),)),
        image_to_image(),
        inpaint(),
    ],
    ids=["text to image", "hires fix", "control", "image to image", "inpaint"],
)
def test_each_acts_in_every_task_and_leaves_the_next_picture_alone(
    engine: Engine, plain: PaintingRequest
) -> None:
    before = first(engine, plain)
    for change in (
        {"loras": (LoraInput(name="ink"),)},
        {"prompt": "a red house, mystyle"},
        {"vae": "soft"},
        {"clip_skip": 2},
        {"free_u": FreeU(b1=1.6, b2=1.8)},
        {"ip_adapters": (IpAdapterInput(image=given(photo(3)), scale=1.0),)},
    ):
        assert first(engine, plain.model_copy(update=change)) != before, change
    assert first(engine, plain) == before


def test_a_lora_in_the_prompt_is_one_in_the_list(engine: Engine) -> None:
    listed = quick(loras=(LoraInput(name="ink", weight=0.5, text_encoder_weight=0.8),))
    tagged = quick("a red house <lora:ink:0.8:0.5>")
    ended = finished(engine, tagged)
    assert pixels(ended.pictures[0]) == first(engine, listed)
    resolved = ended.pictures[0].request
    assert isinstance(resolved, TextToImage)
    assert resolved.prompt == "a red house <lora:ink:0.8:0.5>"
    assert ended.warnings == ()
    assert ended.pictures[0].hashes.keys() == {"LoRA ink"}


def test_the_weights_of_one_that_is_there_twice_add_up(engine: Engine) -> None:
    twice = quick(
        "a red house <lora:ink:0.5>",
        loras=(LoraInput(name="ink", weight=0.25),),
    )
    once = quick(loras=(LoraInput(name="ink", weight=0.75),))
    ended = finished(engine, twice)
    assert pixels(ended.pictures[0]) == first(engine, once)
    assert ended.warnings == ("The LoRA ink is used 2 times; the weights add up to 0.75.",)


def test_a_picture_of_a_batch_is_its_own_request_again(engine: Engine) -> None:
    loras = (LoraInput(name="ink"), LoraInput(name="wash", weight=0.5))
    batch = quick(num_images=2, loras=loras, free_u=FreeU())
    second = finished(engine, batch).pictures[1]
    assert first(engine, second.request) == pixels(second)  # pyright: ignore[reportArgumentType]


WARNINGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "weight 0": (
        {"loras": (LoraInput(name="ink", weight=0),)},
        "The LoRA ink has no effect at a weight of 0.",
        "loras.0.weight",
    ),
    "weight 0 in the prompt": (
        {"prompt": "a red house <lora:ink:0>"},
        "The LoRA ink has no effect at a weight of 0.",
        "prompt",
    ),
    "malformed": ({"prompt": "a red house <lora:ink:x>"}, "can't be read as a LoRA", "prompt"),
    "negative": (
        {"negative_prompt": "boat <lora:ink:1>"},
        "in the negative prompt has no effect",
        "negative_prompt",
    ),
    "embedding": (
        {"prompt": "a red house, Other"},
        "The embedding other has no effect: it is for sdxl",
        "prompt",
    ),
    "control": (
        {"controls": (ControlInput(image=given(photo()), conditioning_scale=0.0),)},
        "The ControlNet has no effect at a strictness of 0.",
        "controls.0.conditioning_scale",
    ),
    "guidance 1": (
        {"negative_prompt": "boat", "guidance_scale": 1.0},
        "The negative prompt has no effect at a guidance scale of 1",
        "negative_prompt",
    ),
    "scale 0": (
        {"ip_adapters": (IpAdapterInput(image=given(photo()), scale=0.0),)},
        "The IP-Adapter ip has no effect at a scale of 0.",
        "ip_adapters.0.scale",
    ),
}


@pytest.mark.parametrize("why", WARNINGS)
def test_what_has_no_effect_says_so_at_its_control(engine: Engine, why: str) -> None:
    change, sentence, field = WARNINGS[why]
    warnings = engine.submit(quick(**change)).result(120).warnings
    found = next(each for each in warnings if sentence in each)
    assert isinstance(found, FieldMessage)
    assert message_field(found) == field


REFUSED: dict[str, tuple[dict[str, Any], type[RequestError], str, str]] = {
    "unknown LoRA": ({"loras": (LoraInput(name="inc"),)}, UnknownNameError, "ink", "loras.0.name"),
    "unknown LoRA in the prompt": ({"prompt": "a <lora:inc:1>"}, UnknownNameError, "ink", "prompt"),
    "LoRA of another family": (
        {"loras": (LoraInput(name="ink"), LoraInput(name="big"))},
        RequestError,
        "is for Stable Diffusion 1.x",
        "loras.1.name",
    ),
    "weights that add up to too much": (
        {"prompt": "a <lora:ink:9> <lora:ink:9>"},
        RequestError,
        "weight of 18",
        "prompt",
    ),
    "unknown VAE": ({"vae": "sof"}, UnknownNameError, "soft", "vae"),
    "VAE of another family": ({"vae": "big"}, RequestError, "is for sd1", "vae"),
    "unknown refiner": (
        {"refiner": Refiner(model="nobody")},
        UnknownNameError,
        "nobody",
        "refiner.model",
    ),
    "refiner of a family without": (
        {"refiner": Refiner(model="mini")},
        RequestError,
        "doesn't support a refiner",
        "refiner.model",
    ),
    "unknown IP-Adapter": (
        {"ip_adapters": (IpAdapterInput(image=given(photo()), name="nobody"),)},
        UnknownNameError,
        "nobody",
        "ip_adapters.0.name",
    ),
    "IP-Adapter of another family": (
        {"ip_adapters": (IpAdapterInput(image=given(photo()), name="big"),)},
        RequestError,
        "is for sd1",
        "ip_adapters.0.name",
    ),
    "IP-Adapter without an encoder": (
        {"ip_adapters": (IpAdapterInput(image=given(photo()), name="blind"),)},
        RequestError,
        "clip_vision",
        "ip_adapters.0.name",
    ),
    "IP-Adapter without its picture": (
        {"ip_adapters": (IpAdapterInput(image=given(photo()).reference()),)},
        RequestError,
        "Open it again",
        "ip_adapters.0.image",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cant_be_is_refused_before_anything_is_loaded(
    engine: Engine, why: str, nothing_is_loaded: None
) -> None:
    change, kind, words, field = REFUSED[why]
    with pytest.raises(kind, match=words) as error:
        engine.submit(quick(**change))
    assert error.value.field == field


def test_a_clip_skip_beyond_the_text_encoder_fails_in_words(engine: Engine) -> None:
    with pytest.raises(RequestError, match="2 layers") as error:
        engine.generate(quick(clip_skip=5))
    assert error.value.field == "clip_skip"


def test_the_words_of_embeddings_and_tags_are_known(engine: Engine) -> None:
    prompt = "a red house, mystyle <lora:wash:0.5>"
    assert finished(engine, quick(prompt)).warnings == ()


def test_a_picture_carries_what_was_put_into_its_model(engine: Engine, tmp_path: Path) -> None:
    request = quick(
        "a red house, mystyle <lora:ink:0.8>",
        loras=(LoraInput(name="wash", weight=0.5),),
        vae="soft",
        clip_skip=2,
        free_u=FreeU(),
        ip_adapters=(IpAdapterInput(image=given(photo()), scale=0.7),),
    )
    picture = finished(engine, request).pictures[0]
    path = tmp_path / "picture.png"
    picture.image.save(path, pnginfo=png_info(picture))
    assert read_request(path) == picture.request.without_image_data()
    again = _by_parameters(picture, path)
    assert again.prompt == "a red house, mystyle <lora:ink:0.8> <lora:wash:0.5>"
    assert again.loras == ()
    resolved = picture.request
    assert isinstance(resolved, TextToImage)
    for field in ("vae", "clip_skip", "free_u", "seed", "refiner"):
        assert getattr(again, field) == getattr(resolved, field)
    whole = again.model_copy(update={"ip_adapters": resolved.ip_adapters})
    assert first(engine, whole) == pixels(picture)


@pytest.mark.parametrize("of_inputs", [False, True], ids=["rows", "columns"])
def test_a_dora_paints_on_the_embedded_model_and_leaves_it_alone(
    of_inputs: bool, mini_manager: ModelManager, tmp_path: Path
) -> None:
    with mini_manager.lease("mini") as leased:
        parts = leased.pipeline.components
    layers = adapter_files.lora_layers(parts, strength=0.1)
    magnitudes = adapter_files.magnitudes_of(parts, layers, of_inputs=of_inputs)
    for name, tensors in (
        ("plain", adapter_files.in_kohya_keys(layers)),
        ("dora", adapter_files.in_kohya_dora_keys(layers, magnitudes)),
    ):
        adapter_files.saved(tmp_path / f"{name}.safetensors", tensors)
    rows = tuple(adapter_files.lora_row(path) for path in sorted(tmp_path.iterdir()))
    catalog = adapter_files.with_adapters(mini_manager.catalog, loras=rows)
    asked = quick(width=64, height=64, profile="exact")

    def with_lora(name: str, weight: float = 1.0) -> TextToImage:
        return asked.model_copy(update={"loras": (LoraInput(name=name, weight=weight),)})

    with Engine(ModelManager(catalog, device="cpu")) as engine:
        before, plain = first(engine, asked), first(engine, with_lora("plain"))
        ended = finished(engine, with_lora("dora", 0.6))
        assert ended.warnings == ()
        picture = ended.pictures[0]
        assert len({before, plain, pixels(picture), first(engine, with_lora("dora"))}) == 4
        assert first(engine, asked) == before
        path = tmp_path / "picture.png"
        picture.image.save(path, pnginfo=png_info(picture))
        assert first(engine, _by_parameters(picture, path)) == pixels(picture)


def _by_parameters(picture: Picture, path: Path) -> TextToImage:
    """Settings in texts by other tools."""
    info = png_info(picture)
    info.chunks = [chunk for chunk in info.chunks if b"paintdiffusion\0" not in chunk[1]]
    picture.image.save(path, pnginfo=info)
    read = read_request(path)
    assert isinstance(read, TextToImage)
    return read


def test_the_text_is_as_the_a1111_web_ui_writes_it(engine: Engine, tmp_path: Path) -> None:
    request = quick(
        "a red house, mystyle",
        loras=(LoraInput(name="ink"), LoraInput(name="wash", weight=0.5, text_encoder_weight=0.2)),
        vae="soft",
        clip_skip=2,
    )
    picture = finished(engine, request).pictures[0]
    refined = picture.request.model_copy(update={"refiner": Refiner(model="xl", switch_at=0.7)})
    picture = replace(picture, request=refined, hashes={**picture.hashes, "refiner": "0123456789"})
    picture.image.save(tmp_path / "a.png", pnginfo=png_info(picture))
    with Image.open(tmp_path / "a.png") as image:
        text = str(image.info["parameters"])
    lines = text.split("\n")
    hashes = {key: picture.hashes[key] for key in ("LoRA ink", "LoRA wash", "embedding mystyle")}
    assert lines[0] == "a red house, mystyle <lora:ink:1> <lora:wash:0.2:0.5>"
    for part in (
        "Clip skip: 2",
        "VAE: soft",
        f"VAE hash: {picture.hashes['VAE']}",
        f'Lora hashes: "ink: {hashes["LoRA ink"]}, wash: {hashes["LoRA wash"]}"',
        f'TI hashes: "mystyle: {hashes["embedding mystyle"]}"',
        "Refiner: xl [0123456789]",
        "Refiner switch at: 0.7",
    ):
        assert part in lines[-1]
    assert len(hashes["LoRA ink"]) == 12
    assert _by_parameters(picture, tmp_path / "a.png").refiner == Refiner(model="xl", switch_at=0.7)


@pytest.fixture(scope="module")
def refined(tiny_xl_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Two models of SDXL's family, of which one may refine the other's pictures."""
    other = tmp_path_factory.mktemp("refiner") / "other-xl"
    save_tiny_xl_pipeline(other)
    catalog = Catalog.default().with_source(str(tiny_xl_folder)).with_source(str(other))
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        yield engine


@pytest.mark.parametrize(
    ("switch_at", "steps", "why"),
    [
        (0.6, 4, None),
        (1.0, 4, "a switch at 1 leaves it no steps"),
        (0.9999, 4, "leaves it no steps. Switch earlier"),
        (0.0001, 4, "comes before painting begins"),
    ],
)
def test_a_refiner_without_steps_is_told(
    refined: Engine, switch_at: float, steps: int, why: str | None
) -> None:
    request = TextToImage(
        prompt="a red house",
        model="tiny-xl",
        width=64,
        height=64,
        num_inference_steps=steps,
        sampler="Euler",
        seed=1,
        refiner=Refiner(model="other-xl", switch_at=switch_at),
    )
    ended = finished(refined, request)
    told = [each for each in ended.warnings if "refiner" in each]
    assert [message_field(each) for each in told] == ([] if why is None else ["refiner.switch_at"])
    assert why is None or why in told[0]
    assert ("refiner" in ended.pictures[0].hashes) is (switch_at < 1)
    with pytest.raises(RequestError, match="own refiner") as error:
        refined.submit(request.model_copy(update={"refiner": Refiner(model="tiny-xl")}))
    assert error.value.field == "refiner.model"


def test_a_clip_skip_of_two_is_what_sdxl_does_anyway(refined: Engine) -> None:
    request = quick(model="tiny-xl", width=64, height=64, clip_skip=2)
    (told,) = finished(refined, request).warnings
    assert "always uses that layer" in told
    assert message_field(told) == "clip_skip"


def test_a_lora_is_meant_however_it_is_written(engine: Engine) -> None:
    asked = quick(
        "a house <lora:INK.safetensors:0.25> at night", loras=(LoraInput(name="Ink", weight=0.5),)
    )
    job = engine.submit(asked)
    assert isinstance(job.request, TextToImage)
    assert job.request.prompt == "a house <lora:ink:0.25> at night"
    assert [each.name for each in job.request.loras] == ["ink"]
    picture = job.result(120).pictures[0]
    assert any("2 times; the weights add up to 0.75" in each for each in job.warnings)
    assert pixels(picture) == pixels(
        engine.generate(quick("a house <lora:ink:0.75> at night")).pictures[0]
    )
    assert "LoRA ink" in picture.hashes


def test_each_name_is_looked_up_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[tuple[type, str]] = []
    find: Any = Catalog.find

    def counted(self: Catalog, kind: type, name: str) -> Any:
        looked_up.append((kind, name))
        return find(self, kind, name)

    monkeypatch.setattr(Catalog, "find", counted)
    asked = quick(
        "a house <lora:INK:0.5> <lora:wash:1>",
        loras=(LoraInput(name="Ink"), LoraInput(name="INK")),
        vae="Soft",
        controls=(ControlInput(image=given(photo()), controlnet="mini-sketch"),),
        ip_adapters=(IpAdapterInput(image=given(photo()), name="IP"),),
    )
    resolve_request(asked, catalog, Profiles.default())
    wanted = [(ModelRow, "mini"), (LoraRow, "INK"), (LoraRow, "wash"), (LoraRow, "Ink")]
    wanted += [(VaeRow, "Soft"), (ControlNetRow, "mini-sketch"), (IpAdapterRow, "IP")]
    assert Counter(looked_up) == Counter(wanted)


def test_an_error_about_a_name_says_which_was_probably_meant(engine: Engine) -> None:
    with pytest.raises(UnknownNameError) as error:
        engine.submit(quick("a house <lora:inc:1>"))
    assert (error.value.what, error.value.name) == ("LoRA", "inc")
    assert (error.value.suggestion, error.value.field) == ("ink", "prompt")


def test_a_model_without_a_vae_gets_one_that_is_named(catalog: Catalog) -> None:
    row = catalog.find(ModelRow, "mini").model_copy(update={"parts": ("denoiser", "text_encoder")})
    others = tuple(each for each in catalog.rows(ModelRow) if each.name != "mini")
    without = catalog.with_found(
        FoundRows((row, *others, *catalog.rows(VaeRow), *catalog.rows(ControlNetRow)))
    )
    resolved = resolve_request(quick(), without, Profiles.default())
    assert isinstance(resolved.request, TextToImage) and resolved.request.vae == "soft"
    (said,) = [each for each in resolved.warnings if "no VAE of its own" in each]
    assert message_field(said) == "vae"
    own = resolve_request(quick(), catalog, Profiles.default()).request
    assert isinstance(own, TextToImage) and own.vae is None
