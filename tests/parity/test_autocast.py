"""Autocast on PyTorch's own samples: results have PyTorch's dtypes, and its values within the lower precision."""

import itertools
import warnings

import harness as h
import numpy as np
import pytest
import torch
from opinfo import full_name, is_private
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_map

import tenfold

SAMPLES = 4
# what draws, and what does not come out the same in a lower precision (singular vectors, ill-conditioned systems)
LOOSE = (
    "linalg.",
    "svd",
    "pca_lowrank",
    "pinverse",
    "qr",
    "lu",
    "cholesky",
    "ormqr",
    "geqrf",
    "triangular_solve",
    "dropout",
)
UNCOMPARED = {
    "nn.functional.max_pool3d": "with indices PyTorch leaves it in the lower precision, without it does not",
    "linalg.det": "of an empty matrix in bfloat16, which PyTorch accepts",
    "tensordot": "over all dims of both PyTorch sums products in float32",
    "inner": "of two 0-d tensors, as tensordot",
    "masked.prod": "over no dims",
    "linalg.solve_ex": "of empty matrices in bfloat16, which PyTorch accepts",
    "gather": "with an empty index of another dtype",
    "matrix_exp": "overflows in other places",
}
EMPTY = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "empty_permuted")  # any values
LATER = ("sparse.", "stft", "istft", "to_sparse", "chalf", "svd_lowrank", "pca_lowrank")
OPERATORS = [
    op for op in op_db if not is_private(op) and not op.name.startswith(LATER) and op.name not in (*EMPTY, *UNCOMPARED)
]


def run(mod, op, sample, lower):
    """dtypes and values of the results under autocast, or the exception's type; float32 inputs, or in the lower precision."""
    convert = h.Converter(mod)
    f = h.bind(op.op, mod, op.name)

    def given(x):
        return x.to(torch.bfloat16) if lower and isinstance(x, torch.Tensor) and x.dtype == torch.float32 else x

    x, args, kwargs = (convert(tree_map(given, v)) for v in (sample.input, sample.args, sample.kwargs))
    h.seed(mod)
    try:
        with mod.autocast("cpu", dtype=mod.bfloat16):
            found = h.tensors_in(mod, f(x, *args, **kwargs))
    except h.Unmapped:
        raise
    except Exception as e:
        return type(e).__name__
    return [(h.last_name(t.dtype), h.to_numpy(mod, t)) for t in found]


@pytest.mark.parametrize("op", OPERATORS, ids=full_name)
def test_operators_under_autocast(op):
    if torch.float32 not in op.dtypes:
        return
    warnings.simplefilter("ignore")
    h.seed(torch)
    for sample in itertools.islice(op.sample_inputs("cpu", torch.float32), SAMPLES):
        for lower in (False, True):
            try:
                want, got = run(torch, op, sample, lower), run(tenfold, op, sample, lower)
            except (h.Unmapped, AttributeError, NotImplementedError):
                return
            if isinstance(want, str):  # which errors there are is for opinfo.py
                continue
            assert not isinstance(got, str), got
            assert [d for d, _ in got] == [d for d, _ in want], f"lower={lower}"
            if any(part in op.name for part in LOOSE):
                continue
            for (_, a), (_, b) in zip(got, want):
                if a.size and a.dtype.kind in "fc":
                    scale = np.nanmax(np.abs(np.where(np.isfinite(b), b, 0)))
                    np.testing.assert_allclose(a, b, rtol=0.05, atol=0.02 * scale + 0.02, err_msg=f"lower={lower}")
