"""Expand a template to the text of one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import paintdiff.prompts.messages as messages
from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.prompts.wildcards.choosing import Choosers, Combinations, Method
from paintdiff.prompts.wildcards.template import (
    DOTS,
    Choice,
    GetVariable,
    Nodes,
    Option,
    SetVariable,
    Wildcard,
    Wrap,
    find_place,
    parse_template,
)

WildcardMode = Literal["random", "combinatorial", "off"]
"""How a request's templates are expanded; "off" reads them as text."""

MAX_DEPTH = 48
"""How deep choices, variables and wildcards may lie in each other."""
MAX_CHARACTERS = 10_000
MAX_COMBINATIONS = 4096
MAX_WORK = 400_000
"""How many parts of templates are looked at for one template of a request; about a second."""


class WildcardSource(Protocol):
    """Where the lines of wildcards come from."""

    def find_lines(self, name: str) -> Sequence[Option] | None:
        """Return a wildcard's lines, parsed; None if there is no such wildcard."""
        ...

    def suggest(self, name: str) -> Sequence[str]:
        """Return names that are spelled like this one, the nearest first."""
        ...


class Template:
    """A template with its wildcards. The work for all its expansions together is limited.

    `has_more` says whether there are more combinations than are used: the first MAX_COMBINATIONS,
    or fewer if they take long. All errors are RequestErrors for `field`.
    """

    def __init__(
        self,
        source: str,
        wildcards: WildcardSource,
        mode: WildcardMode = "random",
        field: str = "prompt",
    ) -> None:
        self.has_more = False
        self._source = source
        self._wildcards = wildcards
        self._mode: Method = "combinatorial" if mode == "combinatorial" else "random"
        self._field = field
        self._left = MAX_WORK
        self._same_for_all: tuple[str, ...] | None = None
        self._nodes = parse_template(source, field) if mode != "off" else (source,)

    def expand(self, seed: int, number: int | None = None) -> str:
        """Return the text for a picture's seed. `number` (None: the seed) is the combination's."""
        texts = self.list_combinations(seed)
        return texts[(seed if number is None else number) % len(texts)]

    def list_combinations(self, seed: int) -> tuple[str, ...]:
        """Return all combinations, with the seed's choices where one is made at random.

        Without a choice to combine it is one text.
        """
        if self._same_for_all is not None:
            return self._same_for_all
        combinations, texts = Combinations(), list[str]()
        depends, going_on = False, True
        while going_on:
            choosers = Choosers(seed, self._field, combinations)
            texts.append(_Expansion(self, choosers).write(self._nodes, {}, ()))
            depends |= choosers.use_seed
            going_on = combinations.advance()
            if going_on and (len(texts) == MAX_COMBINATIONS or self._left < MAX_WORK // 2):
                self.has_more, going_on = True, False
        if not depends:
            self._same_for_all = tuple(texts)
        return tuple(texts)

    @property
    def mode(self) -> Method:
        """Return how choices are made that don't say it."""
        return self._mode

    def find_lines(self, wildcard: Wildcard, name: str) -> Sequence[Option] | None:
        """Return a wildcard's lines, None if it stays as text.

        Raises:
            RequestError: There is no such wildcard, or it can't be read.
        """
        try:
            lines = self._wildcards.find_lines(name)
        except RequestError as error:
            raise self.fail(str(error)) from error
        if lines is None and not wildcard.tolerant:
            names = self._wildcards.suggest(name)
            raise UnknownNameError(
                messages.no_such_wildcard(name[:100], names),
                field=self._field,
                what="wildcard",
                name=name,
                suggestion=names[0] if names else None,
            )
        return lines

    def fail(self, message: str) -> RequestError:
        """Return an error about this template."""
        return RequestError(message, field=self._field)

    def place(self, start: int) -> str:
        """Return what stands at a place, to quote it."""
        return find_place(self._source, start)

    def spend(self, work: int) -> None:
        """Count work. Raises RequestError if there was too much."""
        self._left -= work
        if self._left < 0:
            raise self.fail(messages.TEMPLATE_TOO_LARGE)


Variables = Mapping[str, "str | _Unmade"]


@dataclass(frozen=True, slots=True)
class _Unmade:
    """A variable whose choices are made each time that it is inserted."""

    nodes: Nodes
    variables: Variables


class _Expansion:
    """One expansion of a template."""

    def __init__(self, template: Template, choosers: Choosers) -> None:
        self._template = template
        self._choosers = choosers

    def write(self, nodes: Nodes, variables: Variables, path: tuple[str, ...]) -> str:
        """Return the text of nodes. `path` are the wildcards and "" for all else around them."""
        if len(path) > MAX_DEPTH:
            raise self._template.fail(_explain_depth(path))
        texts: list[str] = []
        length = 0
        for node in nodes:
            if isinstance(node, SetVariable):
                variables = self._set(node, variables, path)
                continue
            text = node if isinstance(node, str) else self._write_node(node, variables, (*path, ""))
            length += len(text)
            self._template.spend(1 + len(text) // 100)
            if length > MAX_CHARACTERS:
                raise self._template.fail(messages.expansion_too_long(MAX_CHARACTERS))
            texts.append(text)
        return "".join(texts)

    def _write_node(
        self,
        node: Choice | Wildcard | GetVariable | Wrap,
        variables: Variables,
        path: tuple[str, ...],
    ) -> str:
        if isinstance(node, Choice):
            return self._write_choice(node, variables, path)
        if isinstance(node, Wildcard):
            return self._write_wildcard(node, variables, path)
        if isinstance(node, GetVariable):
            return self._write_variable(node, variables, path)
        wrapper = self.write(node.wrapper, variables, path)
        inner = self.write(node.inner, variables, path)
        return DOTS.sub(lambda _match: inner, wrapper, count=1)

    def _write_choice(self, node: Choice, variables: Variables, path: tuple[str, ...]) -> str:
        options: Sequence[Option] = node.options
        only = options[0].nodes if len(options) == 1 else ()
        if len(only) == 1 and isinstance(only[0], Wildcard) and node.high > 1:
            # `{2$$__name__}` chooses two lines of the wildcard.
            wildcard = only[0]
            name = self._read_name(wildcard, variables, path)
            lines = self._template.find_lines(wildcard, name)
            if lines is not None:
                options, path = lines, (*path, name)
                variables = self._add_arguments(wildcard, variables)
        chosen = self._choose(options, (node.low, node.high), node.method)
        texts = [self.write(each.nodes, variables, path) for each in chosen]
        if node.high == 1:
            return "".join(texts)
        stripped = (text.strip() for text in texts)
        return node.separator.join(text for text in stripped if text)

    def _write_wildcard(self, node: Wildcard, variables: Variables, path: tuple[str, ...]) -> str:
        name = self._read_name(node, variables, path)
        lines = self._template.find_lines(node, name)
        if lines is None:
            return node.source
        inner = self._add_arguments(node, variables)
        [chosen] = self._choose(lines, (1, 1), node.method)
        return self.write(chosen.nodes, inner, (*path, name))

    def _read_name(self, node: Wildcard, variables: Variables, path: tuple[str, ...]) -> str:
        return self.write(node.name, variables, path).strip()

    @staticmethod
    def _add_arguments(node: Wildcard, variables: Variables) -> Variables:
        given = {name: _Unmade(value, variables) for name, value in node.variables}
        return {**variables, **given} if given else variables

    def _set(self, node: SetVariable, variables: Variables, path: tuple[str, ...]) -> Variables:
        self._template.spend(1 + len(variables))
        if node.unless_set and node.name in variables:
            return variables
        value: str | _Unmade = _Unmade(node.value, variables)
        if node.at_once:
            value = self.write(node.value, variables, (*path, ""))
        return {**variables, node.name: value}

    def _write_variable(
        self, node: GetVariable, variables: Variables, path: tuple[str, ...]
    ) -> str:
        value = variables.get(node.name)
        if isinstance(value, str):
            return value
        if value is not None:
            return self.write(value.nodes, value.variables, path)
        if node.default is None:
            place = self._template.place(node.start)
            raise self._template.fail(messages.variable_not_set(node.name, place))
        return self.write(node.default, variables, path)

    def _choose(
        self, options: Sequence[Option], bounds: tuple[int, int], method: Method | None
    ) -> list[Option]:
        chooser = self._choosers.find(method or self._template.mode)
        left = [option for option in options if option.weight]
        self._template.spend(1 + len(options) // 200)
        low, high = (min(bound, len(left)) for bound in bounds)
        count = low + (chooser.choose([1] * (high - low + 1)) if high > low else 0)
        chosen: list[Option] = []
        for _ in range(count):
            self._template.spend(1 + len(left) // 200)
            chosen.append(left.pop(chooser.choose([option.weight for option in left])))
        return chosen


def _explain_depth(path: tuple[str, ...]) -> str:
    names = [name for name in path if name]
    again = next((name for name in names if names.count(name) > 1), None)
    if again is None:
        return messages.expansion_too_deep(MAX_DEPTH)
    first = names.index(again)
    return messages.wildcard_names_itself(names[first : names.index(again, first + 1) + 1])
