"""The page, as a table of contents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio import themes

from paintdiff.errors import PaintError, RequestError
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import find_painting
from paintdiff.ui.common import browser_state, markup, messages, widgets
from paintdiff.ui.common.assets import ASSETS
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.lazy_page import LazyPage
from paintdiff.ui.common.updates import QUICK
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.gallery.pictures import is_id, load_picture
from paintdiff.ui.gallery.tab import GalleryTab
from paintdiff.ui.inputs.canvas import canvas_head
from paintdiff.ui.model_browser.tab import ModelsTab
from paintdiff.ui.painting.model_choice import ModelChoice
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.painting.picture_tab import PictureTab
from paintdiff.ui.painting.settings_offer import PaintingSettings
from paintdiff.ui.painting.tab_inputs import TabInputs
from paintdiff.ui.run import job_view
from paintdiff.ui.tabs.control import ControlInputs
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.inpaint import InpaintInputs
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from paintdiff.ui.tabs.upscale import UpscaleTab

FAVICON = ASSETS / "favicon.png"
TITLE = messages.TITLE


_TYPING_SCRIPTS = ("box", "weights", "check", "complete", "history")
_GALLERY_SCRIPTS = (
    "gallery-tools",
    "gallery-filters",
    "gallery-selection",
    "gallery-grid",
    "gallery-detail",
    "gallery-vary",
    "gallery-compare",
    "gallery",
    "ratings",
)
"""In the order in which they must run."""

_DEVICE_POLLS, _DEVICE_POLL_SECONDS = 16, 0.5

TABS: Mapping[str, type[TabInputs] | type[UpscaleTab]] = MappingProxyType(
    {
        messages.TEXT_TO_IMAGE: TextToImageInputs,
        messages.IMAGE_TO_IMAGE: ImageToImageInputs,
        messages.SKETCH_AND_INPAINT: InpaintInputs,
        messages.DRAW_AND_CONTROL: ControlInputs,
        messages.UPSCALE: UpscaleTab,
    }
)
"""Titles of the tabs that make pictures, and their inputs; Models and Gallery follow them."""


def build_page(context: PageContext) -> gr.Blocks:
    """Build the page. It opens no port, loads no model, and is the same for every visitor."""
    with LazyPage(title=TITLE, analytics_enabled=False, fill_height=True, fill_width=True) as page:
        widgets.header()
        stored = widgets.hidden_text("stored")
        picture_tabs: list[PictureTab] = []
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            for title, kind in TABS.items():
                with _add_tab(page, title, kind.ids, paints=issubclass(kind, TabInputs)):
                    picture_tabs.append(_build_picture_tab(context, kind))
                    picture_tabs[-1].add_storage()
            with _add_tab(page, ModelsTab.title, ModelsTab.ids, paints=False):
                models = ModelsTab.build(context)
            gallery = _add_gallery(context, page)
        widgets.status_bar()
        look = widgets.clickable_html(markup.look_dialog(), "look", send="select")
        painting_tabs = {
            picture_tab.ids.tab: (title, picture_tab)
            for title, picture_tab in zip(TABS, picture_tabs, strict=True)
            if isinstance(picture_tab, PaintingTab)
        }
        choice = ModelChoice(
            context, [painting_tab.form for _, painting_tab in painting_tabs.values()]
        )
        choice.wire()
        models.wire(page, tabs, painting_tabs, choice)
        places = [look]
        if gallery is not None:
            gallery.wire(page)
            places.append(gallery.place)
        _send_between(context, tabs, picture_tabs, places)
        for picture_tab in picture_tabs:
            _restore_tab(page, picture_tab, stored, choice)
        names = json.dumps(
            [
                *(picture_tab.ids.tab for picture_tab in picture_tabs),
                ModelsTab.ids.tab,
                *([] if gallery is None else [GalleryTab.ids.tab]),
            ]
        )
        page.load(None, None, [tabs], js=f"() => paintdiff.openFirst({names})", **QUICK)
    page.queue(api_open=False, default_concurrency_limit=None)
    return page


@contextmanager
def _add_tab(page: LazyPage, title: str, ids: Ids, *, paints: bool) -> Generator[None]:
    """Add a tab whose content arrives when it is first opened.

    The page's script remembers which tab is open, and which painted last.
    """
    place = partial(widgets.loading_placeholder, ids.tab)
    with gr.Tab(title, id=ids.tab) as tab, page.lazy_content(ids.tab, place):
        yield
    script = f"() => paintdiff.tabOpened({json.dumps(ids.tab)}, {json.dumps(paints)})"
    tab.select(None, js=script)


def _add_gallery(context: PageContext, page: LazyPage) -> GalleryTab | None:
    if context.gallery is None:
        return None
    with _add_tab(page, GalleryTab.title, GalleryTab.ids, paints=False):
        return GalleryTab.build()


def _build_picture_tab(
    context: PageContext, kind: type[TabInputs] | type[UpscaleTab]
) -> PictureTab:
    if issubclass(kind, TabInputs):
        return PaintingTab.build(context, kind(context))
    return kind.build(context)


def _send_between(
    context: PageContext,
    tabs: gr.Tabs,
    picture_tabs: Sequence[PictureTab],
    places: Sequence[gr.HTML],
) -> None:
    """Let each tab receive the finished pictures of all. Other `places` send some, too."""
    by_tab = {picture_tab.ids.tab: picture_tab for picture_tab in picture_tabs}

    def send(event: gr.EventData) -> dict[Any, Any]:
        picture_tab = by_tab.get(str(getattr(event, "send", "")))
        picture = find_sent_picture(context, getattr(event, "picture", None))
        if picture_tab is None or picture is None:
            raise gr.Error(messages.PICTURE_GONE, print_exception=False)
        try:
            received = picture_tab.receive(picture)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {tabs: gr.Tabs(selected=picture_tab.ids.tab), **received}

    changed = [
        tabs,
        *(component for picture_tab in picture_tabs for component in picture_tab.receive_outputs()),
    ]
    for place in [*places, *(picture_tab.run_panel.stage for picture_tab in picture_tabs)]:
        # The other tab restores its stored values first, so that they don't replace the sent ones.
        place.select(send, None, changed, js="() => paintdiff.receiverOpened()", **QUICK)


def find_sent_picture(context: PageContext, name: object) -> Picture | None:
    """Return the picture that the page names: one of a job, or one of the gallery.

    The settings of the latter are adapted to what is installed now.

    Raises:
        gr.Error: It can't be read.
    """
    if context.gallery is None or not is_id(name):
        return job_view.find_picture(context.engine, browser_state.parse_picture_id(name))
    try:
        picture = load_picture(context.gallery, str(name))
    except PaintError as error:
        raise gr.Error(str(error), print_exception=False) from error
    painting = find_painting(picture.request)
    if painting is None:
        return picture
    fitting = PaintingSettings(painting, (), "").for_page(context, context.default_model)
    return replace(picture, request=fitting.painting)


def _restore_tab(
    page: LazyPage, picture_tab: PictureTab, stored: gr.Textbox, choice: ModelChoice
) -> None:
    """Open a tab with the values stored in the browser."""

    def restore(known: str, text: str) -> dict[Any, Any]:
        memory = choice.with_start_model(BrowserState.parse(text))
        return {
            choice.known: known or choice.stamp(),
            **picture_tab.restore(memory),
        }

    name = json.dumps(picture_tab.ids.tab)
    sure = [f"#{picture_tab.run_panel.buttons.generate.elem_id}"]
    sure += (
        [f"#{picture_tab.prompt.elem_id} textarea"] if isinstance(picture_tab, PaintingTab) else []
    )
    event = page.add_opener(
        picture_tab.ids.tab,
        restore,
        [choice.known, stored],
        [choice.known, *picture_tab.restore_outputs()],
        js=f"(known) => [known, paintdiff.remembered({name})]",
        **QUICK,
    )
    event.failure(None, js=f"() => paintdiff.notOpened({name})")
    opened = event.then(None, js=f"() => paintdiff.opened({name}, {json.dumps(sure)})")
    if isinstance(picture_tab, PaintingTab):
        _describe_memory_early(opened.then, picture_tab)


def _describe_memory_early(then: Callable[..., Any], painting_tab: PaintingTab) -> None:
    """Say whether a picture fits into memory before anything is chosen.

    Skips tabs where that depends on a picture. A server that has just started learns its device
    with its first model.
    """
    sizing = painting_tab.tab_inputs.sizing(painting_tab.form)
    if sizing.canvases:
        return

    async def foresee(values: Mapping[Any, Any]) -> str:
        engine = painting_tab.context.engine
        for _ in range(_DEVICE_POLLS):
            now = engine.status()
            if now.device != "auto" or now.model_state != "loading":
                break
            await asyncio.sleep(_DEVICE_POLL_SECONDS)
        return painting_tab.describe_memory(values, sizing.size)

    then(foresee, set(sizing.inputs), [painting_tab.fits], **QUICK)


def head() -> str:
    """Return the stylesheets and scripts for the page's head.

    `css=` would rewrite them. No file is fetched.
    """
    scheme = '<meta name="color-scheme" content="light dark">'
    # These use the canvas's scripts.
    names = ("notes", "picture-list", "viewer", "look", "adapters", "shelf", "replay")
    after = "\n".join(_style(name) + _script(name) for name in names)
    typing = _style("prompt") + "\n".join(_script(f"prompt-{name}") for name in _TYPING_SCRIPTS)
    gallery = _style("gallery") + "\n".join(map(_script, _GALLERY_SCRIPTS))
    own = f"{_style('page')}{_style('grid')}{_script('page')}\n{canvas_head()}\n{after}"
    return f"{scheme}\n{own}\n{typing}\n{gallery}"


def _style(name: str) -> str:
    return f"<style>\n{(ASSETS / f'{name}.css').read_text(encoding='utf-8')}\n</style>\n"


def _script(name: str) -> str:
    return f"<script>\n{(ASSETS / f'{name}.js').read_text(encoding='utf-8')}\n</script>\n"


def theme() -> themes.Base:
    """Return colours and fonts. The fonts are bundled with Gradio, so none is fetched."""
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
