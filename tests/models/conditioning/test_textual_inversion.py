from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from paintdiff.errors import ModelLoadError
from paintdiff.models.conditioning.prompt_words import find_embeddings, insert_embeddings
from paintdiff.models.conditioning.textual_inversion import read_vectors
from tests import adapter_files as files

VECTORS = torch.arange(6.0).reshape(2, 3)


def test_all_known_files_are_read(tmp_path: Path) -> None:
    first = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": VECTORS},
        "name": "x",
        "step": 1,
    }
    contents: dict[str, Any] = {
        "a1111.pt": first,
        "first.pt": {
            "string_to_token": {"*": torch.tensor(265)},
            "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)}),
        },
        "one.bin": {"<my-word>": VECTORS},
    }
    for name, content in contents.items():
        torch.save(content, tmp_path / name)
        (found,) = read_vectors(tmp_path / name, name)
        assert torch.equal(found, VECTORS), name
    single = files.saved(tmp_path / "single.safetensors", {"<my-word>": VECTORS[0]})
    assert torch.equal(read_vectors(single, "single")[0], VECTORS[:1])
    new = files.saved(tmp_path / "new.safetensors", {"emb_params": VECTORS.half()})
    assert torch.equal(read_vectors(new, "new")[0], VECTORS)
    both = {"clip_g": torch.ones(2, 5), "clip_l": VECTORS}
    large, small = read_vectors(files.saved(tmp_path / "xl.safetensors", both), "xl")
    assert (large.shape, small.shape) == ((2, 3), (2, 5)), "the smaller CLIP comes first"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": torch.ones(2, 3), "b": torch.ones(2, 3)},
        {"emb_params": torch.ones(2, 3, 4)},
        {"emb_params": torch.ones(0, 3)},
        {"emb_params": torch.ones(76, 3)},
        {"clip_l": torch.ones(2, 3), "clip_g": torch.ones(3, 5)},
    ],
)
def test_what_is_no_embedding_is_refused(content: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = files.saved(tmp_path / "odd.safetensors", content)
    with pytest.raises(ModelLoadError, match="odd"):
        read_vectors(path, "odd")


def test_an_embedding_is_named_by_a_word_of_its_own() -> None:
    names = ("ink", "ink-wash", "bad (hands)", "C++")
    assert find_embeddings("an INK drawing, inks", names) == ("ink",)
    assert find_embeddings("(ink-wash:1.2) ink", names) == ("ink-wash", "ink")
    assert find_embeddings("a bad (Hands), c++", names) == ("bad (hands)", "C++")
    assert find_embeddings("drinking inky_ink", names) == ()
    assert insert_embeddings("a Ink, inks", {"ink": "X"}) == "a  X , inks"
