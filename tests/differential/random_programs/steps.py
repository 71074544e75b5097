"""The steps that make tensors: creation, views, arithmetic, reductions, indexing, gradients, and reading values."""

import numpy as np

from . import exactness
from .executor import DTYPES, Dtype, Root, Skip, cotangent, index_text

STEPS = {}


def step(f):
    STEPS[f.__name__] = f
    return f


def is_exact(v):
    return v.exact


def is_real(v):
    return v.is_float


def small(v):
    """Values that may still be multiplied."""
    return v.grid.high < exactness.TOO_LARGE


# --- creation ---------------------------------------------------------------------------------------------


def drawn_shape(ex):
    sizes = (3, 2, 4, 1, 3, 2, 5, 0)
    return tuple(sizes[ex.pick(8)] for _ in range((2, 1, 3, 2, 0, 4)[ex.pick(6)]))


def array_for(ex, shape, dtype):
    """Small values that fit the dtype, a different array for each step's number."""
    rng = np.random.default_rng(ex.pick(1000))
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in exactness.WIDTH:
        return rng.integers(0 if dtype == "uint8" else -4, 5, shape)
    return rng.integers(-16, 17, shape) / 4


@step
def create(ex):
    dtype = DTYPES[ex.pick(len(DTYPES))]
    values = array_for(ex, drawn_shape(ex), dtype)
    kept = ex.fresh(ex.call("tensor", values.tolist(), dtype=Dtype(dtype)), exactness.INPUT)
    if kept.shape != values.shape:  # nested lists cannot tell (0, 3) from (0,)
        ex.view(ex.method(kept, "reshape", values.shape), kept)


@step
def create_mask(ex):
    """A mask for the leading dims of a live value."""
    v = ex.value(lambda v: v.ndim >= 1 and v.numel)
    shape = v.shape[: 1 + ex.pick(v.ndim)]
    ex.fresh(ex.call("tensor", array_for(ex, shape, "bool").tolist()), exactness.Grid(0, 0))


@step
def create_alike(ex):
    """Values of another dtype in a live value's shape."""
    v = ex.value(lambda v: v.numel)
    dtype = DTYPES[ex.pick(len(DTYPES))]
    ex.fresh(ex.call("tensor", array_for(ex, v.shape, dtype).tolist(), dtype=Dtype(dtype)), exactness.INPUT)


@step
def create_leaf(ex):
    dtype = ("float64", "float32")[ex.pick(2)]
    kept = ex.fresh(
        ex.call("tensor", array_for(ex, drawn_shape(ex), dtype).tolist(), dtype=Dtype(dtype), requires_grad=True),
        exactness.INPUT,
    )
    kept.root.is_leaf = True
    ex.leaves.append(kept)


@step
def create_filled(ex):
    name = ("zeros", "ones", "full", "arange")[ex.pick(4)]
    if name == "arange":
        start, step_by, count = ex.pick(4) - 2, ex.pick(3) + 1, ex.pick(6)
        args, kwargs = (start, start + step_by * count, step_by), {}
    else:
        args, kwargs = (drawn_shape(ex),), {"dtype": Dtype(DTYPES[ex.pick(4)])}
        args += (ex.pick(7) - 3,) if name == "full" else ()
    ex.fresh(ex.call(name, *args, **kwargs), exactness.Grid(5, 2))


@step
def like(ex):
    v = ex.value()
    name = ("clone", "contiguous", "zeros_like", "ones_like", "new_full")[ex.pick(5)]
    if name == "contiguous":
        ex.view(ex.method(v, name), v)
    elif name == "clone":
        ex.fresh(ex.method(v, name), v.grid)
    elif name == "new_full":
        ex.fresh(ex.method(v, name, drawn_shape(ex), 1), exactness.Grid(1, 0))
    else:
        ex.fresh(ex.call(name, v), exactness.Grid(1, 0))


@step
def cast(ex):
    v = ex.value()
    allowed = [d for d in dict.fromkeys(DTYPES) if may_hold(v, d)]
    target = ex.choose(allowed)
    tensor = ex.method(v, "to", Dtype(target))
    if target == v.dtype:
        ex.view(tensor, v)
    else:
        ex.fresh(tensor, v.grid)


