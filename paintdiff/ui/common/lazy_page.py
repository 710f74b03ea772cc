"""A page that sends a tab's components to the browser when the tab is first opened.

Before Gradio's page can be used, its script visits every event for every component, so the time to
load grows with the product of both. `LazyPage` keeps one static graph on the server: all events
have fixed ids and nothing is rebuilt per visitor. Only the configuration is divided. The page
starts without the content of lazy tabs. The event that opens a tab answers with its components and
events, in the form of `gr.render`'s answers, with the event's own updates merged in. So no later
answer overwrites what a person has typed meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import BlocksConfigDict
from gradio.state_holder import SessionState

from paintdiff.error_reports import report_unexpected
from paintdiff.server.identities import HEADER, Identity, current_identity
from paintdiff.server.page_events import mark_refused_event
from paintdiff.server.visitors import THIS_MACHINE, current_visitor, identify_visitor
from paintdiff.ui.common import messages
from paintdiff.ui.common.field_messages import listen
from paintdiff.ui.common.widgets import hidden_button

logger = logging.getLogger(__name__)

_UNUSED = ("api_info", "api_info_as_input", "api_info_as_output", "example_inputs")
"""Component properties that only the HTTP API's documentation reads; this page has none."""

_UNCHANGED: Mapping[str, Any] = {"__type__": "update"}

Config = dict[str, Any]


@dataclass(frozen=True)
class _Place:
    """The ids of a tab's column and of its placeholder."""

    column: int
    placeholder: int


class LazyPage(gr.Blocks):
    """A `gr.Blocks` whose tabs may receive their content when they are opened."""

    def __init__(self, **settings: Any) -> None:
        self._places: dict[str, _Place] = {}
        self._openers: dict[int, str] = {}
        self._contents: dict[str, Config] = {}
        self._tab_of: dict[int, str] = {}
        self._tab_of_event: dict[int, str] = {}
        super().__init__(**settings)

    @contextmanager
    def lazy_content(self, tab: str, placeholder: Callable[[], gr.HTML]) -> Generator[None]:
        """Lay out the content that replaces the `placeholder` when the tab is opened.

        Call `add_opener` for the tab, too.
        """
        with gr.Column(elem_id=f"{tab}-content", elem_classes=["tab-content"]) as place:
            self._places[tab] = _Place(place._id, placeholder()._id)
            yield

    def add_opener(
        self,
        tab: str,
        handler: Callable[..., Any],
        inputs: Any,
        outputs: Iterable[Any],
        **settings: Any,
    ) -> Any:
        """Register the event that brings the tab's content, filled by `handler`.

        The page's script clicks the hidden button `{tab}-open` once. Returns Gradio's event.
        """
        button = hidden_button(f"{tab}-open")
        event = listen(button.click, handler, inputs, outputs, **settings)
        self._openers[event["id"]] = tab
        return event

    async def preprocess_data(
        self,
        block_fn: BlockFunction,
        inputs: list[Any],
        state: SessionState | None,
        explicit_call: bool = False,
    ) -> list[Any]:
        """Convert an event's values as Gradio does.

        Raises:
            gr.Error: A value can't be used.
        """
        tab = self._tab_of_event.get(block_fn._id)  # pyright: ignore[reportPrivateUsage]
        for component, value in zip(block_fn.inputs, inputs, strict=True):
            elsewhere = self._tab_of.get(component._id) != tab
            if value is None and elsewhere and not isinstance(component, gr.Slider):
                continue  # its tab may not be open yet
            known = state[component._id] if state and component._id in state else component
            problem = find_problem(known, value)
            if problem is not None:
                raise gr.Error(problem, print_exception=False)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: Any, state: SessionState | None
    ) -> list[Any]:
        """Convert a handler's updates as Gradio does.

        An empty dictionary changes nothing; Gradio would take it for one value and miss the others.
        """
        updates = gr.skip() if predictions == {} else predictions
        return await super().postprocess_data(block_fn, updates, state)

    def get_config_file(self) -> BlocksConfigDict:
        """Return the configuration that the browser gets first: without the lazy tabs' content."""
        config: Any = super().get_config_file()
        first, self._contents = _divide(config, self._places)
        config.update(first)
        for tab, content in self._contents.items():
            self._tab_of |= {each["id"]: tab for each in content["components"]}
            self._tab_of_event |= {each["id"]: tab for each in content["dependencies"]}
        return config

    async def process_api(
        self, block_fn: BlockFunction | int, *arguments: Any, **settings: Any
    ) -> dict[str, Any]:
        """Run an event as Gradio does, and add a tab's content to the answer of its opener.

        Gradio shows a gr.Error without logging it. It would print a traceback for each value that
        doesn't fit a component, with the value in it: text that a visitor typed. Any other error is
        logged under an id, and the person sees the id. Gradio shows the text as markup, so quoted
        text is escaped. The first kind is answered with status 422, the second with 500.

        Raises:
            gr.Error: The event failed.
        """
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        current_visitor.set(_find_visitor(settings.get("request")))
        current_identity.set(_find_identity(settings.get("request")))
        try:
            output = await super().process_api(function, *arguments, **settings)
        except gr.Error as error:
            mark_refused_event()
            raise gr.Error(escape(str(error.message)), print_exception=False) from error
        except Exception as error:
            shown = report_unexpected(logger, messages.FAILED, error)
            raise gr.Error(str(shown), print_exception=False) from error
        tab = self._openers.get(function._id)  # pyright: ignore[reportPrivateUsage]
        if tab is None:
            return output
        ids = [each._id for each in function.outputs]
        content, data = _fill(self._contents[tab], ids, output["data"])
        return {**output, "data": data, "render_config": {**content, "render_id": f"tab {tab}"}}


