"""The values of a grid's axis: lists and ranges as the A1111 web UI writes them.

`1, 2, 5` is a list, `1-10` has every whole number, `1-10 (+3)` every third one, and `1-10 [5]` five
evenly spaced ones. Where A1111 leaves out a range's end by rounding, or goes beyond it, this keeps
to the end.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from paintdiff.errors import RequestError
from paintdiff.jobs import messages

MAX_AXIS_VALUES = 500
"""The most values of one axis, ranges expanded."""

_NUMBER = r"[+-]?\s*(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})"
_RANGE = re.compile(
    rf"\s*(?P<start>{_NUMBER})\s*-\s*(?P<end>{_NUMBER})"
    rf"(?:\s*\((?P<step>{_NUMBER})\s*\)|\s*\[\s*(?P<count>\d{{1,12}})\s*\])?\s*"
)


def split_values(text: str) -> tuple[str, ...]:
    """Split a text at commas and line ends; a value in double quotes may contain both.

    Raises:
        RequestError: A value is too long to be one.
    """
    try:
        rows = csv.reader(io.StringIO(text), skipinitialspace=True)
        return tuple(value.strip() for row in rows for value in row)
    except csv.Error as error:
        raise RequestError(messages.values_unreadable(error)) from None


def split_lines(text: str) -> tuple[str, ...]:
    """Return the lines of a text that aren't empty, without the spaces around them."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def expand_numbers(values: Iterable[str], *, whole: bool) -> tuple[str, ...]:
    """Expand the ranges among numbers. Empty values are left out, others stay as they are.

    With `whole` numbers, those between are truncated, as A1111 does.

    Raises:
        RequestError: A range can't be used, or there are more than MAX_AXIS_VALUES.
    """
    expanded: list[str] = []
    for value in values:
        found = _RANGE.fullmatch(value)
        if found is not None:
            expanded += (_format(each, whole=whole) for each in _spread(value, found, whole=whole))
        elif value.strip():
            expanded.append(value.strip())
        if len(expanded) > MAX_AXIS_VALUES:
            raise RequestError(messages.too_many_values(len(expanded), MAX_AXIS_VALUES))
    return tuple(expanded)


def _spread(value: str, found: re.Match[str], *, whole: bool) -> Iterator[Decimal]:
    start, end = _parse(found["start"]), _parse(found["end"])
    if whole and (start % 1 or end % 1):
        raise RequestError(messages.range_not_whole(value))
    if found["count"] is not None:
        return _between(start, end, int(found["count"]), value)
    step = (
        _parse(found["step"]) if found["step"] is not None else Decimal(1 if end >= start else -1)
    )
    if not step or (end - start) * step < 0 or (whole and step % 1):
        raise RequestError(messages.wrong_step(value))
    count = int((end - start) / step) + 1
    _check_count(count)
    return (start + step * index for index in range(count))


def _between(start: Decimal, end: Decimal, count: int, value: str) -> Iterator[Decimal]:
    if not count:
        raise RequestError(messages.empty_range(value))
    _check_count(count)
    return (start + (end - start) * index / max(1, count - 1) for index in range(count))


def _check_count(count: int) -> None:
    if count > MAX_AXIS_VALUES:
        raise RequestError(messages.too_many_values(count, MAX_AXIS_VALUES))


def _parse(text: str) -> Decimal:
    return Decimal("".join(text.split()))


def _format(number: Decimal, *, whole: bool) -> str:
    return str(int(number)) if whole else f"{float(number):.10g}"