def may_hold(v, dtype):
    """Whether v's values can be stored there with one defined result."""
    if dtype not in exactness.WIDTH or v.dtype in exactness.WIDTH:
        return dtype != "float16" or v.grid.high < 15
    if not v.exact:
        return False
    return dtype in ("int64", "int32", "bool") and v.grid.high < 30


# --- views ------------------------------------------------------------------------------------------------


@step
def transpose(ex):
    v = ex.value(lambda v: v.ndim >= 1)
    ex.view(ex.method(v, "transpose", ex.dim(v), ex.dim(v)), v)


@step
def permute(ex):
    v = ex.value()
    left = list(range(v.ndim))
    ex.view(ex.method(v, "permute", [left.pop(ex.pick(len(left))) for _ in range(v.ndim)]), v)


@step
def slices(ex):
    v = ex.value(lambda v: v.ndim >= 1)
    index = tuple(drawn_slice(ex, n) for n in v.shape[: 1 + ex.pick(v.ndim)])
    take(ex, v, index, view=True)


def drawn_slice(ex, n):
    start = (None, 0, 1, -2, 2)[ex.pick(5)]
    stop = (None, n, -1, 3, n + 2)[ex.pick(5)]
    return slice(start, stop, (None, 1, 2, 3)[ex.pick(4)])


def take(ex, v, index, view=False):
    """v[index]"""
    tensor = ex.act(f"{v.name}[{index_text(index)}]", lambda i: v.tensor[i], (index,))
    return ex.view(tensor, v) if view else ex.fresh(tensor, v.grid)


@step
def select(ex):
    v = ex.value(lambda v: v.ndim >= 1 and v.numel)
    dim = ex.dim(v)
    n = v.shape[dim]
    ex.view(ex.method(v, "select", dim, ex.pick(2 * n) - n), v)


@step
def narrow(ex):
    v = ex.value(lambda v: v.ndim >= 1 and v.numel)
    dim = ex.dim(v)
    start = ex.pick(v.shape[dim])
    ex.view(ex.method(v, "narrow", dim, start, ex.pick(v.shape[dim] - start + 1)), v)


@step
def expand(ex):
    v = ex.value(lambda v: v.ndim <= 3)
    lead = ((), (2,), (3, 1))[ex.pick(3)] if v.ndim < 3 else ()
    sizes = [(2 if ex.pick(2) else -1) if n == 1 else (n if ex.pick(2) else -1) for n in v.shape]
    ex.view(ex.method(v, "expand", [*lead, *sizes]), v)


@step
def unfold(ex):
    v = ex.value(lambda v: 1 <= v.ndim <= 3 and v.numel)
    dim = ex.dim(v)
    ex.view(ex.method(v, "unfold", dim, 1 + ex.pick(v.shape[dim]), 1 + ex.pick(3)), v)


@step
def diagonal(ex):
    v = ex.value(lambda v: v.ndim >= 2)
    first = ex.pick(v.ndim)
    second = ex.choose(d for d in range(v.ndim) if d != first)
    ex.view(ex.method(v, "diagonal", ex.pick(5) - 2, first, second), v)


def drawn_sizes(ex, count):
    """Sizes whose product is count; one of them may be -1."""
    sizes, left = [], count
    for _ in range(ex.pick(3)):
        divisor = ex.choose(d for d in range(1, left + 1) if left % d == 0) if left else ex.pick(3)
        sizes.append(divisor)
        left = left // divisor if divisor else 0
    sizes.insert(ex.pick(len(sizes) + 1), left)
    if count and ex.pick(2):
        sizes[ex.pick(len(sizes))] = -1
    return sizes


@step
def reshape(ex):
    v = ex.value()
    ex.view(ex.method(v, ("reshape", "view")[ex.pick(2)], *drawn_sizes(ex, v.numel)), v)


@step
def flatten(ex):
    v = ex.value(lambda v: v.ndim >= 1)
    start = ex.pick(v.ndim)
    ex.view(ex.method(v, "flatten", start, start + ex.pick(v.ndim - start)), v)


