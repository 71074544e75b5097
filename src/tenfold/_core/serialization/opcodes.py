"""The restricted unpickler behind `weights_only=True`: a small interpreter of pickle's opcodes.

It builds plain containers and calls nothing but our own constructors and what the user has allowed. Every length is
held against the bytes that are there, nothing recurses, and every failure is an UnpicklingError (EOFError where the
pickle ends too early).
"""

from __future__ import annotations

import collections
import pickle
import struct
from collections.abc import Callable
from typing import Any

from .constructors import UNKNOWN, Constructor, check_key, set_attributes, shown, wrong
from .names import BLOCKED_MODULES, find_safe_global, get_safe_globals, modern_module

_MARK = object()
_MAX_LINE = 1_000


class RestrictedUnpickler:
    """Runs one pickle.

    Args:
        data: bytes with the pickle at `position`.
        find: `Constructors.find`.
        resolve: framework class for PyTorch's (module, name), or None.
        persistent_load: gives the object that a storage reference stands for.
        label: what messages call the file.
        encoding: for strings written by Python 2.
    """

    def __init__(
        self,
        data: bytes,
        find: Callable[[str, str], Any],
        resolve: Callable[[str, str], Any],
        persistent_load: Callable[[Any], Any],
        label: str,
        position: int = 0,
        encoding: str = "utf-8",
    ):
        self._data = data
        self._find = find
        self._resolve = resolve
        self._persistent_load = persistent_load
        self._label = label
        self._encoding = encoding
        self.position = position
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._safe: list[Any] = []

    def load(self) -> Any:
        """Run to STOP and return the object; `position` is then just behind the pickle."""
        while True:
            at = self.position
            code = self._take(1)[0]
            if code == pickle.STOP[0]:
                return self._finish()
            if code == pickle.BINPERSID[0]:
                # Outside the guard below: an error of the user's map_location function stays what it is.
                self.push(self._persistent_load(self._pop()))
                continue
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise self._failure(at, f"opcode {code} is not one that checkpoints use")
            try:
                operation(self)
            except (pickle.UnpicklingError, EOFError, RuntimeError, FileNotFoundError):
                raise
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
                raise self._failure(at, f"opcode {code} failed ({type(error).__name__}: {error})") from error

    def _failure(self, at: int, problem: str) -> pickle.UnpicklingError:
        return pickle.UnpicklingError(
            f"load: Weights only load failed. {self._label} is corrupt: at byte {at} of its pickle, "
            f"{problem}. Nothing was loaded; copy or save the file again."
        )

    def _finish(self) -> Any:
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            raise self._failure(self.position - 1, f"the pickle stops with {len(self._stack)} objects instead of one")
        return self._stack[0]

    # ---- bytes ----

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self._data):
            raise EOFError(
                f"load: the pickle in {self._label} ends at byte {len(self._data)} where {count:,} more bytes are due "
                f"at byte {self.position}, so the file was not written or copied whole."
            )
        piece = self._data[self.position : end]
        self.position = end
        return piece

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self.position, self.position + _MAX_LINE)
        if end < 0:
            raise wrong("a name has no end")
        return self._take(end + 1 - self.position)[:-1].decode("utf-8")

    # ---- stack ----

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def discard(self, value: Any) -> None:
        """What is read and not needed: the length of a frame, an object that is popped."""

    def _pop(self) -> Any:
        value = self._stack.pop() if self._stack else _MARK
        if value is _MARK:
            raise wrong("an object is taken from an empty stack")
        return value

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise wrong("an object is taken from an empty stack")
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise wrong("a group of objects has no beginning")
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items

    # ---- operations ----

    def check_protocol(self) -> None:
        version = self._take(1)[0]
        if version > pickle.HIGHEST_PROTOCOL:
            raise wrong(f"pickle protocol {version} is not known")

    def put_text(self, layout: str) -> None:
        self.push(self._take(self._number(layout)).decode("utf-8", "surrogatepass"))

    def put_bytes(self, layout: str) -> None:
        self.push(self._take(self._number(layout)))

    def put_old_text(self, layout: str) -> None:
        raw = self._take(self._number(layout))
        self.push(raw if self._encoding == "bytes" else raw.decode(self._encoding))

    def put_long(self, layout: str) -> None:
        self.push(int.from_bytes(self._take(self._number(layout)), "little", signed=True))

    def put_tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def remember(self, index: int) -> None:
        self._memo[index] = self._top()

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise wrong(f"object {index} is used before it is made")
        self.push(self._memo[index])

    def append(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise wrong(f"items are to be appended to a {type(target).__name__}")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) not in (dict, collections.OrderedDict, collections.Counter) or len(items) % 2:
            raise wrong(f"{len(items)} keys and values are to be put into a {type(target).__name__}")
        for at in range(0, len(items), 2):
            target[check_key(items[at])] = items[at + 1]

    def set_item(self) -> None:
        value = self._pop()
        self.set_items([self._pop(), value])

    def add_items(self) -> None:
        items = self._pop_mark()
        target = self._top()
        if type(target) is not set:
            raise wrong(f"elements are to be added to a {type(target).__name__}")
        target.update(check_key(item) for item in items)

    # ---- names and calls ----

    def put_global(self, module: str, name: str) -> None:
        module = modern_module(module)
        if module.partition(".")[0] in BLOCKED_MODULES:
            raise self._refusal(module, name, "is in a module that no checkpoint may use")
        value = self._find(module, name)
        if value is UNKNOWN:
            value = find_safe_global(module, name, self._resolve)
            if value is None:
                raise self._refusal(module, name, "is not on the list of what a checkpoint may hold")
            self._safe.append(value)
        self.push(value)

    def _refusal(self, module: str, name: str, reason: str) -> pickle.UnpicklingError:
        full = f"{module}.{name}"
        if module.partition(".")[0] in BLOCKED_MODULES:
            mend = "Do not load this file unless you know who made it and why."
        else:
            mend = (
                f"If you trust this class or function, allow it with torch.serialization.add_safe_globals([{full}]) or "
                f"the torch.serialization.safe_globals([{full}]) context manager; weights_only=False also loads the "
                "file, but can run any code that is in it."
            )
        return pickle.UnpicklingError(
            f"load: Weights only load failed. Unsupported global: {self._label} names {full}, which {reason}. {mend}"
        )

    def _is_safe(self, value: Any) -> bool:
        allowed = [entry[0] if isinstance(entry, tuple) else entry for entry in get_safe_globals()]
        return any(value is entry for entry in [*allowed, *self._safe])

    def call(self) -> None:
        arguments = self._pop()
        function = self._pop()
        if not isinstance(arguments, tuple):
            raise wrong(f"a call has a {type(arguments).__name__} for its arguments")
        if not isinstance(function, Constructor) and not self._is_safe(function):
            raise wrong(f"a {type(function).__name__} is to be called, which is not an allowed function")
        self.push(function(*arguments))

    def new_object(self) -> None:
        arguments = self._pop()
        kind = self._pop()
        if not isinstance(arguments, tuple):
            raise wrong(f"a call has a {type(arguments).__name__} for its arguments")
        if isinstance(kind, Constructor) and not arguments:
            self.push(kind())
        elif isinstance(kind, type) and self._is_safe(kind):
            self.push(kind.__new__(kind, *arguments))
        else:
            raise wrong(
                f"an object of {shown(getattr(kind, '__name__', kind))} is to be made, which is not an allowed class"
            )

    def build(self) -> None:
        state = self._pop()
        target = self._top()
        if type(target) is collections.OrderedDict:
            set_attributes(target, state)
        elif not self._is_safe(type(target)):
            raise wrong(f"a {type(target).__name__} is to be given a state, and its class is not an allowed one")
        elif hasattr(target, "__setstate__"):
            target.__setstate__(state)
        else:
            set_attributes(target, state)


