"""Steps of the newer operations, for programs that are run in several ways by tenfold itself: linear algebra, special
functions, complex numbers, reductions by index, layers, losses, cells, autocast, and loops with an optimizer."""

import numpy as np

from . import exactness
from .executor import Dtype, Skip
from .steps import array_for, drawn_dims
from .writing import STEPS as WRITING

STEPS = dict(WRITING)
BLURRED = exactness.blurred(exactness.INEXACT, 6)
PLAIN = ("float32", "float64")


def step(f):
    STEPS[f.__name__] = f
    return f


def real(v):
    return v.dtype in PLAIN and v.numel and v.grid.high < 12


def small(ex, accept=lambda v: True):
    return ex.value(lambda v: real(v) and accept(v))


def weights(ex, shape, v, requires_grad=True):
    """A new leaf of v's dtype."""
    values = array_for(ex, shape, v.dtype) / 4
    kept = ex.fresh(
        ex.call("tensor", values.tolist(), dtype=Dtype(v.dtype), requires_grad=requires_grad), exactness.Grid(2, 4)
    )
    if requires_grad:
        kept.root.is_leaf = True
        ex.leaves.append(kept)
    return kept


def made(ex, text, f, *values):
    """A new value, from values that are near to what another way of computing gives."""
    found = ex.act(text.format(*[v.name for v in values]), f, values)
    return ex.fresh(found, BLURRED)


# --- mathematics ------------------------------------------------------------------------------------------------


@step
def special_function(ex):
    v = small(ex)
    name = (
        "erf",
        "lgamma",
        "digamma",
        "i0",
        "expit",
        "erfc",
        "sinc",
        "log1p",
        "exp2",
        "expm1",
        "asinh",
        "i1e",
        "ndtr",
    )[ex.pick(13)]
    made(
        ex, f"torch.special.{name}(torch.tanh({{0}}) + 1.5)",
        lambda x: getattr(ex.mod.special, name, None)(ex.mod.tanh(x) + 1.5) if hasattr(ex.mod.special, name)
        else getattr(ex.mod, name)(ex.mod.tanh(x) + 1.5), v,
    )  # fmt: skip


@step
def of_two(ex):
    v = small(ex)
    w = small(ex, lambda w: w.shape == v.shape and w.dtype == v.dtype)
    name = ("atan2", "hypot", "logaddexp", "xlogy", "copysign", "fmod", "pow", "lerp")[ex.pick(8)]
    t = ex.mod
    f = {
        "xlogy": lambda a, b: t.xlogy(a, b.abs() + 0.5),
        "fmod": lambda a, b: t.fmod(a, 2.0) + b,
        "pow": lambda a, b: t.pow(a.abs() + 0.5, t.tanh(b)),
        "lerp": lambda a, b: t.lerp(a, b, t.sigmoid(a)),
    }.get(name, getattr(t, name, None))
    made(ex, name + "({0}, {1})", f, v, w)


@step
def linear_algebra(ex):
    v = small(ex, lambda v: v.ndim >= 2 and v.shape[-1] == v.shape[-2])
    n, linalg, t = v.shape[-1], ex.mod.linalg, ex.mod
    name = ("solve", "cholesky", "inv", "det", "slogdet", "norm", "triangular", "matrix_power", "eigvalsh")[ex.pick(9)]

    def f(x):
        good = x @ x.mT / (1 + x.abs().amax()) ** 2 + t.eye(n, dtype=x.dtype)
        if name == "solve":
            return linalg.solve(good, x)
        if name == "triangular":
            return linalg.solve_triangular(good.tril(), x, upper=False)
        if name == "matrix_power":
            return linalg.matrix_power(good, 3)
        if name == "slogdet":
            return linalg.slogdet(good)[1]
        if name == "norm":
            return linalg.matrix_norm(good)
        return getattr(linalg, name)(good)

    made(ex, f"{name} of {{0}}", f, v)


