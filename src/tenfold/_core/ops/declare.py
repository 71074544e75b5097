"""Declaring operations, and the hit path.

    @elementwise(...)   a primitive that works element by element; the function is its NumPy meaning
    @primitive(...)     any other primitive: rule and NumPy meaning
    @operation(...)     a pure function of tensors, composed of other operations: one edge of the trace
    @function(...)      a public function that is no edge of its own: views, and what has to read a value

`where` names the places where it is public ("torch", "Tensor", "nn.functional", "special", "linalg", "fft");
`aliases` other names there; `inplace=True` derives `name_`; `out=True` derives the keyword `out`.

What runs at every call is in `_generic`, `_unary` and `_binary`: the edge that followed last time is tried first (is it
the same operation on the same operands?). Measured by benchmarks/bench_record.py; see docs/design."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..errors import NotRecorded
from ..ir import shapes
from ..ir.dtypes import (
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    bool_,
    complex128,
    dtype,
    float64,
    get_default_dtype,
    int64,
    promote,
)
from ..ir.operation import TENSOR, Operation, Primitive, freeze
from ..ir.shapes import Layout, Size, broadcast_shapes, layout, result_strides
from ..ir.special import (
    ACCUMULATE,
    CAST,
    GRAFT,
    LEAF,
    ONES,
    READ,
    RELAYOUT,
    STOP,
    SUM_TO,
    UNREAD,
    WRITE,
    ZEROS,
    convert,
)
from ..trace import walk as walking
from ..trace.control import end_walk
from ..trace.handle import NUMBER, Storage, Tensor, Value, Walk, fresh, layout_of, new, placed, requires_grad, tls
from ..trace.macro import Composition, build_tree
from ..trace.walk import ONE, TWO, check_writable, cut_if_long, edge, resolve, write

PUBLIC: dict[str, dict[str, Any]] = {}  # namespace -> name -> what is public there
OPERATIONS: dict[str, Operation] = {}


# --- calling -----------------------------------------------------------------------------------------------------------


class _Sequence(list):
    """The values of a list of tensors, in `Node.call`."""


_NEVER = object()
_NO_KEYWORDS: dict = {}


def _generic(op: Operation) -> Callable:
    def call(*args, **kwargs):
        w = tls.walk
        nx = w.at.nxt
        if nx.op is op and nx.call is not None and len(args) == len(nx.call):
            k = nx.k
            for a, e in zip(args, nx.call):
                if a is e:
                    continue
                try:
                    if e is not None and a._val is e:
                        continue
                except AttributeError:
                    kind = type(a)
                    if kind is float or kind is int:
                        if NUMBER[kind] is e:
                            w.scalars[k] = a
                            k += 1
                            continue
                    elif type(e) is _Sequence and len(a) == len(e) and _same_values(a, e):
                        continue
                break
            else:
                if _same_keywords(kwargs, nx.kwcall):
                    w.at = nx
                    tree = nx.spec.tree
                    if tree is None:
                        r = new(Tensor)
                        r._val = nx.out
                        r._st = None
                        w.keep.append(r)
                        return r
                    return results_of(op, tree, nx, w)
        return _again(op, args, kwargs, w)

    return call


class Results(Sequence):
    """A list of results of a composite whose handles are made when they are asked for: `assign` never asks."""

    __slots__ = ("_handles", "values", "walk")

    def __init__(self, values: list, walk: Walk):
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
    it = iter(nx.outs)
    return _lazily(tree, it, w)


def _lazily(x, it, w: Walk):
    if x is TENSOR:
        return fresh(next(it), w)
    if isinstance(x, list) and x and x.count(TENSOR) == len(x):
        return Results(list(islice(it, len(x))), w)
    if isinstance(x, (list, tuple)):
        items = [_lazily(y, it, w) for y in x]
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
        if v is not e and (e is None or getattr(v, "_val", None) is not e):
            return False
    return True


def _again(op: Operation, args, kwargs, w: Walk):
    """The second try: storages that were not on the walk yet enter it, and then the expected edge may follow after all."""
    values = []
    for a in args:
        if isinstance(a, Tensor):
            v = a._val
            if v is None or v.node.walk is not w:
                if layout_of(a).device == "meta":
                    return _slow(op, args, kwargs, w, ())
                v = resolve(a, w)
            values.append(v)
        elif type(a) is list or type(a) is tuple:
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
        if isinstance(a, Tensor):
            if layout_of(a).device == "meta":
                return _on_meta(op, full)
            v = known[i] if i < count else resolve(a, w)
            values.append(v)
            static.append(TENSOR)
            expected.append(v)
        elif i in op.data and isinstance(a, (bool, int, float, complex, np.number, np.bool_)):
            a = python_number(a)
            v = NUMBER[type(a)]
            values.append(v)
            data.append(a)
            static.append(TENSOR)
            expected.append(v)
            numbers_by_keyword = numbers_by_keyword or i >= len(args)
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
            expected.append(a)
    key = tuple(static)
    nx = edge(w, op, tuple(values), key, freeze(key), None, len(data))
    if data:
        w.scalars[nx.k : nx.k + len(data)] = data
    if nx.call is None:
        nx.call = tuple(expected[: len(args)])
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
    if type(a) in NUMBER:
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


def _unary(op: Operation) -> Callable:
    def call(input):
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
        if input._st is not None and input._st.meta or w.eager:
            return _again(op, (input,), _NO_KEYWORDS, w)
        cut_if_long(w)
        v = resolve(input, w)
        nx = w.at.nxt
        if nx.op is op and nx.a is v:
            w.at = nx
        else:
            nx = edge(w, op, (v,), ONE, ONE)
        return fresh(nx.out, w)

    return call


def _binary(op: Operation) -> Callable:
    def call(input, other):
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
        nx = w.at.nxt
        if nx.op is op and nx.a is a and nx.b is b:
            w.at = nx
        else:
            nx = edge(w, op, (a, b), TWO, TWO, None, int(b.node is None))
        if b.node is None:
            w.scalars[nx.k] = other
        return fresh(nx.out, w)

    return call


def _need_tensor(op: Operation, x) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{op.name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")


# --- making names public ----------------------------------------------------------------------------------------------


def publish(f: Callable, name: str, where: Sequence[str] | str, aliases: Sequence[str] = ()) -> None:
    places = where.split() if isinstance(where, str) else where
    for place in places:
        names = PUBLIC.setdefault(place, {})
        for n in (name, *aliases):
            names[n] = f


def _finish(
    call: Callable, op: Operation, fn: Callable, name: str, where, aliases, inplace: bool, out: bool
) -> Callable:
    """The public function: with name, docstring, signature, in-place variant and `out=`."""
    op.call = call
    op.public = name
    OPERATIONS[op.name] = op
    f = _with_out(call, name) if out else call
    describe(f, fn, name, out)
    f.operation = op
    publish(f, name, where, aliases)
    if inplace:
        places = where.split() if isinstance(where, str) else where
        g = inplace_variant(f, name)
        describe(g, fn, name + "_", False)
        publish(g, name + "_", [p for p in places if p in ("Tensor", "torch")], [a + "_" for a in aliases])
    return f


def describe(f: Callable, fn: Callable, name: str, out: bool) -> None:
    f.__name__ = f.__qualname__ = name
    f.__doc__ = fn.__doc__
    signature = inspect.signature(fn)
    if out and "out" not in signature.parameters:
        extra = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
        signature = signature.replace(parameters=[*signature.parameters.values(), extra])
    f.__signature__ = signature


def _with_out(call: Callable, name: str) -> Callable:
    def f(*args, out=None, **kwargs):
        if out is None:
            return call(*args, **kwargs)
        return store_out(out, call(*args, **kwargs), name)

    return f


def store_out(out, result, name: str):
    """Writes results into the tensors given as `out=`, which get the results' shape."""
    if isinstance(result, (tuple, list)):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise TypeError(f"{name}(): argument 'out' must be a tuple of {len(result)} Tensors")
        made = [store_out(o, r, name) for o, r in zip(out, result)]
        return type(result)(*made) if hasattr(result, "_fields") else type(result)(made)
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if requires_grad(result) or requires_grad(out):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad."
        )
    check_writable(out, tls.walk)
    have, want = layout_of(out), layout_of(result)
    if not can_cast(want.dtype, have.dtype):
        raise RuntimeError(
            f"{name}: result type {scalar_name(want.dtype)} can't be cast to the desired output type {scalar_name(have.dtype)}"
        )
    if have.device != want.device:
        raise RuntimeError(f"{name}: Expected out tensor to have device {want.device}, but got {have.device} instead")
    if have.shape != want.shape:
        resize_to(out, want.shape, have.numel != 0)
    overwrite(out, result)
    return out


