"""Products of matrices: `matmul`, which everything here comes down to, and the forms with fixed numbers of dims.

einsum, tensordot and their kin are in contraction.py."""

from __future__ import annotations

from ..errors import shape_text
from ..ir.dtypes import bool_
from ..ir.shapes import Layout, broadcast_shapes, layout, size
from ..trace.handle import layout_of, tls
from ..trace.walk import check_writable
from .declare import function, not_implemented, operation, overwrite, primitive, publish, resize_to
from .elementwise import conj
from .ordered import product


def takes_tensors(f, *names: str):
    """Makes a TypeError of an argument of that name that is no tensor."""
    op = f.operation
    op.takes = [(op.position[n], n, False) for n in names]
    return f


def need_bias(name: str, bias, kind: type) -> None:
    """TypeError for a bias that is neither None nor a tensor (`kind` is Layout in a rule)."""
    if bias is not None and not isinstance(bias, kind):
        raise TypeError(f"{name}(): argument 'bias' must be Tensor or None, not {type(bias).__name__}")


def same_dtype(name: str, a: Layout, b: Layout) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype} ({name}: convert one of them)"
        )


def refuse_bool(name: str, d) -> None:
    if d is bool_:
        raise not_implemented(name, d)


def cannot_multiply(name: str, rows, inner, other, cols, roles: str) -> RuntimeError:
    return RuntimeError(
        f"mat1 and mat2 shapes cannot be multiplied ({rows}x{inner} and {other}x{cols}): {name}: {roles};"
        f" the last dim of the first ({inner}) must equal the second to last of the second ({other}). Transpose or"
        f" reshape one of them."
    )


def unequal_lengths(name: str, a: Layout, b: Layout) -> RuntimeError:
    return RuntimeError(
        f"inconsistent tensor size, expected tensor {shape_text(a.shape)} and src {shape_text(b.shape)} to have the"
        f" same number of"
        f" elements, but got {a.numel} and {b.numel} elements respectively ({name} takes two vectors of one length)"
    )


# --- matmul ---------------------------------------------------------------------------------------------------


