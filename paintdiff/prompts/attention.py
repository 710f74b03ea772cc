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

from paintdiff.prompts import messages

Emphasis = Literal["original", "no_norm", "comfy"]
"""How weights act on a text's encoding; see `models/conditioning/emphasis.py`."""

MAX_WEIGHT = 1000.0
MAX_MISTAKES = 100

_TOKEN = re.compile(r"\\[()\[\]\\]?|[()\[\]]|:\s*([+-]?[.\d]+)\s*\)|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"(?<!\s)\s*\bBREAK\b\s*")
_ROUND = 1.1
_SQUARE = 1 / 1.1
_OPEN_ROUND, _CLOSED_ROUND = ("(", 1.0), (")", 1.0)
_OPEN_SQUARE, _CLOSED_SQUARE = ("[", 1.0), ("]", 1.0)


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
    for match in _TOKEN.finditer(text):
        brackets.add(match)
    return Attention(brackets.weigh(joined=joined), brackets.list_mistakes())


class _Brackets:
    """Collects texts and brackets; weights are known once the closing brackets are."""

    def __init__(self) -> None:
        # A text with its place, or a bracket: ("(" or "[", multiplier), (")" or "]", _).
        self._events: list[tuple[str, int, int] | Break | tuple[str, float]] = []
        # The events of the brackets that are open, and their places.
        self._round: list[tuple[int, int]] = []
        self._square: list[tuple[int, int]] = []
        self._mistakes: list[Mistake] = []

    def add(self, match: re.Match[str]) -> None:
        token = match[0]
        first = token[0]
        if first == "(":
            self._round.append((len(self._events), match.start()))
            self._events.append(_OPEN_ROUND)
        elif first == "[":
            self._square.append((len(self._events), match.start()))
            self._events.append(_OPEN_SQUARE)
        elif first == ")" and self._round:
            self._close_round(_ROUND)
        elif first == "]" and self._square:
            self._events[self._square.pop()[0]] = ("[", _SQUARE)
            self._events.append(_CLOSED_SQUARE)
        elif first == "\\":
            self._events.append((token[1:], match.start(), match.end()))
        elif first == ":" and match[1] is not None and self._round:
            self._close_round(self._read_weight(match))
        else:
            if first in ")]" or match[1] is not None:
                self._report(messages.not_opened(token[-1]), match.end() - 1, match.end())
            self._add_text(token, match.start())

    def weigh(self, *, joined: bool) -> tuple[Span | Break, ...]:
        for kind, opened, factor in (("(", self._round, _ROUND), ("[", self._square, _SQUARE)):
            for index, _ in opened:
                self._events[index] = (kind, factor)
        # Brackets of one kind nest, so that each kind is a stack of products. This keeps it linear.
        round_products, square_products = [1.0], [1.0]
        weight = 1.0
        spans = _Spans(joined=joined)
        for event in self._events:
            if isinstance(event, Break):
                spans.add_break(event)
                continue
            if len(event) == 3:
                spans.add_text(*event, weight)
                continue
            kind, factor = event
            if kind == "(":
                round_products.append(_limit(round_products[-1] * factor))
            elif kind == "[":
                square_products.append(square_products[-1] * factor)
            elif kind == ")":
                round_products.pop()
            else:
                square_products.pop()
            weight = _limit(round_products[-1] * square_products[-1])
        return spans.finish()

    def list_mistakes(self) -> tuple[Mistake, ...]:
        for kind, opened in (("(", self._round), ("[", self._square)):
            for _, start in opened[:MAX_MISTAKES]:
                self._report(messages.not_closed(kind), start, start + 1)
        return tuple(sorted(self._mistakes, key=lambda mistake: mistake.start))

    def _close_round(self, factor: float) -> None:
        self._events[self._round.pop()[0]] = ("(", factor)
        self._events.append(_CLOSED_ROUND)

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
