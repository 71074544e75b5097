"""A function's value, gradients, and gradients of those, to compare two ways to compute it."""

import numpy as np

import tenfold as torch


def random(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def second_gradients(f, *arrays):
    """The value, first gradients, and the gradients of those, weighed at random."""
    tensors = [torch.tensor(a).requires_grad_() for a in arrays]
    out = f(*tensors)
    weights = torch.tensor(random(*out.shape, seed=7)).to(out.dtype)
    first = torch.autograd.grad((out * weights).sum(), tensors, create_graph=True)
    total = sum((g * torch.tensor(random(*g.shape, seed=8 + i)).to(g.dtype)).sum() for i, g in enumerate(first))
    second = torch.autograd.grad(total, tensors, allow_unused=True)
    return [t.detach().double().numpy() for t in (out, *first, *[s for s in second if s is not None])]