def find_problem(component: Any, value: Any) -> str | None:
    """Return what is wrong with a value for a component; None if nothing is.

    Gradio has no message for an empty slider, and lists all choices for a wrong one. A choice may
    be wrong because the server remembers a limited number of pages, and forgot that this page's
    choices were updated.
    """
    name = component.label or messages.A_SETTING
    if value is None and isinstance(component, gr.Slider):
        least, most = component.minimum, component.maximum
        return messages.empty_number(name, least, most)
    if value is None and isinstance(component, (gr.Radio, gr.Checkbox, gr.CheckboxGroup)):
        return messages.empty_choice(name)
    if value is not None and isinstance(component, (gr.Slider, gr.Number)):
        return _describe_bounds(name, value, component.minimum, component.maximum)
    if value is None or not isinstance(component, (gr.Radio, gr.Dropdown, gr.CheckboxGroup)):
        return None
    if isinstance(component, gr.Dropdown) and component.allow_custom_value:
        return None
    offered = [choice for _, choice in component.choices]
    chosen = value if isinstance(value, list) else [value]
    missing = next((each for each in chosen if each not in offered), None)
    if missing is None:
        return None
    return messages.not_in_the_list(name, missing)


def _describe_bounds(
    name: str, value: float, least: float | None, most: float | None
) -> str | None:
    if least is not None and value < least:
        return messages.below_the_least(name, value, least)
    if most is not None and value > most:
        return messages.above_the_most(name, value, most)
    return None


def _find_visitor(request: Any) -> str:
    """Return the visitor who sent an event; Gradio's queue handles events in its own context."""
    client = getattr(request, "client", None)
    return identify_visitor(client.host) if client is not None else THIS_MACHINE


def _find_identity(request: Any) -> Identity:
    headers = getattr(request, "headers", None)
    return Identity() if headers is None else Identity.parse(headers.get(HEADER))


