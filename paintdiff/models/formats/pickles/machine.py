"""Interprets untrusted pickles step by step, within limits, without running their code.

A pickle is a program for a stack machine. Python's own machine can be kept from calling functions,
but not from hashing a tuple whose hash takes years, or from allocating 2 ** 32 memo entries. This
machine supports the steps that tables of tensors need, counts them, hashes only text and numbers,
and calls only the stand-ins it is given. The steps are those of Python's `pickletools`. Importable
without torch.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

from paintdiff.models.formats import messages
from paintdiff.models.formats.limits import MAX_NUMBERS, MAX_PICKLE_BYTES, MAX_PICKLE_STEPS
from paintdiff.models.formats.pickles.allowlist import Dropped

Key = str | int | float | bytes | bool | None


class DamagedPickleError(ValueError):
    """A pickle is damaged, hostile or exceeds a limit. The message is a reason fit for people."""


class StandIn(Protocol):
    """A stand-in for a global that a pickle calls."""

    def call(self, arguments: tuple[Any, ...], spend: Callable[[int], None]) -> object:
        """Return the result of a call. Report each copied value to `spend`."""
        ...


class Table(dict[Key, Any]):
    """A dictionary. A state that the pickle sets on it is ignored."""

    __slots__ = ()

    def take_state(self, state: object, spend: Callable[[int], None]) -> None:
        """Ignore the state."""


class PickleMachine:
    """Loads consecutive pickles from a stream.

    `find_global` returns the stand-in for a module's global, `find_persistent` the object for a
    persistent id; their errors are passed on. All pickles together may take MAX_PICKLE_STEPS steps.
    """

    def __init__(
        self,
        stream: IO[bytes],
        find_global: Callable[[str, str], object],
        find_persistent: Callable[[object], object],
    ) -> None:
        self._stream: Any = _Bounded(stream)
        self._find_global = find_global
        self._find_persistent = find_persistent
        self._left = MAX_PICKLE_STEPS
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._steps = self._list_steps()

    def _list_steps(self) -> Mapping[str, Callable[[Any], None]]:
        """Map the names of steps in pickletools to methods."""
        return {
            "MARK": self._mark,
            "POP": self._drop,
            "POP_MARK": self._drop_mark,
            "DUP": self._duplicate,
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put),
            "MEMOIZE": self._memoize,
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._get),
            "EMPTY_LIST": self._empty_list,
            "EMPTY_DICT": self._empty_table,
            "EMPTY_SET": self._push_dropped,
            "FROZENSET": self._frozen_set,
            "ADDITEMS": self._drop_mark,
            "TUPLE": self._tuple,
            "TUPLE1": lambda _argument: self._tuple_of(1),
            "TUPLE2": lambda _argument: self._tuple_of(2),
            "TUPLE3": lambda _argument: self._tuple_of(3),
            "LIST": self._list,
            "DICT": self._table,
            "APPEND": self._append,
            "APPENDS": self._appends,
            "SETITEM": self._set_item,
            "SETITEMS": self._set_items,
            "GLOBAL": self._global,
            "STACK_GLOBAL": self._stack_global,
            "REDUCE": self._reduce,
            "NEWOBJ": self._new_object,
            "NEWOBJ_EX": self._new_object_with_names,
            "INST": self._instance,
            "OBJ": self._object,
            "BUILD": self._build,
            "BINPERSID": self._persistent_id,
        }

    def load(self) -> object:
        """Load the next pickle.

        Raises:
            DamagedPickleError: It is damaged, hostile or too large.
            IndexError: It pops from an empty stack.
        """
        self._stack, self._marks, self._memo = [], [], {}
        steps: Any = pickletools.genops(self._stream)
        for opcode, argument, _position in steps:
            self._left -= 1
            if self._left < 0:
                raise DamagedPickleError(messages.more_instructions_than(MAX_PICKLE_STEPS))
            name = opcode.name
            if name in _PUSHED:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name not in _IGNORED:
                step = self._steps.get(name)
                if step is None:
                    raise DamagedPickleError(messages.needless_instruction(name))
                step(argument)
        return self._pop()

    def _spend(self, count: int) -> None:
        self._left -= count

    def _pop(self) -> Any:
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise DamagedPickleError(messages.EMPTY_STACK)
        return self._stack.pop()

    def _top(self) -> Any:
        return self._stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        mark = self._marks.pop()
        found = self._stack[mark:]
        del self._stack[mark:]
        return found

    # -- steps, by their names in pickletools --------------------------------------------------

    def _mark(self, _argument: object) -> None:
        self._marks.append(len(self._stack))

    def _drop(self, _argument: object) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _drop_mark(self, _argument: object) -> None:
        self._pop_to_mark()

    def _duplicate(self, _argument: object) -> None:
        self._stack.append(self._top())

    def _put(self, place: int) -> None:
        self._memo[place] = self._top()

    def _memoize(self, _argument: object) -> None:
        self._memo[len(self._memo)] = self._top()

    def _get(self, place: int) -> None:
        if place not in self._memo:
            raise DamagedPickleError(messages.REFERS_TO_NOTHING_STORED)
        self._stack.append(self._memo[place])

    def _empty_list(self, _argument: object) -> None:
        self._stack.append([])

    def _empty_table(self, _argument: object) -> None:
        self._stack.append(Table())

    def _push_dropped(self, _argument: object) -> None:
        self._stack.append(Dropped())

    def _tuple(self, _argument: object) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _tuple_of(self, count: int) -> None:
        found = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(found)))

    def _list(self, _argument: object) -> None:
        self._stack.append(self._pop_to_mark())

    def _table(self, _argument: object) -> None:
        made = Table()
        self._fill(made, self._pop_to_mark())
        self._stack.append(made)

    def _frozen_set(self, _argument: object) -> None:
        self._pop_to_mark()
        self._stack.append(Dropped())

    def _append(self, _argument: object) -> None:
        value = self._pop()
        self._extend(self._top(), [value])

    def _appends(self, _argument: object) -> None:
        values = self._pop_to_mark()
        self._extend(self._top(), values)

    def _set_item(self, _argument: object) -> None:
        value, key = self._pop(), self._pop()
        self._fill(self._top(), [key, value])

    def _set_items(self, _argument: object) -> None:
        values = self._pop_to_mark()
        self._fill(self._top(), values)

    def _global(self, argument: str) -> None:
        module, _space, name = argument.partition(" ")
        self._stack.append(self._find_global(module, name))

    def _stack_global(self, _argument: object) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise DamagedPickleError(messages.FUNCTION_NAME_NOT_TEXT)
        self._stack.append(self._find_global(module, name))

    def _reduce(self, _argument: object) -> None:
        arguments, function = self._pop(), self._pop()
        self._call(function, arguments)

    def _new_object(self, _argument: object) -> None:
        self._reduce(None)

    def _new_object_with_names(self, _argument: object) -> None:
        self._pop()
        self._reduce(None)

    def _instance(self, argument: str) -> None:
        arguments = tuple(self._pop_to_mark())
        self._global(argument)
        self._call(self._pop(), arguments)

    def _object(self, _argument: object) -> None:
        function, *arguments = self._pop_to_mark()
        self._call(function, tuple(arguments))

    def _build(self, _argument: object) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, Table):
            target.take_state(state, self._spend)
        elif not isinstance(target, Dropped):
            raise DamagedPickleError(messages.MODIFIES_NO_TABLE)

    def _persistent_id(self, _argument: object) -> None:
        self._stack.append(self._find_persistent(self._pop()))

    # -- shared by the steps -------------------------------------------------------------------

    def _call(self, function: Any, arguments: object) -> None:
        if not isinstance(arguments, tuple):
            raise DamagedPickleError(messages.CALL_WITHOUT_ARGUMENTS)
        if function is Dropped:
            self._stack.append(Dropped())
        elif hasattr(function, "call"):
            self._stack.append(function.call(arguments, self._spend))
        else:
            raise DamagedPickleError(messages.CALLS_NO_FUNCTION)

    @staticmethod
    def _extend(target: object, values: list[Any]) -> None:
        if isinstance(target, list):
            target += values
        elif not isinstance(target, Dropped):
            raise DamagedPickleError(messages.APPENDS_TO_NO_LIST)

    @staticmethod
    def _fill(target: object, values: list[Any]) -> None:
        """Add alternating keys and values to a table.

        Entries whose key is neither text nor a number are left out: they can't be tensors, and
        hashing such a key could take forever.
        """
        if isinstance(target, Table):
            target.update(
                (key, value)
                for key, value in zip(values[::2], values[1::2], strict=True)
                if is_plain(key)
            )
        elif not isinstance(target, Dropped):
            raise DamagedPickleError(messages.ADDS_TO_NO_TABLE)


def is_plain(key: object) -> bool:
    """Return whether a key is quick to hash and to print."""
    if isinstance(key, int):
        return abs(key) < MAX_NUMBERS
    return key is None or isinstance(key, (str, float, bytes))


_PUSHED = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
_CONSTANTS: Mapping[str, object] = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})


class _Bounded:
    """A stream that reads, and allocates memory for, at most MAX_PICKLE_BYTES."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MAX_PICKLE_BYTES

    def read(self, count: int) -> bytes:
        """Read `count` bytes."""
        self._left -= count
        if self._left < 0:
            raise DamagedPickleError(messages.pickle_too_large(MAX_PICKLE_BYTES))
        return self._stream.read(count)

    def readline(self) -> bytes:
        """Read to the end of the line."""
        line = self._stream.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise DamagedPickleError(messages.pickle_too_large(MAX_PICKLE_BYTES))
        return line
