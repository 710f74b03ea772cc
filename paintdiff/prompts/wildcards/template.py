r"""The grammar of templates, that of the sd-dynamic-prompts extension.

`{a|b}` chooses; `{2::a|b}` with weights; `{2$$a|b|c}` and `{1-2$$ and $$a|b}` several, joined.
`__name__` is a line of a wildcard, `__name(x=a)__` with a variable. `${x=a}` sets a variable,
`${x=!a}` with its choices made once, `${x?=a}` unless it is set; `${x}` and `${x:default}` insert
it. `%{(...:1.2)$$a}` puts `a` in place of the dots. `~`, `!` and `@` after `{` or `__` ask for a
random choice, all combinations, or one after the other.

A backslash makes the next character text, and stays: the prompt language removes it. A `|` within
`[a|b]` doesn't divide a choice. Unlike there, `#` and `//` are text, and so is a `}`, `$`, `%` or
`__` that begins nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import paintdiff.prompts.messages as messages
from paintdiff.errors import RequestError
from paintdiff.prompts.wildcards.choosing import Method

MAX_NESTING = 24
MAX_WEIGHT = 1_000_000
WEIGHT_UNIT = 1000
"""Weights are whole numbers of thousandths, so that sums are exact."""

_METHODS: dict[str, Method | None] = {
    "": None,
    "~": "random",
    "!": "combinatorial",
    "@": "cyclic",
}
_NAME = r"(?:(?!__)[^\s,|(){}<>$#:;\"]|(?<=\S) (?=\S)|\$?\{[^{}\n]{0,100}\}){1,200}?"
_WILDCARD = re.compile(rf"__([~!@]?)(?=\S)({_NAME})(?:\(([^()\n]{{0,300}})\))?__")
_BEGINNING = re.compile(
    r"\\(?:\$\{|%\{|__|.)|\$\{|%\{|\{|\}|\||\$\$|\[|\]|__|<(?:lora|lyco):|>",
    re.DOTALL | re.IGNORECASE,
)
_CHOICE_HEAD = re.compile(r"\s*([~!@]?)(?:(\d{0,4})(-?)(\d{0,4})\$\$(?:([^${}]{0,50})\$\$)?)?")
_WEIGHT = re.compile(r"\s*(\d{1,7}(?:\.\d{0,6})?|\.\d{1,6})::")
_SET = re.compile(r"\s*([A-Za-z_-][\w-]{0,60})\s*(\??)=(!?)\s*")
_GET = re.compile(r"\s*([A-Za-z_-][\w-]{0,60})\s*(?:(:)|(?=\}))")
DOTS = re.compile(r"\u2026|\.{3,}")
"""Where a wrapper takes its content."""
_BRACKET = re.compile(r"\\(?:\$\{|%\{|.)|%\{|\{|\}|\[|\]|\||\$\$|\u2026|\.{3,}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Option:
    """One of the texts of a choice; `weight` in thousandths."""

    nodes: Nodes
    weight: int = WEIGHT_UNIT


@dataclass(frozen=True, slots=True)
class Choice:
    """`{...}`: between `low` and `high` of the options, joined by `separator`."""

    options: tuple[Option, ...]
    low: int
    high: int
    separator: str
    method: Method | None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`__name__`, at `start` of the text; `tolerant` within a LoRA tag: there it may be text."""

    name: Nodes
    variables: tuple[tuple[str, Nodes], ...]
    method: Method | None
    source: str
    start: int
    tolerant: bool


@dataclass(frozen=True, slots=True)
class SetVariable:
    """`${name=value}`, for what follows in the same text."""

    name: str
    value: Nodes
    at_once: bool
    unless_set: bool


@dataclass(frozen=True, slots=True)
class GetVariable:
    """`${name:default}`, at `start` of the text."""

    name: str
    default: Nodes | None
    start: int


@dataclass(frozen=True, slots=True)
class Wrap:
    """`%{before...after$$inner}`."""

    wrapper: Nodes
    inner: Nodes


Node = str | Choice | Wildcard | SetVariable | GetVariable | Wrap
Nodes = tuple[Node, ...]
_Reader = Callable[[int], Node]


class _Ended(NamedTuple):
    """The nodes up to a sign that ends them: "}", "|", "$$", or "" at the end of the text."""

    nodes: Nodes
    sign: str


