"""Parameters without a gradient sit a step out, and are where they were when they come back."""

import pytest

import tenfold as torch

METHODS = [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop]
USED = [0b111, 0b001, 0b101, 0b011, 0b001, 0b001, 0b111, 0b010, 0b101, 0b110, 0b011, 0b111] * 2


def parameters():
    return [torch.nn.Parameter(torch.arange(1.0, 4.0 + k) / (k + 2)) for k in range(3)]


def step(params, optimizers, used):
    for o in optimizers:
        o.zero_grad()
    sum(((p * (k + 1)).sin() * p).sum() for k, p in enumerate(params) if used >> k & 1).backward()
    for o in optimizers:
        o.step()


@pytest.mark.parametrize("method", METHODS)
def test_each_parameter_is_updated_as_if_it_were_alone(method):
    together, apart = parameters(), parameters()
    one = method(together, lr=0.05)
    each = [method([p], lr=0.05) for p in apart]
    for used in USED:
        step(together, [one], used)
        step(apart, each, used)
        for k, (p, q) in enumerate(zip(together, apart)):
            torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
            assert (p.grad is None) == (q.grad is None) == (not used >> k & 1)
    for p, q, o in zip(together, apart, each):
        for name, value in o.state[q].items():
            torch.testing.assert_close(one.state[p][name], value, rtol=1e-5, atol=1e-6)


def test_blocks_are_sorted_once():
    params = parameters()
    optimizer = torch.optim.Adam(params, lr=0.05)
    for used in (0b111, 0b011, 0b111):
        step(params, [optimizer], used)
    plans = optimizer._plans
    for used in (0b011, 0b111, 0b100, 0b011, 0b111):
        step(params, [optimizer], used)
        assert optimizer._plans is plans
