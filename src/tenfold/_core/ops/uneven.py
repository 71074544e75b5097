"""Nested tensors whose tensors differ in several dims, such as images of different sizes (torch.strided).

Their elements lie one tensor after the other, each in order. What looks at dims is computed tensor by tensor."""

from __future__ import annotations

import itertools
import math

from ..errors import NotStrided
from ..ir.operation import Operation, Primitive, gather
from ..ir.shapes import dim_index
from ..trace.handle import Tensor, layout_of
from .creation import tensor as make_tensor
from .declare import PUBLIC
from .joining import cat
from .nested import ELEMENTWISE, ragged
from .packed import Packed

UNSUPPORTED = (
    "nested tensors that differ in several dims have element-wise operations, unbind and to_padded_tensor alone: compute it"
    " on the tensors of .unbind(), or on .to_padded_tensor(0.0)"
)


class UnevenTensor(Packed):
    """A batch of tensors of equally many dims, of any sizes."""

    MEANINGS = {}
    UNSUPPORTED = UNSUPPORTED
    _jagged = False

    def __new__(cls, elements: Tensor, shapes: tuple[tuple[int, ...], ...]):
        self = Packed.__new__(cls, elements, ragged(layout_of(elements), len(shapes[0]) + 1))
        self._shapes = shapes
        return self

    @classmethod
    def of(cls, tensors: list[Tensor]) -> UnevenTensor:
        return cls(cat([x.reshape(-1) for x in tensors]), tuple([tuple(x.shape) for x in tensors]))

    def _with(self, elements: Tensor) -> UnevenTensor:
        return UnevenTensor(elements, self._shapes)

    def meaning(self, op: Operation):
        """Functions of single elements are computed on the elements; nothing else is."""
        if not (isinstance(op, Primitive) and op.compute is not None or op.name in ELEMENTWISE):
            return super().meaning(op)

        def meaning(*args, **kwargs):
            for x in gather([args, kwargs], Tensor):
                if not isinstance(x, UnevenTensor) and x.dim():
                    raise NotStrided(f"{op.name} with a tensor of shape {list(x.shape)}: {UNSUPPORTED}")
                if isinstance(x, UnevenTensor) and x._shapes != self._shapes:
                    raise RuntimeError(f"{op.name}: two nested tensors need tensors of the same sizes")
            plain = [a._elements if isinstance(a, UnevenTensor) else a for a in args]
            named = {k: a._elements if isinstance(a, UnevenTensor) else a for k, a in kwargs.items()}
            return self._with(op.call(*plain, **named))

        return meaning

    is_nested = property(lambda self: True, None, None, "Whether it is nested: yes.")

    @property
    def shape(self):
        """RuntimeError: there is none; ask .size(dim) for a dim that is even."""
        raise RuntimeError("a nested tensor with torch.strided has no shape: ask .size(dim) for a dim that is even")

    def size(self, dim: int | None = None) -> int:
        """The size of a dim in which all tensors agree."""
        if dim is None:
            return self.shape
        d = dim_index(dim, self.dim())
        sizes = {len(self._shapes)} if d == 0 else {s[d - 1] for s in self._shapes}
        if len(sizes) > 1:
            raise RuntimeError(f"Given dimension {d} is irregular and does not have a size.")
        return sizes.pop()

    def numel(self) -> int:
        """The number of elements of all tensors."""
        return layout_of(self._elements).numel

    def __len__(self) -> int:
        return len(self._shapes)

    def __iter__(self):
        return iter(self.unbind())

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The tensors of the batch, as views."""
        if dim_index(dim, self.dim()) != 0:
            raise RuntimeError("unbind(): only supported for nested tensors on dim=0")
        starts = itertools.accumulate([math.prod(s) for s in self._shapes], initial=0)
        return tuple([self._elements.narrow(0, at, math.prod(s)).view(s) for at, s in zip(starts, self._shapes)])

    def select(self, dim: int, index: int) -> Tensor:
        """One tensor of the batch."""
        if dim_index(dim, self.dim()) != 0:
            raise NotStrided(f"select: {UNSUPPORTED}")
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for a nested tensor of {len(self)} tensors")
        return self.unbind()[index]

    def __getitem__(self, item):
        first, *rest = item if isinstance(item, tuple) else (item,)
        if not hasattr(first, "__index__") or isinstance(first, (bool, Tensor)):
            raise NotStrided(f"indexing with {first!r}: {UNSUPPORTED}")
        one = self.select(0, first.__index__())
        return PUBLIC["Tensor"]["__getitem__"](one, tuple(rest)) if rest else one

    def to_padded_tensor(self, padding=0.0, output_size=None) -> Tensor:
        """The batch as one ordinary tensor, each filled up with `padding` to the largest size of each dim.

        Args: output_size: a larger size of the result. Default None."""
        sizes = [max(n) for n in zip(*self._shapes)]
        wanted = [len(self), *sizes] if output_size is None else list(output_size)
        if len(wanted) != self.dim() or any(n < have for n, have in zip(wanted, [len(self), *sizes])):
            raise RuntimeError(
                "Value in output_size is less than NestedTensor padded size. Truncation is not supported:"
                f" {wanted}, {[len(self), *sizes]}"
            )
        pad, out = PUBLIC["nn.functional"]["pad"], []
        for x, s in zip(self.unbind(), self._shapes):
            out.append(pad(x, [m for n, have in zip(wanted[:0:-1], reversed(s)) for m in (0, n - have)], value=padding))
        filler = make_tensor(padding, dtype=layout_of(self).dtype).expand(wanted[1:])
        return PUBLIC["torch"]["stack"]([*out, *[filler] * (wanted[0] - len(out))])

    def numpy(self, *, force: bool = False):
        """RuntimeError: NumPy has no uneven arrays."""
        raise RuntimeError(".numpy() is not supported for a nested tensor: take those of .unbind()")
