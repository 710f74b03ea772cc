from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from paintdiff.jobs.field_messages import FieldMessage
from paintdiff.jobs.request_parts import FreeU, LoraInput
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow, VaeRow
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.settings.adapter_drawer import insert_tag, replace_in_prompt
from paintdiff.ui.settings.lora_rows import lora_rows
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.loops import inside_a_loop
from tests.ui.fake_engine import FakeEngine
from tests.ui.painting.test_painting_tab import started, values

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def shelves(engine: FakeEngine, tmp_path: Path) -> None:
    """LoRAs for mini and for SDXL, an embedding and a VAE."""
    catalog = engine.manager.catalog
    families = catalog.families()
    lora = LoraRow(
        name="ink",
        title="Ink",
        source="/ink.safetensors",
        family=families["mini"],
        families=("mini",),
        trigger_words=("ink wash", HOSTILE),
    )
    loras = (
        lora,
        lora.model_copy(update={"name": "big", "family": families["sdxl"], "families": ("sdxl",)}),
    )
    embedding = EmbeddingRow(
        name="neg", title="Neg", source="/neg.pt", widths=(256,), families=("mini",)
    )
    vae = VaeRow(name="sharp", title="Sharp", source="/v", families=("mini",), latent_channels=4)
    catalog.beside = (*loras, embedding, vae)


@pytest.fixture
def tab(context: PageContext, shelves: None) -> PaintingTab:
    def build() -> PaintingTab:
        with gr.Blocks():
            return PaintingTab.build(context, TextToImageInputs(context))

    return inside_a_loop(build)


def test_what_is_chosen_goes_into_the_request(tab: PaintingTab, engine: FakeEngine) -> None:
    changed: dict[str, Any] = {"vae": "sharp", "clip_skip": 2, "free_u": True, "free_u_b1": 1.1}
    request = started(tab, engine, **changed).request
    assert (request.vae, request.clip_skip) == ("sharp", 2)
    assert request.free_u == FreeU(b1=1.1)


@pytest.mark.parametrize(
    ("chosen", "syntax", "emphasis"),
    [
        ("original", "a1111", "original"),
        ("no_norm", "a1111", "no_norm"),
        ("comfy", "a1111", "comfy"),
        ("plain", "plain", "original"),
    ],
)
def test_what_brackets_mean_goes_into_the_request_and_comes_back(
    chosen: str, syntax: str, emphasis: str, tab: PaintingTab, engine: FakeEngine
) -> None:
    request = started(tab, engine, prompt_language=chosen).request
    assert (request.prompt_syntax, request.emphasis) == (syntax, emphasis)
    language = tab.adapters.language
    assert tab.fill(request)[language] == chosen
    restored = tab.adapters.restore(BrowserState(settings={"prompt_language": chosen}))
    assert restored[language] == chosen
    unknown = tab.adapters.restore(BrowserState(settings={"prompt_language": "gone"}))
    assert unknown[language] == "original"


def test_nothing_chosen_is_nothing_asked(tab: PaintingTab, engine: FakeEngine) -> None:
    request = started(tab, engine).request
    assert (request.vae, request.clip_skip, request.refiner, request.free_u) == (
        None,
        1,
        None,
        None,
    )
    assert request.loras == () and request.ip_adapters == ()


def test_a_lora_that_is_picked_is_named_in_the_prompt(tab: PaintingTab) -> None:
    drawer = tab.adapters
    offered = drawer._offer_loras("mini")
    assert offered.choices == [("Ink", "ink")], "only what fits"
    _, prompt, rows = drawer._choose_lora("ink", "a cat", "mini")
    assert prompt == "a cat <lora:ink:1>"
    assert 'data-lora="ink"' in rows and "ink wash" in rows
    assert drawer._choose_lora("ink", prompt, "mini")[1] == prompt, "once is enough"
    assert drawer._choose_lora(None, "a cat", "mini")[1] == "a cat"


def test_an_embedding_that_is_picked_is_a_word_of_the_prompt(tab: PaintingTab) -> None:
    drawer = tab.adapters
    assert drawer._choose_embedding("neg", "a cat") == (None, "a cat, neg")
    assert drawer._choose_embedding("neg", "a Neg") == (None, "a Neg")
    assert drawer._offer_embeddings("mini").choices == [("Neg", "neg")]