def _matmul_rule(a: Layout, b: Layout) -> Layout:
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D; use * for a scale"
        )
    same_dtype("matmul", a, b)
    refuse_bool("matmul", a.dtype)
    if a.ndim == 1 and b.ndim == 1:
        if a.shape != b.shape:
            raise unequal_lengths("matmul", a, b)
        return layout(size(()), None, a.dtype, a.device)
    k = a.shape[-1]
    other = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if k != other:
        rows = a.shape[-2] if a.ndim > 1 else 1
        cols = b.shape[-1] if b.ndim > 1 else 1
        raise cannot_multiply(
            "matmul", rows, k, other, cols, f"input is {shape_text(a.shape)}, other {shape_text(b.shape)}"
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    tail = (a.shape[-2:-1] if a.ndim > 1 else ()) + (b.shape[-1:] if b.ndim > 1 else ())
    return layout(size((*batch, *tail)), None, a.dtype, a.device)


def adjoint(x):
    """The conjugate transpose of matrices."""
    return conj(x.transpose(-2, -1))


def _matmul_gradient(g, out, a, b):
    if a.dim() == 1 and b.dim() == 1:
        return g * conj(b), g * conj(a)
    if a.dim() == 1:
        row = g.unsqueeze(-2)
        return matmul(row, adjoint(b)).squeeze(-2), matmul(conj(a).unsqueeze(-1), row)
    if b.dim() == 1:
        column = g.unsqueeze(-1)
        return matmul(column, conj(b).unsqueeze(0)), matmul(adjoint(a), column).squeeze(-1)
    if b.dim() == 2 and a.dim() > 2:  # one product over all rows instead of one for each matrix, then added up
        rows = a.numel() // a.shape[-1] if a.shape[-1] else 0
        by_b = matmul(adjoint(a.reshape(rows, a.shape[-1])), g.reshape(rows, b.shape[-1])) if rows else None
        return matmul(g, adjoint(b)), by_b
    return matmul(g, adjoint(b)), matmul(adjoint(a), g)


@primitive(rule=_matmul_rule, gradient=_matmul_gradient, where="torch Tensor linalg", out=True, grad_name="UnsafeView")
def matmul(input, other):
    """Product of matrices, vectors, or batches of matrices, whose leading dims broadcast.

    Args: input: (*, N, K) or (K); other: (*, K, M) or (K).
    Raises: RuntimeError where the inner dims or the dtypes differ."""
    if other.ndim == 2 and input.ndim > 2 and input.size:
        return product(input.reshape(-1, input.shape[-1]), other).reshape(*input.shape[:-1], other.shape[1])
    return product(input, other)


takes_tensors(matmul, "input", "other")
matmul.operation.grad_names = {0: "Dot", 1: "Mv", 2: "Mm"}
publish(matmul.operation.call, "__matmul__", "Tensor")


@function(where="Tensor", name="__rmatmul__")
def _rmatmul(self, other):
    return matmul(other, self)


# --- with fixed numbers of dims -------------------------------------------------------------------------------


def _need_dims(name: str, **wanted) -> None:
    """RuntimeError where a tensor has another number of dims: role=(tensor, dims)."""
    for role, (t, n) in wanted.items():
        if t.dim() != n:
            kind = {1: "a vector", 2: "a matrix", 3: "a 3D tensor"}[n]
            raise RuntimeError(f"{role} must be {kind}: {name} got one of shape {shape_text(t.shape)}")


def check_matrices(name: str, a, b) -> None:
    if a.shape[-1] != b.shape[-2]:
        roles = f"the matrices are {shape_text(a.shape)} and {shape_text(b.shape)}"
        raise cannot_multiply(name, a.shape[-2], a.shape[-1], b.shape[-2], b.shape[-1], roles)


def _no_out_dtype(name: str, out_dtype) -> None:
    if out_dtype is not None:
        raise NotImplementedError(
            f"{name}: out_dtype is for GPUs only, as in PyTorch; convert the result with .to(...)"
        )


@operation(out=True)
def mm(input, mat2, out_dtype=None):
    """Product of two matrices, without broadcasting.

    Args: input: (N, K); mat2: (K, M); out_dtype: for GPUs only, as in PyTorch: NotImplementedError here."""
    _no_out_dtype("mm", out_dtype)
    _need_dims("mm", self=(input, 2), mat2=(mat2, 2))
    check_matrices("mm", input, mat2)
    return matmul(input, mat2)


def check_batches(name: str, a, b) -> None:
    _need_dims(name, batch1=(a, 3), batch2=(b, 3))
    want = [a.shape[0], a.shape[2]]
    have = list(b.shape[:2])
    if want != have:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: {want} but got: {have}. {name} multiplies"
            f" (B, N, K) = {shape_text(a.shape)} by (B, K, M) = {shape_text(b.shape)}"
        )


@operation(out=True)
def bmm(input, mat2, out_dtype=None):
    """Product of two batches of matrices, without broadcasting.

    Args: input: (B, N, K); mat2: (B, K, M); out_dtype: for GPUs only, as in PyTorch: NotImplementedError here."""
    _no_out_dtype("bmm", out_dtype)
    check_batches("bmm", input, mat2)
    return matmul(input, mat2)


def _check_mv(name: str, mat, vec) -> None:
    if mat.dim() != 2 or vec.dim() != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {vec.dim()}, {mat.dim()}, {vec.dim()} dims in {name}"
        )
    if mat.shape[1] != vec.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({mat.shape[0]}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]}):"
            f" {name} needs as many"
            f" columns in the matrix as the vector has elements"
        )


@operation(out=True)
def mv(input, vec):
    """Product of a matrix and a vector.

    Args: input: (N, K); vec: (K)."""
    _check_mv("mv", input, vec)
    return matmul(input, vec)