def parse_template(source: str, field: str | None = None) -> Nodes:
    """Parse a template in time linear in its length.

    Raises:
        RequestError: Something in it is never closed or nested too deep, for `field`; the message
            says where.
    """
    try:
        return _Parser(source).parse()
    except RequestError as error:
        raise RequestError(str(error), field=field) from None


def parse_option(line: str) -> Option:
    """Parse a wildcard's line: a template, perhaps with a weight before it, "2::red".

    Raises:
        RequestError: As for `parse_template`.
    """
    if "::" not in line and not is_template(line):
        return Option((line,))
    return _Parser(line).parse_option()


def is_template(source: str) -> bool:
    """Return whether expanding a text may change it."""
    return "{" in source or _WILDCARD.search(source) is not None


def list_wildcard_names(source: str) -> tuple[str, ...]:
    """Return the names of the wildcards that a text names as they are, each once."""
    names = (match[2] for match in _WILDCARD.finditer(source))
    return tuple(dict.fromkeys(name for name in names if "{" not in name))


_SYNTAX = re.compile(
    r"\\.|\$\{\s*[\w-]{0,60}\s*(?:\?=|=!?|:)?|%\{"
    r"|\{\s*[~!@]?(?:\d{0,4}-?\d{0,4}\$\$(?:[^${}]{0,50}\$\$)?)?|[\d.]{1,14}::|\$\$|[}|]",
    re.DOTALL,
)


def blank_templates(source: str) -> str:
    """Replace what isn't read as words by as many spaces, so that all options keep their places."""
    if not is_template(source):
        return source
    blanked = _WILDCARD.sub(lambda match: " " * len(match[0]), source)
    return _SYNTAX.sub(
        lambda match: match[0] if match[0].startswith("\\") else " " * len(match[0]), blanked
    )


def find_place(source: str, start: int) -> str:
    """Return the text from `start` on, shortened, to quote in a message."""
    shown = " ".join(source[start : start + 40].split())
    return f"{shown[:30]}\u2026" if len(shown) > 30 else shown


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0
        self._paired, self._wraps = _pair_brackets(source)

    def parse(self) -> Nodes:
        return self._read_nodes(()).nodes

    def parse_option(self) -> Option:
        weight = self._read_weight()
        return Option(self.parse(), weight)

    def _read_nodes(self, ends: tuple[str, ...]) -> _Ended:
        """Read up to one of the signs outside of brackets, or to the end of the text."""
        nodes: list[Node] = []
        texts: list[str] = []
        squares, in_tag = 0, False
        while (match := _BEGINNING.search(self._source, self._at)) is not None:
            texts.append(self._source[self._at : match.start()])
            sign, start = match[0], match.start()
            self._at = match.end()
            squares += (start in self._paired) * {"[": 1, "]": -1}.get(sign, 0)
            in_tag = (in_tag or sign.startswith("<")) and sign != ">"
            if sign in ends and not (sign == "|" and squares):
                return _Ended(_join(nodes, texts), sign)
            node = self._read_node(sign, start, in_tag=in_tag)
            if isinstance(node, str):
                texts.append(node)
            else:
                nodes += (*_join([], texts), node)
                texts = []
        texts.append(self._source[self._at :])
        self._at = len(self._source)
        return _Ended(_join(nodes, texts), "")

    def _read_node(self, sign: str, start: int, *, in_tag: bool) -> Node:
        if sign == "{":
            return self._nested(start, self._read_choice)
        if sign == "${":
            return self._nested(start, self._read_variable)
        if sign == "%{":
            if start in self._wraps:
                return self._nested(start, self._read_wrap)
            self._at -= 1  # a percent sign before a choice
            return "%"
        if sign == "__":
            return self._read_wildcard(start, in_tag=in_tag)
        return sign

    def _nested(self, start: int, read: _Reader) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise RequestError(
                messages.template_too_deep(MAX_NESTING, find_place(self._source, start))
            )
        node = read(start)
        self._depth -= 1
        return node

    def _read_choice(self, start: int) -> Node:
        head = _CHOICE_HEAD.match(self._source, self._at)
        assert head is not None  # it also matches nothing
        low, high, separator = 1, 1, ", "
        several = head[0].endswith("$$")
        if several:
            low, high = _read_bounds(head[2], head[3], head[4])
            separator = head[5] if head[5] is not None else separator
            self._at = head.end()
        elif head[1]:
            self._at = head.end(1)
        options: list[Option] = []
        sign = "|"
        while sign == "|":
            weight = self._read_weight()
            nodes, sign = self._read_nodes(("|", "}"))
            options.append(Option(nodes, weight))
        self._expect_end(sign, start)
        return Choice(tuple(options), low, high, separator, _METHODS[head[1]])

    def _read_weight(self) -> int:
        match = _WEIGHT.match(self._source, self._at)
        if match is None:
            return WEIGHT_UNIT
        self._at = match.end()
        weight = float(match[1])
        if weight > MAX_WEIGHT:
            raise RequestError(messages.choice_weight_too_large(match[1], MAX_WEIGHT))
        return round(weight * WEIGHT_UNIT)

    def _read_variable(self, start: int) -> Node:
        head = _SET.match(self._source, self._at)
        if head is not None:
            self._at = head.end()
            value, sign = self._read_nodes(("}",))
            self._expect_end(sign, start)
            return SetVariable(head[1], _strip(value), bool(head[3]), bool(head[2]))
        got = _GET.match(self._source, self._at)
        if got is None:
            raise RequestError(messages.not_a_variable(find_place(self._source, start)))
        self._at = got.end()
        default, sign = self._read_nodes(("}",))
        self._expect_end(sign, start)
        return GetVariable(got[1], _strip(default) if got[2] else None, start)

    def _read_wrap(self, start: int) -> Node:
        wrapper = self._read_nodes(("$$",)).nodes
        inner, sign = self._read_nodes(("}",))
        self._expect_end(sign, start)
        return Wrap(_strip(wrapper), _strip(inner))

    def _read_wildcard(self, start: int, *, in_tag: bool) -> Node:
        match = _WILDCARD.match(self._source, start)
        if match is None:
            return "__"
        self._at = match.end()
        name = (match[2],) if "{" not in match[2] else parse_template(match[2])
        variables = tuple(_read_arguments(match[3])) if match[3] else ()
        return Wildcard(name, variables, _METHODS[match[1]], match[0], start, in_tag)

    def _expect_end(self, sign: str, start: int) -> None:
        if sign != "}":
            raise RequestError(messages.choice_not_closed(find_place(self._source, start)))