@step
def squeeze(ex):
    v = ex.value()
    ex.view(ex.method(v, "squeeze", *([ex.dim(v)] if v.ndim and ex.pick(2) else [])), v)


@step
def unsqueeze(ex):
    v = ex.value(lambda v: v.ndim <= 3)
    ex.view(ex.method(v, "unsqueeze", ex.dim(v, insert=True)), v)


@step
def piece(ex):
    """One of the pieces of chunk or unbind; PyTorch lets nobody write into those where gradients are wanted."""
    v = ex.value(lambda v: v.ndim >= 1 and v.numel and not v.needs_grad)
    dim = ex.dim(v)
    if ex.pick(2):
        pieces = ex.method(v, "unbind", dim)
    else:
        pieces = ex.method(v, "chunk", 1 + ex.pick(3), dim)
    at = ex.pick(len(pieces))
    ex.outcome.lines[-1] += f"[{at}]"
    ex.view(pieces[at], v)


@step
def detach(ex):
    v = ex.value()
    ex.keep(ex.method(v, "detach"), v.root, is_detached=True)


# --- arithmetic -------------------------------------------------------------------------------------------

SCALARS = (2, 0.5, -1, 1.5, 3, 0, True, -0.25)


def partner(ex, v, accept=lambda v: True):
    """A live value that broadcasts with v, or a Python number."""
    if ex.pick(3) == 2:
        return SCALARS[ex.pick(len(SCALARS))]
    return ex.value(lambda w: accept(w) and may_broadcast(v.shape, w.shape))


def may_broadcast(a, b):
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b)))


def grid_of(x):
    return exactness.scalar(x) if isinstance(x, (bool, int, float)) else x.grid


@step
def add(ex):
    v = ex.value()
    w = partner(ex, v)
    name = ("add", "sub")[ex.pick(2)]
    kwargs = {"alpha": 2} if ex.pick(4) == 3 else {}
    grid = exactness.total(v.grid, exactness.product(grid_of(w), exactness.Grid(1, 0)))
    ex.fresh(ex.method(v, name, w, **kwargs), grid)


@step
def multiply(ex):
    v = ex.value(small)
    w = partner(ex, v, small)
    ex.fresh(ex.call("mul", v, w), exactness.product(v.grid, grid_of(w)))


@step
def swapped(ex):
    """A Python number first: 1 - x, 2 * x."""
    v = ex.value(small)
    x = SCALARS[ex.pick(len(SCALARS))]
    if ex.pick(2):
        ex.fresh(ex.act(f"{x!r} - {v.name}", lambda t: x - t, (v,)), exactness.total(v.grid, grid_of(x)))
    else:
        ex.fresh(ex.act(f"{x!r} * {v.name}", lambda t: x * t, (v,)), exactness.product(v.grid, grid_of(x)))


@step
def divide(ex):
    v = ex.value()
    w = (2, 3, 0.5, -4)[ex.pick(4)]
    ex.fresh(ex.method(v, "div", w), exactness.blurred(v.grid, v.grid.high + 1))


@step
def floor_divide(ex):
    v = ex.value(lambda v: v.exact and v.dtype != "bool" and v.dtype not in ("float16", "bfloat16"))
    name = ("remainder", "floor_divide")[ex.pick(1 if v.needs_grad else 2)]  # the latter has no derivative
    ex.fresh(ex.method(v, name, (2, 3, 4)[ex.pick(3)]), exactness.Grid(v.grid.high + 1, v.grid.low, v.exact))


@step
def compare(ex):
    v = ex.value(is_exact)
    w = partner(ex, v, is_exact)
    ex.fresh(ex.method(v, ("eq", "lt", "ge", "ne")[ex.pick(4)], w), exactness.Grid(0, 0))


@step
def extremes(ex):
    v = ex.value(is_exact)
    w = ex.value(lambda w: w.exact and may_broadcast(v.shape, w.shape))
    ex.fresh(ex.call(("maximum", "minimum")[ex.pick(2)], v, w), v.grid | w.grid)


