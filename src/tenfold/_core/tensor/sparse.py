"""What sparse tensors show of themselves: their layout and their text."""

from __future__ import annotations

from ..ir import dtypes
from ..ops.sparse_tensor import SparseTensor
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from . import printing
from .methods import LAYOUTS


def sparse_text(self, *, tensor_contents=None) -> str:
    """The text that repr gives: the indices and values that are stored, then the facts."""
    d = layout_of(self).dtype
    facts = [f"size={tuple(self.shape)}", f"nnz={self._nnz()}"]
    if d is not dtypes.get_default_dtype() and d not in (dtypes.int64, dtypes.bool_):
        facts.append(f"dtype={d}")
    facts.append("layout=torch.sparse_coo")
    parts = [_part_text("indices", self._indices()), _part_text("values", self._values()), ", ".join(facts)]
    return "tensor(" + ",\n       ".join(parts) + ")"


def _part_text(name: str, part: Tensor) -> str:
    """The text of one part, without its dtype, further lines beneath the first."""
    d = layout_of(part).dtype
    array = array_of(part)
    text = printing.format_tensor(dtypes.decode(array, d) if d.half else array, d.name, default_dtype_name=d.name)
    return f"{name}=" + text.replace("\n", "\n" + " " * (len("tensor(") + len(name) + 1))


SparseTensor.__repr__ = sparse_text
SparseTensor.layout = property(lambda self: LAYOUTS["sparse_coo"], None, None, "torch.sparse_coo.")
