from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.config.presets import Presets
from paintdiff.errors import PresetError, UnknownNameError


def test_the_three_presets_are_there_quickest_first() -> None:
    rows = Presets.default().qualities()
    assert [(row.name, row.num_inference_steps, row.guidance_scale) for row in rows] == [
        ("fast", 20, 7.0),
        ("balanced", 50, 7.5),
        ("high", 100, 8.0),
    ]


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    assert Presets.default().quality("high").num_inference_steps == 100
    with pytest.raises(UnknownNameError, match=r"'fats'.*fast") as caught:
        Presets.default().quality("fats")
    assert caught.value.field == "quality"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fast: {title: Fast, num_inference_steps: 0, guidance_scale: 7}", "num_inference_steps"),
        ("fast: {title: Fast, num_inference_steps: 5, guidance_scale: .nan}", "guidance_scale"),
        ("fast: {title: Fast, steps: 5}", "fast"),
        ("fast: 20", "fast"),
        ("- fast", "names and values"),
        ("fast: [", "can't be read"),
        ("fast: 2020-99-99", "can't be read"),
    ],
)
def test_a_mistake_is_named_with_its_file(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "quality.yaml").write_text(text)
    with pytest.raises(PresetError, match=complaint) as caught:
        Presets.from_folder(tmp_path)
    assert "quality.yaml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"quality\.yaml"):
        Presets.from_folder(tmp_path)
