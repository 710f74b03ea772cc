r"""The A1111 web UI's prompt language: `AND`, schedules and alternation.

`a AND b :0.7` is two prompts with weights. `[from:to:when]`, `[to:when]` and `[from::when]` change
the prompt during the run: `when` is a step, or with a decimal point a share of the steps. `[a|b]`
alternates at each step. What is left is emphasis, see `attention`; LoRA tags are text here, see
`extra_networks`.

Unlike in A1111, one `|` outside of brackets doesn't switch off a prompt's other schedules, and a
`:0.7` at the end weighs a prompt only beside another one: "a ratio of 16:9" has no weight of 9.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import paintdiff.prompts.messages as messages
from paintdiff.prompts.attention import MAX_MISTAKES, MAX_WEIGHT, Mistake, read_attention
from paintdiff.prompts.extra_networks import blank_tags, split_lora_tags

PromptSyntax = Literal["a1111", "plain"]
"""How a prompt is read; in a "plain" one brackets and colons are text, as before version 0.3."""

MAX_DEPTH = 64

_AND = re.compile(r"\bAND\b")
_PROMPT_WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_TOKEN = re.compile(
    r"\\.|<(?:lora|lyco):(?:\\.|[^\\<>]){0,500}>|[()\[\]:|]", re.DOTALL | re.IGNORECASE
)


# A prompt may have thousands of nodes. Named tuples are made three times as fast as dataclasses.


class Text(NamedTuple):
    """A text that stays the same during the run, `source[start:end]`."""

    start: int
    end: int


class Scheduled(NamedTuple):
    """`[before:after:when]`; `when` as written, since "1.0" is a share and "1" a step."""

    before: Nodes
    after: Nodes
    when: str
    start: int
    end: int


class Alternate(NamedTuple):
    """`[a|b|c]`: one option a step, in turn."""

    options: tuple[Nodes, ...]
    start: int
    end: int


Node = Text | Scheduled | Alternate
Nodes = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Subprompt:
    """One of the prompts between `AND`, with its weight."""

    nodes: Nodes
    weight: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A parsed prompt. Positions in it count characters of `source`."""

    source: str
    subprompts: tuple[Subprompt, ...]
    mistakes: tuple[Mistake, ...]


def parse_prompt(source: str, *, divided: bool = True) -> Prompt:
    """Parse a prompt in time linear in its length. Never raises: see its `mistakes`.

    With `divided=False`, as for a negative prompt, `AND` is a word.
    """
    subprompts: list[Subprompt] = []
    mistakes: list[Mistake] = []
    found = [match.span() for match in _AND.finditer(source)] if divided else []
    start = 0
    for end, after in (*found, (len(source), 0)):
        text_end, weight = _split_weight(source, start, end) if found else (end, 1.0)
        if abs(weight) > MAX_WEIGHT:
            _report(mistakes, messages.weight_too_large(MAX_WEIGHT), text_end, end)
            weight = math.copysign(MAX_WEIGHT, weight)
        nodes = _parse_nodes(source, start, text_end, mistakes)
        subprompts.append(Subprompt(nodes, weight, start, text_end))
        start = after
    return Prompt(source, tuple(subprompts), tuple(mistakes))


def count_subprompts(source: str, syntax: PromptSyntax) -> int:
    """Count the prompts between `AND`; each costs a call of the model at every step."""
    return 1 if syntax == "plain" else 1 + sum(1 for _ in _AND.finditer(source))


def find_mistakes(source: str) -> tuple[Mistake, ...]:
    """Return the mistakes in a prompt's schedules and brackets, in order."""
    found = {*parse_prompt(source).mistakes, *read_attention(source).mistakes}
    return tuple(sorted(found, key=lambda mistake: (mistake.start, mistake.end)))[:MAX_MISTAKES]


def schedule(
    prompt: Prompt, steps: int, steps_before: int = 0
) -> tuple[tuple[tuple[int, str], ...], ...]:
    """Return each subprompt's texts with their last step (from 1), in order, without LoRA tags.

    The second pass of a hires fix comes after `steps_before` steps of the first. As in A1111, its
    steps count on from these, and its shares go from 1.0 to 2.0.
    """
    clock = _Clock(steps, steps_before)
    return tuple(
        tuple(
            (step, _write(prompt.source, subprompt.nodes, step, clock))
            for step in _list_ends(subprompt.nodes, clock)
        )
        for subprompt in prompt.subprompts
    )


def list_texts(prompt: Prompt) -> str:
    """Return all that a prompt's texts say at any step, without schedules and LoRA tags."""
    nodes = [node for each in prompt.subprompts for node in each.nodes]
    texts = [prompt.source[each.start : each.end] for each in _iterate_texts(nodes, 1, None)]
    return split_lora_tags(" ".join(texts))[0]


def blank_unread(prompt: Prompt, index: int | None = None, step: int = 1, steps: int = 1) -> str:
    """Return the source with spaces for all that isn't read, so that the rest keeps its place.

    Read is the subprompt of that index at a step (from 1) of `steps`; all of them at every step if
    it is None. LoRA tags and schedules aren't read, brackets of emphasis are left.
    """
    chosen = prompt.subprompts if index is None else prompt.subprompts[index : index + 1]
    clock = None if index is None else _Clock(steps, 0)
    read: list[str] = []
    place = 0
    for text in _iterate_texts([node for each in chosen for node in each.nodes], step, clock):
        read += (" " * (text.start - place), prompt.source[text.start : text.end])
        place = text.end
    return blank_tags("".join((*read, " " * (len(prompt.source) - place))))


