"""What `make bench-record` times: sizes are so small that arithmetic takes no time, and what is left is the cost of
saying what to compute. As in programs/, a workload is a function of the module that returns the step."""

from programs.sequences import gpt_train
from programs.small import tiny_mlp as mlp

__all__ = ["CHAIN", "chained_adds", "first_visit", "gpt", "mlp"]
CHAIN = 100


def chained_adds(torch):
    """100 additions, each of the last result, and a read at the end."""
    x = torch.ones(1)

    def step():
        y = x
        for _ in range(CHAIN):
            y = y + x
        return y.item()

    return step


def gpt(torch):
    """A character GPT of four layers, as narrow as can be; one training step with AdamW and its loss."""
    return gpt_train(torch, layers=4, width=1, heads=1, length=2, batch=1, symbols=3)


def first_visit(torch):
    """Eight operations and a read, on shapes that were never seen: each call has sizes of its own."""
    size = iter(range(3, 1_000_000))

    def step():
        x = torch.ones(next(size), 2)
        y = (x * 0.5).exp() + 1.0
        z = y.sum(0) / 3.0
        return (z - 0.25).sqrt().mean().item()

    return step
