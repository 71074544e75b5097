"""softmax of few numbers, which rounds in its own order, against the formula in double precision."""

import numpy as np
import pytest
from second_gradients import random, second_gradients

import tenfold as torch


@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 15), (4, 16)])
def test_softmax_of_few_numbers(shape):
    x = 3 * random(*shape)
    got = second_gradients(lambda x: x.softmax(-1), x)
    expected = second_gradients(lambda x: x.exp() / x.exp().sum(-1, keepdim=True), x.astype(float))
    for a, b in zip(got, expected, strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_rows_of_infinities():
    inf = float("inf")
    got = torch.tensor([[-inf, -inf], [0, -inf], [inf, 0]]).softmax(-1)
    assert got.isnan().tolist() == [[True, True], [False, False], [True, True]]
    assert got[1].tolist() == [1, 0]
