"""Hooks on the backward pass of a whole module, built on an identity that is differentiated.

The arguments and the results of forward each pass through an identity whose gradient is where the hooks run: the one
around the results learns the gradients of the outputs, the one around the arguments those of the inputs.
"""

import warnings

import tenfold
from tenfold import Tensor

__all__ = ["BackwardHook"]


class BackwardHookFunction(tenfold.autograd.Function):
    """Its arguments, unchanged; `on_gradients` sees the gradients on their way back and may replace them."""

    @staticmethod
    def forward(ctx, on_gradients, *tensors):
        ctx.on_gradients = on_gradients
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx, *gradients):
        changed = ctx.on_gradients(gradients)
        return (None, *(gradients if changed is None else changed))


class BackwardHook:
    """The hooks around one call of a module.

    Args:
        module: what the hooks are called with.
        user_hooks: `hook(module, grad_input, grad_output)`, once the gradients of the arguments are known.
        user_pre_hooks: `hook(module, grad_output)`, once the gradients of the results are known.
    """

    def __init__(self, module, user_hooks, user_pre_hooks) -> None:
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs = None
        self.n_inputs = -1
        self.n_outputs = -1
        self.input_positions = None  # None: no argument needs a gradient
        self.output_positions: list[int] = []

    def setup_input_hook(self, args):
        """The arguments, as results of the identity."""
        self.n_inputs = len(args)
        args, self.input_positions = _through_identity(self._on_input_gradients, args)
        return args

    def setup_output_hook(self, result):
        """The result or results of forward, as results of the identity."""
        alone = not isinstance(result, tuple)
        results = (result,) if alone else result
        self.n_outputs = len(results)
        results, positions = _through_identity(self._on_output_gradients, results)
        self.output_positions = positions or []
        return results[0] if alone else results

    def _on_output_gradients(self, gradients):
        self.grad_outputs = _spread(gradients, self.output_positions, self.n_outputs)
        for hook in self.user_pre_hooks:
            changed = hook(self.module, self.grad_outputs)
            if changed is not None:
                self.grad_outputs = self._checked(changed, self.n_outputs, "Backward pre hook", "grad_output")
        passed_on = tuple(self.grad_outputs[i] for i in self.output_positions)
        if self.input_positions is None:
            self._call_without_inputs()
        return passed_on

    def _call_without_inputs(self) -> None:
        if self.user_hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no "
                f"inputs require gradients: grad_input of this {type(self.module).__name__} is None throughout.",
                stacklevel=2,
            )
        nothing = (None,) * self.n_inputs
        for hook in self.user_hooks:
            changed = hook(self.module, nothing, self.grad_outputs)
            if changed is not None and not (isinstance(changed, tuple) and all(c is None for c in changed)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None "
                    f"for all gradients; the hook of this {type(self.module).__name__} returned {changed!r}."
                )
        self.grad_outputs = None

    def _on_input_gradients(self, gradients):
        if self.grad_outputs is None:
            raise RuntimeError(
                "Module backward hook for grad_input is called before the grad_output one: gradient reached the "
                f"arguments of this {type(self.module).__name__} without passing its result. Return what depends on "
                "the arguments from forward, or hook the tensors instead."
            )
        grad_inputs = _spread(gradients, self.input_positions, self.n_inputs)
        for hook in self.user_hooks:
            changed = hook(self.module, grad_inputs, self.grad_outputs)
            if changed is not None:
                grad_inputs = self._checked(changed, self.n_inputs, "Backward hook", "grad_input")
        self.grad_outputs = None
        return tuple(grad_inputs[i] for i in self.input_positions)

    def _checked(self, changed, wanted, kind, name):
        changed = changed if isinstance(changed, tuple) else (changed,)
        if len(changed) != wanted:
            raise RuntimeError(
                f"{kind} returned an invalid number of {name}, got {len(changed)}, but expected {wanted} "
                f"(module {type(self.module).__name__})."
            )
        return changed


def _through_identity(on_gradients, values):
    """(the values with the tensors among them passed through the identity, where those were or None)."""
    positions = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    tensors = [values[i] for i in positions]
    if not (tenfold.is_grad_enabled() and any(t.requires_grad for t in tensors)):
        return values, None
    passed = BackwardHookFunction.apply(on_gradients, *tensors)
    passed = passed if isinstance(passed, tuple) else (passed,)
    replaced = list(values)
    for i, tensor in zip(positions, passed, strict=True):
        replaced[i] = tensor
    if type(values) is not tuple and isinstance(values, tuple):
        return type(values)(*replaced), positions  # a named tuple
    return tuple(replaced), positions


def _spread(values, positions, length):
    """A tuple of `length` with the values at their positions and None elsewhere."""
    spread = [None] * length
    for i, value in zip(positions, values, strict=True):
        spread[i] = value
    return tuple(spread)
