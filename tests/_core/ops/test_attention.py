"""Attention to a few keys, which rounds in its own order, against the formula in double precision."""

import numpy as np
import pytest
from second_gradients import random, second_gradients

import tenfold as torch

F = torch.nn.functional


@pytest.mark.parametrize("kind", ["plain", "causal", "added", "boolean"])
def test_attention_to_a_few_keys(kind):
    arrays = [random(2, 2, n, 3, seed=i) for i, n in enumerate((3, 5, 5))]
    mask = {"added": random(3, 5, seed=5), "boolean": random(3, 5, seed=5) > -0.5}.get(kind)

    def attend(q, k, v):
        given = {} if mask is None else {"attn_mask": torch.tensor(mask)}
        if kind == "added":
            given["attn_mask"] = given["attn_mask"].to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, is_causal=kind == "causal", **given)

    got = second_gradients(attend, *arrays)
    expected = second_gradients(attend, *[a.astype(float) for a in arrays])
    for a, b in zip(got, expected):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


def test_a_row_that_sees_no_key_is_zero():
    q = torch.tensor(random(1, 1, 2, 3)).requires_grad_()
    out = F.scaled_dot_product_attention(q, q, q, torch.tensor([[False, False], [True, True]]))
    out.sum().backward()
    assert out[0, 0, 0].tolist() == [0, 0, 0]
    assert q.grad.isfinite().all()
