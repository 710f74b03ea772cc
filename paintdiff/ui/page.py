"""The page, as a table of contents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio import themes

from paintdiff.errors import RequestError
from paintdiff.ui import relay, remembered, widgets
from paintdiff.ui.canvas import canvas_head
from paintdiff.ui.model_choice import ModelChoice
from paintdiff.ui.notes import listen
from paintdiff.ui.parts import Parts
from paintdiff.ui.remembered import Memory
from paintdiff.ui.studio import Ingredients, Studio
from paintdiff.ui.tabs.control import FromDrawing
from paintdiff.ui.tabs.image_to_image import FromPicture
from paintdiff.ui.tabs.inpaint import FromSketch
from paintdiff.ui.tabs.models import ModelsTab
from paintdiff.ui.tabs.text_to_image import Words
from paintdiff.ui.tabs.upscale import UpscaleBench
from paintdiff.ui.workbench import QUICK, Workbench

ASSETS = Path(__file__).resolve().parent / "assets"
FAVICON = ASSETS / "favicon.png"
TITLE = "PaintDiffusion"


_DEVICE_POLLS, _DEVICE_POLL_SECONDS = 16, 0.5

TABS: Mapping[str, type[Ingredients] | type[UpscaleBench]] = MappingProxyType(
    {
        "Text to image": Words,
        "Image to image": FromPicture,
        "Sketch & inpaint": FromSketch,
        "ControlNet": FromDrawing,
        "Upscale": UpscaleBench,
    }
)
"""The titles of the tabs that make pictures, and what each makes them from; one doesn't paint. The
Models tab comes after them."""


def build_page(parts: Parts) -> gr.Blocks:
    """Build the page. It opens no port, loads no model, and is the same for every visitor."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_height=True, fill_width=True) as page:
        widgets.header()
        benches: list[Workbench] = []
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            for title, kind in TABS.items():
                with gr.Tab(title, id=kind.ids.tab) as tab:
                    benches.append(_bench(parts, kind))
                _keep_tab(tab, kind.ids.tab, paints=issubclass(kind, Ingredients))
            with gr.Tab(ModelsTab.title, id=ModelsTab.ids.tab) as models_tab:
                models = ModelsTab.built(parts)
            _keep_tab(models_tab, ModelsTab.ids.tab, paints=False)
        widgets.status_bar()
        for bench in benches:
            bench.keep()
        studios = {
            bench.ids.tab: (title, bench)
            for title, bench in zip(TABS, benches, strict=True)
            if isinstance(bench, Studio)
        }
        choice = ModelChoice(parts, [studio.form for _, studio in studios.values()])
        choice.wire()
        models.wire(models_tab, tabs, studios, choice)
        _send_between(parts, tabs, benches)
        _restore_on_load(page, tabs, benches, choice)
        _foresee_on_load(page, parts, [studio for _, studio in studios.values()])
    page.queue(api_open=False, default_concurrency_limit=None)
    return page


def _keep_tab(tab: gr.Tab, name: str, *, paints: bool) -> None:
    """Let the page's script remember which tab is open, and which was painted in last."""
    tab.select(None, js=f"() => paintdiff.keepTab({json.dumps(name)}, {json.dumps(paints)})")


def _bench(parts: Parts, kind: type[Ingredients] | type[UpscaleBench]) -> Workbench:
    if issubclass(kind, Ingredients):
        return Studio.built(parts, kind(parts))
    return kind.built(parts)


def _send_between(parts: Parts, tabs: gr.Tabs, benches: Sequence[Workbench]) -> None:
    """Let each tab take the finished pictures of all."""
    by_tab = {bench.ids.tab: bench for bench in benches}

    def send(event: gr.EventData) -> dict[Any, Any]:
        bench = by_tab.get(str(getattr(event, "send", "")))
        chosen = remembered.picture_id(getattr(event, "picture", None))
        picture = relay.picture_of(parts.engine, chosen)
        if bench is None or picture is None:
            raise gr.Error("The app has forgotten this picture.", print_exception=False)
        try:
            received = bench.received(picture)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {tabs: gr.Tabs(selected=bench.ids.tab), **received}

    changed = [tabs, *(component for bench in benches for component in bench.receivable())]
    for bench in benches:
        bench.easel.stage.select(send, None, changed, **QUICK)


def _restore_on_load(
    page: gr.Blocks, tabs: gr.Tabs, benches: Sequence[Workbench], choice: ModelChoice
) -> None:
    """Bring back what the browser remembers."""
    stored = widgets.hidden_text("stored")
    names = [bench.ids.tab for bench in benches]

    def restore(text: str) -> dict[Any, Any]:
        memory = choice.remembered(Memory.parsed(text))
        updates: dict[Any, Any] = {choice.known: choice.stamp()}
        if memory.tab in (*names, ModelsTab.ids.tab):
            updates[tabs] = gr.Tabs(selected=memory.tab)
        for name, bench in zip(names, benches, strict=True):
            updates |= bench.restored(memory.of(name))
        return updates

    listen(
        page.load,
        restore,
        [stored],
        [
            tabs,
            choice.known,
            *(component for bench in benches for component in bench.restorable()),
        ],
        js=f"() => paintdiff.remembered({json.dumps(names)})",
        **QUICK,
    ).then(None, None, None, js="() => paintdiff.restored()")


def _foresee_on_load(page: gr.Blocks, parts: Parts, studios: Sequence[Studio]) -> None:
    """Say whether a picture would fit into memory before anything is chosen, where that doesn't
    hang on a picture. A server that has just begun learns of its device with its first model."""
    sizings = [(studio, studio.ingredients.sizing(studio.form)) for studio in studios]
    asked = [(studio, sizing) for studio, sizing in sizings if not sizing.canvases]

    async def foresee(values: Mapping[Any, Any]) -> dict[Any, Any]:
        engine = parts.engine
        for _ in range(_DEVICE_POLLS):
            now = engine.status()
            if now.device != "auto" or now.model_state != "loading":
                break
            await asyncio.sleep(_DEVICE_POLL_SECONDS)
        return {studio.fits: studio.memory_words(values, sizing.size) for studio, sizing in asked}

    inputs = {each for _studio, sizing in asked for each in sizing.inputs}
    page.load(foresee, inputs, [studio.fits for studio, _sizing in asked], **QUICK)


def head() -> str:
    """The stylesheets and the scripts, for the page's head: `css=` would rewrite them, and no file
    is fetched."""
    scheme = '<meta name="color-scheme" content="light dark">'
    # Those after the canvas's use what is in it.
    names = ("notes", "picture-list", "viewer", "adapters", "shelf")
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