@step
def as_complex(ex):
    v = small(ex)
    t = ex.mod
    how = ex.pick(4)

    def f(x):
        z = t.complex(x, x.tanh())
        return ((z * z).real, (z * z.conj()).abs(), t.view_as_real(z.exp() * 0.1).sum(-1), (z / (2 + 1j)).imag)[how]

    made(ex, f"complex {how} of {{0}}", f, v)


@step
def spectrum_of_dims(ex):
    v = small(ex, lambda v: v.ndim >= 2)
    t = ex.mod
    made(ex, "fft2 of {0}", lambda x: t.fft.ifft2(t.fft.fft2(x) * 0.5).real + t.fft.fftshift(x, -1), v)


# --- in order, and by index -----------------------------------------------------------------------------------------


@step
def ordered(ex):
    v = ex.value(lambda v: v.exact and v.ndim and v.numel and v.dtype in (*PLAIN, "int64", "int32"))
    dim = ex.dim(v)
    n = v.shape[dim]
    name = ("topk", "kthvalue", "median", "cummax", "sort", "mode", "argsort", "msort")[ex.pick(8)]
    t = ex.mod
    k = 1 + ex.pick(n)
    f = {
        "topk": lambda x: t.topk(x, k, dim)[0],
        "kthvalue": lambda x: t.kthvalue(x, k, dim)[0],
        "median": lambda x: t.median(x, dim)[0],
        "cummax": lambda x: t.cummax(x, dim)[0],
        "sort": lambda x: t.sort(x, dim, stable=True)[0],
        "mode": lambda x: t.mode(x, dim)[0],
        "argsort": lambda x: t.argsort(x, dim, stable=True),
        "msort": lambda x: t.msort(x),
    }[name]
    ex.fresh(ex.act(f"{name}({v.name}, {dim}, {k})", f, (v,)), v.grid | exactness.Grid(3, 0))


@step
def scattered(ex):
    v = small(ex, lambda v: v.ndim >= 1)
    dim = ex.dim(v)
    how = ("sum", "prod", "mean", "amax", "amin")[ex.pick(5)]
    own = bool(ex.pick(2))
    index = np.random.default_rng(ex.pick(1000)).integers(0, v.shape[dim], v.shape).tolist()
    t = ex.mod
    made(
        ex, f"scatter_reduce({{0}}, {dim}, {index}, {how!r}, include_self={own})",
        lambda x: t.scatter_reduce(x.tanh(), dim, t.tensor(index), x.sin(), how, include_self=own), v,
    )  # fmt: skip


@step
def rows_reduced(ex):
    v = small(ex, lambda v: v.ndim >= 1)
    dim = ex.dim(v)
    count = 1 + ex.pick(4)
    index = [ex.pick(v.shape[dim]) for _ in range(count)]
    how = ("add", "copy", "fill", "mean", "amax", "prod")[ex.pick(6)]
    t = ex.mod

    def f(x):
        at = t.tensor(index)
        rows = x.index_select(dim, at).cos()
        if how == "add":
            return x.index_add(dim, at, rows, alpha=0.5)
        if how == "copy":
            one = t.tensor(sorted(set(index)))
            return x.index_copy(dim, one, x.index_select(dim, one).cos())
        if how == "fill":
            return x.index_fill(dim, at, x.sum() * 0.1 if x.ndim else 0.5)
        return x.tanh().index_reduce(dim, at, rows, how, include_self=bool(len(index) % 2))

    made(ex, f"index_{how}({{0}}, {dim}, {index})", f, v)


@step
def taken_along(ex):
    v = small(ex, lambda v: v.ndim >= 1)
    dim = ex.dim(v)
    made(
        ex, f"take_along_dim({{0}}, argsort, {dim})",
        lambda x: ex.mod.take_along_dim(x, ex.mod.argsort(x.detach().round(), dim, stable=True), dim) * 2, v,
    )  # fmt: skip