def _read_bounds(low: str, dash: str, high: str) -> tuple[int, int]:
    if not dash:
        exact = int(low or "1")
        return exact, exact
    first, last = int(low or "1"), int(high or "9999")
    return min(first, last), max(first, last)


def _read_arguments(text: str) -> Iterator[tuple[str, Nodes]]:
    for argument in text.split(","):
        name, equals, value = argument.partition("=")
        if not equals or not name.strip():
            raise RequestError(messages.not_an_argument(find_place(argument, 0)))
        yield name.strip(), parse_template(value.strip())


def _join(nodes: list[Node], texts: list[str]) -> Nodes:
    text = "".join(texts)
    return (*nodes, text) if text else tuple(nodes)


def _strip(nodes: Nodes) -> Nodes:
    """Strip the whitespace around a text of several nodes."""
    stripped = list(nodes)
    if stripped and isinstance(stripped[0], str):
        stripped[0] = stripped[0].lstrip()
    if stripped and isinstance(stripped[-1], str):
        stripped[-1] = stripped[-1].rstrip()
    return tuple(stripped)


def _pair_brackets(source: str) -> tuple[frozenset[int], frozenset[int]]:
    """Return where square brackets stand that are closed within one option, and all wrappers.

    A wrapper is a `%{` with dots before its first `$$`, and no `|` before it.
    """
    paired: set[int] = set()
    wraps: set[int] = set()
    opened: list[tuple[str, int]] = []
    dotted: set[int] = set()
    for match in _BRACKET.finditer(source):
        sign, place = match[0], match.start()
        top = opened[-1] if opened else ("", -1)
        if sign in ("{", "%{", "["):
            opened.append((sign, place))
        elif sign == "]" and top[0] == "[":
            paired |= {opened.pop()[1], place}
        elif sign == "}":
            while opened and opened.pop()[0] == "[":
                pass
        elif top[0] == "%{":
            if sign == "$$" and top[1] in dotted:
                wraps.add(top[1])
            if sign in ("|", "$$"):
                opened[-1] = ("{", top[1])
            elif not sign.startswith("\\"):
                dotted.add(top[1])
    return frozenset(paired), frozenset(wraps)
