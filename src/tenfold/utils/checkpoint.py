"""Checkpoints: a part of a model that is computed again in `backward()`, in place of keeping what it computed.

Two ways. `use_reentrant=True` runs the function without recording and once more in `backward()`. `use_reentrant=False`
records the function as any other code: which values are kept for `backward()` is then decided where the program is
planned, which sees the whole of it; the function is not called a second time.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import tenfold

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]

_DETERMINISM_CHECKS = ("default", "none")


class CheckpointError(RuntimeError):
    """The recomputation of a checkpoint did not do what its first run did."""


def noop_context_fn():
    """Two contexts that do nothing: for the first run, and for the one in `backward()`."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool):
    """Accepted: whether a recomputation may end once it has what it needs. It changes no result."""
    if not isinstance(enable, bool):
        raise TypeError(f"set_checkpoint_early_stop: enable must be a bool, got {enable!r}.")
    yield


def detach_variable(inputs: tuple) -> tuple:
    """The inputs with each tensor cut from its history; it still asks for a gradient if it did before.

    Args:
        inputs: a tuple; what is no tensor stays as it is.
    """
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            f"detach_variable: Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}"
        )
    return tuple(_detached(value) for value in inputs)


def _detached(value):
    if not isinstance(value, tenfold.Tensor):
        return value
    return value.detach().requires_grad_(value.requires_grad)


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn if no input asks for a gradient, since then `backward()` never reaches what was checkpointed."""
    if not any(isinstance(value, tenfold.Tensor) and value.requires_grad for value in inputs):
        warnings.warn(
            "checkpoint: None of the inputs have requires_grad=True. Gradients will be None, for the parameters as "
            "well. Pass use_reentrant=False.",
            stacklevel=4,
        )


class CheckpointFunction(tenfold.autograd.Function):
    """Runs a function without recording it; `backward` runs it again, recorded, and through that."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        """Args: the function, whether random numbers shall come out the same again, its arguments."""
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.rng_state = tenfold.get_rng_state() if preserve_rng_state else None
        ctx.places = [i for i, value in enumerate(args) if isinstance(value, tenfold.Tensor)]
        ctx.others = [None if isinstance(value, tenfold.Tensor) else value for value in args]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        with tenfold.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *grads):
        """Gradients of the arguments; those of the parameters that the function uses go to their `.grad`."""
        _require_plain_backward()
        args = list(ctx.others)
        for i, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[i] = tensor
        detached = detach_variable(tuple(args))
        with _random_state(ctx.rng_state), tenfold.enable_grad():
            outputs = ctx.run_function(*detached)
        if isinstance(outputs, tenfold.Tensor):
            outputs = (outputs,)
        reached = [
            (output, grad)
            for output, grad in zip(outputs, grads, strict=True)
            if isinstance(output, tenfold.Tensor) and output.requires_grad
        ]
        if not reached:
            raise RuntimeError(
                "checkpoint: none of output has requires_grad=True, this checkpoint() is not necessary: the function "
                "was run again in backward(), and nothing in it asks for a gradient."
            )
        tenfold.autograd.backward([output for output, _ in reached], [grad for _, grad in reached])
        return (None, None, *[value.grad if isinstance(value, tenfold.Tensor) else None for value in detached])


def _require_plain_backward() -> None:
    """A recomputation puts the parameters' gradients into `.grad`, where `autograd.grad` would not look."""
    is_valid = getattr(tenfold.autograd, "_is_checkpoint_valid", None)
    if is_valid is not None and not is_valid():
        raise RuntimeError(
            "checkpoint: use_reentrant=True is incompatible with autograd.grad() and with backward(inputs=...). "
            "Pass use_reentrant=False, or call backward() without inputs."
        )


@contextlib.contextmanager
def _random_state(state):
    """The default generator at an earlier state, for a while; None: as it is."""
    if state is None:
        yield
        return
    current = tenfold.get_rng_state()
    tenfold.set_rng_state(state)
    try:
        yield
    finally:
        tenfold.set_rng_state(current)


def checkpoint(
    function: Callable,
    *args,
    use_reentrant: bool | None = None,
    context_fn: Callable = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs,
):
    """Compute `function(*args, **kwargs)`, and do not hold on to what it computes inside until `backward()`.

    Args:
        function: what to run.
        args: its arguments.
        use_reentrant: see the head of this file; False is the better choice. Default None: True, with a warning.
        context_fn: () -> two context managers, the first of which the function is run in. Only with
            `use_reentrant=False`.
        determinism_check: "default" or "none".
        debug, early_stop: accepted; about a second run, which `use_reentrant=False` does not need.
        kwargs: its keyword arguments, with `use_reentrant=False`; and `preserve_rng_state` (default True): a second
            run draws the random numbers of the first.
    Raises: ValueError for options that do not go together.
    Source: Chen et al. 2016, Training deep nets with sublinear memory cost.
    """
    if use_reentrant is None:
        warnings.warn(
            "checkpoint: the use_reentrant parameter should be passed explicitly. It is taken as True; "
            "use_reentrant=False is recommended.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError(
                f"checkpoint: Unexpected keyword arguments: {','.join(kwargs)}. Pass them by position, or "
                "use_reentrant=False."
            )
        if context_fn is not noop_context_fn or debug:
            raise ValueError("checkpoint: Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in _DETERMINISM_CHECKS:
        raise ValueError(
            f"checkpoint: determinism_check should be one of {list(_DETERMINISM_CHECKS)}, but got {determinism_check}."
        )
    first_run, _ = context_fn()
    with first_run:
        return function(*args, **kwargs)


def checkpoint_sequential(functions, segments: int, input, use_reentrant: bool | None = None, **kwargs):
    """Run modules one after the other, in `segments` groups, each group but the last checkpointed.

    Args:
        functions: an `nn.Sequential`, or a list of modules or functions.
        segments: number of groups, at least 1 and at most the number of functions.
        input: what the first one is given.
        use_reentrant: as in `checkpoint`.
        kwargs: `preserve_rng_state`, default True.
    """
    if use_reentrant is None:
        warnings.warn(
            "checkpoint_sequential: the use_reentrant parameter should be passed explicitly. It is taken as True; "
            "use_reentrant=False is recommended.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError(f"checkpoint_sequential: Unexpected keyword arguments: {','.join(kwargs)}.")
    if isinstance(functions, tenfold.nn.Sequential):
        functions = functions.children()
    functions = list(functions)
    if not 1 <= segments <= len(functions):
        raise ValueError(
            f"checkpoint_sequential: {len(functions)} functions cannot be run in {segments} segments; give 1 to "
            f"{len(functions)}."
        )
    length = len(functions) // segments
    for first in range(0, length * (segments - 1), length):
        group = _chain(functions[first : first + length])
        input = checkpoint(group, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return _chain(functions[length * (segments - 1) :])(input)


def _chain(functions: list) -> Callable:
    def run(input):
        for function in functions:
            input = function(input)
        return input

    return run
