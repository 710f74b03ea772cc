"""ComfyUI's graphs, as it writes them into pictures (`prompt`): the nodes that ran.

A node is {"class_type": name, "inputs": {name: value or [another node's id, its output's number]}}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

from paintdiff.errors import MetadataError
from paintdiff.gallery import messages
from paintdiff.gallery.settings.found_settings import FoundSettings, keep_usable
from paintdiff.gallery.settings.sampler_names import from_others

Inputs = Mapping[str, object]
Nodes = Mapping[str, tuple[str, Inputs]]
"""Each node's class and inputs, by id."""

PROGRAM = "ComfyUI"
_MOST_NODES = 2000
_MOST_STEPS = 64
_MOST_STEPS_TO_VALUE = 8
_TEXTS = (
    *("text", "populated_text", "wildcard_text", "text_g", "t5xxl", "clip_l", "prompt", "string"),
    "value",
)
_TEXT_PARTS = ("text_a", "text_b", "text_c", "text_d", "string_a", "string_b", "text1", "text2")
_VALUES = ("value", "Value", "int", "float", "number", "Number")
_MODELS = ("ckpt_name", "unet_name", "model_name", "base_ckpt_name")
_SUFFIX = re.compile(r"\.(safetensors|ckpt|gguf|pt|sft)$", re.IGNORECASE)
_OTHER_SIDE = {"positive": "negative", "negative": "positive"}


def is_graph(content: Mapping[str, object]) -> bool:
    """Return whether an object is a graph."""
    nodes = list(content.values())[:_MOST_NODES]
    return bool(nodes) and all(
        isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict)
        for node in cast("list[Any]", nodes)
    )


def settings_from_graph(content: Mapping[str, object]) -> FoundSettings:
    """Return the settings of a graph's first pass.

    Of several sampling nodes that is the one which starts from an empty picture.

    Raises:
        MetadataError: They can't be found.
    """
    if len(content) > _MOST_NODES:
        raise MetadataError(messages.too_many_nodes(_MOST_NODES))
    graph = _Graph(
        {
            str(key): (str(node["class_type"]), cast("Inputs", node["inputs"]))
            for key, node in cast("Mapping[str, dict[str, object]]", content).items()
        }
    )
    samplers = [key for key, (name, inputs) in graph.nodes.items() if _is_sampler(name, inputs)]
    if not samplers:
        raise MetadataError(messages.NO_SAMPLING_NODE)
    first = next((key for key in samplers if graph.starts_empty(key, samplers)), samplers[0])
    values, named = graph.read_values(first)
    if len(samplers) > 1:
        more = len(samplers) - 1
        named.append("a second pass" if more == 1 else f"{more} more passes")
    if not values.get("prompt") and "seed" not in values:
        raise MetadataError(messages.NO_PROMPT_IN_GRAPH)
    return keep_usable(values, named, PROGRAM)


def _is_sampler(name: str, inputs: Inputs) -> bool:
    if name.startswith("SamplerCustom"):
        return True
    return "steps" in inputs and "cfg" in inputs and ("seed" in inputs or "noise_seed" in inputs)


