"""Gradients compared with finite differences, through the tensors' own methods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir.operation import gather
from ..trace.handle import Tensor, requires_grad
from .gradients import grad


class GradcheckError(RuntimeError):
    """A gradient differs from the finite difference."""


def gradcheck(
    func: Callable, inputs, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True,
    nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False, check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:  # fmt: skip
    """Compares the gradients of `func(*inputs)` with central differences of width `eps`.

    Args:
        inputs: a tensor or a tuple; those with requires_grad (float64 or complex128) are varied, element by element.
        atol, rtol: allowed difference.
        raise_exception: raise where they differ (default); else return False.
        fast_mode: along one random direction only. Default False.
    Returns: True where all agree. Forward mode and batched checks do not exist here: asking for them raises NotImplementedError."""
    if check_forward_ad or check_batched_grad or check_batched_forward_grad:
        raise NotImplementedError("gradcheck: forward-mode and batched gradients are not supported")
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    live = [t for t in gather(args, Tensor) if requires_grad(t)]
    if not live:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    for t in live:
        if t.dtype.itemsize < 8 or str(t.dtype) == "torch.complex64":
            import warnings

            warnings.warn(
                f"gradcheck: an input of dtype {t.dtype} has too little precision for finite differences; use float64",
                UserWarning,
                stacklevel=2,
            )
    try:
        outputs = [o for o in gather(func(*args), Tensor) if o.dtype.is_floating_point or o.dtype.is_complex]
        for k in range(len(outputs)):
            for i, t in enumerate(live):
                _compare(func, args, outputs[k], k, t, i, eps, atol, rtol, fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _outputs(func: Callable, args) -> list[np.ndarray]:
    return [
        np.array(o.detach().resolve_conj().numpy())
        for o in gather(func(*args), Tensor)
        if o.dtype.is_floating_point or o.dtype.is_complex
    ]


def _compare(func, args, out, k: int, t: Tensor, i: int, eps: float, atol: float, rtol: float, fast: bool) -> None:
    """One output against one input: the products of a random cotangent with the Jacobian, column by column."""
    rng = np.random.default_rng(0)
    shape, is_complex = tuple(out.shape), out.dtype.is_complex
    v = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if is_complex else 0)
    cotangent = out.detach().new_tensor(v, dtype=out.dtype)
    if not requires_grad(out):
        return
    found = grad(out, t, cotangent, retain_graph=True, allow_unused=True)[0]
    analytical = np.zeros(tuple(t.shape)) if found is None else np.array(found.detach().resolve_conj().numpy())
    data = t.detach()
    places = list(np.ndindex(tuple(t.shape)))
    if fast:
        places = [places[j] for j in rng.permutation(len(places))[:4]]
    for at in places:
        steps = (eps, 1j * eps) if t.dtype.is_complex else (eps,)
        numeric = 0
        for step in steps:
            before = data[at].clone()
            data[at] = before + step
            up = _outputs(func, args)[k]
            data[at] = before - step
            down = _outputs(func, args)[k]
            data[at] = before
            slope = (np.conj(v) * (up - down) / (2 * eps)).sum().real
            numeric = numeric + (slope * 1j if step is not steps[0] else slope)
        got = analytical[at]
        if not np.isclose(got, numeric, rtol=rtol, atol=atol, equal_nan=True):
            raise GradcheckError(
                f"Jacobian mismatch for output {k} with respect to input {i}: at element {list(at)} backward gives {got}, the finite difference is {numeric}"
            )


def gradgradcheck(
    func: Callable, inputs, grad_outputs=None, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
    check_batched_grad: bool = False, check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True, fast_mode: bool = False,
    masked: bool = False,
) -> bool:  # fmt: skip
    """Compares gradients of gradients with finite differences of the gradients: as `gradcheck`, one order higher.

    Args: grad_outputs: cotangents of the outputs, a tensor or a tuple. Default: fixed random ones that require grad."""
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outs = [o for o in gather(func(*args), Tensor) if requires_grad(o)]
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        seeds = [
            o.detach().new_tensor(rng.standard_normal(tuple(o.shape)), dtype=o.dtype).requires_grad_() for o in outs
        ]
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    count = len(args)

    def first(*all_args):
        given, cotangents = all_args[:count], all_args[count:]
        results = [o for o in gather(func(*given), Tensor) if requires_grad(o)]
        wrt = [t for t in gather(given, Tensor) if requires_grad(t)]
        found = grad(results, wrt, list(cotangents), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and requires_grad(g))

    return gradcheck(
        first, (*args, *seeds), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, fast_mode=fast_mode,
        check_batched_grad=check_batched_grad,
    )  # fmt: skip
