"""torch.linalg: decompositions, solutions, norms and products of matrices."""

from ._core.ops.declare import PUBLIC as _PUBLIC

globals().update(_PUBLIC["linalg"])
