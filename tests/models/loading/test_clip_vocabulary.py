from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from paintdiff.config.presets import presets_folder
from paintdiff.errors import PresetError
from paintdiff.models.loading.tokenizers.clip_vocabulary import (
    MERGES,
    TOKENS,
    build_clip_tokenizer,
    read_clip_vocabulary,
)

CONFIGS = presets_folder() / "configs"
START, END = 49_406, 49_407


def test_it_has_all_of_clips_tokens_and_merges() -> None:
    vocabulary = read_clip_vocabulary()
    assert len(vocabulary.ids) == TOKENS == 49_408
    assert len(vocabulary.merges) == MERGES == 48_894
    assert sorted(vocabulary.ids.values()) == list(range(TOKENS))
    assert (vocabulary.ids["!"], vocabulary.ids["a</w>"], vocabulary.ids["cat</w>"]) == (
        0,
        320,
        2368,
    )
    assert vocabulary.ids["<|startoftext|>"] == START
    assert vocabulary.ids["<|endoftext|>"] == END


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("  A  Photo of\na CAT", [320, 1125, 539, 320, 2368]),
        ("hello world!", [3306, 1002, 256]),
        ("", []),
    ],
)
def test_words_get_the_numbers_that_clip_gave_them(words: str, ids: list[int]) -> None:
    tokenizer = build_clip_tokenizer(CONFIGS / "sd1" / "tokenizer")
    assert tokenizer(words).input_ids == [START, *ids, END]
    padded = tokenizer(words, padding="max_length", max_length=77).input_ids
    assert padded == [START, *ids, *[END] * (76 - len(ids))]
    assert tokenizer.model_max_length == 77


@pytest.mark.parametrize("folder", ["sd2-base/tokenizer", "sd2-v/tokenizer", "sdxl/tokenizer_2"])
def test_openclips_tokenizer_pads_with_an_exclamation_mark(folder: str) -> None:
    tokenizer = build_clip_tokenizer(CONFIGS / folder)
    assert tokenizer.pad_token_id == 0
    padded = tokenizer("a cat", padding="max_length", max_length=77).input_ids
    assert padded == [START, 320, 2368, END, *[0] * 73]


def test_it_is_the_tokenizer_that_a_folder_with_the_same_words_gives(tmp_path: Path) -> None:
    ours = build_clip_tokenizer(CONFIGS / "sdxl" / "tokenizer_2")
    vocabulary = read_clip_vocabulary()
    (tmp_path / "vocab.json").write_text(json.dumps(dict(vocabulary.ids)))
    lines = ["#version: 0.2", *map(" ".join, vocabulary.merges)]
    (tmp_path / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = (CONFIGS / "sdxl/tokenizer_2/tokenizer_config.json").read_bytes()
    (tmp_path / "tokenizer_config.json").write_bytes(settings)
    theirs = build_clip_tokenizer(tmp_path)
    for words in (
        "a photo, of (two:1.2) cats! in 4K",
        "naïve café — 東京 🐈",
        "don't <|endoftext|> x",
    ):
        assert ours(words).input_ids == theirs(words).input_ids
    assert len(ours) == len(theirs) == TOKENS


def test_another_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="bpe_simple_vocab"):
        read_clip_vocabulary(tmp_path)
    (tmp_path / "clip").mkdir()
    path = tmp_path / "clip" / "bpe_simple_vocab_16e6.txt.gz"
    path.write_bytes(gzip.compress(b"version\na b\n"))
    with pytest.raises(PresetError, match="it has 51"):
        read_clip_vocabulary(tmp_path)