def _check_dot(name: str, a, b) -> None:
    if a.dim() != 1 or b.dim() != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {a.dim()}D and {b.dim()}D tensors ({name}; flatten them, or use matmul)"
        )
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name} : expected both vectors to have same dtype, but found {a.dtype} and {b.dtype}; convert one of them"
        )
    if a.shape != b.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {shape_text(a.shape)} and src {shape_text(b.shape)} to have"
            f" the same number of"
            f" elements, but got {a.numel()} and {b.numel()} elements respectively ({name})"
        )


@operation(out=True)
def dot(input, tensor):
    """Sum of the products of two vectors' elements, without conjugation.

    Args: input, tensor: (K)."""
    _check_dot("dot", input, tensor)
    return matmul(input, tensor)


@operation(out=True, where="torch Tensor")
def vdot(input, other):
    """Sum of the products of two vectors' elements, the first conjugated.

    Args: input, other: (K)."""
    _check_dot("vdot", input, other)
    return matmul(conj(input), other)


@operation(out=True, aliases=("ger",), grad_name="Mul")
def outer(input, vec2):
    """Every product of an element of one vector with one of the other.

    Args: input: (N); vec2: (M). Returns: (N, M)."""
    for role, v in (("self", input), ("vec2", vec2)):
        if v.dim() != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {role}, but got {v.dim()}-D; flatten it first")
    return input.unsqueeze(1) * vec2


@operation(out=True, grad_name="View")
def inner(input, other):
    """Products of all vectors along the last dims; with a 0-d tensor, a scale.

    Args: input: (*, K); other: (#, K). Returns: (*, #)."""
    if input.dim() == 0 or other.dim() == 0:
        return input * other
    k = input.shape[-1]
    if k != other.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {shape_text(input.shape)}"
            f" and {shape_text(other.shape)}"
        )
    if input.dtype is not other.dtype:
        raise RuntimeError(f"both inputs should have same dtype: inner got {input.dtype} and {other.dtype}")
    shape = (*input.shape[:-1], *other.shape[:-1])
    rows = rows_of(input), k
    cols = rows_of(other), k
    return matmul(input.reshape(rows), other.reshape(cols).t()).reshape(shape)


def rows_of(t) -> int:
    """How many vectors lie along the last dim."""
    n = 1
    for d in t.shape[:-1]:
        n *= d
    return n


# --- a product added to a tensor ------------------------------------------------------------------------------


def check_added(name: str, input, shape) -> None:
    """RuntimeError where input does not broadcast to the product's shape."""
    have = input.shape
    if len(have) > len(shape):
        raise RuntimeError(
            f"expand(shape {list(have)}, size={list(shape)}): the number of sizes provided ({len(shape)}) must be"
            f" greater or equal to the"
            f" number of dimensions in the tensor ({len(have)}): the input of {name}"
        )
    for i in range(-1, -len(have) - 1, -1):
        if have[i] not in (1, shape[i]):
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[i]}) must match the existing size ({have[i]}) at"
                f" non-singleton dimension"
                f" {len(shape) + i}.  Target sizes: {list(shape)}.  Tensor sizes: {list(have)}: the input of {name}"
                f" is added to the product"
            )


def _check_same(name: str, input, a) -> None:
    if input.dtype is not a.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {input.dtype} and {a.dtype} ({name}: convert one of them)"
        )


def _scaled(x, factor):
    """x times a static number, which for integers counts as the integer part."""
    if not x.dtype.is_floating_point and not x.dtype.is_complex and isinstance(factor, float):
        factor = int(factor)
    return x if factor == 1 else x * factor


def _blend(input, product, beta, alpha):
    """beta * input + alpha * product; with beta 0 what input holds does not matter, be it NaN."""
    scaled = _scaled(product, alpha)
    if beta == 0:
        return scaled
    return scaled + _scaled(input, beta)  # in this order the result lies in memory as the product does