def _iterate_texts(nodes: Sequence[Node], step: int, clock: _Clock | None) -> Iterator[Text]:
    """Yield the texts that are read at a step, in order; at any step without a clock."""
    waiting = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Text):
            yield node
        elif isinstance(node, Scheduled):
            if clock is None:
                waiting += reversed((*node.before, *node.after))
            else:
                is_before = step <= clock.find_step(node.when)
                waiting += reversed(node.before if is_before else node.after)
        elif clock is None:
            waiting += reversed([each for option in node.options for each in option])
        else:
            waiting += reversed(node.options[(step - 1) % len(node.options)])


def _split_weight(source: str, start: int, end: int) -> tuple[int, float]:
    text = source[start:end].rstrip()
    colon = text.rfind(":")
    match = _PROMPT_WEIGHT.fullmatch(text, colon + 1) if colon >= 0 else None
    if match is None:
        return end, 1.0
    return start + len(text[:colon].rstrip()), float(match[1])


class _Frame(NamedTuple):
    """An open bracket, or the whole text, and how many nodes and dividers came before it."""

    kind: str
    start: int
    nodes: int = 0
    dividers: int = 0


class _Divider(NamedTuple):
    """A `:` or `|` within a square bracket, and how many nodes came before it."""

    sign: str
    place: int
    nodes: int


def _parse_nodes(source: str, start: int, end: int, mistakes: list[Mistake]) -> Nodes:
    if source.find("[", start, end) < 0:
        return (Text(start, end),) if end > start else ()
    frames = [_Frame("", start)]
    # Of all frames: what stands in the last one is at the end.
    nodes: list[Node] = []
    dividers: list[_Divider] = []
    for match in _TOKEN.finditer(source, start, end):
        token, place = match[0], match.start()
        if token in ("(", "["):
            frames.append(_Frame(token, place, len(nodes), len(dividers)))
        elif token in (":", "|"):
            if frames[-1].kind == "[":
                dividers.append(_Divider(token, place, len(nodes)))
        elif token not in (")", "]"):
            continue
        elif frames[-1].kind != ("(" if token == ")" else "["):
            # Nothing that is still open can be closed in order: it is all text.
            del frames[1:], dividers[:]
        else:
            frame = frames.pop()
            if len(dividers) > frame.dividers:
                divided = dividers[frame.dividers :]
                del dividers[frame.dividers :]
                node = _build(source, frame, nodes, divided, place, mistakes)
                _replace(nodes, frame, node, len(frames), mistakes)
    return _fill(nodes, start, end)


def _replace(
    nodes: list[Node], frame: _Frame, node: Node | None, depth: int, mistakes: list[Mistake]
) -> None:
    """Put the node of a bracket that is closed in place of what stood in it."""
    if node is None:
        return
    del nodes[frame.nodes :]
    if depth > MAX_DEPTH:
        _report(mistakes, messages.nested_too_deep(MAX_DEPTH), node.start, node.end)
    else:
        nodes.append(node)


def _build(
    source: str,
    frame: _Frame,
    nodes: list[Node],
    dividers: list[_Divider],
    end: int,
    mistakes: list[Mistake],
) -> Node | None:
    colons = [divider for divider in dividers if divider.sign == ":"]
    if not colons:
        return Alternate(tuple(_divide(frame, nodes, dividers, end)), frame.start, end + 1)
    number = _NUMBER.fullmatch(source, colons[-1].place + 1, end)
    if number is None or len(colons) > 2:
        _report(mistakes, messages.WRITE_SCHEDULE, frame.start, end + 1)
        return None
    parts = _divide(frame, nodes, colons, end)
    before = parts[0] if len(colons) == 2 else ()
    return Scheduled(before, parts[-2], number[1], frame.start, end + 1)


def _divide(frame: _Frame, nodes: list[Node], dividers: list[_Divider], end: int) -> list[Nodes]:
    parts: list[Nodes] = []
    start, first = frame.start + 1, frame.nodes
    for _, place, count in (*dividers, _Divider("", end, len(nodes))):
        parts.append(_fill(nodes[first:count], start, place))
        start, first = place + 1, count
    return parts


def _fill(nodes: list[Node], start: int, end: int) -> Nodes:
    """Put the text around and between nodes."""
    if not nodes:
        return (Text(start, end),) if end > start else ()
    filled: list[Node] = []
    for node in nodes:
        if node.start > start:
            filled.append(Text(start, node.start))
        filled.append(node)
        start = node.end
    if end > start:
        filled.append(Text(start, end))
    return tuple(filled)


def _report(mistakes: list[Mistake], message: str, start: int, end: int) -> None:
    if len(mistakes) < MAX_MISTAKES:
        mistakes.append(Mistake(message, start, end))


@dataclass(frozen=True, slots=True)
class _Clock:
    """Counts the steps of one pass."""

    steps: int
    steps_before: int

    def find_step(self, when: str) -> int:
        if "." in when:
            value = (float(when) - (1.0 if self.steps_before else 0.0)) * self.steps
        else:
            value = float(when) - self.steps_before
        return int(max(-1.0, min(float(self.steps), value)))


def _list_ends(nodes: Nodes, clock: _Clock) -> list[int]:
    ends = {clock.steps}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Scheduled):
            step = clock.find_step(node.when)
            if step >= 1:
                ends.add(step)
            waiting += (*node.before, *node.after)
        elif isinstance(node, Alternate):
            ends.update(range(1, clock.steps + 1))
            for option in node.options:
                waiting += option
    return sorted(ends)


def _write(source: str, nodes: Nodes, step: int, clock: _Clock) -> str:
    texts = [source[each.start : each.end] for each in _iterate_texts(nodes, step, clock)]
    text = "".join(texts)
    return split_lora_tags(text)[0] if "<" in text or "\0" in text else text
