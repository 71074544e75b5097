"""What runs at every call of an operation: the hit path, and what happens when it fails.

The edge that followed last time is tried first: is it the same operation on the same operands? Then its result is the
answer (`generic`; `unary` and `binary` for the operations that have one or two tensors and nothing else). If not,
`_again` lets storages enter the walk and tries once more, and `_slow` looks the edge up, or makes it.
Measured by benchmarks/bench_record.py; see docs/design."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..errors import NotRecorded, NotStrided
from ..ir import shapes
from ..ir.operation import TENSOR, Operation, freeze, gather
from ..ir.shapes import Layout, Size, layout
from ..trace import walk as walking
from ..trace.bundle import Bundle, Gradients
from ..trace.handle import (
    NUMBER,
    Storage,
    Tensor,
    Value,
    Walk,
    fresh,
    layout_of,
    new,
    placed,
    tls,
)
from ..trace.macro import build_tree
from ..trace.walk import ONE, TWO, cut_if_long, edge, resolve


class _Sequence(list):
    """The values of a list of tensors, in `Node.call`."""


CALLS: list[tuple[Operation, Any]] = []  # what `generic`, `unary` and `binary` have made
_NEVER = object()
_NO_KEYWORDS: dict = {}


def generic(op: Operation) -> Callable:
    def call(*args, **kwargs):
        w = tls.walk
        nx = w.at.nxt
        if nx.op is op and nx.call is not None and len(args) == len(nx.call):
            k = nx.k
            for a, e in zip(args, nx.call):
                if a is e:
                    continue
                kind = type(a)
                if kind is float or kind is int:
                    if NUMBER[kind] is e:
                        w.scalars[k] = a
                        k += 1
                        continue
                    if type(e) is kind and a == e and (kind is int or a != 0.0):
                        continue
                    break
                try:
                    if e is not None and a._val is e:
                        continue
                except AttributeError:
                    if type(e) is _Sequence:
                        if len(a) == len(e) and _same_values(a, e):
                            continue
                    elif _same_static(a, e):
                        continue
                break
            else:
                if not kwargs and not nx.kwcall and nx.kwcall is not None or _same_keywords(kwargs, nx.kwcall):
                    w.at = nx
                    tree = nx.spec.tree
                    if tree is None:
                        r = new(Tensor)
                        r._val = nx.out
                        r._st = None
                        w.keep.append(r)
                        return r
                    return results_of(op, tree, nx, w)
        try:
            return _again(op, args, kwargs, w)
        except NotStrided as e:
            return _packed(op, e, args, kwargs)

    CALLS.append((op, call))
    return call


def _packed(op: Operation, e: NotStrided, args, kwargs=_NO_KEYWORDS):
    """What the operation is for the first operand that has no strides (see packed.py)."""
    for t in gather([args, kwargs], Tensor):
        meaning = getattr(t, "meaning", None)
        if meaning is not None:
            return meaning(op)(*args, **kwargs)
    raise e


def _same_static(a, e) -> bool:
    """Whether two static arguments are the same ints or strings, or tuples or lists of such."""
    kind = type(a)
    if kind is not type(e):
        return False
    if kind is str or kind is int:
        return a == e
    if kind is not tuple and kind is not Size and kind is not list or len(a) != len(e):
        return False
    for x, y in zip(a, e):
        if x is not y and not (type(x) is int and type(y) is int and x == y):
            return False
    return True


class Results(Sequence):
    """A list of results of a composite whose handles are made when they are asked for: `assign` never asks."""

    __slots__ = ("_handles", "values", "walk")

    def __init__(self, values: tuple, walk: Walk):
        self.values = values
        self.walk = walk
        self._handles: list | None = None

    def handles(self) -> list[Tensor]:
        if self._handles is None:
            self._handles = [fresh(v, self.walk) for v in self.values]
        return self._handles

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i):
        return self.handles()[i]

    def __iter__(self):
        return iter(self.handles())


def results_of(op: Operation, tree, nx, w: Walk):
    """The results of an edge, nested as its body nests them."""
    if not op.lazy or w.body or w.eager:
        return build_tree(tree, [fresh(v, w) for v in nx.outs])
    if nx.aux is None:
        nx.aux = _grouped(tree, iter(nx.outs))
    return _lazily(nx.aux, w)


class _Row(tuple):
    """Values of a list of results."""


def _grouped(x, it):
    """The nesting with values in place of TENSOR, lists of them as rows: made once for an edge."""
    if x is TENSOR:
        return next(it)
    if isinstance(x, list) and x and x.count(TENSOR) == len(x):
        return _Row(islice(it, len(x)))
    if isinstance(x, (list, tuple)):
        items = [_grouped(y, it) for y in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    return x


def _lazily(x, w: Walk):
    if type(x) is _Row:
        return Results(x, w)
    if type(x) is Value:
        return fresh(x, w)
    if isinstance(x, (list, tuple)):
        items = [_lazily(y, w) for y in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    return x


def _same_values(handles, values) -> bool:
    for h, v in zip(handles, values):
        if h._val is not v:
            return False
    return True


def _same_keywords(given: dict, expected: dict | None) -> bool:
    if expected is None or len(given) != len(expected):
        return False
    for k, v in given.items():
        e = expected.get(k, _NEVER)
        if v is not e and (e is None or getattr(v, "_val", None) is not e) and not _same_static(v, e):
            return False
    return True


def _again(op: Operation, args, kwargs, w: Walk):
    """The second try: storages that were not on the walk yet enter it, and then the expected edge may follow after all."""
    if "out" in kwargs and op.with_out is not None:
        return op.with_out(args, kwargs)
    values = []
    for a in args:
        if isinstance(a, Tensor):
            v = a._val
            if v is None or v.node.walk is not w:
                if layout_of(a).device == "meta":
                    return _slow(op, args, kwargs, w, ())
                v = resolve(a, w)
            values.append(v)
        elif type(a) is Gradients or type(a) is Bundle and a._val is not None:
            values.append(a._val)
        elif type(a) is list or type(a) is tuple or type(a) is Bundle:
            try:
                values.append([x._val if x._val is not None else resolve(x, w) for x in a] if a else a)
            except (AttributeError, NotRecorded):  # not all are tensors, or they are on `meta`
                values.append(a)
        else:
            values.append(a)
    nx = w.at.nxt
    if nx.op is op and nx.call is not None and len(args) == len(nx.call):
        k = nx.k
        for a, e in zip(values, nx.call):
            if a is e:
                continue
            kind = type(a)
            if kind is list and type(e) is _Sequence:
                if a == e:
                    continue
            elif (kind is float or kind is int) and NUMBER[kind] is e:
                w.scalars[k] = a
                k += 1
                continue
            if _same_static(a, e):
                continue
            break
        else:
            if _same_keywords(kwargs, nx.kwcall):
                w.at = nx
                tree = nx.spec.tree
                if tree is None:
                    return fresh(nx.out, w)
                return results_of(op, tree, nx, w)
    return _slow(op, args, kwargs, w, values)


def _slow(op: Operation, args, kwargs, w: Walk, known: Any):
    """The edge is not the expected one: arguments are split, the edge is looked up, or made. `known` holds the values of
    tensors among `args` that have been worked out."""
    full = op.bind(args, kwargs)
    if op.takes:
        check_operands(op, full)
    if op.early is not None:
        op.early(full)
    if cut_if_long(w):
        known = ()
    count = len(known)
    values: list = []
    static: list = []
    data: list = []
    expected: list = []
    numbers_by_keyword = False
    for i, a in enumerate(full):
        if type(a) is Gradients and a._val is None and not a.lend(w):  # the walk has ended since they were lent
            a = a.singly()
        if a is None:
            static.append(None)
            expected.append(None)
        elif isinstance(a, Tensor):
            if layout_of(a).device == "meta":
                return _on_meta(op, full)
            v = known[i] if i < count else resolve(a, w)
            values.append(v)
            static.append(TENSOR)
            expected.append(v)
        elif i in op.data and isinstance(a, (bool, int, float, complex, np.number, np.bool_)):
            a = python_number(a)
            v = NUMBER[a.__class__]
            values.append(v)
            data.append(a)
            static.append(TENSOR)
            expected.append(v)
            numbers_by_keyword = numbers_by_keyword or i >= len(args)
        elif (type(a) is Bundle or type(a) is Gradients) and a._val is not None:
            values += a._val
            static.append(tuple([TENSOR] * len(a)))
            expected.append(a._val)
        elif isinstance(a, (list, tuple)) and not isinstance(a, Size) and _has_tensor(a):
            if any(layout_of(t).device == "meta" for t in _tensors(a)):
                return _on_meta(op, full)
            found: list = []
            if i < count and known[i] is not a and all([v.node.walk is w for v in known[i]]):
                found = known[i]
                static.append(type(a)([TENSOR] * len(a)) if type(a) in (list, tuple) else tuple([TENSOR] * len(a)))
            else:
                static.append(_split(a, found, w))
            values += found
            flat = all(isinstance(x, Tensor) for x in a)
            expected.append(_Sequence(found) if flat else _NEVER)
        else:
            static.append(a)
            expected.append(list(a) if type(a) is list else a)  # the caller's list may change
    key = tuple(static)
    nx = edge(w, op, tuple(values), key, freeze(key), None, len(data))
    if data:
        w.scalars[nx.k : nx.k + len(data)] = data
    nx.call = tuple(expected[: len(args)])  # as it was written last time
    nx.kwcall = None if numbers_by_keyword else {k: expected[op.position[k]] for k in kwargs}
    spec = nx.spec
    if spec.tree is None:
        r = fresh(nx.out, w)
    else:
        r = results_of(op, spec.tree, nx, w)
    if w.eager:
        walking.flush(w)
    return r


def check_operands(op: Operation, full: list) -> None:
    """TypeError for an operand that is no tensor (nor a number, where one is taken), and where none is a tensor."""
    for i, name, number in op.takes:
        a = full[i]
        if isinstance(a, Tensor):
            continue
        if not (number and (a is None or isinstance(a, (bool, int, float, complex, np.number, np.bool_)))):
            raise TypeError(f"{op.name}(): argument '{name}' (position {i + 1}) must be Tensor, not {type(a).__name__}")
    if not any(isinstance(full[i], Tensor) for i, _, _ in op.takes):
        raise TypeError(
            f"{op.name}() received an invalid combination of arguments: one of them must be Tensor, not only numbers"
        )


def _has_tensor(x) -> bool:
    return any(isinstance(y, Tensor) or (isinstance(y, (list, tuple)) and _has_tensor(y)) for y in x)


def _tensors(x) -> list:
    return [
        t for y in x for t in ([y] if isinstance(y, Tensor) else _tensors(y) if isinstance(y, (list, tuple)) else [])
    ]


def _split(x, found: list, w: Walk):
    if isinstance(x, Tensor):
        found.append(resolve(x, w))
        return TENSOR
    if isinstance(x, (list, tuple)):
        items = [_split(y, found, w) for y in x]
        return items if isinstance(x, list) else tuple(items)
    return x


def python_number(a):
    """A NumPy number as the Python number that it is."""
    if a.__class__ in NUMBER:
        return a
    if isinstance(a, np.generic):
        return a.item()
    for kind in (bool, int, float, complex):
        if isinstance(a, kind):
            return kind(a)
    raise TypeError(f"expected a number, got {type(a).__name__}")


def _on_meta(op: Operation, full: list):
    """Only the rule runs: results are shapes on the `meta` device."""
    lays: list = []
    static: list = []
    for i, a in enumerate(full):
        if isinstance(a, Tensor):
            lays.append(layout_of(a))
            static.append(TENSOR)
        elif i in op.data and isinstance(a, (bool, int, float, complex)):
            lays.append(shapes.number(type(a)))
            static.append(TENSOR)
        elif isinstance(a, (list, tuple)) and not isinstance(a, Size) and _has_tensor(a):
            lays += [layout_of(t) for t in _tensors(a)]
            static.append(_structure(a))
        else:
            static.append(a)
    other = [l for l in lays if l.device != "meta" and not l.number and l.ndim > 0]
    if other:
        raise RuntimeError(
            f"{op.name}: Expected all tensors to be on the same device, but found at least two devices, meta and {other[0].device}!"
        )
    lays = [
        layout(l.shape, l.strides, l.dtype) if l.device == "meta" else l for l in lays
    ]  # a body records no meta tensors
    spec = op.infer(tuple(lays), tuple(static))
    made = []
    for l in spec.outs:
        made.append(meta_tensor(layout(l.shape, l.strides, l.dtype, "meta")))
    return made[0] if spec.tree is None else build_tree(spec.tree, made)


def _structure(x):
    if isinstance(x, Tensor):
        return TENSOR
    if isinstance(x, (list, tuple)):
        items = [_structure(y) for y in x]
        return items if isinstance(x, list) else tuple(items)
    return x


def meta_tensor(lay: Layout) -> Tensor:
    st = Storage(None, lay.extent)
    st.meta = True
    st.name = lay.dtype.name
    return placed(st, lay)


def unary(op: Operation) -> Callable:
    def call(input, *, out=None):
        if out is not None:
            return _again(op, (input,), {"out": out}, tls.walk)
        w = tls.walk
        nx = w.at.nxt
        try:
            if nx.op is op and nx.a is input._val:
                r = new(Tensor)
                r._val = nx.out
                r._st = None
                w.keep.append(r)
                w.at = nx
                return r
        except AttributeError:
            _need_tensor(op, input)
        if type(input) is not Tensor:
            _need_tensor(op, input)
        try:
            if input._st is not None and input._st.meta or w.eager:
                return _again(op, (input,), _NO_KEYWORDS, w)
            cut_if_long(w)
            v = resolve(input, w)
        except NotStrided as e:
            return _packed(op, e, (input,))
        nx = w.at.nxt
        if nx.op is op and nx.a is v:
            w.at = nx
        else:
            nx = edge(w, op, (v,), ONE, ONE)
        return fresh(nx.out, w)

    CALLS.append((op, call))
    return call


def binary(op: Operation) -> Callable:
    def call(input, other, *, out=None):
        if out is not None:
            return _again(op, (input, other), {"out": out}, tls.walk)
        w = tls.walk
        nx = w.at.nxt
        if nx.op is op:
            try:
                if nx.a is input._val:
                    kind = type(other)
                    if kind is float or kind is int:
                        if nx.b is NUMBER[kind]:
                            w.scalars[nx.k] = other
                            r = new(Tensor)
                            r._val = nx.out
                            r._st = None
                            w.keep.append(r)
                            w.at = nx
                            return r
                    elif nx.b is other._val:
                        r = new(Tensor)
                        r._val = nx.out
                        r._st = None
                        w.keep.append(r)
                        w.at = nx
                        return r
            except AttributeError:
                pass
        kind = type(other)
        try:
            if w.eager or not isinstance(input, Tensor) or input._st is not None and input._st.meta:
                return _again(op, (input, other), _NO_KEYWORDS, w)
            if (kind is float or kind is int) and (not op.takes or op.takes[1][2]):
                cut_if_long(w)
                a = resolve(input, w)
                b = NUMBER[kind]
            elif isinstance(other, Tensor) and not (other._st is not None and other._st.meta):
                cut_if_long(w)
                a = resolve(input, w)
                b = resolve(other, w)
            else:
                return _again(op, (input, other), _NO_KEYWORDS, w)
        except NotStrided as e:
            return _packed(op, e, (input, other))
        nx = w.at.nxt
        if nx.op is op and nx.a is a and nx.b is b:
            w.at = nx
        else:
            nx = edge(w, op, (a, b), TWO, TWO, None, int(b.node is None))
        if b.node is None:
            w.scalars[nx.k] = other
        return fresh(nx.out, w)

    CALLS.append((op, call))
    return call


def _through(op: Operation) -> tuple[Callable, Callable, Callable]:
    """The three kinds of calls, once `op.hit` is native."""

    def many(*args, **kwargs):
        return op.hit(*args, **kwargs)

    def one(input, *, out=None):
        return op.hit(input) if out is None else op.hit(input, out=out)

    def two(input, other, *, out=None):
        return op.hit(input, other) if out is None else op.hit(input, other, out=out)

    return many, one, two


THROUGH = {  # the code of a call -> that which takes its place
    kind(None).__code__: f.__code__
    for kind, f in zip((generic, unary, binary), _through(None))  # type: ignore[arg-type]
}
CALLS.clear()  # of what has been made for their code alone


def _need_tensor(op: Operation, x) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{op.name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