@step
def counted(ex):
    v = ex.value(lambda v: v.exact and v.numel and v.is_float)
    t = ex.mod
    bounds = [-1.0, 0.0, 0.5, 2.0]
    ex.fresh(
        ex.act(f"bucketize({v.name})", lambda x: t.bucketize(x.float(), t.tensor(bounds)), (v,)), exactness.Grid(3, 0)
    )


@step
def joined_dims(ex):
    v = small(ex)
    t = ex.mod
    how = ex.pick(6)
    f = (
        lambda x: x.reshape(-1).diff(prepend=x.reshape(-1)[:1]),
        lambda x: t.tensor_split(x.reshape(-1), 2)[0] * 2,
        lambda x: t.cartesian_prod(x.reshape(-1)[:3], x.reshape(-1)[:2]),
        lambda x: x.reshape(1, -1).repeat(2, 2).flip(1),
        lambda x: t.repeat_interleave(x.reshape(-1)[:4], 2),
        lambda x: t.meshgrid(x.reshape(-1)[:3], x.reshape(-1)[:2], indexing="ij")[1] + 1,
    )[how]
    made(ex, f"joined {how} of {{0}}", f, v)


# --- layers, losses, cells --------------------------------------------------------------------------------------------


@step
def normalised(ex):
    v = small(ex, lambda v: v.ndim >= 2 and v.shape[-1] > 1 and v.shape[0] > 1)
    F, c = ex.mod.nn.functional, v.shape[1]
    how = ex.pick(5)
    w = weights(ex, (v.shape[-1] if how < 2 else c,), v)
    f = (
        lambda x, w: F.layer_norm(x, (x.shape[-1],), w, w),
        lambda x, w: F.rms_norm(x, (x.shape[-1],), w),
        lambda x, w: F.group_norm(x, 1, w, w, eps=0.1),
        lambda x, w: F.batch_norm(x, None, None, w, w, training=True, eps=0.1),
        lambda x, w: F.normalize(x + 0.1, dim=-1) * w.sum(),
    )[how]
    made(ex, f"normalised {how} of {{0}} by {{1}}", f, v, w)


@step
def convolved(ex):
    v = small(ex, lambda v: v.ndim >= 1 and v.shape[-1] > 1)
    F, n = ex.mod.nn.functional, v.shape[-1]
    how = ex.pick(4)
    w = weights(ex, (2, 1, 2), v)
    f = (
        lambda x, w: F.conv1d(x.reshape(-1, 1, n), w, padding=1),
        lambda x, w: F.conv1d(x.reshape(-1, 1, n), w, stride=2, padding=2, dilation=2),
        lambda x, w: F.conv_transpose1d(x.reshape(-1, 1, n), w.transpose(0, 1), stride=2),
        lambda x, w: F.conv2d(x.reshape(-1, 1, 1, n), w[:, :, None], padding=(0, 1)),
    )[how]
    made(ex, f"convolved {how} of {{0}} by {{1}}", f, v, w)


@step
def pooled(ex):
    v = small(ex, lambda v: v.ndim >= 1 and v.shape[-1] > 1 and v.exact)
    F, n = ex.mod.nn.functional, v.shape[-1]
    how = ex.pick(5)
    f = (
        lambda x: F.max_pool1d(x.reshape(1, -1, n), 2, 1),
        lambda x: F.avg_pool1d(x.reshape(1, -1, n), 2, 1, 1),
        lambda x: F.adaptive_avg_pool1d(x.reshape(1, -1, n), 2),
        lambda x: F.adaptive_max_pool1d(x.reshape(1, -1, n), 2),
        lambda x: F.interpolate(x.reshape(1, -1, n), scale_factor=2, mode="linear"),
    )[how]
    made(ex, f"pooled {how} of {{0}}", f, v)


