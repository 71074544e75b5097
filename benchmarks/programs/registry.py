"""The list of workloads, and what is told of each beside its code."""

from dataclasses import dataclass, field
from functools import partial

WORKLOADS = {}


@dataclass(frozen=True)
class Workload:
    """A program that is timed: `build(module)` sets it up under a module with PyTorch's API and returns its step.

    The step does one unit of work and returns a number that depends on all of it; given the same seed, both modules must
    return the same numbers, within `tolerance` relative to the number's size."""

    name: str
    title: str
    target: float  # how many times faster than PyTorch eager it is to be
    build: object
    quick: dict = field(default_factory=dict)  # the arguments of `build` at sizes for a test
    burst: int = 1  # steps that belong together, because their sizes differ: a burst is a multiple of it
    tolerance: float = 1e-5
    why: str = ""  # the reason for a wider tolerance

    def at(self, quick):
        """The function of the module, at full or at quick sizes."""
        return partial(self.build, **self.quick) if quick else self.build


def workload(title, *, target, **facts):
    """Decorator: registers a function of a module under its own name."""

    def register(build):
        WORKLOADS[build.__name__] = Workload(build.__name__, title, target, build, **facts)
        return build

    return register


def training_step(optimizer, loss_now):
    """The step of an ordinary training loop: `loss_now()` computes the loss."""

    def step():
        optimizer.zero_grad()
        loss = loss_now()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def shuffled(random, cards):
    """An endless stream of cards: the whole deck in a new order each time, so that any multiple of it is the same work."""
    while True:
        deck = list(cards)
        random.shuffle(deck)
        yield from deck