@operation(out=True, inplace=True)
def addmm(input, mat1, mat2, out_dtype=None, *, beta=1, alpha=1):
    """beta * input + alpha * (mat1 @ mat2); input broadcasts, and is not read where beta is 0.

    Args: mat1: (N, K); mat2: (K, M); input: broadcastable to (N, M); out_dtype: as for `mm`."""
    _no_out_dtype("addmm", out_dtype)
    _need_dims("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    check_matrices("addmm", mat1, mat2)
    check_added("addmm", input, (mat1.shape[0], mat2.shape[1]))
    _check_same("addmm", input, mat2)
    return _blend(input, matmul(mat1, mat2), beta, alpha)


@operation(out=True, inplace=True)
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """beta * input + alpha * (mat @ vec); input broadcasts, and is not read where beta is 0.

    Args: mat: (N, K); vec: (K); input: broadcastable to (N)."""
    if input.dim() > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {input.dim()}, {mat.dim()}, {vec.dim()} dims in addmv"
        )
    _check_mv("addmv", mat, vec)
    if input.numel() not in (1, mat.shape[0]):
        raise RuntimeError(
            f"size mismatch, got input ({input.numel()}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]}):"
            f" addmv adds input to a"
            f" product of {mat.shape[0]} elements"
        )
    _check_same("addmv", input, mat)
    return _blend(input, matmul(mat, vec), beta, alpha)


@operation(out=True, inplace=True)
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """beta * input + alpha * outer(vec1, vec2); input broadcasts, and is not read where beta is 0.

    Args: vec1: (N); vec2: (M); input: broadcastable to (N, M). dtypes promote."""
    for role, v in (("vec1", vec1), ("vec2", vec2)):
        if v.dim() != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {role}, but got {v.dim()}-D")
    check_added("addr", input, (vec1.shape[0], vec2.shape[0]))
    kinds = (beta, alpha)
    real_factor = any(isinstance(x, float) for x in kinds)
    if real_factor and not any(t.dtype.is_floating_point or t.dtype.is_complex for t in (input, vec1, vec2)):
        raise RuntimeError(
            f"For integral input tensors, argument beta and alpha must not be floating point numbers: addr got {kinds}"
        )
    if input.dtype is bool_ and vec1.dtype is bool_ and vec2.dtype is bool_:
        return _addr_bool(input, vec1, vec2, beta, alpha)
    product = _scaled(vec1.unsqueeze(1) * vec2, alpha)
    return product if beta == 0 else _scaled(input, beta) + product


def _addr_bool(input, vec1, vec2, beta, alpha):
    product = vec1.unsqueeze(1) & vec2
    if not alpha:
        product = product & ~product
    return product | input if beta else product