@step
def padded(ex):
    v = small(ex, lambda v: v.ndim >= 1 and v.shape[-1] > 2)
    mode = ("constant", "reflect", "replicate", "circular")[ex.pick(4)]
    made(
        ex, f"padded {mode} {{0}}",
        lambda x: ex.mod.nn.functional.pad(x.reshape(1, -1, x.shape[-1]), (1, 2), mode=mode), v,
    )  # fmt: skip


@step
def lossy(ex):
    v = small(ex, lambda v: v.ndim == 2 and v.shape[1] > 1)
    F, t = ex.mod.nn.functional, ex.mod
    n, c = v.shape
    labels = [ex.pick(c) for _ in range(n)]
    reduction = ("mean", "sum", "none")[ex.pick(3)]
    how = ex.pick(9)
    f = (
        lambda x: F.cross_entropy(x, t.tensor(labels), reduction=reduction, label_smoothing=0.1),
        lambda x: F.cross_entropy(x, t.tensor(labels), reduction=reduction, ignore_index=0),
        lambda x: F.binary_cross_entropy_with_logits(x, (x.detach() > 0).to(x.dtype), reduction=reduction),
        lambda x: F.smooth_l1_loss(x, x.detach().flip(0), reduction=reduction),
        lambda x: F.huber_loss(x, x.detach().flip(1), reduction=reduction, delta=0.5),
        lambda x: F.kl_div(x.log_softmax(-1), x.detach().softmax(0), reduction=reduction),
        lambda x: F.mse_loss(x, x.sin(), reduction=reduction),
        lambda x: F.multi_margin_loss(x, t.tensor(labels), reduction=reduction),
        lambda x: F.gaussian_nll_loss(x, x.detach().flip(0), x.detach() ** 2 + 0.5, reduction=reduction),
    )[how]
    made(ex, f"loss {how} {reduction} of {{0}}", f, v)


@step
def attended(ex):
    v = small(ex, lambda v: v.ndim == 3)
    causal = bool(ex.pick(2))
    made(
        ex, f"attention of {{0}}, causal={causal}",
        lambda x: ex.mod.nn.functional.scaled_dot_product_attention(x, x.sin(), x.flip(1), is_causal=causal), v,
    )  # fmt: skip


@step
def cell(ex):
    v = small(ex, lambda v: v.ndim == 2 and v.shape[1] > 1)
    t, n = ex.mod, v.shape[1]
    how = ex.pick(3)
    w = weights(ex, ((1, 3, 4)[how] * n, n), v)
    b = weights(ex, ((1, 3, 4)[how] * n,), v)

    def f(x, w, b):
        h = x.tanh()
        for _ in range(3):
            if how == 0:
                h = t.rnn_tanh_cell(x, h, w, w, b, b)
            elif how == 1:
                h = t.gru_cell(x, h, w, w, b, b)
            else:
                h = t.lstm_cell(x, (h, h.sin()), w, w, b, b)[0]
        return h

    made(ex, f"cell {how} of {{0}} by {{1}}, {{2}}", f, v, w, b)


@step
def embedded(ex):
    v = small(ex, lambda v: v.ndim == 2)
    index = [[ex.pick(v.shape[0]) for _ in range(3)] for _ in range(2)]
    pad = 0 if ex.pick(2) else None
    made(
        ex, f"embedding({index}, {{0}}, {pad})",
        lambda x: ex.mod.nn.functional.embedding(ex.mod.tensor(index), x, padding_idx=pad) * 1.5, v,
    )  # fmt: skip


