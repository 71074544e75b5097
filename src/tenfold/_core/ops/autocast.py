"""Autocast: which operations are computed in a lower precision, and which in float32.

In: an operation that is recorded while autocast is on. Out: what it means then, itself an operation: a composition that
casts the operands. It is asked for where the tree grows, so a path that comes back pays nothing for it; autocast being part of
the path, as gradient mode is, an edge made under it is not found without it. The lists are those of PyTorch on the CPU.
"""

from __future__ import annotations

from ..ir.dtypes import bfloat16, dtype, float16, float32, float64
from ..ir.operation import Operation
from ..ir.special import CAST
from ..trace import walk as walking
from ..trace.handle import Tensor, layout_of, tls
from ..trace.macro import Composition
from ..trace.walk import set_cast

DTYPES = (bfloat16, float16)  # what autocast may cast to

LOWER = frozenset(
    """addbmm addmm baddbmm bmm conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution
    linear lstm matmul mm prelu_kernel scaled_dot_product_attention vecdot""".split()
)
FLOAT32 = frozenset(
    """fft fft2 fftn hfft hfft2 hfftn ifft ifft2 ifftn
    ihfft ihfft2 ihfftn irfft irfft2 irfftn rfft rfft2 rfftn _cdist _cholesky _eig _eigh _fractional_max_pool _inv _lu _prod _qr _reflect_pad _replicate_pad _solve
    _solve_triangular _svd adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d binary_cross_entropy
    binary_cross_entropy_with_logits cholesky cholesky_ex cholesky_inverse cholesky_solve complex cond cosine_embedding_loss
    cross_entropy cross_entropy_of_probabilities ctc_loss eig eigh eigvals eigvalsh fractional_max_pool geqrf grid_sampler
    hinge_embedding_loss householder_product huber_loss inv inv_ex inverse kl_div l1_loss lstsq lu lu_factor lu_factor_ex
    lu_solve margin_ranking_loss matrix_rank max_pool3d max_unpool1d max_unpool2d max_unpool3d mse_loss multi_margin_loss
    multilabel_margin_loss nll_loss ormqr pinverse poisson_nll_loss polar prod qr quantile smooth_l1_loss soft_margin_loss
    solve svd svdvals tensorinv tensorsolve trace triangular_solve triplet_margin_loss weighted_binary_cross_entropy
    weighted_binary_cross_entropy_with_logits weighted_huber_loss weighted_mse_loss""".split()
)
INSIDE = frozenset(
    """_recurrence corrcoef cov einsum gru gru_cell inner lstm_cell matrix_power multi_dot rnn_relu rnn_relu_cell rnn_tanh
    rnn_tanh_cell tensordot""".split()
)  # compositions of which the products inside are computed in the lower precision

_meanings: dict[tuple[Operation, dtype], Operation] = {}


def meaning(op: Operation, cast: dtype) -> Operation:
    """What an operation is under autocast to that dtype: itself, for most."""
    found = _meanings.get((op, cast))
    if found is None:
        found = _meanings[op, cast] = _make(op, cast)
    return found


def _make(op: Operation, cast: dtype) -> Operation:
    if op.call is None:
        return op
    if op.name in LOWER or op.name in FLOAT32:
        return _derived(op, _casting(op, cast if op.name in LOWER else float32))
    if op.name == "pinv":  # its products are in the lower precision, the decomposition before them is not
        return _derived(op, lambda *args, **kwargs: _cast(_casting(op, float32)(*args, **kwargs), cast))
    if op.name in INSIDE:
        return _derived(op, lambda *args, **kwargs: _with_cast(cast, op.fn, args, kwargs))
    return op


def _casting(op: Operation, to: dtype):
    def body(*args, **kwargs):
        return op.call(*[_cast(a, to) for a in args], **{name: _cast(a, to) for name, a in kwargs.items()})

    return body


def _derived(op: Operation, body) -> Operation:
    body.__signature__ = op.signature
    made = Composition(op.name, body, data=[op.params[i] for i in op.data], grad_name=op.grad_name)
    made.grad_names = op.grad_names
    return made


def _with_cast(cast: dtype, f, args, kwargs):
    before = tls.walk.at.cast
    set_cast(cast)
    try:
        return f(*args, **kwargs)
    finally:
        set_cast(before)


def _cast(x, to: dtype):
    """x with its tensors converted; integers and float64 stay."""
    if isinstance(x, Tensor):
        lay = layout_of(x)
        if not lay.dtype.is_floating_point or lay.dtype is float64 or lay.dtype is to or lay.number:
            return x
        return CAST.call(x, to)
    if isinstance(x, (list, tuple)):
        return type(x)([_cast(y, to) for y in x])
    return x


def lowered(*operands):
    """The operands as autocast wants those of a product, for a function that looks at their dtypes before it calls one."""
    cast = tls.walk.at.cast
    return operands if cast is None else tuple([_cast(x, cast) for x in operands])


def raised(*operands):
    """The operands in float32 where autocast is on, for a function that looks at their dtypes."""
    return operands if tls.walk.at.cast is None else tuple([_cast(x, float32) for x in operands])


def widened(*operands):
    """Where autocast is on and one operand is float32, all are: for a function that wants equal dtypes."""
    return raised(*operands) if any(layout_of(x).dtype is float32 for x in operands) else operands


walking.autocast = meaning
