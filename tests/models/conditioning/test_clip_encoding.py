"""Weighted prompts of any length, against an independent reading of the A1111 web UI's rules."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.specs import Adapters, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.conditioning.emphasis import weigh_tokens
from paintdiff.models.conditioning.prompt_conditioning import PromptConditioning
from paintdiff.models.conditioning.prompt_plan import ALONE, PromptReading
from paintdiff.models.conditioning.token_chunks import read_layout, split_into_chunks
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.attention import Emphasis, Span, parse_attention
from tests import adapter_files as files
from tests.tiny import tiny_tokenizer
from tests.tiny_families import save_tiny_family

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

A1111 = PromptReading("a1111")
RUN = Denoising("a red house", "", Size(64, 64), 2, 5.0, "Euler", seed=3, reading=A1111)
LONG = ", ".join(["a red boat on the calm sea"] * 20)


# The rules, written down once more: plainly, and for the pipeline of one CLIP alone.


def list_tokens(tokenizer: Any, text: str) -> list[tuple[int, float] | None]:
    listed: list[tuple[int, float] | None] = []
    for span in parse_attention(text):
        if isinstance(span, Span):
            listed += [
                (number, span.weight)
                for number in tokenizer(span.text, add_special_tokens=False).input_ids
            ]
        else:
            listed.append(None)
    return listed


def divide(listed: list[tuple[int, float] | None], comma: int) -> list[list[tuple[int, float]]]:
    chunks: list[list[tuple[int, float]]] = [[]]
    for token in listed:
        if token is None:
            chunks.append([])
            continue
        if len(chunks[-1]) == 75:
            commas = [at for at, (number, _) in enumerate(chunks[-1]) if number == comma]
            moved: list[tuple[int, float]] = []
            if token[0] != comma and commas and 75 - commas[-1] <= 20:
                moved = chunks[-1][commas[-1] + 1 :]
                del chunks[-1][commas[-1] + 1 :]
            chunks.append(moved)
        chunks[-1].append(token)
    return chunks if len(chunks) == 1 or chunks[-1] else chunks[:-1]


def encode_plainly(leased: LeasedPipeline, text: str) -> torch.Tensor:
    tokenizer, encoder = leased.pipeline.tokenizer, leased.pipeline.text_encoder
    chunks = divide(list_tokens(tokenizer, text), tokenizer.get_vocab()[",</w>"])
    encoded: list[torch.Tensor] = []
    for chunk in chunks:
        missing = 75 - len(chunk)
        ids = [tokenizer.bos_token_id, *(number for number, _ in chunk)]
        ids += [tokenizer.eos_token_id, *[tokenizer.pad_token_id] * missing]
        with torch.no_grad():
            z = encoder(torch.tensor([ids]))[0]
        weights = torch.tensor([1.0, *(weight for _, weight in chunk), *[1.0] * (missing + 1)])
        weighted = z * weights[None, :, None]
        encoded.append(weighted * (z.mean() / weighted.mean()))
    return torch.cat(encoded, dim=1)


def condition(
    leased: LeasedPipeline, prompt: str, negative: str = "", emphasis: Emphasis = "original"
) -> PromptConditioning:
    prompts = leased.prompts
    plan = prompts.plan(prompt, negative, "a1111", 10)
    with prompts.encode_prompts(1, cached=False) as remember:
        reading = PromptReading("a1111", emphasis)
        return prompts.condition(plan, reading, ALONE, 10, remember, guided=True)


@pytest.fixture(scope="module")
def leased(tiny_folder: Path) -> Iterator[LeasedPipeline]:
    catalog = Catalog.default().with_source(str(tiny_folder))
    with ModelManager(catalog, device="cpu").lease(tiny_folder.name) as made:
        yield made


REALISTIC = [
    "a (red:1.4) house",
    "(masterpiece:1.2), best quality, ((night)), [snow]",
    "a cat BREAK a (dog:0.8) on a hill",
    f"{LONG}, (night:1.3)",
    f"{LONG}, " + "calm " * 40,
    "calm " * 75 + "sea",
    "calm " * 74 + ", the (sea:1.2)",
    "BREAK a house",
    "a house BREAK",
    r"a house \(red\), (blue:1.1)",
    "(a:-0.5) house",
]


@pytest.mark.parametrize("text", REALISTIC)
def test_encodings_equal_an_independent_reading_of_the_rules(
    text: str, leased: LeasedPipeline
) -> None:
    found = condition(leased, text).read(0).hidden
    torch.testing.assert_close(found, encode_plainly(leased, text))


def test_chunk_borders_equal_an_independent_reading_of_the_rules() -> None:
    tokenizer, chosen = tiny_tokenizer(), random.Random(3)
    layout = read_layout(tokenizer, ())
    comma = tokenizer.get_vocab()[",</w>"]
    others = tokenizer("a red house calm sea", add_special_tokens=False).input_ids
    for _ in range(400):
        rarity = chosen.choice([0.0, 0.01, 0.05, 0.3, 1.0])
        listed: list[tuple[int, float] | None] = [
            None
            if chosen.random() < 0.004
            else (comma if chosen.random() < rarity else chosen.choice(others), chosen.random())
            for _ in range(chosen.randint(0, 330))
        ]
        pieces = [each and ([each[0]], each[1]) for each in listed]
        found = [
            list(zip(chunk.ids, chunk.weights, strict=True))[1 : 1 + len(expected)]
            for chunk, expected in zip(
                split_into_chunks(pieces, layout), divide(listed, comma), strict=True
            )
        ]
        assert found == divide(listed, comma)


def test_each_rule_of_emphasis() -> None:
    hidden = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1)) + 0.5
    empty = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(2))
    weights = (1.0, 1.5, 0.5, 1.0)
    by_rule: dict[Emphasis, torch.Tensor] = {
        rule: weigh_tokens(hidden, weights, rule, lambda: empty)
        for rule in ("original", "no_norm", "comfy")
    }
    torch.testing.assert_close(by_rule["no_norm"][0, 1], hidden[0, 1] * 1.5)
    torch.testing.assert_close(by_rule["original"].mean(), hidden.mean())
    torch.testing.assert_close(
        by_rule["comfy"][0, 2], empty[0, 2] + 0.5 * (hidden[0, 2] - empty[0, 2])
    )
    assert torch.equal(by_rule["comfy"][0, 0], hidden[0, 0]) or torch.allclose(
        by_rule["comfy"][0, 0], hidden[0, 0]
    )


def test_weights_of_nothing_stay_finite() -> None:
    none = weigh_tokens(torch.ones(1, 2, 4), (0.0, 0.0), "original", lambda: torch.zeros(1, 2, 4))
    assert torch.equal(none, torch.zeros(1, 2, 4))


def test_both_prompts_have_as_many_chunks(leased: LeasedPipeline) -> None:
    found = condition(leased, LONG, "snow")
    negative = found.read_negative()
    assert negative is not None
    assert found.read(0).hidden.shape == negative.hidden.shape
    empty = condition(leased, "").read(0).hidden
    assert torch.equal(negative.hidden[:, -77:], empty)


def paint(leased: LeasedPipeline, run: Denoising) -> torch.Tensor:
    return leased.denoise(run, lambda _step, _preview: None)


FAMILIES = ("sd1", "sd2", "sdxl", "sdxl-refiner", "sd3")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_clip_family_takes_weights_and_long_prompts(family: str, tmp_path: Path) -> None:
    save_tiny_family(family, tmp_path / family)
    catalog = Catalog.default().with_source(str(tmp_path / family))
    row = catalog.rows(ModelRow)[-1]
    assert row.family.takes_weights
    run = replace(RUN, sampler=row.sampler)
    task = next(iter(row.family.pipelines))
    if task == "image_to_image":
        from PIL import Image  # noqa: PLC0415

        from paintdiff.models.inference.denoising_run import Source  # noqa: PLC0415

        run = replace(run, source=Source(Image.new("RGB", (64, 64), "#808080"), 1.0))
    with ModelManager(catalog, device="cpu").lease(family, task) as leased:
        plain = paint(leased, run)
        assert torch.equal(plain, paint(leased, replace(run, reading=PromptReading())))
        changed = ["a (red:1.6) house", "a red BREAK house", f"a red house, {LONG}"]
        pictures = [plain, *(paint(leased, replace(run, prompt=text)) for text in changed)]
        for number, one in enumerate(pictures):
            assert not any(torch.equal(one, other) for other in pictures[:number])
        # Our own encoding of a prompt without syntax is the pipeline's.
        found = condition(leased, "a red house", "a boat")
        settings = found.build_settings()
        bare = leased.pipeline.encode_prompt(
            **{"prompt": "a red house", "negative_prompt": "a boat"},
            **{"device": torch.device("cpu"), "num_images_per_prompt": 1},
            do_classifier_free_guidance=True,
            **({"prompt_2": None, "prompt_3": None} if family == "sd3" else {}),
        )
        names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds")
        for name, expected in zip(names, bare, strict=False):
            assert torch.equal(settings[name], expected)


def test_sdxl_takes_the_first_chunks_pooled_output(tiny_xl_folder: Path) -> None:
    catalog = Catalog.default().with_source(str(tiny_xl_folder))
    with ModelManager(catalog, device="cpu").lease(tiny_xl_folder.name) as leased:
        one, two = (condition(leased, text).read(0) for text in ("a cat", "a cat BREAK a dog"))
        assert one.pooled is not None and two.pooled is not None
        assert torch.equal(one.pooled, two.pooled)
        nothing = condition(leased, "a (cat:1.2)").read_negative()
        assert nothing is not None and not nothing.hidden.any()


def test_clip_skip_embeddings_and_text_encoder_loras_act_on_weighted_prompts(
    tiny_folder: Path, tmp_path: Path
) -> None:
    catalog = Catalog.default().with_source(str(tiny_folder))
    name = catalog.rows(ModelRow)[-1].name
    with ModelManager(catalog, device="cpu").lease(name) as leased:
        layers = files.lora_layers(leased.pipeline.components, seed=1)
    lora = files.saved(tmp_path / "ink.safetensors", files.in_peft_keys(layers))
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(5))
    learnt = files.saved(tmp_path / "mystyle.safetensors", {"emb_params": vectors})
    family = catalog.rows(ModelRow)[-1].family.name
    manager = ModelManager(
        files.with_adapters(
            catalog,
            loras=[files.lora_row(lora)],
            embeddings=(files.embedding_row(learnt, family),),
        ),
        device="cpu",
    )
    run = replace(RUN, prompt="a (red:1.5) house in mystyle")
    made: list[torch.Tensor] = []
    for adapters, clip_skip in (
        (Adapters(), 1),
        (Adapters(), 2),
        (Adapters(embeddings=("mystyle",)), 1),
        (Adapters(embeddings=("mystyle",)), 2),
        (Adapters(loras=(LoraUse("ink", 0.0, 1.0),)), 1),
    ):
        with manager.lease(name, adapters=adapters) as leased:
            made.append(paint(leased, replace(run, clip_skip=clip_skip)))
            assert torch.equal(made[-1], paint(leased, replace(run, clip_skip=clip_skip)))
    for number, one in enumerate(made):
        assert not any(torch.equal(one, other) for other in made[:number])
    with manager.lease(name, adapters=Adapters(embeddings=("mystyle",))) as leased:
        layout = read_layout(leased.pipeline.tokenizer, leased.adapters.tokens.values())
        assert list(layout.vectors.values()) == [3]
        text = leased.prompts.prepare_text("calm " * 73 + "mystyle")
        ids = leased.pipeline.tokenizer(text, add_special_tokens=False).input_ids
        first, second = split_into_chunks([(ids, 1.0)], layout)
        assert first.ids[73:75] == (first.ids[1], layout.end)
        assert second.ids[1] in layout.vectors