@step
def logic(ex):
    v = ex.value(lambda v: v.dtype in exactness.WIDTH)
    w = ex.value(lambda w: w.dtype in exactness.WIDTH and may_broadcast(v.shape, w.shape))
    name = ("bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or")[ex.pick(5)]
    ex.fresh(ex.call(name, v, w), v.grid | w.grid)


SMOOTH = ("sin", "tanh", "sigmoid", "cos", "atan", "erf")


@step
def smooth(ex):
    v = ex.value()
    ex.fresh(ex.call(SMOOTH[ex.pick(len(SMOOTH))], v), exactness.blurred(exactness.INEXACT, 2))


@step
def elementwise(ex):
    v = ex.value(lambda v: v.dtype != "bool" and small(v))
    name = ("neg", "abs", "relu", "square", "clamp")[ex.pick(5)]
    if name in ("abs", "relu", "clamp") and not v.exact:
        raise Skip
    args = ((-1, 1),) if name == "clamp" else ()
    grid = exactness.product(v.grid, v.grid) if name == "square" else v.grid | exactness.Grid(1, 0)
    ex.fresh(ex.method(v, name, *(args[0] if args else ())), grid)


@step
def rounded(ex):
    v = ex.value(lambda v: v.exact and v.is_float)
    ex.fresh(ex.method(v, ("floor", "ceil", "round", "trunc", "sign")[ex.pick(5)]), v.grid | exactness.Grid(1, 0))


@step
def where(ex):
    mask = ex.value(lambda v: v.dtype == "bool")
    v = ex.value(lambda v: may_broadcast(v.shape, mask.shape))
    w = ex.value(lambda w: may_broadcast(v.shape, w.shape) and may_broadcast(w.shape, mask.shape))
    ex.fresh(ex.call("where", mask, v, w), v.grid | w.grid)


@step
def multiply_add(ex):
    v = ex.value(lambda v: v.is_float and small(v))
    w = ex.value(lambda w: w.dtype == v.dtype and may_broadcast(v.shape, w.shape) and small(w))
    grid = exactness.total(v.grid, exactness.product(exactness.product(v.grid, w.grid), exactness.scalar(0.5)))
    ex.fresh(ex.call("addcmul", v, v, w, value=0.5), grid)


@step
def matmul(ex):
    v = ex.value(lambda v: v.ndim in (1, 2, 3) and v.is_float and v.grid.high < 10)
    inner = v.shape[-1]

    def fits(w):
        rows = w.shape[-2 if w.ndim > 1 else -1] if w.ndim else None
        lead = may_broadcast(v.shape[:-2], w.shape[:-2])
        return w.ndim in (1, 2, 3) and rows == inner and w.dtype == v.dtype and lead and w.grid.high < 10

    w = ex.value(fits)
    grid = exactness.summed(exactness.product(v.grid, w.grid), inner)
    ex.fresh(ex.call("matmul", v, w), grid)


# --- joining ----------------------------------------------------------------------------------------------


@step
def cat(ex):
    v = ex.value(lambda v: v.ndim >= 1)
    dim = ex.dim(v)

    def fits(w):
        return w.ndim == v.ndim and all(
            m == n for d, (m, n) in enumerate(zip(v.shape, w.shape, strict=True)) if d != dim % v.ndim
        )

    others = [ex.value(fits) for _ in range(1 + ex.pick(2))]
    grid = v.grid
    for w in others:
        grid = grid | w.grid
    ex.fresh(ex.call("cat", [v, *others], dim), grid)


@step
def stack(ex):
    v = ex.value(lambda v: v.ndim <= 3)
    w = ex.value(lambda w: w.shape == v.shape)
    ex.fresh(ex.call("stack", [v, w], ex.dim(v, insert=True)), v.grid | w.grid)


# --- reductions -------------------------------------------------------------------------------------------


def drawn_dims(ex, v):
    """None, a dim, or some dims of v."""
    kind = ex.pick(3) if v.ndim else 0
    if kind == 0:
        return None
    if kind == 1:
        return ex.dim(v)
    first = ex.pick(v.ndim)
    return tuple(dict.fromkeys([first, ex.pick(v.ndim)]))


