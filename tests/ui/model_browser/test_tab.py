"""The Models tab's handlers: what is listed, what a click does, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from paintdiff.config.preferences import Preferences
from paintdiff.errors import HubUnavailableError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.disk_usage import LoadedSummary
from paintdiff.models.discovery.row_builder import Problem
from paintdiff.models.hub.downloads import DownloadState, HubModel, State
from paintdiff.models.registry.adapter_rows import EmbeddingRow, IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.lazy_page import LazyPage
from paintdiff.ui.model_browser import cards as card_markup
from paintdiff.ui.model_browser import listing
from paintdiff.ui.model_browser.actions import ActionResult, Actions, Click, Page
from paintdiff.ui.model_browser.routes import MAX_PREVIEW_PIXELS, PREVIEW_PX, model_browser_routes
from paintdiff.ui.model_browser.tab import AT_FIRST, ModelsTab
from paintdiff.ui.painting.model_choice import ModelChoice
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.loops import inside_a_loop
from tests.pictures import png_of
from tests.ui.common.test_markup import HOSTILE, Tags
from tests.ui.fake_engine import FakeEngine


@dataclass
class FakeDownloads:
    """Fetches nothing; `found` is what a search finds, `states` what a test sets."""

    found: tuple[HubModel, ...] = ()
    states: dict[str, DownloadState] = field(default_factory=dict[str, DownloadState])
    started: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    fails: bool = False

    def start(self, hub_id: str, revision: str = "") -> object:
        self.started.append((hub_id, revision))
        key = f"download-{len(self.states)}"
        self.states[key] = DownloadState(key, hub_id, "running", 250, 1000, "")
        return key

    def all(self) -> tuple[DownloadState, ...]:
        return tuple(self.states.values())

    def retry(self, id: str) -> object:
        return self.start(self.states[id].hub_id)

    def cancel(self, id: str) -> None:
        self.states[id] = replace(self.states[id], state="cancelled")

    def delete(self, hub_id: str) -> int:
        raise AssertionError(f"{hub_id} isn't to be deleted")

    def forget(self, id: str) -> None:
        del self.states[id]

    def search(self, words: str) -> tuple[HubModel, ...]:
        if self.fails:
            raise HubUnavailableError("The hub can't be reached: <b>no route</b>.")
        return self.found


@dataclass
class Tab:
    """The tab on a page with two others, and what a page would send."""

    engine: FakeEngine
    context: PageContext
    models: ModelsTab
    painting_tabs: dict[str, tuple[str, PaintingTab]]
    choice: ModelChoice
    actions: Actions

    def values(self, **changed: Any) -> dict[Any, Any]:
        components = [*self.actions.inputs(), self.models.words, self.models.kind]
        sent = {each: getattr(each, "value", None) for each in components}
        sent |= {self.models.words: "", self.models.shown: ""}
        named = {"words": self.models.words, "kind": self.models.kind, "shown": self.models.shown}
        return {**sent, **{named[name]: value for name, value in changed.items()}}

    def click(self, do: str, values: dict[Any, Any] | None = None, **data: str) -> ActionResult:
        return self.actions.run(Click(do=do, **data), values or self.values())

    def cards(self, **changed: Any) -> str:
        return str(self.models.apply_filter(self.values(**changed))[self.models.cards])

    def prompt(self, tab: str = "text_to_image") -> Any:
        return self.painting_tabs[tab][1].prompt


def tab_of(context: PageContext, engine: FakeEngine) -> Tab:
    def build() -> Tab:
        with LazyPage() as page:
            with gr.Tabs() as tabs:
                with gr.Tab("Text to image"):
                    words = PaintingTab.build(context, TextToImageInputs(context))
                with gr.Tab("Image to image"):
                    picture = PaintingTab.build(context, ImageToImageInputs(context))
                with gr.Tab("Models"):
                    models = ModelsTab.build(context)
            painting_tabs = {
                "text_to_image": ("Text to image", words),
                "image_to_image": ("Image to image", picture),
            }
            choice = ModelChoice(context, [tab.form for _, tab in painting_tabs.values()])
            models.wire(page, tabs, painting_tabs, choice)
            actions = Actions(context, models.listing, Page(tabs, painting_tabs, choice))
        return Tab(engine, context, models, painting_tabs, choice, actions)

    return inside_a_loop(build)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def downloads() -> FakeDownloads:
    return FakeDownloads()


@pytest.fixture
def made(
    context: PageContext, engine: FakeEngine, folder: Path, downloads: FakeDownloads
) -> Callable[..., Tab]:
    def build(**changed: Any) -> Tab:
        usual = {"models_dirs": (folder,), "rescan": lambda: None, "downloads": downloads}
        return tab_of(replace(context, **{**usual, **changed}), engine)

    return build


def lora(folder: Path, name: str = "ink", **values: Any) -> LoraRow:
    path = folder / "loras" / f"{abs(hash(name))}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    given = {"families": ("sd1",), "size_bytes": 1000, **values}
    return LoraRow(name=name, title=name, source=str(path), **given)


def hub_model(**values: Any) -> ModelRow:
    row = Catalog.default().with_source("owner/name").rows(ModelRow)[-1]
    return row.model_copy(update={"title": "Paint", "download_bytes": 4_300_000_000, **values})


# What is listed


def test_models_that_this_machine_has_no_memory_for_come_last(
    made: Callable[..., Tab], engine: FakeEngine
) -> None:
    engine.manager.catalog.more = (
        hub_model(name="huge", title="Huge", least_memory_bytes=10**12),
        hub_model(),
    )
    cards = made().cards()
    assert "Huge" in cards and cards.index("<h3>Paint") < cards.index("<h3>Huge")


def test_each_thing_has_a_card_that_says_what_there_is_to_know(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    catalog = engine.manager.catalog
    catalog.beside = (
        lora(folder, licence="CC0", description="Washes.", trigger_words=("sumi-e",)),
    )
    catalog.more = (hub_model(least_memory_bytes=6 * 10**9, licence="openrail"),)
    engine.manager.in_memory = [LoadedSummary("model", "mini", 62_000_000, False)]
    cards = made().cards()
    for words in (
        "comes with the app",
        "in memory, 59 MiB",
        "LoRA · Stable Diffusion 1.x · 1 KiB",
        str(folder / "loras"),
        "sumi-e",
        "CC0",
        "Washes.",
        "on Hugging Face, 4.0 GiB to download",
        "5.6 GiB of memory",
        "owner/name",
        "on the internet, 64 MiB to download",
    ):
        assert words in cards, words
    assert cards.count("<h3>") == 5  # mini, the hub's, the LoRA, two upscalers


def test_kind_and_words_filter_and_are_counted(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    engine.manager.catalog.beside = (
        lora(folder, "ink wash", trigger_words=("Sumi-E",)),
        lora(folder, "pixel", families=("sdxl",)),
        EmbeddingRow(name="bad", title="bad", source="/gone", widths=(768,), families=("sd1",)),
    )
    tab = made()
    assert tab.cards(kind="lora").count("<h3>") == 2
    for words, found in (("INK", 1), ("sumi lora", 1), ("xl", 1), ("diffusion 1.x", 2), ("zz", 0)):
        assert tab.cards(words=words, kind="all").count("<h3>") == found, words
    updates = tab.models.apply_filter(tab.values(kind="lora", words="ink"))
    choices = {name: title for title, name in updates[tab.models.kind].choices}
    assert choices["lora"] == "LoRAs 1" and choices["all"] == "All 1"
    assert "embedding" in choices and "ip_adapter" not in choices, "rare ones only where there are"
    assert "matches the filter" in tab.cards(words="zz")
    assert tab.cards(kind="../../etc").count("<h3>") == tab.cards().count("<h3>")


def test_of_thousands_only_the_first_are_rendered(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = lora(folder)
    engine.manager.catalog.beside = tuple(
        one.model_copy(update={"name": f"l{number}", "title": f"l{number}"})
        for number in range(2000)
    )
    looked_at: list[str] = []
    find_place = listing.find_place
    monkeypatch.setattr(
        listing, "find_place", lambda row: looked_at.append(row.name) or find_place(row)
    )
    tab = made()
    updates = tab.models.apply_filter(tab.values(kind="lora"))
    assert updates[tab.models.cards].count("<h3>") == AT_FIRST == len(looked_at)
    assert f"{AT_FIRST} of 2000 shown" in updates[tab.models.cards]
    values = tab.values(kind="lora", shown=updates[tab.models.shown])
    more = tab.models._show_after(tab.click("more"), values)
    assert more[tab.models.cards].count("<h3>") == 2 * AT_FIRST
    assert more[tab.models.shown] == str(2 * AT_FIRST)
    for nonsense in ("-1", "x", "9" * 30, "²", None):
        values = tab.values(kind="lora", shown=nonsense)
        assert tab.models.refresh(values)[tab.models.cards].count("<h3>") == AT_FIRST


def test_the_page_is_built_without_looking_at_anything(
    made: Callable[..., Tab], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a file was looked at")

    monkeypatch.setattr(listing, "find_place", refused)
    tab = made()
    assert tab.models.cards.value == "" == tab.models.memory.value
    with pytest.raises(AssertionError, match="looked at"):  # negative control
        tab.cards()


def test_files_left_out_are_listed_with_the_reason(
    made: Callable[..., Tab], engine: FakeEngine
) -> None:
    engine.manager.catalog.left_out = (Problem(Path("/m/<b>.ckpt"), "It is <i>cut off</i>."),)
    tab = made()
    shown = tab.models.refresh(tab.values())[tab.models.problems]
    assert "/m/&lt;b&gt;.ckpt" in shown and "It is &lt;i&gt;cut off" in shown
    assert "1 unusable, see “Unusable files”" in tab.actions.rescan(tab.values()).said


def test_what_cannot_run_here_is_grey_and_says_why(
    made: Callable[..., Tab], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "has_hub_token", lambda: False)
    catalog = engine.manager.catalog
    catalog.more = (
        hub_model(name="huge", least_memory_bytes=36 * 10**9),
        hub_model(name="gated", gated=True),
    )
    catalog.beside = (
        IpAdapterRow(name="ip", title="ip", source=__file__),
        VaeRow(name="vae", title="vae", source="/gone/vae", latent_channels=4),
    )
    cards = made().cards()
    for words in (
        "Needs 33.5 GiB of memory; 7.5 GiB is available here.",
        "HF_TOKEN",
        "image encoder is missing",
        "/gone/vae no longer exists.",
    ):
        assert words in cards
    assert cards.count('class="thing cannot"') == 5, "one upscaler's file is gone too"
    assert 'data-do="download"' not in cards
    monkeypatch.setattr(listing, "has_hub_token", lambda: True)
    assert "HF_TOKEN" not in made().cards() and "Download 4.0 GiB" in made().cards()


# Strangers' words


def everything_called(name: str, made: Callable[..., Tab], engine: FakeEngine, root: Path) -> str:
    """All markup of the tab with that name wherever a stranger can put one."""
    row = lora(root, name, trigger_words=(name,), description=name, licence=name)
    catalog = engine.manager.catalog
    catalog.beside = (row.model_copy(update={"title": name}),)
    catalog.more = (hub_model(name=name, title=name, description=name, licence=name),)
    catalog.left_out = (Problem(Path(f"/{name}"), name),)
    engine.manager.in_memory = [LoadedSummary("LoRA", name, 5, False)]
    tab = made()
    tab.context.downloads.states["x"] = DownloadState("x", name, "failed", 0, 0, name)  # type: ignore[union-attr]
    listed = tab.models.refresh(tab.values())
    result = HubModel(name, name, name, None, 5, name, False, "")
    pieces = [str(each) for each in listed.values() if isinstance(each, str)]
    hub = card_markup.hub_results_markup(name, [card_markup.HubResult(result, name, False, False)])
    return "".join([*pieces, hub, card_markup.message_markup(name, go=name)])


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_never_markup(
    name: str, made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    hostile = Tags(everything_called(name, made, engine, folder))
    engine.manager.catalog = type(engine.manager.catalog)()
    harmless = Tags(everything_called("harmless", made, engine, folder))
    assert hostile.names == harmless.names
    assert not any(attribute.startswith("on") for attribute, _ in hostile.attributes)
    assert ("data-name", name) in hostile.attributes and name in hostile.text


# Into the prompt


def test_a_lora_goes_into_the_prompt_of_the_tab_painted_in_last(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    engine.manager.catalog.beside = (lora(folder), lora(folder, "soft", weight=0.6))
    tab = made()
    values = {**tab.values(), tab.prompt(): "a cat, ", tab.prompt("image_to_image"): ""}
    done = tab.click("insert", values, kind="lora", name="ink")
    assert done.updates == {tab.prompt(): "a cat <lora:ink:1>"}
    assert "Added <lora:ink:1> to the prompt of “Text to image”." in done.said
    assert "It is for Stable Diffusion 1.x and doesn't fit “Mini”." in done.said
    there = tab.click("insert", values, kind="lora", name="soft", tab="image_to_image")
    assert there.updates == {tab.prompt("image_to_image"): "<lora:soft:0.6>"}
    assert there.go == "image_to_image"
    again = tab.click("insert", {**values, tab.prompt(): "<lora:ink:0.3>"}, kind="lora", name="ink")
    assert again.updates == {} and "already" in again.said
    elsewhere = tab.click("insert", values, kind="lora", name="ink", tab="../../etc")
    assert elsewhere.go == "text_to_image"


def test_embeddings_and_trigger_words_too(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    engine.manager.catalog.beside = (
        lora(folder, trigger_words=("sumi-e", "$1 <b>")),
        EmbeddingRow(name="bad", title="bad", source="/gone", widths=(256,), families=("mini",)),
    )
    tab = made()
    form = tab.painting_tabs["text_to_image"][1].form
    values = {**tab.values(), tab.prompt(): "a cat", form.negative_prompt: "dogs, Bad"}
    assert tab.click("insert", values, kind="embedding", name="bad").updates == {
        tab.prompt(): "a cat, bad"
    }
    there = tab.click("insert-negative", values, kind="embedding", name="bad")
    assert there.updates == {} and "already in the negative prompt of “Text to image”" in there.said
    word = tab.click("word", values, kind="lora", name="ink", index="1")
    assert word.updates == {tab.prompt(): "a cat, $1 <b>"}
    for index in ("2", "-1", "x", "²", ""):
        assert tab.click("word", values, kind="lora", name="ink", index=index).failed


def test_a_name_that_a_tag_cannot_have_is_refused(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    names = ("a:b", "a>b", "<img>")
    engine.manager.catalog.beside = tuple(lora(folder, name) for name in names)
    tab = made()
    for name in names:
        done = tab.click("insert", kind="lora", name=name)
        assert done.failed and "Rename its file" in done.said and not done.updates
    long = {**tab.values(), tab.prompt(): "x" * 10_000}
    engine.manager.catalog.beside = (lora(folder),)
    assert "would exceed" in tab.click("insert", long, kind="lora", name="ink").said


# Models


def test_use_chooses_a_model_in_all_painting_tabs(
    made: Callable[..., Tab], engine: FakeEngine
) -> None:
    engine.manager.catalog.more = (hub_model(),)
    tab = made()
    done = tab.click("use", kind="model", name="owner/name", tab="image_to_image")
    for _, painting_tab in tab.painting_tabs.values():
        chosen = done.updates[painting_tab.form.model]
        assert (
            chosen.value == "owner/name"
            and ("Paint (4.0 GiB to download)", "owner/name") in chosen.choices
        )
        assert done.updates[painting_tab.form.width] == 512
    assert "all painting tabs" in done.said and done.go == "image_to_image"
    assert set(done.updates) <= set(tab.actions.outputs())


def test_the_dropdowns_follow_the_catalog(made: Callable[..., Tab], engine: FakeEngine) -> None:
    tab = made()
    form = tab.painting_tabs["text_to_image"][1].form
    told = {**tab.values(), tab.choice.known: tab.choice.stamp()}
    assert form.model not in tab.choice.refresh(told)
    engine.manager.catalog.more = (hub_model(),)
    updates = tab.choice.refresh(told)
    assert ("Paint (4.0 GiB to download)", "owner/name") in updates[form.model].choices
    assert "value" not in updates[form.model].constructor_args, "it may just have been changed"
    told = {**told, tab.choice.known: updates[tab.choice.known], form.model: "owner/name"}
    engine.manager.catalog.more = ()
    assert form.model not in tab.choice.refresh_open(told), "an open list never gets shorter"
    updates = tab.choice.refresh(told)
    assert updates[form.model].value == "mini"
    assert (
        "The model owner/name is no longer available; Mini is selected instead."
        in updates[form.notes["model"]]
    )
    assert set(updates) <= set(tab.choice.outputs())
    assert tab.context.model("owner/name").name == "mini", "a stored name may be gone"


def test_a_pin_is_what_new_pages_and_the_next_start_use(
    made: Callable[..., Tab], engine: FakeEngine, tmp_path: Path
) -> None:
    engine.manager.catalog.more = (hub_model(),)
    path = tmp_path / "preferences.json"
    tab = made(preferences=Preferences(path))
    assert tab.context.default_model == "mini"
    done = tab.click("pin", kind="model", name="owner/name")
    assert "use Paint" in done.said and tab.context.default_model == "owner/name"
    assert 'data-do="unpin"' in tab.cards() and ">default<" in tab.cards()
    again = made(preferences=Preferences(path))
    assert again.context.default_model == "owner/name"
    assert again.models.context.model(None).name == "owner/name"
    asked_for = made(preferences=Preferences(path), model_asked_for=True)
    assert asked_for.context.default_model == "mini", "--model goes before it"
    assert "takes precedence" in asked_for.click("pin", kind="model", name="owner/name").said
    engine.manager.catalog.more = ()
    assert again.context.default_model == "mini" and again.context.pinned_model is None
    engine.manager.catalog.more = (hub_model(),)
    assert not again.click("unpin", kind="model", name="owner/name").failed
    assert (
        again.context.default_model
        == "mini"
        == made(preferences=Preferences(path)).context.default_model
    )


def test_a_new_page_begins_with_the_pinned_model_and_a_reload_with_its_own(
    made: Callable[..., Tab], engine: FakeEngine
) -> None:
    engine.manager.catalog.more = (hub_model(),)
    tab = made()
    settings = {"model": "mini", "width": 96, "seed": 5}
    fresh, again = (BrowserState(settings, fresh=each) for each in (True, False))
    assert tab.choice.with_start_model(fresh) == fresh, "nothing is pinned"
    tab.context.preferences.pin_model("owner/name")
    assert tab.choice.with_start_model(again) == again
    assert tab.choice.with_start_model(fresh).settings == {"model": "owner/name", "seed": 5}
    tab.context.preferences.pin_model("mini")
    assert tab.choice.with_start_model(fresh) == fresh, "its figures are its own"
    chosen = BrowserState(settings, model="owner/name")
    assert tab.choice.with_start_model(chosen).settings == {"model": "owner/name", "seed": 5}


def test_tabs_that_were_not_opened_get_a_chosen_model_later(
    made: Callable[..., Tab], engine: FakeEngine
) -> None:
    """The page sends nothing of their components, so nothing may be written into these."""
    engine.manager.catalog.more = (hub_model(),)
    tab = made()
    form = tab.painting_tabs["text_to_image"][1].form
    other = tab.painting_tabs["image_to_image"][1].form
    unopened = {**tab.values(), **dict.fromkeys(form.model_inputs())}
    updates = tab.choice.choose("owner/name", unopened)
    assert form.model not in updates and other.model in updates
    assert updates[tab.choice.passed_on] == "owner/name"
    assert form.model not in tab.choice.refresh({**unopened, tab.choice.known: ""})
    assert form.model in tab.choice.choose("owner/name", tab.values())


def test_what_is_idle_can_leave_the_memory(made: Callable[..., Tab], engine: FakeEngine) -> None:
    engine.manager.in_memory = [
        LoadedSummary("model", "mini", 5, False),
        LoadedSummary("ControlNet", "mini", 5, True),
    ]
    tab = made()
    shown = tab.models.refresh(tab.values())[tab.models.memory]
    assert shown.count('data-do="unload"') == 1 and "in use" in shown
    assert "waits" not in shown
    brought = dict(Tags(shown).attributes)
    assert (brought["data-kind"], brought["data-name"]) == ("model", "mini")
    assert not tab.click("unload", kind="model", name="mini").failed
    assert engine.manager.unloaded == ["model mini"]
    gone = tab.click("unload", kind="model", name="mini")
    assert gone.failed and "no longer in memory" in gone.said
    engine.manager.in_memory = [LoadedSummary("model", "mini", 5, False, waits=True)]
    found = tab.models.refresh(tab.values())
    assert "offloaded to RAM" in found[tab.models.memory]
    assert "offloaded to RAM" in found[tab.models.cards]


# Deleting


def sure_of(cards: str) -> str:
    """The data of the second click on the only item that can be deleted."""
    (sure,) = [value for name, value in Tags(cards).attributes if name == "data-sure"]
    return str(sure)


def test_deleting_takes_a_second_click_that_names_the_file(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    row = lora(folder)
    engine.manager.catalog.beside = (row,)
    rescans: list[int] = []
    tab = made(rescan=lambda: rescans.append(1))
    cards = tab.cards()
    assert f"This deletes the file <b>{row.source}</b> (1 KiB) for good." in cards
    assert tab.click("delete", kind="lora", name="ink").failed
    assert tab.click("delete", kind="lora", name="ink", sure="0" * 16).failed
    assert Path(row.source).exists() and not rescans
    done = tab.click("delete", kind="lora", name="ink", sure=sure_of(cards))
    assert not done.failed and row.source in done.said
    assert not Path(row.source).exists() and rescans == [1]


def test_what_is_in_use_is_not_deleted_and_what_is_idle_is_unloaded_first(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    row = lora(folder)
    engine.manager.catalog.beside = (row,)
    tab = made()
    sure = sure_of(tab.cards())
    engine.manager.in_memory = [LoadedSummary("LoRA", "ink", 5, True)]
    done = tab.click("delete", kind="lora", name="ink", sure=sure)
    assert done.failed and "in use" in done.said and Path(row.source).exists()
    engine.manager.in_memory = [LoadedSummary("LoRA", "ink", 5, False)]
    assert not tab.click("delete", kind="lora", name="ink", sure=sure).failed
    assert engine.manager.unloaded == ["LoRA ink"] and not Path(row.source).exists()


def test_what_ships_and_what_lies_elsewhere_has_no_button_and_is_refused(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    row = lora(folder.parent / "elsewhere")
    engine.manager.catalog.beside = (row,)
    tab = made()
    assert "data-sure" not in tab.cards()
    assert "comes with the app" in tab.click("delete", kind="model", name="mini").said
    assert "doesn't delete it" in tab.click("delete", kind="lora", name="ink").said
    assert Path(row.source).exists()


def test_what_is_open_to_everybody_can_be_changed_by_nobody(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path, downloads: FakeDownloads
) -> None:
    engine.manager.catalog.beside = (lora(folder),)
    engine.manager.catalog.more = (hub_model(),)
    sure = sure_of(made().cards())
    tab = made(may_manage=False)
    cards = tab.cards()
    assert "data-sure" not in cards and 'data-do="download"' not in cards
    for click in (
        {"do": "delete", "kind": "lora", "name": "ink", "sure": sure},
        {"do": "download", "kind": "model", "name": "owner/name"},
        {"do": "pin", "kind": "model", "name": "mini"},
        {"do": "cancel", "id": "x"},
    ):
        assert "own machine" in tab.click(**click).said
    assert tab.actions.search("x").failed
    assert list((folder / "loras").iterdir()) and not downloads.started
    assert tab.context.preferences.pinned_model is None


def test_what_is_open_to_everybody_shows_no_folders_of_the_server(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path
) -> None:
    catalog = engine.manager.catalog
    gone = VaeRow(name="vae", title="vae", source="/gone/vae", latent_channels=4)
    ours, elsewhere = lora(folder), lora(folder.parent / "elsewhere", "pen")
    catalog.beside = (ours, elsewhere, gone)
    broken = folder / "loras" / "broken.safetensors"
    catalog.left_out = (Problem(broken, "it is damaged"),)
    for may_manage in (True, False):
        tab = made(may_manage=may_manage)
        shown = tab.cards() + str(tab.models.refresh(tab.values())[tab.models.problems])
        assert ("/gone" in shown) == (str(folder.parent) in shown) == may_manage
        assert f"loras/{Path(ours.source).name}" in shown and Path(elsewhere.source).name in shown
        assert "loras/broken.safetensors" in shown and "vae no longer exists." in shown


@pytest.mark.parametrize("do", ["use", "insert", "pin", "delete", "download", "word"])
def test_names_are_looked_up_and_anything_else_is_refused(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path, do: str
) -> None:
    row = lora(folder)
    engine.manager.catalog.beside = (row,)
    tab = made()
    for kind, name in (
        ("lora", "gone"),
        ("lora", row.source),
        ("lora", "../ink"),
        ("model", "/etc/passwd"),
        ("__class__", "ink"),
        ("", ""),
    ):
        done = tab.click(do, kind=kind, name=name, sure=sure_of(tab.cards()), index="0")
        assert done.failed and not done.updates, (kind, name)
    assert Path(row.source).exists()
    assert tab.click("__init__").failed and tab.click("").failed


def test_a_click_of_something_else_than_text_is_nothing() -> None:
    event = gr.EventData(None, {"do": ["use"], "name": {"a": 1}, "kind": "lora", "id": 5})
    assert Click.read(event) == Click(kind="lora")


# The hub


FOUND = HubModel(
    "owner/found", "<b>Found", "StableDiffusionXLPipeline", "sdxl", 12345, "mit", False, "a" * 40
)
CLOSED = HubModel("owner/closed", "Closed", "", None, 1, "", True, "")


def test_a_search_shows_cards_and_only_what_it_found_can_be_fetched(
    made: Callable[..., Tab], downloads: FakeDownloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paintdiff.models.catalog.disk_usage.has_hub_token", lambda: False)
    downloads.found = (FOUND, CLOSED)
    tab = made()
    assert tab.click("fetch", id="owner/found").failed, "nobody has seen it"
    hub = tab.actions.search("storybook").hub
    assert hub is not None and "&lt;b&gt;Found" in hub and "Stable Diffusion XL" in hub
    assert "12,345 downloads" in hub and hub.count('data-do="fetch"') == 1 and "HF_TOKEN" in hub
    assert not tab.click("fetch", id="owner/found").failed
    assert downloads.started == [("owner/found", "a" * 40)]
    again = tab.actions.search("storybook").hub
    assert again is not None and "downloading" in again and 'data-do="fetch"' not in again
    assert tab.actions.search("").hub == ""
    assert tab.click("close-hub").hub == ""
    downloads.fails = True
    done = tab.actions.search("x")
    assert not done.said and done.hub is not None and "data-retry" in done.hub
    assert "no route" in done.hub


def test_downloads_are_shown_cancelled_and_dismissed(
    made: Callable[..., Tab], engine: FakeEngine, downloads: FakeDownloads
) -> None:
    engine.manager.catalog.more = (hub_model(revision="b" * 40),)
    tab = made()
    assert "Download 4.0 GiB" in tab.cards()
    assert not tab.click("download", kind="model", name="owner/name").failed
    assert downloads.started == [("owner/name", "b" * 40)]
    shown = tab.models.refresh(tab.values())
    assert (
        "downloading" in shown[tab.models.cards] and "Download 4.0" not in shown[tab.models.cards]
    )
    assert 'value="0.2500"' in shown[tab.models.transfers]
    assert "is being downloaded" in tab.click("delete", kind="model", name="owner/name").said
    assert tab.click("cancel", id="nonsense").failed
    assert not tab.click("cancel", id="download-0").failed
    shown = tab.models.refresh(tab.values())[tab.models.transfers]
    assert "cancelled" in shown and "<progress" not in shown
    tab.click("download", kind="model", name="owner/name")
    shown = tab.models.refresh(tab.values())[tab.models.transfers]
    assert shown.count("<li") == 1, "of a repository the newest is shown"
    tab.click("cancel", id="download-1")
    tab.click("forget", id="download-1")
    assert "download-1" not in downloads.states
    assert tab.click("download", kind="model", name="mini").failed


@pytest.mark.parametrize(
    ("state", "offered"),
    [("failed", True), ("cancelled", True), ("running", False), ("done", False)],
)
def test_a_download_that_failed_can_be_retried(
    made: Callable[..., Tab], downloads: FakeDownloads, state: State, offered: bool
) -> None:
    tab = made()
    downloads.start("owner/name")
    said = "Hugging Face can't be reached: no route to host."
    downloads.states["download-0"] = replace(
        downloads.states["download-0"], state=state, message=said
    )
    shown = tab.models.refresh(tab.values())[tab.models.transfers]
    assert said.replace("'", "&#x27;") in shown
    assert ('data-do="retry"' in shown) == offered
    assert tab.click("retry", id="download-0").said == "Started downloading owner/name."
    assert [each.hub_id for each in downloads.states.values()] == ["owner/name"] * 2
    assert tab.click("retry", id="nonsense").failed


def test_without_downloads_nothing_is_said_of_a_hub(made: Callable[..., Tab]) -> None:
    tab = made(downloads=None)
    assert "download" not in tab.cards(words="mini").lower()
    assert tab.click("fetch", id="owner/name").failed and tab.actions.search("x").failed
    assert not is_visible(tab.models.search)
    assert is_visible(made().models.search) and not is_visible(made(may_manage=False).models.search)


def is_visible(component: Any) -> bool:
    """Whether neither it nor what it is in is hidden."""
    while component is not None:
        if not getattr(component, "visible", True):
            return False
        component = component.parent
    return True


# Routes


def client_of(tab: Tab) -> TestClient:
    app = FastAPI()
    app.include_router(model_browser_routes(tab.context))
    return TestClient(app)


def test_a_preview_is_a_small_jpeg_named_by_the_catalog(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path, tmp_path: Path
) -> None:
    name = "50% <ink> & /wash?#.png"
    picture = tmp_path / "preview.png"
    picture.write_bytes(png_of(Image.new("RGBA", (1200, 800), (255, 0, 0, 128))))
    engine.manager.catalog.beside = (lora(folder, name, preview=picture), lora(folder, "plain"))
    tab = made()
    (source,) = [value for key, value in Tags(tab.cards()).attributes if key == "src"]
    client = client_of(tab)
    answer = client.get(f"/{source}")
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(answer.content))
    assert max(shown.size) == PREVIEW_PX and shown.mode == "RGB"
    for kind, wanted in (
        ("lora", "plain"),
        ("lora", str(picture)),
        ("lora", "../../etc/passwd"),
        ("model", "mini"),
        ("nonsense", name),
        ("lora", "x" * 300),
    ):
        refused = client.get("/models/preview", params={"kind": kind, "name": wanted})
        assert refused.status_code in (404, 422), (kind, wanted)
        assert str(tmp_path) not in refused.text
    assert client.post("/models/preview").status_code == 405


def test_a_preview_that_is_no_small_picture_is_refused(
    made: Callable[..., Tab], engine: FakeEngine, folder: Path, tmp_path: Path
) -> None:
    side = int(MAX_PREVIEW_PIXELS**0.5) + 10
    pictures = {
        "large": png_of(Image.new("L", (side, side))),
        "none": b"no picture",
        "cut": png_of(Image.new("RGB", (64, 64), "red"))[:-40],
        "script": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    }
    for name, data in pictures.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    engine.manager.catalog.beside = (
        *(lora(folder, name, preview=tmp_path / f"{name}.png") for name in pictures),
        lora(folder, "folder", preview=tmp_path),
        lora(folder, "gone", preview=tmp_path / "gone.png"),
    )
    client = client_of(made())
    for name in (*pictures, "folder", "gone"):
        answer = client.get("/models/preview", params={"kind": "lora", "name": name})
        assert answer.status_code == 404, name


def test_how_far_downloads_are_is_asked_by_the_script(
    made: Callable[..., Tab], downloads: FakeDownloads
) -> None:
    tab = made()
    client = client_of(tab)
    assert client.get("/models/downloads").json() == []
    downloads.start("owner/name")
    answer = client.get("/models/downloads")
    assert answer.json() == [
        {"id": "download-0", "state": "running", "done_bytes": 250, "total_bytes": 1000}
    ]
    assert answer.headers["cache-control"] == "no-store"
    assert client_of(made(downloads=None)).get("/models/downloads").json() == []
