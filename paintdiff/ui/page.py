"""The page, as a table of contents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio import themes

from paintdiff.errors import RequestError
from paintdiff.ui.common import browser_state, markup, widgets
from paintdiff.ui.common.assets import ASSETS
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.lazy_page import LazyPage
from paintdiff.ui.common.updates import QUICK
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs.canvas import canvas_head
from paintdiff.ui.model_browser.tab import ModelsTab
from paintdiff.ui.painting.model_choice import ModelChoice
from paintdiff.ui.painting.painting_tab import PaintingTab, TabInputs
from paintdiff.ui.painting.picture_tab import PictureTab
from paintdiff.ui.run import job_view
from paintdiff.ui.tabs.control import ControlInputs
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.inpaint import InpaintInputs
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from paintdiff.ui.tabs.upscale import UpscaleTab

FAVICON = ASSETS / "favicon.png"
TITLE = "PaintDiffusion"


_DEVICE_POLLS, _DEVICE_POLL_SECONDS = 16, 0.5

TABS: Mapping[str, type[TabInputs] | type[UpscaleTab]] = MappingProxyType(
    {
        "Text to image": TextToImageInputs,
        "Image to image": ImageToImageInputs,
        "Sketch & inpaint": InpaintInputs,
        "Draw & control": ControlInputs,
        "Upscale": UpscaleTab,
    }
)
"""The titles of the tabs that make pictures, and what each makes them from; one doesn't paint. The
Models tab comes after them."""


def build_page(parts: PageContext) -> gr.Blocks:
    """Build the page. It opens no port, loads no model, and is the same for every visitor."""
    with LazyPage(title=TITLE, analytics_enabled=False, fill_height=True, fill_width=True) as page:
        widgets.header()
        stored = widgets.hidden_text("stored")
        benches: list[PictureTab] = []
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            for title, kind in TABS.items():
                with _tab(page, title, kind.ids, paints=issubclass(kind, TabInputs)):
                    benches.append(_bench(parts, kind))
                    benches[-1].keep()
            with _tab(page, ModelsTab.title, ModelsTab.ids, paints=False):
                models = ModelsTab.built(parts)
        widgets.status_bar()
        look = widgets.clickable(markup.look_dialog(), "look", send="select")
        studios = {
            bench.ids.tab: (title, bench)
            for title, bench in zip(TABS, benches, strict=True)
            if isinstance(bench, PaintingTab)
        }
        choice = ModelChoice(parts, [studio.form for _, studio in studios.values()])
        choice.wire()
        models.wire(page, tabs, studios, choice)
        _send_between(parts, tabs, benches, look)
        for bench in benches:
            _open_bench(page, bench, stored, choice)
        names = json.dumps([*(bench.ids.tab for bench in benches), ModelsTab.ids.tab])
        page.load(None, None, [tabs], js=f"() => paintdiff.openFirst({names})", **QUICK)
    page.queue(api_open=False, default_concurrency_limit=None)
    return page


@contextmanager
def _tab(page: LazyPage, title: str, ids: Ids, *, paints: bool) -> Generator[None]:
    """A tab whose content comes when it is first opened. The page's script remembers which one is
    open, and which was painted in last."""
    place = partial(widgets.opening, ids.tab)
    with gr.Tab(title, id=ids.tab) as tab, page.content_of(ids.tab, place):
        yield
    script = f"() => paintdiff.tabOpened({json.dumps(ids.tab)}, {json.dumps(paints)})"
    tab.select(None, js=script)


def _bench(parts: PageContext, kind: type[TabInputs] | type[UpscaleTab]) -> PictureTab:
    if issubclass(kind, TabInputs):
        return PaintingTab.built(parts, kind(parts))
    return kind.built(parts)


def _send_between(
    parts: PageContext, tabs: gr.Tabs, benches: Sequence[PictureTab], look: gr.HTML
) -> None:
    """Let each tab take the finished pictures of all. `look` shows one of them large."""
    by_tab = {bench.ids.tab: bench for bench in benches}

    def send(event: gr.EventData) -> dict[Any, Any]:
        bench = by_tab.get(str(getattr(event, "send", "")))
        chosen = browser_state.picture_id(getattr(event, "picture", None))
        picture = job_view.find_picture(parts.engine, chosen)
        if bench is None or picture is None:
            raise gr.Error("This picture is no longer available.", print_exception=False)
        try:
            received = bench.received(picture)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {tabs: gr.Tabs(selected=bench.ids.tab), **received}

    changed = [tabs, *(component for bench in benches for component in bench.receivable())]
    for place in [look, *(bench.easel.stage for bench in benches)]:
        # What the other tab remembers comes first, so that it doesn't replace what is sent.
        place.select(send, None, changed, js="() => paintdiff.receiverOpened()", **QUICK)


def _open_bench(page: LazyPage, bench: PictureTab, stored: gr.Textbox, choice: ModelChoice) -> None:
    """Open a tab as the browser remembers it."""

    def restore(known: str, text: str) -> dict[Any, Any]:
        memory = choice.remembered(BrowserState.parsed(text))
        return {
            choice.known: known or choice.stamp(),
            **bench.restored(memory),
        }

    name = json.dumps(bench.ids.tab)
    sure = [f"#{bench.easel.buttons.generate.elem_id}"]
    sure += [f"#{bench.prompt.elem_id} textarea"] if isinstance(bench, PaintingTab) else []
    event = page.opener(
        bench.ids.tab,
        restore,
        [choice.known, stored],
        [choice.known, *bench.restorable()],
        js=f"(known) => [known, paintdiff.remembered({name})]",
        **QUICK,
    )
    event.failure(None, js=f"() => paintdiff.notOpened({name})")
    opened = event.then(None, js=f"() => paintdiff.opened({name}, {json.dumps(sure)})")
    if isinstance(bench, PaintingTab):
        _foresee(opened.then, bench)


def _foresee(then: Callable[..., Any], studio: PaintingTab) -> None:
    """Say whether a picture would fit into memory before anything is chosen, where that doesn't
    depend on a picture. A server that has just begun learns of its device with its first model."""
    sizing = studio.ingredients.sizing(studio.form)
    if sizing.canvases:
        return

    async def foresee(values: Mapping[Any, Any]) -> str:
        engine = studio.parts.engine
        for _ in range(_DEVICE_POLLS):
            now = engine.status()
            if now.device != "auto" or now.model_state != "loading":
                break
            await asyncio.sleep(_DEVICE_POLL_SECONDS)
        return studio.memory_words(values, sizing.size)

    then(foresee, set(sizing.inputs), [studio.fits], **QUICK)


def head() -> str:
    """The stylesheets and the scripts, for the page's head: `css=` would rewrite them, and no file
    is fetched."""
    scheme = '<meta name="color-scheme" content="light dark">'
    # Those after the canvas's use what is in it.
    names = ("notes", "picture-list", "viewer", "look", "adapters", "shelf")
    after = "\n".join(_style(name) + _script(name) for name in names)
    return f"{scheme}\n{_style('page')}{_script('page')}\n{canvas_head()}\n{after}"


def _style(name: str) -> str:
    return f"<style>\n{(ASSETS / f'{name}.css').read_text(encoding='utf-8')}\n</style>\n"


def _script(name: str) -> str:
    return f"<script>\n{(ASSETS / f'{name}.js').read_text(encoding='utf-8')}\n</script>\n"


def theme() -> themes.Base:
    """Colours and type. The fonts are Gradio's own bundled ones, so none is fetched from
    elsewhere."""
    # Weight 700 in place of Default's 600, whose file lacks most letters.
    font = themes.LocalFont("Source Sans Pro", weights=(400, 700))
    return themes.Default(
        font=(font, "ui-sans-serif", "system-ui", "sans-serif"),
        primary_hue=themes.colors.indigo,
        neutral_hue=themes.colors.stone,
        radius_size=themes.sizes.radius_md,
        spacing_size=themes.sizes.spacing_md,
    ).set(
        body_background_fill="#f5f3ee",
        body_background_fill_dark="#15161a",
        body_text_color="#26241f",
        body_text_color_dark="#e9e7e2",
        body_text_color_subdued="#67625a",
        body_text_color_subdued_dark="#a29d94",
        background_fill_primary="#fffdfa",
        background_fill_primary_dark="#1d1f24",
        background_fill_secondary="#f5f3ee",
        background_fill_secondary_dark="#15161a",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="600",
        block_title_text_size="0.8rem",
        block_title_text_color="#67625a",
        block_title_text_color_dark="#a29d94",
        border_color_primary="#dcd7cd",
        border_color_primary_dark="#34363d",
        input_background_fill="#ffffff",
        input_background_fill_dark="#24262c",
        input_border_color="#d3cdc1",
        input_border_color_dark="#3a3d45",
        input_border_color_focus="#3f4fb3",
        input_border_color_focus_dark="#98a6ff",
        input_shadow="none",
        input_shadow_focus="none",
        input_shadow_focus_dark="none",
        button_secondary_background_fill="#ece8df",
        button_secondary_background_fill_dark="#2b2e36",
        button_secondary_background_fill_hover="#e2ddd1",
        button_secondary_background_fill_hover_dark="#363a44",
        button_primary_background_fill="#3f4fb3",
        button_primary_background_fill_dark="#5666cf",
        button_primary_background_fill_hover="#35439b",
        button_primary_background_fill_hover_dark="#6474dc",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
    )