@step
def total(ex):
    v = ex.value()
    dims, name = drawn_dims(ex, v), ("sum", "mean")[ex.pick(2) if v.is_float else 0]
    kwargs = {} if dims is None else {"dim": dims, "keepdim": bool(ex.pick(2))}
    grid = exactness.summed(v.grid, max(v.numel, 1))
    ex.fresh(ex.method(v, name, **kwargs), grid if name == "sum" else exactness.blurred(v.grid))


@step
def extreme(ex):
    v = ex.value(lambda v: v.exact and v.numel)
    ex.fresh(ex.method(v, ("amax", "amin")[ex.pick(2)], ex.dim(v) if v.ndim else (), bool(ex.pick(2))), v.grid)


@step
def extreme_with_place(ex):
    v = ex.value(lambda v: v.exact and v.numel and v.ndim)
    found = ex.method(v, ("max", "min")[ex.pick(2)], ex.dim(v))
    which = ex.pick(2)
    ex.outcome.lines[-1] += f"[{which}]"
    ex.fresh(found[which], v.grid | exactness.Grid(3, 0))


@step
def truth(ex):
    v = ex.value(is_exact)
    args = (ex.dim(v),) if v.ndim and ex.pick(2) else ()
    ex.fresh(ex.method(v, ("any", "all")[ex.pick(2)], *args), exactness.Grid(0, 0))


@step
def cumsum(ex):
    v = ex.value(lambda v: v.ndim >= 1)
    dim = ex.dim(v)
    ex.fresh(ex.method(v, "cumsum", dim), exactness.summed(v.grid, max(v.shape[dim], 1)))


@step
def softmax(ex):
    v = ex.value(lambda v: v.is_float and v.ndim and v.grid.high < 12)
    ex.fresh(ex.call(("softmax", "logsumexp")[ex.pick(2)], v, ex.dim(v)), exactness.blurred(v.grid, v.grid.high + 3))


@step
def spectrum(ex):
    """To half of the frequencies and back, turned by 90 degrees; or the real spectrum of half a signal."""
    v = ex.value(lambda v: v.dtype in ("float32", "float64") and v.ndim and v.numel and v.grid.high < 30)
    dim = ex.dim(v)
    n = v.shape[dim]
    if ex.pick(2) or n == 1:
        text = f"torch.fft.irfft(torch.fft.rfft({v.name}, dim={dim}) * 1j, {n}, {dim})"
        found = ex.act(text, lambda x: ex.mod.fft.irfft(ex.mod.fft.rfft(x, dim=dim) * 1j, n, dim), (v,))
    else:
        found = ex.act(f"torch.fft.hfft({v.name}, dim={dim})", lambda x: ex.mod.fft.hfft(x, dim=dim), (v,))
    ex.fresh(found, exactness.blurred(v.grid, v.grid.high + 4))


@step
def sort(ex):
    v = ex.value(lambda v: v.exact and v.ndim and v.dtype != "bool")
    found = ex.method(v, "sort", ex.dim(v), bool(ex.pick(2)))
    ex.outcome.lines[-1] += "[0]"
    ex.fresh(found[0], v.grid)


# --- indexing ---------------------------------------------------------------------------------------------


def drawn_index(ex, v, distinct=False):
    """An index of every kind for v, and whether it makes a view. distinct: no element twice."""
    parts, dim, basic, newest = [], 0, True, 0
    while dim < v.ndim:
        kind = ex.pick(8)
        n = v.shape[dim]
        if kind == 0 or n == 0:
            parts.append(drawn_slice(ex, n))
        elif kind == 1:
            parts.append(ex.pick(2 * n) - n)
        elif kind == 2 and not distinct and newest < 2:
            parts.append(None)
            newest += 1
            continue
        elif kind == 3:
            parts.append(Ellipsis)
            break
        elif kind in (4, 5) and basic:
            parts.append(drawn_places(ex, n, distinct, as_list=kind == 4))
            basic = False
        elif kind == 6 and basic:
            mask = [bool(ex.pick(2)) for _ in range(n)]
            parts.append(mask)
            basic = False
        elif kind == 7:
            break
        else:
            parts.append(slice(None))
        dim += 1
    return tuple(parts), basic


