"""CLIP's vocabulary, which ships with us, so that a single file of Stable Diffusion (it has weights
and no words) needs no network.

It is the list of byte pairs of OpenAI's CLIP (Radford et al. 2021, arXiv:2103.00020), and the
tokens are numbered as its `simple_tokenizer` numbers them. Importable without torch.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paintdiff.config.presets import presets_folder, validate_row
from paintdiff.errors import PresetError
from paintdiff.models.formats.json_files import read_json
from paintdiff.models.formats.rust_panics import panics_as_errors

TOKENS = 49_408
MERGES = 48_894

_START, _END = "<|startoftext|>", "<|endoftext|>"
_SETTINGS = ("model_max_length", "pad_token", "bos_token", "eos_token", "unk_token")


@dataclass(frozen=True)
class ClipVocabulary:
    """`ids` numbers the tokens, `merges` are the pairs that are joined, the most frequent first."""

    ids: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]


def read_clip_vocabulary(presets: Path | None = None) -> ClipVocabulary:
    """The TOKENS tokens and MERGES merges of CLIP, from `presets` (those that ship unless given).

    Raises PresetError if the file isn't there or isn't that list.
    """
    path = (presets or presets_folder()) / "clip" / "bpe_simple_vocab_16e6.txt.gz"
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise PresetError(f"CLIP's vocabulary {path} can't be read: {error}") from error
    merges = [tuple(line.split()) for line in lines[1 : MERGES + 1]]
    letters = _letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += ["".join(merge) for merge in merges]
    ids = {token: number for number, token in enumerate([*tokens, _START, _END])}
    if len(ids) != TOKENS or any(len(merge) != 2 for merge in merges):
        raise PresetError(f"{path} isn't CLIP's vocabulary: it has {len(ids):,} tokens.")
    return ClipVocabulary(ids, tuple((left, right) for left, right in merges))


def build_clip_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder: its own vocabulary if it has one, else CLIP's with the settings in
    its `tokenizer_config.json`.

    Reads nothing but these files. Raises PresetError if they don't fit. Imports transformers.
    """
    import transformers  # noqa: PLC0415 (the words can be had without)

    if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
        with panics_as_errors(str(folder)):
            return transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    path = folder / "tokenizer_config.json"
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise PresetError(f"{path} can't be read: {error}") from error
    settings = {
        key: value
        for key, value in validate_row(dict[str, Any], content, path).items()
        if key in _SETTINGS
    }
    vocabulary = read_clip_vocabulary()
    merges: Any = list(vocabulary.merges)  # it takes pairs, too, whatever its types say
    return transformers.CLIPTokenizer(vocab=dict(vocabulary.ids), merges=merges, **settings)


def _letters() -> list[str]:
    """A printable letter for each byte: its own where it has one, else one from 256 on, in the
    order in which CLIP numbers them.
    """
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    own += range(ord("®"), ord("ÿ") + 1)
    return [*map(chr, own), *(chr(256 + number) for number in range(256 - len(own)))]
