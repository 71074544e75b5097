"""Variable, from before tensors took part in autograd themselves: it gives back the tensor."""

import tenfold


class _VariableMeta(type):
    def __instancecheck__(cls, other) -> bool:
        return isinstance(other, tenfold.Tensor)

    def __call__(cls, data=None, requires_grad: bool = False, volatile: bool = False):
        t = tenfold.empty(0) if data is None else data.detach()
        return t.requires_grad_() if requires_grad else t


class Variable(metaclass=_VariableMeta):
    """Variable(t) is a tensor on t's memory; isinstance(t, Variable) is true of tensors."""
