"""What nested tensors show of themselves: their layout and their text."""

from __future__ import annotations

from ..ops.nested import NestedTensor
from ..ops.uneven import UnevenTensor
from .methods import LAYOUTS

LINES = "\n  "


def nested_text(self, *, tensor_contents=None) -> str:
    """The text that repr gives: sizes and offsets of a jagged tensor, the tensors themselves of a strided one."""
    fn = self.grad_fn
    facts = [f"grad_fn=<{fn.name()}>"] if fn is not None else ["requires_grad=True"] if self.requires_grad else []
    if self._jagged:
        said = [f"size={tuple(self._sizes())}", f"offsets={self.offsets()!r}", *facts]
        return f"NestedTensor({', '.join(said)}, contiguous={self.is_contiguous()})"
    shown = self.detach().requires_grad_(self.requires_grad)
    inside = ",".join([LINES + repr(x).replace("\n", LINES) for x in shown.unbind()])
    return "".join(["nested_tensor([", inside, "\n]", *[f", {fact}" for fact in facts], ")"])


NestedTensor.__repr__ = UnevenTensor.__repr__ = nested_text
UnevenTensor.layout = property(lambda self: LAYOUTS["strided"], None, None, "torch.strided.")
NestedTensor.layout = property(
    lambda self: LAYOUTS["jagged" if self._jagged else "strided"], None, None, "torch.jagged or torch.strided."
)
