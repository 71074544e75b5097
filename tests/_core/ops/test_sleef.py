"""exp as Sleef computes it: near the exact value, and at the ends."""

import numpy as np

from tenfold._core.ops import sleef


def test_exp_is_within_a_step_and_exact_at_the_ends():
    x = np.linspace(-87, 88, 20001, dtype="f4")
    exact = np.exp(x.astype(float))
    assert (np.abs(sleef.exp(x) - exact) <= np.spacing(exact.astype("f4"))).all()
    ends = np.array([0, -np.inf, np.inf, -200, 200], "f4")
    with np.errstate(invalid="ignore", over="ignore"):
        assert sleef.exp(ends).tolist() == [1, 0, np.inf, 0, np.inf]
        assert np.isnan(sleef.exp(np.array([np.nan], "f4")))[0]
