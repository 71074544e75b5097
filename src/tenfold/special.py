"""Special functions. Names only; each is declared with its family in `_core.ops`."""

from ._core.ops.declare import PUBLIC as _PUBLIC

globals().update(_PUBLIC.get("special", {}))
