"""Full-text search: SQLite's FTS5 and PostgreSQL's tsvector behind one interface.

Text is split into words here, not by the database, so that both find the same. A database gets
only letters, digits and symbols: no operator, quote or wildcard of a query reaches it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    and_,
    cast,
    column,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import JSONB, TSQUERY
from sqlalchemy.orm import InstrumentedAttribute, Session

from paintdiff.errors import RequestError
from paintdiff.gallery import messages

MAX_QUERY_CHARACTERS = 10_000
_MAX_WORD_CHARACTERS = 100
_TERMS_AT_ONCE = 100
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3100-\u312f"
    "\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Scripts that are written without spaces (or, as Korean, with endings), searched by character."""

_words = table("picture_words", column("rowid"), column("words"), column("text"))


@dataclass(frozen=True)
class _Piece:
    """A word, or a run of characters of a script without spaces or of symbols (`is_run`)."""

    text: str
    is_run: bool


def index(session: Session, number: int, text: str) -> None:
    """Make the picture of that number findable by the words of `text`."""
    pieces = list(_split(text))
    terms = sorted({term for piece in pieces for term in _terms(piece, whole=False)})
    words = (
        literal(" ".join(terms))
        if _is_sqlite(session)
        else func.array_to_tsvector(cast(terms, ARRAY(Text)))
    )
    normal = " ".join(piece.text for piece in pieces)
    session.execute(insert(_words).values(rowid=number, words=words, text=normal))


def forget(session: Session, numbers: list[int]) -> None:
    """Remove the words of these pictures."""
    session.execute(delete(_words).where(_words.c.rowid.in_(numbers)))


def match(
    session: Session, number: InstrumentedAttribute[int], query: str
) -> ColumnElement[bool] | None:
    """Return the condition that every word of a query occurs, the last one as a beginning.

    Case, accents of Latin, Greek and Cyrillic letters, and punctuation don't matter. A run of
    Chinese, Japanese, Korean, Thai or symbols is found anywhere within another. A blank query has
    no condition (None); one of nothing but punctuation matches no picture.

    Raises:
        RequestError: The query is too long.
    """
    if len(query) > MAX_QUERY_CHARACTERS:
        raise RequestError(
            messages.search_too_long(len(query), MAX_QUERY_CHARACTERS),
            field="search",
        )
    pieces = list(_split(query))
    if not pieces:
        return false() if query.strip() else None
    *before, last = pieces
    terms = {term: None for each in before for term in _terms(each, whole=True)}
    *start, end = _terms(last, whole=True)
    terms |= dict.fromkeys(start if not last.is_run else [*start, end])
    groups = [_all_of(session, group) for group in _group(list(terms))]
    if not last.is_run:  # a run is found within others anyway
        groups.append(f'"{end}"*' if _is_sqlite(session) else f"'{end}':*")
    texts = [each.text for each in pieces if len(_terms(each, whole=True)) > 1]
    if _is_sqlite(session):  # it allows one MATCH in a SELECT
        found = [select(_words.c.rowid).where(_matches(session, group)) for group in groups]
    else:
        found = [select(_words.c.rowid).where(*(_matches(session, group) for group in groups))]
    if texts:
        found.append(_holders(session, texts))
    # Of a sum no index is used: pages are read in their order, not sorted from all that is found.
    conditions = [(number + 0).in_(each) for each in found]
    return and_(*conditions)


def _group(terms: list[str]) -> Iterator[list[str]]:
    """Divide terms into groups, because the databases limit the depth of an expression."""
    for start in range(0, len(terms), _TERMS_AT_ONCE):
        yield terms[start : start + _TERMS_AT_ONCE]


def _all_of(session: Session, terms: list[str]) -> str:
    if _is_sqlite(session):
        return " ".join(f'"{term}"' for term in terms)
    return " & ".join(f"'{term}'" for term in terms)


def _matches(session: Session, expression: str) -> ColumnElement[bool]:
    if _is_sqlite(session):
        return literal_column("picture_words").op("MATCH", is_comparison=True)(expression)
    return _words.c.words.op("@@", is_comparison=True)(cast(expression, TSQUERY))


def _holders(session: Session, texts: list[str]) -> Select[Any]:
    """Return the pictures whose text contains all of these, at any place.

    The terms of a run or long word may occur apart from each other.
    """
    wanted = json.dumps(list(dict.fromkeys(texts)))
    if _is_sqlite(session):
        each = func.json_each(wanted).table_valued("value")
        position = func.instr(_words.c.text, each.c.value)
    else:
        each = func.jsonb_array_elements_text(cast(literal(wanted, Text), JSONB)).table_valued(
            "value"
        )
        position = func.strpos(_words.c.text, each.c.value)
    missing = select(literal(1)).select_from(each).where(position == 0).correlate(_words).exists()
    return select(_words.c.rowid).where(~missing)


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _split(text: str) -> Iterator[_Piece]:
    """Split text into words and runs, in which case, accents and invisible marks don't matter."""
    piece, is_run = "", False
    for character in _normalize(text):
        sort = _sort_of(character)
        if sort == "ignored":
            continue
        run = sort == "run"
        if piece and (sort == "between" or run != is_run):
            yield _Piece(piece, is_run)
            piece = ""
        if sort != "between":
            piece, is_run = piece + character, run
    if piece:
        yield _Piece(piece, is_run)


def _normalize(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    apart = unicodedata.normalize("NFD", folded)
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", apart))


def _sort_of(character: str) -> str:
    if character.isascii():
        return "word" if character.isalnum() else "between"
    category = unicodedata.category(character)
    if category == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return "ignored"  # joiners, direction marks, variation selectors
    if category in ("So", "Co") or "\U0001f3fb" <= character <= "\U0001f3ff":
        return "run"
    if _UNSPACED.match(character):
        return "run" if category[0] in "LMN" else "between"
    return "word" if category[0] in "LMN" else "between"


def _terms(piece: _Piece, *, whole: bool) -> list[str]:
    """Return what is looked up: of a run its pairs (and to index, single characters, too)."""
    text = piece.text
    if not piece.is_run:
        length = _MAX_WORD_CHARACTERS
        return [text[start : start + length] for start in range(0, len(text), length)]
    pairs = [text[start : start + 2] for start in range(len(text) - 1)]
    return pairs if whole and pairs else [*text, *pairs]
