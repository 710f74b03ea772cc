"""The Gallery tab's markup, and what belongs together in it and its scripts."""

from __future__ import annotations

import re

from paintdiff.gallery.records.schema import RELATIONS
from paintdiff.jobs.requests import REQUEST_KINDS
from paintdiff.server.routes import PAGE_ROUTES
from paintdiff.ui.common.assets import ASSETS
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.tab import gallery_markup
from paintdiff.ui.page import head

SCRIPTS = {path.stem: path.read_text(encoding="utf-8") for path in ASSETS.glob("gallery*.js")}
MAIN = SCRIPTS["gallery"]


def test_every_button_does_something() -> None:
    acts = set(re.findall(r'data-do="([^"]+)"', gallery_markup()))
    known = MAIN[MAIN.index("#act(name)") :]
    handled = set(re.findall(r'^\s+"?([a-z-]+)"?: \(\) =>', known[: known.index("})[name]")], re.M))
    assert acts == handled


def test_every_part_that_the_scripts_look_for_is_there() -> None:
    page = gallery_markup()
    for script in SCRIPTS.values():
        for name in set(re.findall(r'#find\("\.((?:gallery|vary|compare)-[a-z]+)', script)):
            if name in ("gallery-shown", "gallery-empty"):
                continue
            assert re.search(rf'class="[^"]*\b{name}\b', page), name
    for name in re.findall(r'#field\("([a-z-]+)"', SCRIPTS["gallery-filters"]):
        assert f'name="{name}"' in page, name


def test_every_script_is_on_the_page_after_those_that_it_uses() -> None:
    page = head()
    places = {name: page.index(script) for name, script in SCRIPTS.items()}
    assert min(places, key=places.__getitem__) == "gallery-tools"
    assert max(places, key=places.__getitem__) == "gallery"


def test_every_address_that_the_scripts_ask_for_is_a_route() -> None:
    paths = [route.path for route in PAGE_ROUTES]
    for script in SCRIPTS.values():
        for address in re.findall(r'[`"](gallery/[a-z/]+)', script):
            assert any(path.startswith(f"/{address.rstrip('/')}") for path in paths), address


def test_every_kind_and_relation_has_a_name() -> None:
    assert set(messages.KINDS) == {*REQUEST_KINDS, "unknown"}
    assert set(messages.RELATIONS) == set(RELATIONS)
