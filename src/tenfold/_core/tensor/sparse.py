"""What sparse tensors show of themselves: their layout and their text."""

from __future__ import annotations

import re

from ..ir import dtypes
from ..ops.sparse_compressed import CompressedTensor
from ..ops.sparse_tensor import Sparse, SparseTensor
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from . import printing
from .methods import LAYOUTS

INDENT = len("tensor(")


def sparse_text(self, *, tensor_contents=None) -> str:
    """The text that repr gives: the indices and values that are stored, then the facts."""
    d, fn = layout_of(self).dtype, self.grad_fn
    facts = [f"size={tuple(self.shape)}", f"nnz={self._nnz()}"]
    if d is not dtypes.get_default_dtype() and d not in (dtypes.int64, dtypes.bool_):
        facts.append(f"dtype={d}")
    facts.append(f"layout={self.layout}")
    if fn is not None:
        facts.append(f"grad_fn=<{fn.name()}>")
    elif self.requires_grad:
        facts.append("requires_grad=True")
    if isinstance(self, SparseTensor):
        parts = {"indices": self._indices(), "values": self._values()}
    else:
        row, column = ("crow", "col") if self._rows else ("ccol", "row")
        parts = {f"{row}_indices": self._starts, f"{column}_indices": self._others, "values": self._values()}
    gap = ",\n" + " " * INDENT
    text = "tensor(" + gap.join([_part_text(name, part) for name, part in parts.items()])
    if isinstance(self, SparseTensor):
        text += gap + facts.pop(0)
    return printing.append_suffixes(text, facts, INDENT)


def _part_text(name: str, part: Tensor) -> str:
    """The text of one part, without its dtype, further lines beneath the first."""
    d = layout_of(part).dtype
    array = array_of(part)
    text = printing.format_tensor(dtypes.decode(array, d) if d.half else array, d.name, default_dtype_name=d.name)
    return f"{name}=" + re.sub(r"\n(?!\n)", "\n" + " " * (INDENT + len(name) + 1), text)


Sparse.__repr__ = sparse_text
SparseTensor.layout = property(lambda self: LAYOUTS["sparse_coo"], None, None, "torch.sparse_coo.")
CompressedTensor.layout = property(lambda self: LAYOUTS[self._kind], None, None, "Of rows or columns, and of blocks.")