def _stack_global(machine: RestrictedUnpickler) -> None:
    name = machine._pop()
    module = machine._pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise wrong("a name in the pickle is not text")
    machine.put_global(module, name)


_R = RestrictedUnpickler
_OPERATIONS: dict[int, Callable[[RestrictedUnpickler], None]] = {
    code[0]: operation
    for code, operation in {
        pickle.PROTO: _R.check_protocol,
        pickle.FRAME: lambda machine: machine.discard(machine._take(8)),
        pickle.MARK: lambda machine: machine.push(_MARK),
        pickle.POP: lambda machine: machine.discard(machine._pop()),
        pickle.NONE: lambda machine: machine.push(None),
        pickle.NEWTRUE: lambda machine: machine.push(True),
        pickle.NEWFALSE: lambda machine: machine.push(False),
        pickle.BININT: lambda machine: machine.push(machine._number("<i")),
        pickle.BININT1: lambda machine: machine.push(machine._number("<B")),
        pickle.BININT2: lambda machine: machine.push(machine._number("<H")),
        pickle.LONG1: lambda machine: machine.put_long("<B"),
        pickle.LONG4: lambda machine: machine.put_long("<i"),
        pickle.BINFLOAT: lambda machine: machine.push(machine._number(">d")),
        pickle.BINUNICODE: lambda machine: machine.put_text("<I"),
        pickle.SHORT_BINUNICODE: lambda machine: machine.put_text("<B"),
        pickle.BINUNICODE8: lambda machine: machine.put_text("<Q"),
        pickle.BINBYTES: lambda machine: machine.put_bytes("<I"),
        pickle.SHORT_BINBYTES: lambda machine: machine.put_bytes("<B"),
        pickle.BINBYTES8: lambda machine: machine.put_bytes("<Q"),
        pickle.BYTEARRAY8: lambda machine: machine.push(bytearray(machine._take(machine._number("<Q")))),
        pickle.BINSTRING: lambda machine: machine.put_old_text("<i"),
        pickle.SHORT_BINSTRING: lambda machine: machine.put_old_text("<B"),
        pickle.EMPTY_TUPLE: lambda machine: machine.push(()),
        pickle.EMPTY_LIST: lambda machine: machine.push([]),
        pickle.EMPTY_DICT: lambda machine: machine.push({}),
        pickle.EMPTY_SET: lambda machine: machine.push(set()),
        pickle.TUPLE: lambda machine: machine.push(tuple(machine._pop_mark())),
        pickle.TUPLE1: lambda machine: machine.put_tuple(1),
        pickle.TUPLE2: lambda machine: machine.put_tuple(2),
        pickle.TUPLE3: lambda machine: machine.put_tuple(3),
        pickle.APPEND: lambda machine: machine.append([machine._pop()]),
        pickle.APPENDS: lambda machine: machine.append(machine._pop_mark()),
        pickle.SETITEM: _R.set_item,
        pickle.SETITEMS: lambda machine: machine.set_items(machine._pop_mark()),
        pickle.ADDITEMS: _R.add_items,
        pickle.BINPUT: lambda machine: machine.remember(machine._number("<B")),
        pickle.LONG_BINPUT: lambda machine: machine.remember(machine._number("<I")),
        pickle.MEMOIZE: lambda machine: machine.remember(len(machine._memo)),
        pickle.BINGET: lambda machine: machine.recall(machine._number("<B")),
        pickle.LONG_BINGET: lambda machine: machine.recall(machine._number("<I")),
        pickle.GLOBAL: lambda machine: machine.put_global(machine._line(), machine._line()),
        pickle.STACK_GLOBAL: _stack_global,
        pickle.REDUCE: _R.call,
        pickle.NEWOBJ: _R.new_object,
        pickle.BUILD: _R.build,
    }.items()
}
