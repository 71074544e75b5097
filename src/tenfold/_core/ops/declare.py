"""Declaring operations.

    @elementwise(...)   a primitive that works element by element; the function is its NumPy meaning
    @primitive(...)     any other primitive: rule and NumPy meaning
    @operation(...)     a pure function of tensors, composed of other operations: one edge of the trace
    @function(...)      a public function that is no edge of its own: views, and what has to read a value

`where` names the places where it is public ("torch", "Tensor", "nn.functional", "special", "linalg", "fft");
`aliases` other names there; `inplace=True` derives `name_`; `out=True` derives the keyword `out`.

What runs at every call of what is declared here is in calling.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
from ..ir.operation import TENSOR, Operation, Primitive
from ..ir.shapes import Layout, broadcast_shapes, layout, result_strides
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
from ..trace.bundle import Bundle, Gradients
from ..trace.control import end_walk
from ..trace.handle import Tensor, Value, fresh, layout_of, requires_grad, tls, translated
from ..trace.macro import Composition
from ..trace.walk import check_writable, resolve, write
from .calling import Results, binary, generic, unary

PUBLIC: dict[str, dict[str, Any]] = {}  # namespace -> name -> what is public there
OPERATIONS: dict[str, Operation] = {}


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
    f = call
    if out:
        op.with_out = _with_out(call, name)
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
    def f(args, kwargs):
        kwargs = dict(kwargs)
        out = kwargs.pop("out")
        w = tls.walk
        result = call(*args, **kwargs) if w.at.cast is None else walking.without_cast(w, call, args, kwargs)
        return result if out is None else store_out(out, result, name)

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
        if w.at.cast is None:
            r = f(input, *args, **kwargs)
        else:
            r = walking.without_cast(w, f, (input, *args), kwargs)
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
        if (
            input._st is None
            and input._val is not None
            and r._val.lay is input._val.lay
            and w.at.mode
            and not w.eager
            and w.level is None
        ):
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
        return _finish(generic(op), op, fn, name or fn.__name__, where, aliases, inplace, out)

    return make if fn is None else make(fn)


def composite(fn: Callable | None = None, *, data=(), name: str | None = None):
    """Makes a pure function of tensors one edge of the trace, without publishing it: `@composite(data=("lr",))`.

    Args: data: names of arguments whose Python numbers are inputs of the program (number tensors in the body); all else
    that is no tensor is static and may steer the body.
    Returns: the function; it takes tensors, lists of tensors, numbers and static values, and returns tensors, nested as in its body."""

    def make(fn: Callable) -> Callable:
        op = Composition(name or fn.__name__, fn, data=data)
        op.lazy = True
        op.call = call = generic(op)
        describe(call, fn, fn.__name__, False)
        call.operation = op
        return call

    return make if fn is None else make(fn)


def assign(tensors: Sequence[Tensor], values: Sequence) -> None:
    """Each tensor's storage gets the value of the other (same shape and dtype) in place, without gradients.

    Args:
        tensors: tensors, or bundles: each has its values in one item of `values`, and the walk must end before they are read.
        values: tensors, or sequences of tensors that are taken one after the other."""
    w = tls.walk
    if tensors and type(tensors[0]) is Bundle:
        pairs = [
            (t, v)
            for t, v in zip(tensors, values)
            if not (type(v) is Results and v._handles is None and v.walk is w and t.write(v.values, w))
        ]
        if not pairs:
            return
        tensors, values = [t for bundle, _ in pairs for t in bundle], [v for _, v in pairs]
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
        for k, t in enumerate(tensors):
            v = new_values[k]
            value = v if type(v) is Value else v._val
            st = t._st
            if (
                st is not None and value is not None and not st.shared and t._lay is value.lay and st.hist is None and not st.exported
                and t._off == 0 and t._lay.contig and value.node.walk is w and not st.pinned and not t._det
                and w.level is None and (st.val is None or st.val.node.walk is w) and not value.rg
            ):  # fmt: skip
                if st.val is None:
                    w.storages.append(st)
                if st.bundle is not None:
                    walking.touch(st)
                st.prev = (st.val, st.prev)
                st.val = value
                t._val = None
            else:
                for j in range(k, len(new_values)):  # writing may end the walk: handles outlive it
                    if type(new_values[j]) is Value:
                        new_values[j] = fresh(new_values[j], w)
                handle = new_values[k]
                overwrite(t, walking.detach(handle) if requires_grad(handle) else handle)
    finally:
        if mode:
            walking.set_mode(True)


def lend(bundle: Bundle | Gradients) -> bool:
    """Lets a bundle take part in an operation as one operand, before the walk ends. False: its tensors will, one by one."""
    return bundle.lend(tls.walk)


def primitive(*, rule, kernel=None, where="", aliases=(), data=(), gradient=None, inplace=False, out=False, name=None, raw=False, effect=False,
              differentiable=True, grad_name=None):  # fmt: skip
    """Declares a primitive: the function is its NumPy meaning (see ir.operation.Primitive)."""

    def make(fn: Callable) -> Callable:
        op = Primitive(
            name or fn.__name__, fn, rule=rule, kernel=kernel, raw=raw, data=data, gradient=gradient, effect=effect,
            differentiable=differentiable, grad_name=grad_name,
        )  # fmt: skip
        return _finish(generic(op), op, fn, name or fn.__name__, where, aliases, inplace, out)

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
    first = lays[0].dtype
    if all([l.dtype is first for l in lays]):
        return first
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

        def compute(spec):
            d = kinds(promoted(spec.lays))[0]
            return (
                _WIDEST[d.category] if all(l.number for l in spec.lays) else d
            )  # numbers among themselves are Python's

        def kernel(spec):
            return pointwise_kernel(spec, fn, compute(spec))

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
        op.compute = compute
        if len(operands) == len(op.params):
            op.made = {}
        op.takes = [(i, n, n in numbers.split() or n not in required) for i, n in enumerate(op.params) if n in operands]
        call = unary(op) if op.params == ("input",) else binary(op) if op.params == ("input", "other") else generic(op)
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
        if l.plain and l.dtype is d:
            return l
        return layout(
            l.shape, None if l.contig else l.strides if l.dense else result_strides(l.shape, lays), d, l.device
        )
    tensors = [l for l in lays if not l.number]
    if not tensors:
        return shapes.number(_KIND_OF[d.category])
    first = tensors[0]
    if all([l.contig and l.shape == first.shape for l in tensors]):
        if first.plain and first.dtype is d:
            return first
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
publish(lend, "lend", "torch")
publish(Bundle, "Bundle", "torch")
publish(end_walk, "end_walk", "torch")
publish(walking.set_mode, "set_mode", "torch")
publish(translated, "translated", "torch")

for _op in (ACCUMULATE, CAST, GRAFT, LEAF, ONES, READ, RELAYOUT, STOP, SUM_TO, UNREAD, WRITE, ZEROS):
    _op.call = generic(_op)
CAST.data = frozenset()
for _op, _places in ((READ, (1,)), (UNREAD, (2,)), (WRITE, (2,))):
    _op.data = frozenset(_places)
