"""Files beside weights that say what these are for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.registry.adapter_rows import LoraRow
from tests.hostile_files import BESIDE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="some need a POSIX system")

READABLE = {
    f"beside: {name}"
    for name in (
        *("half of a letter", "a list as class", "a table as class"),
        *("an infinite weight", "words that aren't"),
    )
}
"""They are JSON, and say nothing that can be used."""


@pytest.mark.parametrize("name", BESIDE)
def test_a_sidecar_that_cannot_be_read_is_listed_and_the_lora_stays_usable(
    tmp_path: Path, name: str
) -> None:
    lora = BESIDE[name](tmp_path)
    catalog = LiveCatalog([tmp_path]).rescan()
    assert [row.name for row in catalog.rows(LoraRow)] == [lora.stem]
    problems = {problem.path: problem.reason for problem in catalog.problems()}
    if name in READABLE:
        assert problems == {}
    else:
        assert list(problems) == [lora.with_suffix(".json")]
        (reason,) = problems.values()
        assert reason.endswith(f"{lora.name} can be used without this file.")
        assert str(tmp_path) not in reason


def test_what_a_second_sidecar_says_counts_although_the_first_cannot_be_read(
    tmp_path: Path,
) -> None:
    lora = BESIDE["beside: nonsense"](tmp_path)
    said = tmp_path / f"{lora.stem}.civitai.info"
    said.write_text('{"trainedWords": ["ohwx"]}', encoding="utf-8-sig")  # as Notepad saves it
    catalog = LiveCatalog([tmp_path]).rescan()
    assert [row.trigger_words for row in catalog.rows(LoraRow)] == [("ohwx",)]
    assert [problem.path.name for problem in catalog.problems()] == [f"{lora.stem}.json"]
