"""Prompts in the A1111 web UI's language, from the request to the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import RequestError
from paintdiff.jobs.field_messages import FieldMessage
from paintdiff.jobs.request_parts import HiresFix, IpAdapterInput
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.tasks.resolve.prompts import MAX_PARTS
from tests.tasks.pictures import finished, given, painted
from tests.tiny_families import save_tiny_family

LONG = ", ".join(["a red boat on the calm sea"] * 20)


def words(prompt: str, **changes: Any) -> TextToImage:
    """A quick request."""
    return TextToImage(
        **{"prompt": prompt, "seed": 3, "num_inference_steps": 4, "sampler": "DDIM", **changes}
    )


@pytest.fixture(scope="module")
def mini() -> Iterator[Engine]:
    """An engine over the model that ships with the app."""
    with Engine(ModelManager(Catalog.default(), device="cpu")) as engine:
        yield engine


def redness(image: Image.Image) -> float:
    """By how many levels red exceeds the other colours, as a mean over the picture."""
    levels = np.asarray(image.convert("RGB"), dtype=float)
    return float((levels[..., 0] - levels[..., 1:].max(axis=2)).clip(0).mean())


def reds(mini: Engine, prompt: str, **changes: Any) -> list[float]:
    """How red a prompt's pictures of four seeds are."""
    asked = [words(prompt, seed=seed, num_inference_steps=5, **changes) for seed in range(4)]
    return [redness(painted(mini, each)) for each in asked]


@pytest.fixture(scope="module")
def plain_reds(mini: Engine) -> list[float]:
    """Without a weight, which is the same by every kind of emphasis."""
    return reds(mini, "a red house")


@pytest.mark.parametrize("emphasis", ["original", "no_norm", "comfy"])
def test_a_weight_makes_minis_house_redder(
    emphasis: str, mini: Engine, plain_reds: list[float]
) -> None:
    fainter = reds(mini, "a (red:0.4) house", emphasis=emphasis)
    stronger = reds(mini, "a (red:1.6) house", emphasis=emphasis)
    for less, plain, more in zip(fainter, plain_reds, stronger, strict=True):
        assert less < plain < more


def test_numbers_and_brackets_arent_words(mini: Engine) -> None:
    said = finished(mini, words("(red:1.6) house, [cat:dog:0.5]", num_inference_steps=2)).warnings
    assert said == ()
    (said,) = finished(
        mini, words("(red:1.6) house, (zeppelin:1.2)", num_inference_steps=2)
    ).warnings
    assert "“zeppelin”" in said and "1" not in said


def test_a_prompt_without_syntax_paints_as_before(tiny_engine: Engine) -> None:
    for prompt in (
        "a red house",
        "a red house, night: 16:9",
        "  red,,\n house. ",
        "red\0house",
    ):
        now, before = (
            painted(tiny_engine, words(prompt, prompt_syntax=syntax, negative_prompt="snow"))
            for syntax in ("a1111", "plain")
        )
        assert now.tobytes() == before.tobytes()


def test_escaped_brackets_are_painted_as_plain_ones(tiny_engine: Engine) -> None:
    escaped = painted(tiny_engine, words(r"a house \(red\)"))
    plain = painted(tiny_engine, words("a house (red)", prompt_syntax="plain"))
    assert escaped.tobytes() == plain.tobytes()


def test_long_prompts_are_read_to_their_end_unless_they_are_plain(tiny_engine: Engine) -> None:
    texts = [LONG, f"{LONG}, snow at night"]
    cut = [finished(tiny_engine, words(text, prompt_syntax="plain")) for text in texts]
    whole = [finished(tiny_engine, words(text)) for text in texts]
    first, second = (end.pictures[0].image.tobytes() for end in cut)
    assert first == second
    assert all("too long" in " ".join(end.warnings) for end in cut)
    first, second = (end.pictures[0].image.tobytes() for end in whole)
    assert first != second
    assert not any(end.warnings for end in whole)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a house" + " AND a cat" * MAX_PARTS, f"at most {MAX_PARTS}"),
        ("|".join(["[a", *(f"cat {n}" for n in range(200))]) + "]", "changes 200 times"),
    ],
)
def test_what_costs_too_much_is_refused(prompt: str, message: str, tiny_engine: Engine) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        tiny_engine.submit(words(prompt, num_inference_steps=500))
    assert caught.value.field == "prompt"


def test_mistakes_are_quoted_beside_the_prompt(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(words("a (red house, [cat:dog]", num_inference_steps=1))
    unclosed, schedule = job.warnings
    assert "[from:to:0.5]" in schedule
    assert "never closed" in unclosed and "a (red" in unclosed
    assert tiny_engine.submit(words("a red house :)", num_inference_steps=1)).warnings == ()
    late = tiny_engine.submit(words("a house by a green lake, (night", num_inference_steps=1))
    assert "“green lake, (night”" in late.warnings[0], "in whole words"


@pytest.mark.parametrize("family", ["flux", "pixart"])
def test_models_that_cant_weigh_words_say_so(family: str, tmp_path: Path) -> None:
    save_tiny_family(family, tmp_path / family)
    catalog = Catalog.default().with_source(str(tmp_path / family))
    common = {"model": family, "width": 64, "height": 64, "num_inference_steps": 2, "sampler": None}
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        plain = finished(engine, words("a red house", **common))
        weighted = finished(engine, words("a (red:1.4) house", **common))
        changing = finished(engine, words("[a red house:snow:0.5]", **common))
        both = finished(engine, words("a red house AND snow", **common))
    assert plain.warnings == ()
    for end, said in ((weighted, "Weights"), (changing, "change during"), (both, "AND")):
        assert end.pictures[0].image.tobytes() == plain.pictures[0].image.tobytes()
        (warning,) = end.warnings
        assert isinstance(warning, FieldMessage) and warning.field == "prompt"
        assert said in warning and family in warning


def test_a_hires_fix_counts_on(tiny_engine: Engine) -> None:
    hires = HiresFix(scale=1.5, strength=0.5, upscaler="latent")
    first, last, before, during = (
        painted(tiny_engine, words(prompt, hires=hires)).tobytes()
        for prompt in ("a cat", "a dog", "[a cat:a dog:1.0]", "[a cat:a dog:1.5]")
    )
    assert len({first, last, before, during}) == 4


def test_it_paints_again_from_its_settings(tiny_engine: Engine) -> None:
    prompt = "a (red:1.3) [cat|dog] AND snow :0.5 BREAK night"
    end = finished(tiny_engine, words(prompt, emphasis="comfy"))
    again = painted(tiny_engine, end.pictures[0].request)
    assert again.tobytes() == end.pictures[0].image.tobytes()


def test_an_image_prompt_acts_beside_all_of_it(adapter_catalog: Catalog) -> None:
    shown = given(Image.new("RGB", (64, 64), "red"))
    common = {"guidance_scale": 4.0, "ip_adapters": (IpAdapterInput(image=shown, scale=0.8),)}
    long = ", ".join(["a boat"] * 60)
    with Engine(ModelManager(adapter_catalog, device="cpu")) as engine:

        def paint(prompt: str, **changes: Any) -> bytes:
            return painted(engine, words(prompt, **{**common, **changes})).tobytes()

        first, last = paint("a house"), paint("a boat")
        assert len({first, last, paint("[a house:a boat:0.5]"), paint("a house AND a boat")}) == 4
        assert paint("[a house:a boat:99]") == first
        for prompt in ("[a house:a boat:0.5]", "a house AND a boat", f"(a house:1.3), {long}"):
            assert paint(prompt) != paint(prompt, ip_adapters=())
