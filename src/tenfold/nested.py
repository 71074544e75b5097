"""torch.nested: batches of tensors that differ in the size of one dim."""

from ._core.ops.declare import PUBLIC as _PUBLIC

globals().update(_PUBLIC["nested"])
