from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

from paintdiff.engine.prompt_enhancer import propose_prompts
from paintdiff.errors import ModelError, ModelNotFoundError, RequestError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.loading.language_models import load_language_model
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.language_model_rows import (
    LanguageModelRow,
    make_language_model_rows,
)

WORDS = (
    "<|endoftext|>",
    "\u0120",
    ",",
    *"abcdefghijklmnopqrstuvwxyz",
    "{",
    "_",
    "at",
    "\u0120c",
    "\u0120cat",
)
CONFIG = {"vocab_size": len(WORDS), "n_positions": 80, "n_embd": 16, "n_layer": 2, "n_head": 2}


def save_tiny_gpt2(folder: Path, *, pickled: bool = False, prefix: str = "") -> Path:
    """A GPT-2 of random weights, as transformers saves it."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    network = GPT2LMHeadModel(GPT2Config(**CONFIG, initializer_range=1.0))
    tensors = {
        prefix + name.removeprefix("transformer." if prefix == "" else ""): tensor.clone()
        for name, tensor in network.state_dict().items()
        if not name.startswith("lm_head")
    }
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", **CONFIG}))
    (folder / "vocab.json").write_text(json.dumps({word: id for id, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\na t\n\u0120 c\n\u0120c at\n", "utf-8")
    return folder


def load(folder: Path) -> Any:
    [row] = make_language_model_rows(str(folder))
    return load_language_model(row, folder)


@pytest.fixture
def manager() -> ModelManager:
    return ModelManager(Catalog.default(), device="cpu", dtype="float32")


@pytest.mark.parametrize("pickled", [False, True])
def test_a_seed_continues_a_prompt_alike(tmp_path: Path, *, pickled: bool) -> None:
    model = load(save_tiny_gpt2(tmp_path / "tiny", pickled=pickled))
    texts = [model.continue_text("a cat", seed) for seed in range(6)]
    assert texts == [model.continue_text("a cat", seed) for seed in range(6)]
    assert len(set(texts)) > 1
    assert not any(sign in text for text in texts for sign in ("{", "__", "\n"))
    assert model.weights_bytes > 0


def test_it_predicts_as_transformers_does(tmp_path: Path) -> None:
    folder = save_tiny_gpt2(tmp_path / "tiny")
    model = load(folder)
    torch.manual_seed(0)
    config = GPT2Config(**CONFIG, initializer_range=1.0, attn_implementation="eager")
    network = GPT2LMHeadModel(config).eval()
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(model._network(ids).logits, network(ids).logits)


def test_long_prompts_keep_their_end(tmp_path: Path) -> None:
    model = load(save_tiny_gpt2(tmp_path / "tiny"))
    assert isinstance(model.continue_text("cat, " * 500, 1), str)
    assert isinstance(model.continue_text("", 1), str)


def test_proposals_are_different_and_keep_the_prompt(tmp_path: Path, manager: ModelManager) -> None:
    folder = save_tiny_gpt2(tmp_path / "tiny")
    said: list[str] = []
    made = propose_prompts(manager, "a cat", 3, 5, enhancer=str(folder), on_loading=said.append)
    assert len(made) == 3
    assert all(text.startswith("a cat") for text in made)
    again = propose_prompts(manager, "a cat", 3, 5, enhancer=str(folder))
    assert again == made
    assert propose_prompts(manager, "a cat", 2, 1) == propose_prompts(manager, "a cat", 2, 1)


def test_the_catalog_has_magicprompt(manager: ModelManager) -> None:
    row = manager.catalog.find(LanguageModelRow, "magicprompt")
    assert row.source == "Gustavosta/MagicPrompt-Stable-Diffusion"


def test_what_is_no_language_model_is_refused(tmp_path: Path, manager: ModelManager) -> None:
    with pytest.raises(ModelNotFoundError, match=r"config\.json"):
        propose_prompts(manager, "a cat", enhancer=str(tmp_path / "none"))
    with pytest.raises(RequestError, match="1 to 16"):
        propose_prompts(manager, "a cat", 17, enhancer=str(tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", '{"model_type": "llama"}', "llama"),
        ("config.json", '{"model_type": "gpt2", "vocab_size": 9e9}', "vocab_size"),
        ("config.json", json.dumps({"model_type": "gpt2", **CONFIG, "n_layer": 3}), "don't fit"),
        ("config.json", json.dumps({"model_type": "gpt2", **CONFIG, "n_embd": 8192}), "don't fit"),
        ("config.json", "[" * 5000, "can't be loaded"),
        ("vocab.json", '{"a": 999}', r"vocab\.json"),
        ("vocab.json", '["a"]', r"vocab\.json"),
        ("merges.txt", "x y\n", r"merges\.txt"),
        ("model.safetensors", "nothing", ""),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, file: str, content: str, says: str) -> None:
    folder = save_tiny_gpt2(tmp_path / "tiny")
    (folder / file).write_text(content)
    with pytest.raises(ModelError, match=says or None):
        load(folder)


def test_weights_that_could_run_code_are_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "ran").write_text, ("x",))

    folder = save_tiny_gpt2(tmp_path / "tiny", pickled=True)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ModelError):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_one_in_a_models_folder_is_offered_beside_those_that_ship(tmp_path: Path) -> None:
    models = tmp_path / "models"
    folder = save_tiny_gpt2(models / "llm" / "poet")
    shipped = Catalog.default().rows(LanguageModelRow)
    catalog = LiveCatalog([models], cache=tmp_path / "cache").catalog()
    assert catalog.rows(LanguageModelRow)[:-1] == shipped and shipped
    row = catalog.find(LanguageModelRow, "poet")
    assert row.folder == folder
    manager = ModelManager(catalog, device="cpu")
    named = propose_prompts(manager, "a cat", 2, enhancer="poet")
    assert named and named == propose_prompts(manager, "a cat", 2, enhancer=str(folder))


def test_one_without_its_words_is_listed_as_unusable(tmp_path: Path) -> None:
    folder = save_tiny_gpt2(tmp_path / "models" / "poet")
    (folder / "merges.txt").unlink()
    catalog = LiveCatalog([tmp_path / "models"], cache=tmp_path / "cache").catalog()
    [problem] = catalog.problems()
    assert problem.path == folder and "merges.txt" in problem.reason
