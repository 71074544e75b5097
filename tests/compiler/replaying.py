"""Programs that are run with compiled functions and without, for the tests of replaying: they have to see the same.

A program yields what it sees, several times, so that calls are first, recorded and replayed."""

import random

import tenfold as torch
from tenfold import nn


def seen(x):
    """What can be seen of a result."""
    if isinstance(x, torch.Tensor):
        return (
            x.detach().tolist(), x.dtype, tuple(x.shape), x.stride(), x.storage_offset(), x.requires_grad, x.grad_fn is None, type(x),
        )  # fmt: skip
    if isinstance(x, (list, tuple)):
        return type(x), [seen(y) for y in x]
    if isinstance(x, dict):
        return {k: seen(v) for k, v in x.items()}
    return type(x), x


def run(program, compile):
    torch.manual_seed(0)
    random.seed(0)
    return [seen(x) for x in program(compile)]


def registering(programs):
    """A decorator that adds a program to the list."""

    def program(f):
        programs.append(f)
        return f

    return program


def check(program):
    """Compiled and not, it sees the same."""
    plain = run(program, lambda f, **options: f)
    assert run(program, torch.compile) == plain
    assert run(program, torch.compile) == plain


def counts(f):
    """(calls that were replayed, that were not)"""
    c = (f.forward if isinstance(f, nn.Module) else f)._compiled
    return c.replays, c.calls


def reason(f):
    return (f.forward if isinstance(f, nn.Module) else f)._compiled.reason


class Net(nn.Module):
    gain = 1.0

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])
        self.skip = True
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x):
        y = self.drop(torch.relu(self.norm(self.fc(x)))) * self.gain + self.shift
        for layer in self.layers:
            y = layer(y)
        return y + x if self.skip else y

    def other(self, x):
        return self.fc(x)


LOG = []


def noise():
    """Cannot be followed."""
    try:
        return random.random()
    finally:
        LOG.append(1.0)


class Config:
    def __init__(self, depth):
        self.depth = depth
        self.scales = [2.0]