def _divide(
    config: Mapping[str, Any], places: Mapping[str, _Place]
) -> tuple[Config, dict[str, Config]]:
    """Divide a page's configuration into what it starts with and the content of each place."""
    layouts = {each["id"]: each for each in _walk(config["layout"])}
    begun: dict[int, Config] = {}
    inside: dict[str, Config] = {}
    for tab, place in places.items():
        layout = layouts[place.column]
        placeholder = layouts[place.placeholder]
        rest = [child for child in layout["children"] if child is not placeholder]
        begun[place.column] = {**layout, "children": [placeholder]}
        inside[tab] = {**layout, "children": rest}
    tab_of = {
        each["id"]: tab
        for tab, layout in inside.items()
        for child in layout["children"]
        for each in _walk(child)
    }
    components = {each["id"]: each for each in _set_interactive(config)}
    events: dict[str | None, list[Config]] = {None: [], **{tab: [] for tab in places}}
    homes: dict[int, str | None] = {}
    for event in config["dependencies"]:
        homes[event["id"]] = home = _find_tab(event, tab_of, homes)
        events[home].append(event)

    layout = _replace(config["layout"], begun)
    kept = [each for number, each in components.items() if number not in tab_of]
    first: Config = {"components": kept, "dependencies": events[None], "layout": layout}
    # Gradio serves a page by these ids, not by the lists above.
    first["page"] = {
        "": {
            "layout": layout,
            "components": [each["id"] for each in kept],
            "dependencies": [each["id"] for each in events[None]],
        }
    }
    contents = {
        tab: {
            "layout": layout,
            "components": [components[each["id"]] for each in _walk(layout)],
            "dependencies": events[tab],
        }
        for tab, layout in inside.items()
    }
    return first, contents


def _find_tab(
    event: Mapping[str, Any], tab_of: Mapping[int, str], homes: Mapping[int, str | None]
) -> str | None:
    """Return the tab that an event belongs to; None for the page itself."""
    if event["trigger_after"] is not None:
        return homes[event["trigger_after"]]
    tabs = {tab_of.get(target) for target, _ in event["targets"]}
    return tabs.pop() if len(tabs) == 1 else None


def _set_interactive(config: Mapping[str, Any]) -> list[Config]:
    """Return the components, each with `interactive` set.

    Gradio's script infers it from all events, but this page doesn't start with all of them.
    """
    read = {number for event in config["dependencies"] for number in event["inputs"]}
    written = {number for event in config["dependencies"] for number in event["outputs"]}

    def with_interactive(component: Mapping[str, Any]) -> Config:
        number, props = component["id"], component["props"]
        takes_input = number in read or (number not in written and not props.get("value"))
        used = {name: each for name, each in component.items() if name not in _UNUSED}
        return {**used, "props": {"interactive": takes_input, **props}}

    return [with_interactive(each) for each in config["components"]]


def _fill(content: Config, outputs: Iterable[int], data: Iterable[Any]) -> tuple[Config, list[Any]]:
    """Merge an event's updates into the content they belong to.

    Returns the content, and the updates for the rest of the page.
    """
    components = {each["id"]: each for each in content["components"]}
    rest: list[Any] = []
    for number, update in zip(outputs, data, strict=True):
        component = components.get(number)
        if component is None:
            rest.append(update)
            continue
        rest.append(_UNCHANGED)
        is_update = isinstance(update, Mapping) and update.get("__type__") == "update"
        props = update if is_update else {"value": update}
        changed = {name: each for name, each in props.items() if name != "__type__"}
        components[number] = {**component, "props": {**component["props"], **changed}}
    return {**content, "components": list(components.values())}, rest


def _walk(layout: Mapping[str, Any]) -> Generator[Mapping[str, Any]]:
    yield layout
    for child in layout.get("children", ()):
        yield from _walk(child)


def _replace(layout: Mapping[str, Any], by_id: Mapping[int, Config]) -> Config:
    if layout["id"] in by_id:
        return by_id[layout["id"]]
    if "children" not in layout:
        return dict(layout)
    return {**layout, "children": [_replace(child, by_id) for child in layout["children"]]}
