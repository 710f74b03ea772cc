"""Scripts in the web UI's requests: ControlNets, wildcards, and what isn't available."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.controlnet_units import SCRIPT as CONTROLNET
from paintdiff.api.a1111.controlnet_units import Controls, read_units
from paintdiff.errors import RequestError

DYNAMIC_PROMPTS = "dynamic prompts"
AVAILABLE = (CONTROLNET, DYNAMIC_PROMPTS)
_NO_SCRIPT = ("", "none")
_MOST_NAMED = 20


@dataclass(frozen=True)
class Scripts:
    """What the scripts of a request ask for.

    `wildcards` is a request's: "off" unless the extension for them is on, because without it the
    web UI reads braces as text.
    """

    controls: Controls = field(default_factory=Controls)
    wildcards: str = "off"
    warnings: tuple[str, ...] = ()


def read_scripts(
    script_name: str, always_on: Mapping[str, object], init_image: object | None
) -> Scripts:
    """Read the scripts of a request; a ControlNet without a picture takes the `init_image`.

    Raises:
        RequestError: A script isn't available, or a value of one can't be used.
    """
    if script_name.strip().casefold() not in _NO_SCRIPT:
        raise RequestError(messages.script_not_available(script_name), field="script_name")
    controls, wildcards, ignored = Controls(), "off", list[str]()
    for name, content in always_on.items():
        args = (
            cast("dict[str, object]", content).get("args") if isinstance(content, dict) else content
        )
        plain = name.strip().casefold()
        if plain == CONTROLNET:
            controls = read_units([] if args is None else args, name, init_image)
        elif plain.startswith(DYNAMIC_PROMPTS):
            wildcards = _read_wildcards(args, name)
        elif _asks_for_something(args):
            ignored.append(name)
    said = (messages.scripts_ignored(", ".join(ignored[:_MOST_NAMED])),) if ignored else ()
    return Scripts(controls, wildcards, (*controls.warnings, *said))


def _read_wildcards(args: object, name: str) -> str:
    if args is None:
        return "random"
    if not isinstance(args, list):
        raise RequestError(messages.args_unreadable(name), field=f"alwayson_scripts.{name}")
    values = cast("list[object]", args)
    if values[:1] == [False]:
        return "off"
    return "combinatorial" if values[1:2] == [True] else "random"


def _asks_for_something(args: object) -> bool:
    """Return whether a script is on: the first of its args switches many off."""
    if isinstance(args, list):
        values = cast("list[object]", args)
        return bool(values) and values[0] is not False
    return args is None or bool(args)