@step
def statistics(ex):
    v = small(ex, lambda v: v.ndim >= 1 and v.shape[-1] > 1)
    name = ("var", "std", "logsumexp", "norm", "prod", "cumprod", "logcumsumexp", "nansum", "quantile", "cov")[
        ex.pick(10)
    ]
    t = ex.mod
    f = {
        "norm": lambda x: t.linalg.vector_norm(x, 3, -1),
        "prod": lambda x: x.tanh().prod(-1),
        "cumprod": lambda x: x.tanh().cumprod(-1),
        "logcumsumexp": lambda x: t.logcumsumexp(x, -1),
        "quantile": lambda x: t.quantile(x.round(), 0.3, -1),
        "cov": lambda x: t.cov(x.reshape(-1, x.shape[-1])),
        "std": lambda x: (x + t.arange(x.shape[-1])).std(-1),
    }.get(name, lambda x: getattr(t, name)(x, -1))
    made(ex, f"{name} of {{0}}", f, v)


# --- modes and loops ----------------------------------------------------------------------------------------------------


@step
def under_autocast(ex):
    v = ex.value(lambda v: v.dtype == "float32" and v.ndim == 2 and v.numel and v.grid.high < 8)
    w = weights(ex, (v.shape[1], 3), v)
    t = ex.mod

    def f(x, w):
        with t.autocast("cpu", dtype=t.bfloat16):
            y = x @ w
            z = y.softmax(-1) + t.nn.functional.linear(x, w.t())
        return z.float() * 0.5

    made(ex, "autocast {0} @ {1}", f, v, w)


@step
def trained(ex):
    """A few steps of an optimizer on a leaf of its own; what is met on the way is kept, or not."""
    v = small(ex, lambda v: v.ndim == 2)
    t, n = ex.mod, v.shape[1]
    which = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax")[ex.pick(6)]
    # a step that is divided by the gradient's own size would make a large difference of a small one
    options = {"momentum": 0.9} if which == "SGD" else {"eps": 0.1}
    steps, keep, change = 1 + ex.pick(4), ex.pick(3), ex.pick(4)
    p = weights(ex, (n, 2), v)
    ex.leaves.remove(p)

    def f(x, p):
        x = x.detach().tanh()
        optimizer = getattr(t.optim, which)([p], lr=0.05, **options)
        average, kept = p.detach().clone(), []
        for k in range(steps):
            optimizer.zero_grad()
            rows = x[: max(1, x.shape[0] - k % 2)] if change == 1 else x
            out = rows @ p
            loss = (out.sin() - 0.5).pow(2).mean()
            loss.backward()
            if change == 2:
                t.nn.utils.clip_grad_norm_([p], 0.1)
            optimizer.step()
            if change == 3:
                with t.no_grad():
                    average.lerp_(p, 0.3)
            if keep == 1:
                kept.append(loss.detach())
            elif keep == 2 and k % 2:
                kept.append(out[0].detach().sum())
        return t.stack([*kept, average.sum(), p.detach().sum()])

    made(ex, f"{steps} steps of {which} on {{1}} for {{0}}, {keep} {change}", f, v, p)


@step
def views_of_a_leaf(ex):
    """A gradient through views of a leaf, and a write through one of them that records nothing."""
    v = small(ex, lambda v: v.ndim >= 1)
    p = weights(ex, v.shape, v)
    t = ex.mod

    def f(x, p):
        first = p.flatten()[: p.numel() // 2 + 1]
        y = (first * 2).sum() + (p * x).sum()
        with t.no_grad():
            p.view(-1)[0] = 0.25
        return y + p.transpose(0, -1).sin().sum()

    made(ex, "views of {1}, and {0}", f, v, p)


@step
def detached(ex):
    v = small(ex)
    t = ex.mod

    def f(x):
        y = x.tanh()
        z = y.detach()
        with t.no_grad():
            u = y * 2
        return y * z + u

    made(ex, "detached parts of {0}", f, v)


@step
def reduced(ex):
    v = small(ex, lambda v: v.ndim >= 1)
    dims = drawn_dims(ex, v)
    if dims is None:
        raise Skip
    made(ex, f"{{0}} over {dims}", lambda x: ex.mod.sum(x.sin(), dims) - ex.mod.mean(x.cos(), dims), v)