def test_a_row_says_why_its_lora_has_no_effect(context: PageContext, shelves: None) -> None:
    catalog, model = context.engine.manager.catalog, context.model("mini")

    def said(prompt: str) -> str:
        return lora_rows(prompt, model, catalog, "prompt")

    assert said("a cat") == ""
    assert "why" not in said("<lora:ink:0.5>")
    assert "no effect" in said("<lora:ink:0>")
    assert "Stable Diffusion XL" in said("<lora:big:1>")
    assert "no LoRA &#x27;gone&#x27;" in said("<lora:gone:1>")
    assert "why" not in said("<lora:INK.safetensors:1>"), "it is the same"
    assert "0.5, words 0.2" in said("<lora:ink:0.2:0.5>")


def test_names_and_words_are_text(context: PageContext, shelves: None) -> None:
    catalog, model = context.engine.manager.catalog, context.model("mini")
    rows = lora_rows(r"<lora:\<img src=x onerror=alert(1)\>:1> <lora:ink:1>", model, catalog, "p")
    assert "<img" not in rows and "&lt;img" in rows


def test_what_has_no_effect_is_said_beside_it(tab: PaintingTab, engine: FakeEngine) -> None:
    sent = values(tab)
    updates = tab.start(sent)
    job = engine.jobs[updates[tab.run_panel.job]]
    job.warnings = (FieldMessage("It has no effect.", "clip_skip"), "Something else.")
    shown = tab.run_panel.restore(BrowserState(job_ids=(job.id,)))
    assert "It has no effect." in shown[tab.notes["clip_skip"]]
    assert "Something else." in shown[tab.notes["warnings"]]
    assert "It has no effect." not in shown[tab.notes["warnings"]]


def test_settings_come_back_after_a_reload(tab: PaintingTab) -> None:
    drawer = tab.adapters
    stored = {"vae": "sharp", "clip_skip": 3, "free_u": True, "prompt": "x <lora:ink:0.4>"}
    updates = drawer.restore(BrowserState(settings=stored))
    assert updates[drawer.vae].value == "sharp" and updates[drawer.clip_skip] == 3
    assert "ink" in updates[drawer.rows] and updates[drawer.free_u] is True
    gone = drawer.restore(BrowserState(settings={"vae": "gone", "clip_skip": 99, "refiner": 7}))
    assert gone[drawer.vae].value == "own" and gone[drawer.clip_skip] == 1


def test_the_settings_of_a_picture_come_back_with_its_loras_in_the_prompt(
    tab: PaintingTab,
) -> None:
    request: PaintingRequest = TextToImage(
        prompt="a cat",
        loras=(
            LoraInput(name="ink", weight=0.5),
            LoraInput(name="ink2", weight=1, text_encoder_weight=0),
        ),
        vae="sharp",
        clip_skip=2,
        free_u=FreeU(s1=0.5),
    )
    updates = tab.fill(request)
    assert updates[tab.prompt] == "a cat <lora:ink:0.5> <lora:ink2:0:1>"
    assert updates[tab.adapters.clip_skip] == 2
    assert updates[tab.adapters.factors["s1"]] == 0.5
    assert updates[tab.adapters.vae].value == "sharp"


def test_a_prompt_names_each_lora_once() -> None:
    assert insert_tag("", "ink") == "<lora:ink:1>"
    assert replace_in_prompt("<lora:ink:0.3>", [LoraInput(name="ink")]) == "<lora:ink:0.3>"
    assert replace_in_prompt("a", [LoraInput(name="a:b")]) == r"a <lora:a\:b:1>"


def test_a_lora_that_is_not_there_can_be_replaced_or_left_out(tab: PaintingTab) -> None:
    updates = tab.start(values(tab, prompt="a cat <lora:inkk:1>"))
    said = updates[tab.notes["prompt"]]
    assert "There is no LoRA &#x27;inkk&#x27;" in said
    assert 'data-missing="inkk" data-prompt="prompt" data-generate="generate"' in said
    assert '<button type="button" data-instead="ink">Use ink</button>' in said
    assert "Paint without it" in said
    updates = tab.start(values(tab, prompt=rf"<lora:\{HOSTILE[:-1]}\>:1>"))
    said = updates[tab.notes["prompt"]]
    assert "<img" not in said and "data-instead" not in said and "Paint without it" in said
