"""torch.sparse: functions of tensors of which only some elements are stored."""

from ._core.ops.declare import PUBLIC as _PUBLIC

globals().update(_PUBLIC["sparse"])