class _Graph:
    """A graph, and how to follow its links. Every walk ends, even if links form a cycle."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes

    def find_source(self, value: object) -> str | None:
        """Return the id of the node that an input comes from; None if it is a value."""
        if isinstance(value, list) and len(cast("list[object]", value)) == 2:
            key = str(cast("list[object]", value)[0])
            return key if key in self.nodes else None
        return None

    def upstream(self, key: str | None, *names: str, skipping: str = "") -> Iterator[str]:
        """Yield a node and those that its inputs come from, nearest first.

        With `names`, follow only inputs of these names; never follow the one called `skipping`.
        """
        waiting, seen = [key], set[str]()
        while waiting:
            now = waiting.pop(0)
            if now is None or now in seen:
                continue
            seen.add(now)
            yield now
            for name, value in self.nodes[now][1].items():
                follow = not names or any(each in name for each in names)
                if follow and not (skipping and name == skipping):
                    waiting.append(self.find_source(value))

    def value(self, key: str, *names: str) -> object:
        """Return the first of a node's inputs of these names, from itself or another node."""
        inputs = self.nodes[key][1]
        found = next((inputs[name] for name in names if inputs.get(name) is not None), None)
        source = self.find_source(found)
        if source is None:
            return None if isinstance(found, (list, dict)) else found
        for each in islice(self.upstream(source), _MOST_STEPS_TO_VALUE):
            given = self.nodes[each][1]
            for name in (*names, *_VALUES):
                if isinstance(given.get(name), (str, int, float)):
                    return given[name]
        return None

    def starts_empty(self, key: str, samplers: list[str]) -> bool:
        """Return whether a sampling node's latents come from none of the others."""
        source = self.find_source(self.nodes[key][1].get("latent_image"))
        others = set(samplers) - {key}
        return source is not None and not others.intersection(self.upstream(source))

    def read_values(self, key: str) -> tuple[dict[str, object], list[str]]:
        """Return the fields of a request, and what can't be used."""
        inputs = self.nodes[key][1]
        guider = self.find_source(inputs.get("guider")) or key
        values: dict[str, object] = {
            "prompt": self.text(guider, "positive", "conditioning"),
            "negative_prompt": self.text(guider, "negative"),
            "prompt_syntax": "a1111",
            "emphasis": "comfy",
            "num_inference_steps": self._find(key, "steps", through=("sigmas",)),
            "guidance_scale": self._guidance(guider),
            "seed": self._find(key, "seed", "noise_seed", through=("noise",)),
        }
        named: list[str] = []
        sampler = self._find(key, "sampler_name", through=("sampler",))
        if isinstance(sampler, str):
            schedule = self._find(key, "scheduler", through=("sigmas",))
            name, said = from_others(sampler, schedule if isinstance(schedule, str) else "")
            values["sampler"] = name
            named += said
        values |= self._size(key)
        values |= self._model(guider)
        if self._starts_from_picture(key):
            named.append("the picture it was made from")
        return {name: value for name, value in values.items() if value not in (None, "")}, named

    def text(self, key: str, *names: str) -> str:
        """Return the text that a node's conditioning was made from, joined by commas."""
        side = next((name for name in names if name in _OTHER_SIDE), "")
        given = next((self.nodes[key][1][n] for n in names if n in self.nodes[key][1]), None)
        if isinstance(given, str):
            return given
        start = self.find_source(given)
        if start is None:
            return ""
        found: list[str] = []
        waiting, seen = [start], set[str]()
        while waiting and len(seen) < _MOST_STEPS:
            now = waiting.pop(0)
            if now in seen:
                continue
            seen.add(now)
            own = self.nodes[now][1].get(side)
            words = own.strip() if isinstance(own, str) else self._words(now)
            if words:
                found.append(words)
                continue
            for name, value in self.nodes[now][1].items():
                source = self.find_source(value)
                if source is not None and ("cond" in name or name == side):
                    waiting.append(source)
        return ", ".join(dict.fromkeys(found))

    def _words(self, key: str, depth: int = 0) -> str:
        """Return the text of a node that has one."""
        if depth > _MOST_STEPS_TO_VALUE:
            return ""
        inputs = self.nodes[key][1]
        names = [name for name in _TEXT_PARTS if inputs.get(name)]
        found: list[str] = []
        for name in names or [name for name in _TEXTS if inputs.get(name)][:1]:
            source, given = self.find_source(inputs[name]), inputs[name]
            if source is not None:
                found.append(self._words(source, depth + 1))
            elif isinstance(given, str):
                found.append(given)
        return ", ".join(dict.fromkeys(part.strip() for part in found if part.strip()))

    def _find(self, key: str, *names: str, through: tuple[str, ...]) -> object:
        """Return a value of a sampling node, or of the nodes for its sigmas, noise or sampler."""
        value = self.value(key, *names)
        for name in through:
            for each in self.upstream(self.find_source(self.nodes[key][1].get(name))):
                value = self.value(each, *names) if value is None else value
        return value

    def _guidance(self, key: str) -> object:
        """Return the CFG scale, or a distilled model's guidance."""
        inputs = self.nodes[key][1]
        start = inputs.get("positive", inputs.get("conditioning"))
        for each in self.upstream(self.find_source(start), "cond"):
            if "guidance" in self.nodes[each][1]:
                return self.value(each, "guidance")
        return self.value(key, "cfg")

    def _size(self, key: str) -> dict[str, object]:
        source = self.find_source(self.nodes[key][1].get("latent_image"))
        for each in self.upstream(source, "latent", "samples"):
            width = self.value(each, "width", "empty_latent_width")
            height = self.value(each, "height", "empty_latent_height")
            if width is not None and height is not None:
                return {"width": width, "height": height}
        return {}

    def _starts_from_picture(self, key: str) -> bool:
        source = self.find_source(self.nodes[key][1].get("latent_image"))
        return any("pixels" in self.nodes[each][1] for each in self.upstream(source))

    def _model(self, key: str) -> dict[str, object]:
        """Return the model, its LoRAs and its clip skip."""
        values: dict[str, object] = {}
        loras: list[dict[str, object]] = []
        for each in self.upstream(key, "model", "guider"):
            loras += self._loras(each)
            model = self.value(each, *_MODELS)
            if isinstance(model, str):
                values.setdefault("model", _strip_name(model))
        for each in self.upstream(key, "cond", "positive", "clip"):
            layer = self.value(each, "stop_at_clip_layer")
            if isinstance(layer, int) and layer < 0:
                values.setdefault("clip_skip", -layer)
        return values | ({"loras": loras[::-1]} if loras else {})

    def _loras(self, key: str) -> list[dict[str, object]]:
        """Return the LoRAs that a node loads."""
        name = self.value(key, "lora_name")
        found: list[dict[str, object]] = []
        if isinstance(name, str):
            weight = self.value(key, "strength_model", "lora_model_strength", "strength")
            found.append({"name": _strip_name(name), "weight": 1.0 if weight is None else weight})
        for value in self.nodes[key][1].values():
            if isinstance(value, dict) and "lora" in value and value.get("on", True):
                entry = cast("Inputs", value)
                weight = entry.get("strength", 1.0)
                found.append({"name": _strip_name(str(entry["lora"])), "weight": weight})
        return [each for each in found if each["name"] != "None"]


def _strip_name(name: str) -> str:
    """Return a file's name without its folder and suffix."""
    return _SUFFIX.sub("", re.split(r"[\\/]", name)[-1])
