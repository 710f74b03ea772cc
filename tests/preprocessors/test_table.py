from __future__ import annotations

import pytest

from paintdiff.errors import UnknownNameError
from paintdiff.preprocessors.annotators import _DETECTORS
from paintdiff.preprocessors.lines import WEIGHTLESS
from paintdiff.preprocessors.table import PREPROCESSORS, AnnotatorWeights, find_preprocessor


def test_the_table_and_those_who_do_the_work_agree() -> None:
    weightless = [name for name, row in PREPROCESSORS.items() if row.weights is None]
    assert weightless == ["none", *WEIGHTLESS]
    assert set(PREPROCESSORS) - set(weightless) == set(_DETECTORS)
    assert list(PREPROCESSORS)[: len(weightless)] == weightless, "those without weights come first"


def test_each_says_what_it_does_and_what_it_needs() -> None:
    for name, row in PREPROCESSORS.items():
        assert row.name == name
        assert row.title
        assert row.info.endswith(".")
        if row.weights is not None:
            assert row.weights.files
            assert row.weights.size_bytes > 1e6


def test_a_size_is_told_in_words() -> None:
    assert AnnotatorWeights("a/b", ("x",), 29_400_000).size_text == "28 MiB"
    assert AnnotatorWeights("a/b", ("x",), 1_443_400_000).size_text == "1.3 GiB"


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"'cany'.*canny") as caught:
        find_preprocessor("cany")
    assert caught.value.field == "preprocessor"
