"""One category of each row: in kernels, the same as from the stream's own function, and as strict."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core import random as streams


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5,), (1, 65), (7, 40), (3, 1)])
def test_draws_what_the_stream_draws(shape, dtype):
    weights = np.random.default_rng(1).random(shape).astype(dtype)
    tensor = torch.from_numpy(weights.copy()).clone()
    generator = torch.Generator().manual_seed(4)
    engine = streams.Engine(4)
    for _ in range(12):  # interpreted, then compiled
        got = torch.multinomial(tensor, 1, generator=generator)
        assert got.tolist() == streams.multinomial(engine, weights, 1, dtype=dtype).tolist()
    assert torch.equal(generator.get_state(), torch.tensor(engine.get_state()))


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_what_is_no_distribution_draws_nothing(weights):
    generator = torch.Generator().manual_seed(4)
    before = generator.get_state()
    for _ in range(12):
        with pytest.raises(RuntimeError, match=r"probability|invalid multinomial"):
            torch.multinomial(torch.tensor(weights), 1, generator=generator).tolist()
    assert torch.equal(generator.get_state(), before)
