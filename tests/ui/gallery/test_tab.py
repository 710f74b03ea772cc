"""The Gallery tab's markup, and what belongs together in it and its script."""

from __future__ import annotations

import re

from paintdiff.gallery.schema import RELATIONS
from paintdiff.jobs.requests import REQUEST_KINDS
from paintdiff.ui.common.assets import ASSETS
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.tab import gallery_markup

SCRIPT = (ASSETS / "gallery.js").read_text(encoding="utf-8")


def test_every_button_does_something() -> None:
    acts = set(re.findall(r'data-do="([^"]+)"', gallery_markup()))
    known = SCRIPT[SCRIPT.index("#act(name)") :]
    handled = set(re.findall(r'^\s+"?([a-z-]+)"?: \(\) =>', known[: known.index("})[name]")], re.M))
    assert acts == handled


def test_every_part_that_the_script_looks_for_is_there() -> None:
    page = gallery_markup()
    for name in set(re.findall(r'#find\("\.(gallery-[a-z]+)', SCRIPT)):
        assert f'class="{name}' in page or f" {name}" in page, name


def test_every_kind_and_relation_has_a_name() -> None:
    assert set(messages.KINDS) == {*REQUEST_KINDS, "unknown"}
    assert set(messages.RELATIONS) == set(RELATIONS)