def drawn_places(ex, n, distinct, as_list):
    """A list of positions, negative ones among them; or a tensor of them with one or two dims."""
    count = 1 + ex.pick(3)
    places = [ex.pick(n) for _ in range(count)]
    if distinct:
        places = list(dict.fromkeys(places))
    places = [p - n if ex.pick(3) == 2 else p for p in places]
    if as_list:
        return places
    nested = [places] if ex.pick(2) else places
    return ex.keep(ex.call("tensor", nested), Root(exactness.Grid(9, 0)))


@step
def index(ex):
    v = ex.value(lambda v: v.ndim >= 1)
    places, basic = drawn_index(ex, v)
    take(ex, v, places, view=basic)


@step
def index_by_mask(ex):
    v = ex.value(lambda v: v.ndim >= 1)
    mask = ex.value(lambda m: m.dtype == "bool" and m.ndim >= 1 and m.shape == v.shape[: m.ndim])
    take(ex, v, mask)


@step
def index_select(ex):
    v = ex.value(lambda v: v.ndim >= 1 and v.numel)
    dim = ex.dim(v)
    places = ex.call("tensor", [ex.pick(v.shape[dim]) for _ in range(1 + ex.pick(3))])
    places = ex.keep(places, Root(exactness.Grid(9, 0)))
    ex.fresh(ex.method(v, "index_select", dim, places), v.grid)


@step
def gather(ex):
    v = ex.value(lambda v: v.ndim == 2 and v.numel)
    dim = ex.dim(v)
    n, rows = v.shape[dim], v.shape[0] if dim % 2 else 2
    columns = 2 if dim % 2 else v.shape[1]
    places = ex.call("tensor", [[ex.pick(n) for _ in range(columns)] for _ in range(rows)])
    places = ex.keep(places, Root(exactness.Grid(9, 0)))
    ex.fresh(ex.method(v, "gather", dim, places), v.grid)


# --- gradients and reading --------------------------------------------------------------------------------


@step
def backward(ex):
    v = ex.value(lambda v: v.needs_grad and v.is_float)
    weight = cotangent(v.shape, 7)
    own = ex.mod.tensor(weight, dtype=v.tensor.dtype)
    text = f"{v.name}.backward(weight({v.name}, 7), retain_graph=True)"
    ex.act(text, lambda: v.tensor.backward(own, retain_graph=True), assigns=False)


@step
def gradient(ex):
    """A gradient that has a gradient itself; contiguous, since whether it shares memory with its cotangent is not compared."""
    v = ex.value(lambda v: v.needs_grad and v.is_float and v.grid.high < 12)
    leaf = ex.choose(reversed(ex.leaves))
    kwargs = {"create_graph": True, "allow_unused": True}
    args = (f"{v.name}.sum(), {leaf.name}, create_graph=True, allow_unused=True", v, leaf)
    text = f"torch.autograd.grad({args[0]})[0].contiguous()"

    def take(t, x):
        found = ex.mod.autograd.grad(t.sum(), x, **kwargs)[0]
        return found if found is None else found.contiguous()

    found = ex.act(text, take, args[1:])
    if found is None:
        raise Skip
    ex.fresh(found, exactness.blurred(v.grid, min(3 * v.grid.high + 8, exactness.TOO_LARGE)))


@step
def item(ex):
    """Reads a value in the middle of the program."""
    v = ex.value(lambda v: v.exact and v.numel)
    total = ex.act(f"{v.name}.reshape(-1)[0].item()", lambda t: t.reshape(-1)[0].item(), (v,), assigns=False)
    ex.read = float(total)


@step
def forget(ex):
    """Drops a value: what nobody holds need not be computed."""
    v = ex.value()
    ex.values = [w for w in ex.values if w is not v]
    ex.outcome.lines.append(f"del {v.name}")