@operation(out=True)
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta * input + alpha * the sum of the batch's products; input is not read where beta is 0.

    Args: batch1: (B, N, K); batch2: (B, K, M); input: broadcastable to (N, M)."""
    _need_dims("addbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    if batch1.shape[0] != batch2.shape[0]:
        raise RuntimeError(
            f"batch1 and batch2 must have same number of batches, got {batch1.shape[0]} and {batch2.shape[0]} (addbmm)"
        )
    n, k, m = batch1.shape[1], batch1.shape[2], batch2.shape[2]
    if k != batch2.shape[1]:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({n}x{k} and {batch2.shape[1]}x{m}) in addbmm")
    check_added("addbmm", input, (n, m))
    _check_same("addbmm", input, batch2)
    total = batch1.shape[0] * k  # the sum over the batch is part of one product's inner dim
    product = matmul(batch1.transpose(0, 1).reshape(n, total), batch2.reshape(total, m))
    return _blend(input, product, beta, alpha)


@function(where="Tensor")
def addbmm_(self, batch1, batch2, *, beta=1, alpha=1):
    """In-place form of `addbmm`; as in PyTorch, self is resized where it had to be broadcast."""
    result = addbmm(self, batch1, batch2, beta=beta, alpha=alpha)
    check_writable(self, tls.walk)
    shape = layout_of(result).shape
    if layout_of(self).shape != shape:
        resize_to(self, shape, False)
    return overwrite(self, result)


@operation(out=True, inplace=True)
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out_dtype=None):
    """beta * input + alpha * bmm(batch1, batch2); input broadcasts, and is not read where beta is 0.

    Args: batch1: (B, N, K); batch2: (B, K, M); input: broadcastable to (B, N, M)."""
    if out_dtype is not None:
        raise NotImplementedError("baddbmm: out_dtype is for CUDA tensors only; convert the result with .to")
    check_batches("baddbmm", batch1, batch2)
    check_added("baddbmm", input, (batch1.shape[0], batch1.shape[1], batch2.shape[2]))
    if input.dtype is not batch1.dtype:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {input.dtype}, batch1: {batch1.dtype}, batch2: {batch2.dtype}"
        )
    return _blend(input, matmul(batch1, batch2), beta, alpha)


for _f in (mm, bmm):
    takes_tensors(_f, "input", "mat2")
takes_tensors(mv, "input", "vec")
takes_tensors(dot, "input", "tensor")
takes_tensors(vdot, "input", "other")
takes_tensors(outer, "input", "vec2")
takes_tensors(inner, "input", "other")
takes_tensors(addmm, "input", "mat1", "mat2")
takes_tensors(addmv, "input", "mat", "vec")
takes_tensors(addr, "input", "vec1", "vec2")
for _f in (addbmm, baddbmm):
    takes_tensors(_f, "input", "batch1", "batch2")


# --- affine maps ----------------------------------------------------------------------------------------------


def _linear_rule(input: Layout, weight: Layout, bias: Layout | None = None) -> Layout:
    if weight.ndim not in (1, 2):
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {weight.ndim}D: linear's weight is a matrix (M, K)"
        )
    same_dtype("linear", input, weight)
    refuse_bool("linear", input.dtype)
    k = input.shape[-1] if input.ndim else 1
    n = weight.shape[-1]
    m = weight.shape[0] if weight.ndim == 2 else 1
    if not input.ndim or k != n:
        rows = input.numel // max(k, 1)
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {n}x{m}): linear: input has {k} features in"
            f" its last dim, weight takes"
            f" {n} (weight has shape {shape_text(weight.shape)}). Give nn.Linear({k}, {m}), or reshape the input."
        )
    shape = (*input.shape[:-1], *(weight.shape[:1] if weight.ndim == 2 else ()))
    if bias is not None:
        need_bias("linear", bias, Layout)
        _check_bias(bias, weight, shape)
    return layout(size(shape), None, input.dtype, input.device)


def _check_bias(bias: Layout, weight: Layout, shape) -> None:
    if weight.ndim == 1:
        raise RuntimeError("mat2 must be a matrix, got 1-D tensor: linear with a bias takes a weight (M, K)")
    if bias.dtype is not weight.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {bias.dtype} and {weight.dtype}: linear's bias and"
            f" weight; convert one of them"
        )
    check_added("linear", bias, shape)


def _linear_gradient(g, out, input, weight, bias=None):
    k = input.shape[-1]
    rows = rows_of(input)
    x = conj(input).reshape(rows, k)
    if weight.dim() == 1:
        return g.unsqueeze(-1) * conj(weight), matmul(g.reshape(rows), x)
    m = weight.shape[0]
    flat = g.reshape(rows, m)
    by_input = matmul(flat, conj(weight)).reshape(input.shape)
    by_weight = matmul(flat.t(), x)
    if bias is None:
        return by_input, by_weight
    return by_input, by_weight, flat.sum(0) if bias.dim() == 1 else g


@primitive(rule=_linear_rule, gradient=_linear_gradient, where="nn.functional", grad_name="View", out=True)
def linear(input, weight, bias=None):
    """Affine map: input @ weight.T + bias.

    Args: input: (*, K); weight: (M, K) or (K); bias: (M) or None. Default None.
    Returns: (*, M), or (*) for a weight (K).
    Raises: RuntimeError where the last dim of input is not K, or dtypes differ."""
    if input.ndim > 2 and weight.ndim == 2 and input.size:
        out = product(input.reshape(-1, input.shape[-1]), weight.T).reshape(*input.shape[:-1], weight.shape[0])
    else:
        out = product(input, weight.T)
    if bias is None:
        return out
    if out.ndim == 0 or out.dtype != bias.dtype:
        return out + bias
    out += bias
    return out


takes_tensors(linear, "input", "weight")
linear.operation.grad_names = {2: "Addmm"}
