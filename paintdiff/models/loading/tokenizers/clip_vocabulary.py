"""CLIP's vocabulary. It ships with the app, so single-file checkpoints load without a network.

It is the list of byte pairs of OpenAI's CLIP (Radford et al. 2021, arXiv:2103.00020), numbered as
in its `simple_tokenizer`. Importable without torch.
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
from paintdiff.models.loading import messages

TOKENS = 49_408
MERGES = 48_894

_START, _END = "<|startoftext|>", "<|endoftext|>"
_SETTINGS = ("model_max_length", "pad_token", "bos_token", "eos_token", "unk_token")


@dataclass(frozen=True)
class ClipVocabulary:
    """Token ids, and the pairs to merge, the most frequent first."""

    ids: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]


def read_clip_vocabulary(presets: Path | None = None) -> ClipVocabulary:
    """Read CLIP's TOKENS tokens and MERGES merges from `presets` (default: the shipped ones).

    Raises:
        PresetError: The file is missing or isn't CLIP's vocabulary.
    """
    path = (presets or presets_folder()) / "clip" / "bpe_simple_vocab_16e6.txt.gz"
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise PresetError(messages.vocabulary_unreadable(path, error)) from error
    merges = [tuple(line.split()) for line in lines[1 : MERGES + 1]]
    letters = _list_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += ["".join(merge) for merge in merges]
    ids = {token: number for number, token in enumerate([*tokens, _START, _END])}
    if len(ids) != TOKENS or any(len(merge) != 2 for merge in merges):
        raise PresetError(messages.not_the_vocabulary(path, len(ids)))
    return ClipVocabulary(ids, tuple((left, right) for left, right in merges))


def build_clip_tokenizer(folder: Path) -> Any:
    """Build a folder's tokenizer from its own vocabulary, else from CLIP's.

    CLIP's is combined with the settings in the folder's `tokenizer_config.json`. Nothing else is
    read. Imports transformers.

    Raises:
        PresetError: The files are missing or invalid.
    """
    import transformers  # noqa: PLC0415 (the vocabulary can be read without it)

    if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
        with panics_as_errors(str(folder)):
            return transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    path = folder / "tokenizer_config.json"
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise PresetError(messages.config_unreadable(path, error)) from error
    settings = {
        key: value
        for key, value in validate_row(dict[str, Any], content, path).items()
        if key in _SETTINGS
    }
    vocabulary = read_clip_vocabulary()
    merges: Any = list(vocabulary.merges)  # it accepts pairs, whatever its types say
    return transformers.CLIPTokenizer(vocab=dict(vocabulary.ids), merges=merges, **settings)


def _list_letters() -> list[str]:
    """List a printable letter for each byte, in CLIP's order: its own, else one from 256 on."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    own += range(ord("®"), ord("ÿ") + 1)
    return [*map(chr, own), *(chr(256 + number) for number in range(256 - len(own)))]
