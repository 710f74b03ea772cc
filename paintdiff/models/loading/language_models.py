"""Language models that continue a prompt: GPT-2, read safely from a folder.

Imports torch and transformers: import it in a function.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers.implementations import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.json_files import read_json
from paintdiff.models.formats.pickles.safe_pickle import read_tensors
from paintdiff.models.formats.rust_panics import panics_as_errors
from paintdiff.models.formats.safetensors_reader import read_all_tensors
from paintdiff.models.loading import messages
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.registry.language_model_rows import (
    CONFIG,
    MERGES,
    VOCABULARY,
    LanguageModelRow,
)
from paintdiff.system.regular_files import open_file

MAX_NEW_TOKENS = 60
TOP_K = 40
TEMPERATURE = 0.9
_MAX_BYTES = 8 * 2**20
_SIZES = {
    "vocab_size": 300_000,
    "n_positions": 65_536,
    "n_embd": 8192,
    "n_layer": 96,
    "n_head": 128,
}
"""Settings of a network, and the most that they may be."""
_PREFIXES = ("transformer.", "module.")
_SYNTAX = re.compile(r"[{}<>\[\]()|\\]|__|\s+")
_END = "<|endoftext|>"


class LoadedLanguageModel:
    """A language model in memory, on the CPU in float32."""

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._end = tokenizer.token_to_id(_END)
        self.weights_bytes = sum(
            each.numel() * each.element_size() for each in network.parameters()
        )

    def continue_text(
        self, text: str, seed: int, is_wanted: Callable[[], bool] = lambda: True
    ) -> str:
        """Return what the model appends to a text, on one line and without prompt syntax.

        A seed always gives the same on one machine. It ends early once `is_wanted` returns False.
        """
        ids = self._tokenizer.encode(text).ids or [self._end or 0]
        most = self._network.config.n_positions - MAX_NEW_TOKENS
        with self._lock, torch.inference_mode():
            made = self._sample(ids[-max(1, most) :], seed, is_wanted)
        return _SYNTAX.sub(" ", self._tokenizer.decode(made).partition("\n")[0]).rstrip(" ,")

    def _sample(self, ids: list[int], seed: int, is_wanted: Callable[[], bool]) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        made: list[int] = []
        given, kept = torch.tensor([ids]), None
        room = min(MAX_NEW_TOKENS, self._network.config.n_positions - len(ids))
        while len(made) < room and is_wanted():
            result = self._network(input_ids=given, past_key_values=kept, use_cache=True)
            kept = result.past_key_values
            logits = result.logits[0, -1].float() / TEMPERATURE
            best = torch.topk(logits, min(TOP_K, logits.numel()))
            chosen = torch.multinomial(best.values.softmax(0), 1, generator=generator)
            token = int(best.indices[chosen])
            if token == self._end:
                break
            made.append(token)
            given = torch.tensor([[token]])
        return made


def load_language_model(row: LanguageModelRow, folder: Path) -> LoadedLanguageModel:
    """Load a language model from its folder.

    Raises:
        ModelLoadError: It isn't a GPT-2, or its files are damaged or don't fit each other.
        UnsafeWeightsError: Its weights could run code.
    """
    try:
        config = _read_config(folder / CONFIG)
        tokenizer = _read_tokenizer(folder, config.vocab_size)
        file = folder / row.weights
        is_safetensors = file.suffix == ".safetensors"
        tensors = read_all_tensors(file) if is_safetensors else read_tensors(file)
        return LoadedLanguageModel(_build(config, tensors), tokenizer)
    except Exception as error:
        raise make_load_error(messages.cannot_load_language_model(row.title), error) from error


def _read_config(path: Path) -> GPT2Config:
    """Read what the network's shape depends on, and nothing else."""
    content = read_json(path)
    values = cast("Mapping[str, object]", content) if isinstance(content, dict) else {}
    if values.get("model_type") != "gpt2":
        raise ModelLoadError(messages.not_a_gpt2(str(values.get("model_type"))[:40]))
    sizes: dict[str, int] = {}
    for name, most in _SIZES.items():
        size = values.get(name)
        if not isinstance(size, int) or not 1 <= size <= most:
            raise ModelLoadError(messages.wrong_network_size(name, str(size)[:40], most))
        sizes[name] = size
    settings: dict[str, Any] = {**sizes, "attn_implementation": "eager"}
    return GPT2Config(**settings)


def _build(config: GPT2Config, tensors: Mapping[str, Any]) -> GPT2LMHeadModel:
    """Build the network around tensors that have its names and shapes; it copies nothing else."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in GPT2LMHeadModel(config).state_dict().items()}
    given = {_normalize(name): value for name, value in tensors.items()}
    given.setdefault("lm_head.weight", given.get("transformer.wte.weight"))
    for name, shape in shapes.items():
        value = given.get(name)
        if not isinstance(value, torch.Tensor) or value.shape != shape:
            raise ModelLoadError(messages.weights_do_not_fit(name))
    network = GPT2LMHeadModel(config)
    network.load_state_dict({name: given[name].float() for name in shapes})
    return network.eval().requires_grad_(False)


def _normalize(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name if name.startswith("lm_head.") else f"transformer.{name}"


def _read_tokenizer(folder: Path, vocabulary_size: int) -> Any:
    with open_file(folder / MERGES) as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ModelLoadError(messages.vocabulary_damaged(MERGES))
    pairs = [line.split(" ") for line in data.decode().splitlines() if not line.startswith("#")]
    vocabulary = read_json(folder / VOCABULARY, _MAX_BYTES)
    if not isinstance(vocabulary, dict):
        raise ModelLoadError(messages.vocabulary_damaged(VOCABULARY))
    ids = cast("dict[str, int]", vocabulary)
    if not all(type(each) is int and 0 <= each < vocabulary_size for each in ids.values()):
        raise ModelLoadError(messages.vocabulary_damaged(VOCABULARY))
    merges = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    with panics_as_errors(VOCABULARY):
        try:
            return ByteLevelBPETokenizer(ids, merges)
        except Exception as error:  # the library's own class for all that is wrong
            raise ModelLoadError(messages.vocabulary_damaged(MERGES)) from error
