"""Writes references.npz, PyTorch's numbers for every case of cases.py. Needs PyTorch 2.13: `python record.py`."""

import pathlib
import sys
import zlib

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "src")]

import cases  # noqa: E402


def draw(case, n):
    """What case.draw draws, by PyTorch's default generator."""
    kind = getattr(torch, case.dtype)
    empty = torch.empty(n, dtype=kind) if case.name != "randperm" else None

    def each(values):
        return torch.from_numpy(values).to(kind)

    parameter = lambda: each(cases.parameter(n))
    probability = lambda extra=0: each(cases.probability(n + extra))
    if case.name.startswith("range"):
        low, high = dict(zip([f"range{a}to{b}" for a, b in cases.RANGES], cases.RANGES, strict=True))[case.name]
        return torch.randint(low, high, (n,))
    return {
        "rand": lambda: torch.rand(n, dtype=kind),
        "uniform": lambda: empty.uniform_(-1.3, 2.9),
        "randn": lambda: torch.randn(n, dtype=kind),
        "normal": lambda: empty.normal_(1.3, 0.7),
        "normal_both": lambda: torch.normal(parameter(), probability()),
        "normal_mean": lambda: torch.normal(parameter(), 0.7),
        "normal_std": lambda: torch.normal(1.37, probability()),
        "log_normal": lambda: empty.log_normal_(0.3, 0.7),
        "exponential": lambda: empty.exponential_(1.7),
        "cauchy": lambda: empty.cauchy_(0.3, 1.9),
        "bernoulli_each": lambda: torch.bernoulli(probability()),
        "poisson": lambda: torch.poisson(parameter()),
        "replaced": lambda: torch.multinomial(probability(1), 5, True),
        "one_of": lambda: torch.multinomial(probability(1), 1),
        "unreplaced": lambda: torch.multinomial(probability(1), n // 2 + 1),
        "gamma": lambda: torch._standard_gamma(parameter()),
        "dirichlet": lambda: torch._sample_dirichlet(each(cases.parameter(4 * n).reshape(n, 4))),
        "binomial": lambda: torch.binomial((parameter() * 8).floor(), probability()),
        "rrelu": lambda: rrelu(each(cases.parameter(n) - 8)),
        "random": lambda: empty.random_(),
        "random_up": lambda: empty.random_(5, None),
        "all_bits": lambda: empty.random_(-(2**63), None),
        "randint": lambda: torch.randint(3, 99, (n,), dtype=kind),
        "randperm": lambda: torch.randperm(n, dtype=kind),
        "bernoulli": lambda: empty.bernoulli_(0.3),
        "geometric": lambda: empty.geometric_(0.4),
    }[case.name]()


def rrelu(values):
    noise = torch.ones_like(values)
    torch._C._nn.rrelu_with_noise(values, noise, 0.1, 0.37, True)
    return noise


def to_numpy(tensor):
    return (tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()


def main():
    assert torch.__version__.startswith("2.13")
    recorded = {}
    for case in cases.all_cases():
        torch.manual_seed(cases.seed_of(case))
        parts = [to_numpy(draw(case, n)).ravel() for n in cases.SIZES]
        recorded[case.key] = np.concatenate(parts)
        checksums = [zlib.crc32(torch.get_rng_state().numpy()[:5016].tobytes())]
        if cases.has_long(case):
            checksums.append(zlib.crc32(to_numpy(draw(case, cases.LONG)).tobytes()))
        recorded["checksums-" + case.key] = np.array(checksums, np.uint32)
    torch.manual_seed(7)
    recorded["state-fresh"] = torch.get_rng_state().numpy()
    torch.randn(3)
    torch.rand(1000)
    recorded["state-with-spare"] = torch.get_rng_state().numpy()
    recorded["after-state"] = torch.randn(5).numpy()
    np.savez_compressed(HERE / "references.npz", **recorded)


if __name__ == "__main__":
    main()
