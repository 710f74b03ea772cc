from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.errors import WorldError
from paintdiff.mini.recipe import DEFAULT_RECIPE, read_recipe


def test_the_shipped_recipe_fits_the_world() -> None:
    recipe = read_recipe()
    assert recipe.world.config().subjects == recipe.world.subjects
    assert recipe.size_px % recipe.latent_side == 0


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("version: 1", "version: 9", "version"),
        ("size_px: 128", "size_px: 127", "size_px"),
        ("scenes: ", "scense: 3\nscenes: ", "scense"),
    ],
)
def test_a_wrong_recipe_is_refused_by_its_key(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    text = DEFAULT_RECIPE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(WorldError, match=named):
        read_recipe(path)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"nowhere\.yaml"):
        read_recipe(tmp_path / "nowhere.yaml")
