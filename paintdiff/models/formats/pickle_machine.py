"""Carries out pickles from strangers step by step, within limits, and runs nothing of them.

A pickle is a little program for a stack machine. Python's own machine can be stopped from calling
functions, but not from hashing a tuple whose hash takes years, or from making room for 2 ** 32
places in its memo. This one knows the steps that tables of tensors are written with, counts them,
hashes only texts and numbers, and calls only the stand-ins it is given. The steps are those of
Python's `pickletools`. Importable without torch.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

from paintdiff.models.formats.limits import MAX_NUMBERS, MAX_PICKLE_BYTES, MAX_PICKLE_STEPS
from paintdiff.models.formats.pickle_allowlist import Dropped

Key = str | int | float | bytes | bool | None


class StandIn(Protocol):
    """What a name in a pickle stands for: `made` is what comes of calling it."""

    def made(self, arguments: tuple[Any, ...], spend: Callable[[int], None]) -> object:
        """Return what a call gives. `spend` has to be told of each value that is copied."""
        ...


class Table(dict[Key, Any]):
    """A dictionary that a pickle may be asked to give a state, which is forgotten."""

    __slots__ = ()

    def take_state(self, state: object, spend: Callable[[int], None]) -> None:
        """Forget the state."""


class PickleMachine:
    """Loads pickles one after another from a stream.

    `named` gives the stand-in of a module's global, `persistent` what a persistent id stands for;
    both raise what they like. All pickles together may have MAX_PICKLE_STEPS steps.
    """

    def __init__(
        self,
        stream: IO[bytes],
        named: Callable[[str, str], object],
        persistent: Callable[[object], object],
    ) -> None:
        self._stream: Any = _Bounded(stream)
        self._named = named
        self._persistent = persistent
        self._left = MAX_PICKLE_STEPS
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._steps = self._made_steps()

    def _made_steps(self) -> Mapping[str, Callable[[Any], None]]:
        """The steps by their names in pickletools."""
        return {
            "MARK": self._mark,
            "POP": self._drop,
            "POP_MARK": self._drop_mark,
            "DUP": self._again,
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put),
            "MEMOIZE": self._memoize,
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._get),
            "EMPTY_LIST": self._empty_list,
            "EMPTY_DICT": self._empty_table,
            "EMPTY_SET": self._dropped,
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
        """Return what the next pickle holds. Raises ValueError (or IndexError, for a stack that
        is empty) if it is damaged, hostile or too large.
        """
        self._stack, self._marks, self._memo = [], [], {}
        steps: Any = pickletools.genops(self._stream)
        for opcode, argument, _position in steps:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it is a pickle of more than {MAX_PICKLE_STEPS:,} steps")
            name = opcode.name
            if name in _PUSHED:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name not in _IGNORED:
                step = self._steps.get(name)
                if step is None:
                    raise ValueError(f"it has the step {name}, which no table of tensors has")
                step(argument)
        return self._pop()

    def _spend(self, count: int) -> None:
        self._left -= count

    def _pop(self) -> Any:
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise ValueError("its stack is empty")
        return self._stack.pop()

    def _top(self) -> Any:
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
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
        self._since_mark()

    def _again(self, _argument: object) -> None:
        self._stack.append(self._top())

    def _put(self, place: int) -> None:
        self._memo[place] = self._top()

    def _memoize(self, _argument: object) -> None:
        self._memo[len(self._memo)] = self._top()

    def _get(self, place: int) -> None:
        if place not in self._memo:
            raise ValueError("it asks for something that it didn't say before")
        self._stack.append(self._memo[place])

    def _empty_list(self, _argument: object) -> None:
        self._stack.append([])

    def _empty_table(self, _argument: object) -> None:
        self._stack.append(Table())

    def _dropped(self, _argument: object) -> None:
        self._stack.append(Dropped())

    def _tuple(self, _argument: object) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _tuple_of(self, count: int) -> None:
        found = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(found)))

    def _list(self, _argument: object) -> None:
        self._stack.append(self._since_mark())

    def _table(self, _argument: object) -> None:
        made = Table()
        self._fill(made, self._since_mark())
        self._stack.append(made)

    def _frozen_set(self, _argument: object) -> None:
        self._since_mark()
        self._stack.append(Dropped())

    def _append(self, _argument: object) -> None:
        value = self._pop()
        self._extend(self._top(), [value])

    def _appends(self, _argument: object) -> None:
        values = self._since_mark()
        self._extend(self._top(), values)

    def _set_item(self, _argument: object) -> None:
        value, key = self._pop(), self._pop()
        self._fill(self._top(), [key, value])

    def _set_items(self, _argument: object) -> None:
        values = self._since_mark()
        self._fill(self._top(), values)

    def _global(self, argument: str) -> None:
        module, _space, name = argument.partition(" ")
        self._stack.append(self._named(module, name))

    def _stack_global(self, _argument: object) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("it asks for something whose name isn't a text")
        self._stack.append(self._named(module, name))

    def _reduce(self, _argument: object) -> None:
        arguments, function = self._pop(), self._pop()
        self._call(function, arguments)

    def _new_object(self, _argument: object) -> None:
        self._reduce(None)

    def _new_object_with_names(self, _argument: object) -> None:
        self._pop()
        self._reduce(None)

    def _instance(self, argument: str) -> None:
        arguments = tuple(self._since_mark())
        self._global(argument)
        self._call(self._pop(), arguments)

    def _object(self, _argument: object) -> None:
        function, *arguments = self._since_mark()
        self._call(function, tuple(arguments))

    def _build(self, _argument: object) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, Table):
            target.take_state(state, self._spend)
        elif not isinstance(target, Dropped):
            raise ValueError("it changes what tensors are made of")

    def _persistent_id(self, _argument: object) -> None:
        self._stack.append(self._persistent(self._pop()))

    # -- what they have in common --------------------------------------------------------------

    def _call(self, function: Any, arguments: object) -> None:
        if not isinstance(arguments, tuple):
            raise ValueError("it calls something without arguments")
        if function is Dropped:
            self._stack.append(Dropped())
        elif hasattr(function, "made"):
            self._stack.append(function.made(arguments, self._spend))
        else:
            raise ValueError("it calls something that isn't a function")

    @staticmethod
    def _extend(target: object, values: list[Any]) -> None:
        if isinstance(target, list):
            target += values
        elif not isinstance(target, Dropped):
            raise ValueError("it adds to something that isn't a list")

    @staticmethod
    def _fill(target: object, values: list[Any]) -> None:
        """Put keys and values, by turns, into a table. What has another key than a text or a number
        isn't a tensor, and is left out: hashing it could take forever.
        """
        if isinstance(target, Table):
            target.update(
                (key, value)
                for key, value in zip(values[::2], values[1::2], strict=True)
                if is_plain(key)
            )
        elif not isinstance(target, Dropped):
            raise ValueError("it fills something that isn't a table")


def is_plain(key: object) -> bool:
    """Whether a key is quick to hash and to print."""
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
    """A stream of which no more than MAX_PICKLE_BYTES are read, and never room made for more than
    is left of them.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MAX_PICKLE_BYTES

    def read(self, count: int) -> bytes:
        """Read so many bytes."""
        self._left -= count
        if self._left < 0:
            raise ValueError(f"it is a pickle of more than {MAX_PICKLE_BYTES:,} bytes")
        return self._stream.read(count)

    def readline(self) -> bytes:
        """Read to the end of a line."""
        line = self._stream.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise ValueError(f"it is a pickle of more than {MAX_PICKLE_BYTES:,} bytes")
        return line
