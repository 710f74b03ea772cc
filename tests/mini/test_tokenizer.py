from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from transformers import CLIPTokenizer

from paintdiff.mini.recipe import read_recipe
from paintdiff.mini.tokenizer import MAX_TOKENS, build_tokenizer, learn_merges, save_tokenizer
from paintdiff.mini.world import words


def test_every_word_of_the_world_is_one_token_and_others_are_pieces() -> None:
    known = words(read_recipe().world.config())
    tokenizer = build_tokenizer(known)
    for word in known:
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1, word
    assert len(tokenizer("zeppelin", add_special_tokens=False).input_ids) > 1


def test_anything_can_be_encoded() -> None:
    tokenizer = build_tokenizer(["house"])
    for text in ("", "象 🎈", "House!!", "a\x00b", "x" * 5000):
        tokens = tokenizer(text, padding="max_length", truncation=True, max_length=MAX_TOKENS)
        assert len(tokens.input_ids) == MAX_TOKENS


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(["red", "house", "sailboat", "boat"])
    save_tokenizer(tokenizer, tmp_path)
    assert (tmp_path / "vocab.json").exists()
    assert (tmp_path / "merges.txt").exists()
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    text = "a red sailboat, a houseboat"
    assert loaded(text).input_ids == tokenizer(text).input_ids
    assert loaded.model_max_length == MAX_TOKENS


def test_the_same_words_give_the_same_numbers_in_every_process() -> None:
    known = sorted(words(read_recipe().world.config()))
    here = build_tokenizer(known).get_vocab()
    assert build_tokenizer(known[::-1]).get_vocab() == here
    program = (
        "import json, sys; from paintdiff.mini.tokenizer import build_tokenizer;"
        "print(json.dumps(build_tokenizer(json.load(sys.stdin)).get_vocab()))"
    )
    there = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(known), capture_output=True, text=True
    )
    assert json.loads(there.stdout) == here


def test_a_pair_that_overlaps_itself_is_merged_from_the_left() -> None:
    assert learn_merges(["aaaa"])[0] == ("a", "a")
    assert len(build_tokenizer(["aaaa", "aaa"])("aaaa", add_special_tokens=False).input_ids) == 1
