"""Words that were read once aren't read again, unless anything is different that they depend on."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.specs import NO_ADAPTERS, Adapters, FreeUFactors, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.conditioning.prompt_cache import ModelPrompts, PromptCache
from paintdiff.models.inference.denoising_run import Denoising, Source
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files
from tests.tiny_families import save_tiny_family

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

RUN = Denoising("a red house", "a tree", Size(32, 32), 1, 5.0, "Euler", seed=3)
LORA = Adapters(loras=(LoraUse("ink", 1.0, 0.7),))


@contextmanager
def counted(leased: LeasedPipeline) -> Iterator[list[str]]:
    """The text encoders that were called inside."""
    called: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        return lambda *_args: called.append(name)

    handles = [
        part.register_forward_pre_hook(hook(name))
        for name, part in leased.pipeline.components.items()
        if name.startswith("text_encoder") and isinstance(part, torch.nn.Module)
    ]
    try:
        yield called
    finally:
        for handle in handles:
            handle.remove()


def painted(
    manager: ModelManager, run: Denoising = RUN, adapters: Adapters = NO_ADAPTERS
) -> tuple[torch.Tensor, int]:
    """The latents, and how many calls of text encoders they took."""
    name = manager.catalog.rows(ModelRow)[-1].name
    with manager.lease(name, adapters=adapters) as leased, counted(leased) as called:
        return leased.denoise(run, lambda _step, _preview: None), len(called)


@pytest.fixture(scope="module")
def sd1(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelManager:
    """The tiny pipeline with the LoRAs "ink" and "other", and the embedding "mystyle"."""
    place = tmp_path_factory.mktemp("adapters")
    catalog = Catalog.default().with_source(str(tiny_folder))
    with ModelManager(catalog, device="cpu").lease(catalog.rows(ModelRow)[-1].name) as leased:
        parts = leased.pipeline.components
    rows = [
        files.lora_row(
            files.saved(
                place / f"{name}.safetensors", files.in_peft_keys(files.lora_layers(parts, seed=at))
            )
        )
        for at, name in enumerate(("ink", "other"))
    ]
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(5))
    learnt = files.saved(place / "mystyle.safetensors", {"emb_params": vectors})
    family = catalog.rows(ModelRow)[-1].family.name
    catalog = files.with_adapters(
        catalog, loras=rows, embeddings=(files.embedding_row(learnt, family),)
    )
    return ModelManager(catalog, device="cpu")


@pytest.mark.parametrize("family", ["sdxl", "sd3", "qwen-image"])
def test_the_same_words_are_read_once_and_paint_the_same(family: str, tmp_path: Path) -> None:
    save_tiny_family(family, tmp_path / family)
    catalog = Catalog.default().with_source(str(tmp_path / family))
    manager = ModelManager(catalog, device="cpu")
    run = replace(RUN, size=Size(64, 48), sampler=catalog.rows(ModelRow)[-1].sampler)
    first, calls = painted(manager, run)
    assert calls > 0
    again, calls_again = painted(manager, run)
    assert calls_again == 0
    assert torch.equal(first, again)
    bare, calls_bare = painted(ModelManager(catalog, device="cpu", prompt_cache_bytes=0), run)
    assert calls_bare == calls
    assert torch.equal(first, bare)


OTHERS: dict[str, tuple[Denoising, Adapters]] = {
    "prompt": (replace(RUN, prompt="a blue house"), NO_ADAPTERS),
    "negative prompt": (replace(RUN, negative_prompt="a boat"), NO_ADAPTERS),
    "no guidance": (replace(RUN, guidance_scale=1.0), NO_ADAPTERS),
    "clip skip": (replace(RUN, clip_skip=2), NO_ADAPTERS),
    "LoRA": (RUN, LORA),
    "another weight of the LoRA": (RUN, Adapters(loras=(LoraUse("ink", 1.0, 0.6),))),
    "another LoRA": (RUN, Adapters(loras=(LoraUse("other", 1.0, 0.7),))),
    "two LoRAs": (RUN, Adapters(loras=(*LORA.loras, LoraUse("other", 1.0, 0.7)))),
    "embedding": (RUN, Adapters(embeddings=("mystyle",))),
    "the embedding's word": (
        replace(RUN, prompt="mystyle house"),
        Adapters(embeddings=("mystyle",)),
    ),
}


def test_whatever_changes_how_words_are_read_reads_them_anew(sd1: ModelManager) -> None:
    painted(sd1)
    assert painted(sd1)[1] == 0
    for what, (run, adapters) in OTHERS.items():
        fresh, calls = painted(sd1, run, adapters)
        assert calls > 0, what
        again, calls = painted(sd1, run, adapters)
        assert calls == 0, what
        assert torch.equal(fresh, again), what


def test_what_changes_nothing_about_the_words_reads_nothing(sd1: ModelManager) -> None:
    painted(sd1)
    assert painted(sd1, replace(RUN, seed=4, num_inference_steps=2, guidance_scale=3.0))[1] == 0
    only_unet = Adapters(loras=(LoraUse("ink", 1.0, 0.0),), free_u=FreeUFactors(1.1, 1.2, 0.9, 0.2))
    assert painted(sd1, RUN, only_unet)[1] == 0
    run = replace(RUN, source=Source(torch.zeros(1, 4, 4, 4), 1.0))
    with sd1.lease(sd1.catalog.rows(ModelRow)[-1].name, "image_to_image") as leased:
        for calls in (1, 0):  # another class may read them another way
            with counted(leased) as called:
                leased.denoise(run, lambda _step, _preview: None)
            assert bool(called) == bool(calls)


def test_a_model_that_is_loaded_anew_reads_anew(sd1: ModelManager) -> None:
    painted(sd1)
    sd1.cache.unload()
    gc.collect()
    assert sd1._prompts is not None and sd1._prompts.held_bytes == 0
    assert painted(sd1)[1] > 0


def test_nothing_is_left_in_the_pipeline_and_a_broken_run_keeps_nothing(sd1: ModelManager) -> None:
    run = replace(RUN, prompt="a boat that nobody has seen")

    class Reader:
        encode_prompt: Any

    def broken(_prompt: str) -> torch.Tensor:
        raise MemoryError

    reader, prompts = Reader(), PromptCache(1000).for_model()
    reader.encode_prompt = broken
    with pytest.raises(MemoryError), prompts.cache_prompts(reader, ()):
        reader.encode_prompt("a boat")
    assert reader.encode_prompt is broken
    assert not prompts.encoded
    with sd1.lease(sd1.catalog.rows(ModelRow)[-1].name) as leased:
        leased.denoise(run, lambda _step, _preview: None)
        assert "encode_prompt" not in vars(leased.pipeline)


# The bound


class Reads:
    """A pipeline of which nothing is known but how it reads."""

    def __init__(self, numbers: int = 25) -> None:
        self.read: list[object] = []
        self._numbers = numbers

    def encode_prompt(self, prompt: Any, device: Any = None) -> tuple[torch.Tensor, None]:
        self.read.append(prompt)
        return torch.full((self._numbers,), float(len(self.read))), None


def asked(prompts: ModelPrompts, reads: Reads, *words: Any) -> list[float]:
    with prompts.cache_prompts(reads, ()):
        return [float(reads.encode_prompt(each)[0][0]) for each in words]


def test_what_was_used_least_recently_goes_first_over_all_models() -> None:
    cache = PromptCache(300)  # three of 100 bytes
    one, other, reads = cache.for_model(), cache.for_model(), Reads()
    assert asked(one, reads, "a", "b") == [1, 2]
    assert asked(other, reads, "a") == [3]
    assert asked(one, reads, "a") == [1]
    assert asked(other, reads, "c") == [4]
    assert cache.held_bytes == 300
    assert asked(one, reads, "a", "b") == [1, 5]
    assert cache.held_bytes == 300
    del other
    gc.collect()
    assert cache.held_bytes == 200


def test_what_is_larger_than_the_cache_or_no_words_is_read_every_time() -> None:
    cache = PromptCache(300)
    prompts, large, reads = cache.for_model(), Reads(76), Reads()
    assert asked(prompts, large, "a", "a") == [1, 2]
    picture = torch.zeros(1)
    assert asked(prompts, reads, picture, picture) == [1, 2]
    assert asked(prompts, reads, ["a"], "a", ["a"]) == [3, 4, 3]
    assert cache.held_bytes == 200


def test_what_is_given_is_its_own() -> None:
    prompts, reads = PromptCache(300).for_model(), Reads()
    with prompts.cache_prompts(reads, ()):
        for _ in range(3):
            made, _nothing = reads.encode_prompt("a")
            assert made[0] == 1
            made += 1
