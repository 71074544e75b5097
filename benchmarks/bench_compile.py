"""`make bench-compile`: what `torch.compile` saves in tenfold: calls that are replayed beside calls that run their Python.

Timed is the call of the model alone, with its Python and the recording of its operations; computing comes later, in
both. Then whole training steps. The two sides alternate, and the best round of each counts: a busy machine only ever
adds time."""

import argparse
import gc
import sys
import time

from programs.sequences import gpt_class

import tenfold as torch
from tenfold import nn


class Tutorial(nn.Module):
    """The 5-3-5 network of the tutorial."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 3), nn.Linear(3, 5)

    def forward(self, x):
        return torch.sigmoid(self.last(torch.relu(self.first(x))))


class Small(nn.Module):
    """100 small operations in a loop."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self, x):
        for _ in range(25):
            x = torch.tanh(x @ self.weight) * 0.5 + 1.0
        return x


def models():
    """name -> (module, its argument)"""
    gpt = gpt_class(torch, 4, 64, 4, 32, 65)()
    return {
        "tutorial 5-3-5": (Tutorial(), torch.randn(4, 5)),
        "character GPT, 4 layers": (gpt, torch.randint(0, 65, (2, 16))),
        "100 small operations": (Small(), torch.randn(4, 8)),
    }


def call(model, x, rounds):
    """Seconds of a call with nothing else on the walk."""
    best = float("inf")
    for _ in range(rounds):
        torch.debug.end_walk()
        started = time.perf_counter()
        y = model(x)
        best = min(best, time.perf_counter() - started)
        del y
    return best


def step_of(model, forward, x):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        loss = forward(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def steps(plain, replayed, rounds):
    """Seconds of a training step, of both."""
    best = [float("inf"), float("inf")]
    for step in (plain, replayed):
        for _ in range(30):
            step()
    for _ in range(rounds):
        for side, step in enumerate((plain, replayed)):
            started = time.perf_counter()
            for _ in range(5):
                step()
            best[side] = min(best[side], (time.perf_counter() - started) / 5)
    return best


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="of each (default: %(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    native = torch.debug.native()
    print(
        f"Python {sys.version.split()[0]}; best of {args.rounds} rounds; the recorder in {'machine code' if native else 'Python'}"
    )
    print(f"{'µs':28s} {'call':>8s} {'replayed':>9s} {'ratio':>6s} {'step':>9s} {'replayed':>9s} {'ratio':>6s}")
    for name, (model, x) in models().items():
        compiled = torch.compile(model)
        for _ in range(3):
            compiled(x)
        gc.collect()
        gc.disable()
        best = [float("inf"), float("inf")]
        for _ in range(3):
            for side, f in enumerate((model, compiled)):
                best[side] = min(best[side], call(f, x, args.rounds))
        whole = steps(step_of(model, model, x), step_of(model, compiled, x), args.rounds // 5)
        gc.enable()
        a, b, c, d = [1e6 * t for t in (*best, *whole)]
        print(f"{name:28s} {a:8.2f} {b:9.2f} {a / b:6.2f} {c:9.1f} {d:9.1f} {c / d:6.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
