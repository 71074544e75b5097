"""Layer normalisation of short rows, which rounds in its own order, against its formula in double precision."""

import numpy as np
import pytest
from second_gradients import random, second_gradients

from tenfold.nn import functional as F


@pytest.mark.parametrize("affine", [0, 1, 2])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 7), (40, 5)])
def test_layer_norm_of_short_rows(shape, affine):
    n = shape[-1]
    arrays = [random(*shape), random(n, seed=1), random(n, seed=2)][: 1 + affine]
    f = lambda x, *p: F.layer_norm(x, (n,), *p)
    wide = lambda x, *p: (
        (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt() * (p[0] if p else 1)
        + (p[1] if p[1:] else 0)
    )
    got = second_gradients(f, *arrays)
    expected = second_gradients(wide, *[a.astype(float) for a in arrays])
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max())
