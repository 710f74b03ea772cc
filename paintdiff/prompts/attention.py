r"""Emphasis in a prompt, by the A1111 web UI's rules.

`(x)` multiplies the weight by 1.1, `[x]` divides it by 1.1, `(x:1.3)` multiplies it by 1.3.
Brackets nest, and the two kinds may overlap. An opening bracket that isn't closed reaches to the
end; a closing one that wasn't opened is text. A backslash makes a bracket or a backslash text.
`BREAK` starts a new chunk; unlike in A1111, also inside brackets.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import paintdiff.prompts.messages as messages

Emphasis = Literal["original", "no_norm", "comfy"]
"""How weights act on a text's encoding; see `models/conditioning/emphasis.py`."""

MAX_WEIGHT = 1000.0
MAX_MISTAKES = 100

_TOKEN = re.compile(r"\\[()\[\]\\]?|\(+|\[+|\)+|]+|:\s*([+-]?[.\d]+)\s*\)|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"(?<!\s)\s*\bBREAK\b\s*")
_ROUND_OPENED = ("(", 1.1)
_SQUARE_OPENED = ("[", 1 / 1.1)
_ROUND_CLOSED = (")", 1.0)
_SQUARE_CLOSED = ("]", 1.0)


@dataclass(frozen=True, slots=True)
class Span:
    """A text of one weight, `source[start:end]` before its escapes and brackets were removed."""

    text: str
    weight: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Break:
    """The word `BREAK`: what follows starts a new chunk."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a prompt, at `source[start:end]`, that was probably meant otherwise."""

    message: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Attention:
    """A text's spans, and at most `MAX_MISTAKES` mistakes in its brackets.

    Weights stay within `MAX_WEIGHT`, also as products of nested brackets.
    """

    spans: tuple[Span | Break, ...]
    mistakes: tuple[Mistake, ...]


def list_words(text: str) -> str:
    """Return a text without its brackets, weights and escapes; `BREAK` is a space."""
    return "".join(
        span.text if isinstance(span, Span) else " " for span in read_attention(text).spans
    )


def parse_attention(text: str) -> tuple[Span | Break, ...]:
    """Split a text without LoRA tags and schedules into spans of equal weight."""
    return read_attention(text).spans


def read_attention(text: str, *, joined: bool = True) -> Attention:
    """Split a text into spans of equal weight, and report what is wrong with its brackets.

    Unless `joined`, a span ends at each bracket and escape, so that its characters are those of
    `source[start:end]`, behind a backslash if that begins with one.
    """
    brackets = _Brackets()
    brackets.read(text)
    return Attention(brackets.weigh(joined=joined), brackets.list_mistakes())


class _Brackets:
    """Collects texts and brackets; weights are known once the closing brackets are."""

    def __init__(self) -> None:
        # A text with its place, an opening bracket with its multiplier, or how many are closed.
        self._events: list[tuple[str, int, int] | Break | tuple[str, float]] = []
        # The events of the brackets that are open, and their places.
        self._round: list[tuple[int, int]] = []
        self._square: list[tuple[int, int]] = []
        self._mistakes: list[Mistake] = []

    def read(self, text: str) -> None:
        """Collect the events of a text. Brackets in a row are one token."""
        events, rounds, squares = self._events, self._round, self._square
        for match in _TOKEN.finditer(text):
            token = match[0]
            first = token[0]
            if first == "(":
                self._open(_ROUND_OPENED, rounds, match.start(), len(token))
            elif first == "[":
                self._open(_SQUARE_OPENED, squares, match.start(), len(token))
            elif token == ")" and rounds:
                rounds.pop()
                events.append(_ROUND_CLOSED)
            elif token == "]" and squares:
                squares.pop()
                events.append(_SQUARE_CLOSED)
            elif first in ")]":
                self._close(first, match.start(), len(token))
            elif first == "\\":
                events.append((token[1:], match.start(), match.end()))
            elif first == ":" and match[1] is not None:
                self._close_with_weight(match)
            else:
                self._add_text(token, match.start())

    def weigh(self, *, joined: bool) -> tuple[Span | Break, ...]:
        # Brackets of one kind nest, so that each kind is a stack of products. This keeps it linear.
        rounds, squares = [1.0], [1.0]
        weight: float | None = 1.0
        spans = _Spans(joined=joined)
        for event in self._events:
            if isinstance(event, Break):
                spans.add_break(event)
                continue
            if len(event) == 3:
                if weight is None:
                    weight = _limit(rounds[-1] * squares[-1])
                spans.add_text(*event, weight)
                continue
            kind, factor = event
            if kind == "(":
                rounds.append(_limit(rounds[-1] * factor))
            elif kind == "[":
                squares.append(squares[-1] * factor)
            elif factor == 1:
                (rounds if kind == ")" else squares).pop()
            else:
                products = rounds if kind == ")" else squares
                del products[-int(factor) :]
            weight = None
        return spans.finish()

    def list_mistakes(self) -> tuple[Mistake, ...]:
        for kind, opened in (("(", self._round), ("[", self._square)):
            for _, start in opened[:MAX_MISTAKES]:
                self._report(messages.not_closed(kind), start, start + 1)
        return tuple(sorted(self._mistakes, key=lambda mistake: mistake.start))

    def _open(
        self, event: tuple[str, float], opened: list[tuple[int, int]], place: int, count: int
    ) -> None:
        number = len(self._events)
        for each in range(count):
            opened.append((number + each, place + each))
            self._events.append(event)

    def _close(self, bracket: str, place: int, count: int) -> None:
        """Close as many brackets as are open; what closes none is text."""
        opened = self._round if bracket == ")" else self._square
        closed = min(count, len(opened))
        if closed:
            del opened[-closed:]
            self._events.append((bracket, closed))
        if closed == count:
            return
        for each in range(place + closed, min(place + count, place + closed + MAX_MISTAKES)):
            self._report(messages.not_opened(bracket), each, each + 1)
        self._add_text(bracket * (count - closed), place + closed)

    def _close_with_weight(self, match: re.Match[str]) -> None:
        if not self._round:
            self._report(messages.not_opened(")"), match.end() - 1, match.end())
            self._add_text(match[0], match.start())
            return
        self._events[self._round.pop()[0]] = ("(", self._read_weight(match))
        self._events.append(_ROUND_CLOSED)

    def _read_weight(self, match: re.Match[str]) -> float:
        try:
            weight = float(match[1])
        except ValueError:
            self._report(messages.not_a_weight(match[1][:20]), *match.span(1))
            return 1.0
        if not math.isfinite(weight) or abs(weight) > MAX_WEIGHT:
            self._report(messages.weight_beyond(match[1][:20], MAX_WEIGHT), *match.span(1))
        return weight

    def _add_text(self, token: str, start: int) -> None:
        if "BREAK" not in token:
            self._events.append((token, start, start + len(token)))
            return
        place = 0
        for found in _BREAK.finditer(token):
            if found.start() > place:
                self._events.append(
                    (token[place : found.start()], start + place, start + found.start())
                )
            self._events.append(Break(start + found.start(), start + found.end()))
            place = found.end()
        if place < len(token):
            self._events.append((token[place:], start + place, start + len(token)))

    def _report(self, message: str, start: int, end: int) -> None:
        if len(self._mistakes) < MAX_MISTAKES:
            self._mistakes.append(Mistake(message, start, end))


class _Spans:
    """Joins neighbouring texts of equal weight, if they are to be `joined`."""

    def __init__(self, *, joined: bool) -> None:
        self._joined = joined
        self._made: list[Span | Break] = []
        self._texts: list[str] = []
        self._start, self._end, self._weight = 0, 0, 1.0

    def add_text(self, text: str, start: int, end: int, weight: float) -> None:
        if self._texts and (weight != self._weight or not self._joined):
            self._flush()
        if not self._texts:
            self._start, self._weight = start, weight
        self._texts.append(text)
        self._end = end

    def add_break(self, found: Break) -> None:
        self._flush()
        self._made.append(found)

    def finish(self) -> tuple[Span | Break, ...]:
        self._flush()
        return tuple(self._made) or (Span("", 1.0, 0, 0),)

    def _flush(self) -> None:
        if self._texts:
            self._made.append(Span("".join(self._texts), self._weight, self._start, self._end))
            self._texts = []


def _limit(weight: float) -> float:
    if -MAX_WEIGHT <= weight <= MAX_WEIGHT:
        return weight
    return MAX_WEIGHT if weight > 0 else -MAX_WEIGHT