def resize_to(t: Tensor, shape, warn: bool) -> None:
    if warn:
        import warnings

        warnings.warn(
            f"An output with one or more elements was resized since it had shape {list(layout_of(t).shape)}, which does not match the required output shape {list(shape)}."
            " Give `out` a tensor of the right shape, or an empty one.",
            UserWarning,
            stacklevel=4,
        )
    lay = layout_of(t)
    new_lay = layout(shape, None, lay.dtype, lay.device)
    z = ZEROS.call(new_lay)
    st = walking.place(z)
    walking.place(t)
    t._st, t._lay, t._off, t._val = st, new_lay, 0, None
    t._leaf, t._det = None, False


def scalar_name(d: dtype) -> str:
    """What C++ calls the dtype, as in PyTorch's messages."""
    return {
        "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half",
        "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    }.get(d.name, d.name.capitalize())  # fmt: skip


def can_cast(source: dtype, target: dtype) -> bool:
    """Whether a result may be stored in that dtype: not complex in real, not floating in integers, not a number in bool."""
    if source.category == COMPLEX and target.category != COMPLEX:
        return False
    if source.category == FLOAT and target.category < FLOAT:
        return False
    return not (target.category == BOOL and source.category != BOOL)


def inplace_variant(f: Callable, name: str) -> Callable:
    def method(input, *args, **kwargs):
        w = tls.walk
        check_writable(input, w)
        r = f(input, *args, **kwargs)
        lay, got = layout_of(input), layout_of(r)
        if got is not lay:
            if got.shape != lay.shape:
                raise RuntimeError(
                    f"{name}_: output with shape {list(lay.shape)} doesn't match the broadcast shape {list(got.shape)}"
                )
            if got.dtype is not lay.dtype:
                if not can_cast(got.dtype, lay.dtype):
                    raise RuntimeError(
                        f"{name}_: result type {scalar_name(got.dtype)} can't be cast to the desired output type {scalar_name(lay.dtype)}"
                    )
                r = CAST.call(r, lay.dtype)
        if lay.device == "meta":
            return input
        if input._st is None and input._val is not None and r._val.lay is input._val.lay and w.at.mode and not w.eager:
            input._val = r._val
            return input
        write(input, resolve(r, w), w)
        return input

    return method


def overwrite(t: Tensor, value: Tensor) -> Tensor:
    """t's elements become those of `value` (of the same shape), converted to t's dtype."""
    w = tls.walk
    lay = layout_of(t)
    if lay.device == "meta":
        return t
    if layout_of(value).dtype is not lay.dtype:
        value = CAST.call(value, lay.dtype)
    write(t, resolve(value, w), w)
    if w.eager:
        walking.flush(w)
    return t


def operation(
    fn: Callable | None = None,
    *,
    where="torch Tensor",
    aliases=(),
    data=(),
    gradient=None,
    inplace=False,
    out=False,
    name=None,
    grad_name=None,
):
    """Declares a pure function of tensors, composed of other operations, as one edge of the trace.

    Args:
        data: names of arguments whose Python numbers are inputs of the program; in the body they are number tensors.
        gradient: gradient(g, out, *arguments); by default that of the composition.
    The body reads no value, writes nothing that it did not make, and returns no argument or view of one."""

    def make(fn: Callable) -> Callable:
        op = Composition(name or fn.__name__, fn, data=data, gradient=gradient, grad_name=grad_name)
        return _finish(_generic(op), op, fn, name or fn.__name__, where, aliases, inplace, out)

    return make if fn is None else make(fn)


def composite(fn: Callable | None = None, *, data=(), name: str | None = None):
    """Makes a pure function of tensors one edge of the trace, without publishing it: `@composite(data=("lr",))`.

    Args: data: names of arguments whose Python numbers are inputs of the program (number tensors in the body); all else
    that is no tensor is static and may steer the body.
    Returns: the function; it takes tensors, lists of tensors, numbers and static values, and returns tensors, nested as in its body."""

    def make(fn: Callable) -> Callable:
        op = Composition(name or fn.__name__, fn, data=data)
        op.lazy = True
        op.call = call = _generic(op)
        describe(call, fn, fn.__name__, False)
        call.operation = op
        return call

    return make if fn is None else make(fn)


def assign(tensors: Sequence[Tensor], values: Sequence) -> None:
    """Each tensor's storage gets the value of the other (same shape and dtype) in place, without gradients.

    Args: values: tensors, or sequences of tensors that are taken one after the other."""
    w = tls.walk
    new_values: list = []
    for v in values:
        if type(v) is Results and v._handles is None and v.walk is w:
            new_values += v.values
        elif isinstance(v, Tensor):
            new_values.append(v)
        else:
            new_values.extend(v)
    mode = w.at.mode
    if mode:
        walking.set_mode(False)
    try:
        for t, v in zip(tensors, new_values):
            value = v if type(v) is Value else v._val
            st = t._st
            if (
                st is not None and value is not None and not st.shared and t._lay is value.lay and st.hist is None and not st.exported
                and t._off == 0 and t._lay.contig and value.node.walk is w and not st.pinned and not t._det
                and (st.val is None or st.val.node.walk is w) and not value.rg
            ):  # fmt: skip
                if st.val is None:
                    w.storages.append(st)
                st.prev = (st.val, st.prev)
                st.val = value
                t._val = None
            else:
                handle = fresh(v, w) if type(v) is Value else v
                overwrite(t, walking.detach(handle) if requires_grad(handle) else handle)
    finally:
        if mode:
            walking.set_mode(True)


def primitive(*, rule, kernel=None, where="", aliases=(), data=(), gradient=None, inplace=False, out=False, name=None, raw=False, effect=False,
              differentiable=True, grad_name=None):  # fmt: skip
    """Declares a primitive: the function is its NumPy meaning (see ir.operation.Primitive)."""

    def make(fn: Callable) -> Callable:
        op = Primitive(
            name or fn.__name__, fn, rule=rule, kernel=kernel, raw=raw, data=data, gradient=gradient, effect=effect,
            differentiable=differentiable, grad_name=grad_name,
        )  # fmt: skip
        return _finish(_generic(op), op, fn, name or fn.__name__, where, aliases, inplace, out)

    return make


def function(fn: Callable | None = None, *, where="torch Tensor", aliases=(), name=None):
    """Makes a plain function public: it calls operations, takes views, or reads values, and is no edge itself."""

    def make(fn: Callable) -> Callable:
        publish(fn, name or fn.__name__, where, aliases)
        return fn

    return make if fn is None else make(fn)


# --- element by element ------------------------------------------------------------------------------------------------


def promoted(lays: Sequence[Layout]) -> dtype:
    """The dtype of a result: tensors with dims come before 0-d tensors, and those before Python numbers, where the kind
    (bool, int, float, complex) of the lesser is not higher."""
    dims = zero = number = None
    for l in lays:
        if l.number:
            number = l.dtype if number is None else promote(number, l.dtype)
        elif l.ndim:
            dims = l.dtype if dims is None else promote(dims, l.dtype)
        else:
            zero = l.dtype if zero is None else promote(zero, l.dtype)
    return _combined(dims, _combined(zero, number))


def _combined(strong: dtype | None, weak: dtype | None) -> dtype:
    """The dtype of two kinds of operands, of which the second only counts by its category."""
    if strong is None or weak is None:
        return weak if strong is None else strong
    if weak.category <= strong.category:
        return strong
    if weak.category == COMPLEX and strong.category == FLOAT:
        return strong.to_complex()
    return promote(strong, weak)


def to_float(d: dtype) -> dtype:
    """Integers are computed in the default dtype."""
    return get_default_dtype() if d.category < FLOAT else d


KINDS: dict[str, Callable[[dtype], tuple[dtype, dtype]]] = {
    # dtype of the operands together -> (dtype to compute in, dtype of the result)
    "same": lambda d: (d, d),
    "float": lambda d: (to_float(d), to_float(d)),
    "bool": lambda d: (d, bool_),
    "real": lambda d: (d, d.to_real()),
}


def elementwise(*, kind="same", where="torch Tensor", aliases=(), gradient=None, inplace=True, out=True, name=None, dtypes=None, data=None,
                differentiable=True, grad_name=None, numbers="other", check=None):  # fmt: skip
    """Declares a primitive that works element by element, with broadcasting and type promotion.

    The function is its NumPy meaning on operands already of the dtype computed in. Parameters without a default, and
    those named in `data`, are operands: tensors or numbers; the others are static.

    kind: "same" (the promoted dtype), "float" (integers are computed in the default dtype), "bool" (compares),
          "real" (a complex operand gives a real result); or a function of the promoted dtype.
    dtypes: categories that it takes ("bool int float complex"), all by default; others raise NotImplementedError.
    numbers: the operands that may be Python numbers (and those in `data` may always), by default the one called `other`.
    check: check(layouts) raises what else is wrong with the operands.
    gradient: gradient(g, out, *arguments); the machinery undoes broadcasting."""

    def make(fn: Callable) -> Callable:
        op_name = name or fn.__name__
        parameters = list(inspect.signature(fn).parameters.values())
        required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
        operands = tuple(required if data is None else [*required, *data])
        kinds = KINDS[kind] if isinstance(kind, str) else kind
        takes = None if dtypes is None else {_CATEGORY[c] for c in dtypes.split()}

        def rule(*args):
            lays = [a for a in args if isinstance(a, Layout)]
            if check is not None:
                check(lays)
            d = promoted(lays)
            if takes is not None and d.category not in takes:
                raise not_implemented(op_name, d)
            return pointwise_layout(lays, kinds(d)[1])

        def kernel(spec):
            compute = kinds(promoted(spec.lays))[0]
            if all(l.number for l in spec.lays):  # numbers among themselves are Python's
                compute = _WIDEST[compute.category]
            return pointwise_kernel(spec, fn, compute)

        op = Primitive(
            op_name,
            fn,
            rule=rule,
            kernel=kernel,
            data=operands,
            gradient=gradient,
            differentiable=differentiable,
            grad_name=grad_name,
        )
        op.takes = [(i, n, n in numbers.split() or n not in required) for i, n in enumerate(op.params) if n in operands]
        call = (
            _unary(op) if op.params == ("input",) else _binary(op) if op.params == ("input", "other") else _generic(op)
        )
        return _finish(call, op, fn, op_name, where, aliases, inplace, out)

    return make


_CATEGORY = {"bool": BOOL, "int": INT, "float": FLOAT, "complex": COMPLEX}


def not_implemented(name: str, d: dtype) -> RuntimeError:
    return NotImplementedError(
        f"\"{name}\" not implemented for '{scalar_name(d)}': convert the tensor to another dtype first"
    )


def pointwise_layout(lays: Sequence[Layout], d: dtype) -> Layout:
    if len(lays) == 1:
        l = lays[0]
        if l.number:
            return shapes.number(_KIND_OF[d.category])
        return layout(
            l.shape, None if l.contig else l.strides if l.dense else result_strides(l.shape, lays), d, l.device
        )
    tensors = [l for l in lays if not l.number]
    if not tensors:
        return shapes.number(_KIND_OF[d.category])
    first = tensors[0]
    if all(l.shape == first.shape and l.contig for l in tensors):
        return layout(first.shape, None, d, first.device)
    shape = broadcast_shapes(*[l.shape for l in tensors])
    return layout(shape, result_strides(shape, tensors), d, first.device)


_WIDEST = {BOOL: bool_, INT: int64, FLOAT: float64, COMPLEX: complex128}
_KIND_OF = {BOOL: bool, INT: int, FLOAT: float, COMPLEX: complex}


def pointwise_kernel(spec, fn: Callable, compute: dtype) -> Callable:
    """fn on operands converted to the dtype computed in."""
    target = compute.compute
    plan: list = []  # for each operand: None (as it is) or how to convert it
    for l in spec.lays:
        if l.number:
            plan.append(_number_converter(target))
        elif l.dtype.half or l.dtype.np != target:
            plan.append(_array_converter(target))
        else:
            plan.append(None)
    static = spec.static
    plain = all(s is TENSOR for s in static)
    if plain and not any(plan):
        return fn
    if plain and len(plan) == 2:
        first, second = plan

        def two(a, b):
            return fn(a if first is None else first(a), b if second is None else second(b))

        return two

    def run(*operands):
        it = iter([x if p is None else p(x) for x, p in zip(operands, plan)])
        return spec.op.invoke([next(it) if s is TENSOR else s for s in static])

    return run


def _array_converter(target: np.dtype) -> Callable:
    return lambda x: convert(x, target)


def _number_converter(target: np.dtype) -> Callable:
    if target.kind in "iu":
        bits = target.itemsize * 8

        def wrap(x):
            n = int(x.real if isinstance(x, complex) else x)
            if not -(2**63) <= n < 2**64:
                raise OverflowError(f"int too big to convert: {n} fits in no integer dtype")
            n &= (1 << bits) - 1
            if target.kind == "i" and n >> (bits - 1):
                n -= 1 << bits
            return target.type(n)

        return wrap
    if target.kind == "b":
        return lambda x: np.bool_(x)
    if target.kind == "f":
        return lambda x: target.type(x.real if isinstance(x, complex) else x)
    return lambda x: target.type(x)


publish(composite, "composite", "torch")
publish(assign, "assign", "torch")
publish(end_walk, "end_walk", "torch")

for _op in (ACCUMULATE, CAST, GRAFT, LEAF, ONES, READ, RELAYOUT, STOP, SUM_TO, UNREAD, WRITE, ZEROS):
    _op.call = _generic(_op)
CAST.data = frozenset()
for _op, _places in ((READ, (1,)), (UNREAD, (2,)), (WRITE, (2,))):
    _op.data = frozenset(_places)
