"""Wildcards and styles, from the request to the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paintdiff.engine.engine import Engine
from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.request_parts import PromptTexts
from paintdiff.jobs.requests import TextToImage, parse_saved_request
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.prompts.library import PromptLibrary
from tests.tasks.pictures import finished, painted


def quick(prompt: str, **changes: Any) -> TextToImage:
    return TextToImage(**{"prompt": prompt, "seed": 3, "num_inference_steps": 1, **changes})


@pytest.fixture
def words(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "wildcards"
    folder.mkdir(parents=True)
    (folder / "ink.txt").write_text("<lora:ink:0.7>\n<lora:wash:0.5>\na {red|blue} house")
    return folder


@pytest.fixture
def engine(adapter_catalog: Catalog, words: Path, tmp_path: Path) -> Iterator[Engine]:
    library = PromptLibrary([words.parent], tmp_path)
    manager = ModelManager(adapter_catalog, device="cpu")
    with Engine(manager, library=library, store=PictureFolder(tmp_path / "out")) as engine:
        yield engine


def test_a_picture_of_a_batch_is_the_single_picture_of_its_seed(engine: Engine) -> None:
    batch = quick("a {red|blue|green} house __ink__", num_images=6)
    pictures = finished(engine, batch).pictures
    assert len({picture.request.prompt for picture in pictures}) > 2
    for index, picture in enumerate(pictures):
        alone = engine.generate(quick(batch.prompt, seed=3 + index)).pictures[0]
        assert picture.request == alone.request
        assert picture.image.tobytes() == alone.image.tobytes()


def test_a_picture_keeps_its_prompt_after_the_file_changed(engine: Engine, words: Path) -> None:
    asked = quick("a house, __ink__", negative_prompt="{cat|dog}", styles=("Mini at night",))
    picture = finished(engine, asked).pictures[0]
    (words / "ink.txt").write_text("something else")
    assert picture.path is not None
    request = read_request(picture.path)
    assert request == picture.request
    assert isinstance(request, TextToImage)
    assert request.wildcards == "off"
    assert request.template is not None
    assert request.template.prompt == "a house, __ink__"
    assert request.template.styles == ("Mini at night",)
    assert "at night" in request.prompt
    assert "__" not in request.prompt
    assert request.negative_prompt in ("cat", "dog")
    assert painted(engine, request).tobytes() == picture.image.tobytes()


def test_loras_in_wildcards_apply(engine: Engine) -> None:
    asked = quick("a house <lora:{ink|wash}:0.7>", num_images=2, wildcards="combinatorial", seed=2)
    pictures = finished(engine, asked).pictures
    for picture, name in zip(pictures, ("ink", "wash"), strict=True):
        assert picture.request.prompt == f"a house <lora:{name}:0.7>"
        alone = quick(picture.request.prompt, seed=picture.request.seed)
        assert painted(engine, alone).tobytes() == picture.image.tobytes()
        assert f"LoRA {name}" in picture.hashes or not picture.hashes


def test_a_resolved_request_paints_its_own_expansions(engine: Engine) -> None:
    resolved = engine.submit(quick("a {red|blue} house", num_images=3))
    resolved.result()
    again = finished(engine, resolved.request).pictures
    assert resolved.request.prompt == "a {red|blue} house"
    assert [each.request for each in again] == [each.request for each in resolved.pictures]


def test_combinations_say_how_many_there_are(engine: Engine) -> None:
    asked = quick("a {red|blue} {house|boat}", wildcards="combinatorial", num_images=4)
    done = finished(engine, asked)
    assert len({picture.request.prompt for picture in done.pictures}) == 4
    fewer = finished(engine, asked.model_copy(update={"num_images": 3}))
    assert any("4 combinations, of which 3" in warning for warning in fewer.warnings)


def test_variations_of_one_picture_choose_alike(engine: Engine) -> None:
    asked = quick("a {red|blue|green|pink} house", num_images=4, variation_strength=0.3)
    assert len({each.request.prompt for each in finished(engine, asked).pictures}) == 1


@pytest.mark.parametrize("changes", [{"prompt_syntax": "plain"}, {"wildcards": "off"}])
def test_text_stays_text(engine: Engine, changes: dict[str, Any]) -> None:
    request = finished(engine, quick("a {red|blue} __house__ {", **changes)).pictures[0].request
    assert request.prompt == "a {red|blue} __house__ {"
    assert request.template is None


def test_settings_saved_before_templates_say_what_they_said() -> None:
    saved = {"prompt": "a {red|blue} house", "prompt_syntax": "a1111"}
    request = parse_saved_request(saved)
    assert isinstance(request, TextToImage)
    assert request.wildcards == "off"


@pytest.mark.parametrize(
    ("request_", "kind", "field"),
    [
        (quick("a {red|blue"), RequestError, "prompt"),
        (quick("a", negative_prompt="__nope__"), UnknownNameError, "negative_prompt"),
        (quick("a", styles=("nope",)), UnknownNameError, "styles"),
        (quick("{a|<lora:nope:1>}", num_images=9), UnknownNameError, "prompt"),
        (
            quick("a", expansions=(PromptTexts(prompt="b"),), num_images=2),
            RequestError,
            "expansions",
        ),
        (
            quick("a", styles=("Watercolour",) * 16, seed=2**32 - 1, num_images=2),
            RequestError,
            "seed",
        ),
    ],
)
def test_what_cannot_be_expanded_is_refused_at_its_field(
    engine: Engine, request_: TextToImage, kind: type[RequestError], field: str
) -> None:
    with pytest.raises(kind) as caught:
        engine.submit(request_)
    assert caught.value.field == field
