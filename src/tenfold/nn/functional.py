"""Functions of layers: convolutions, activations, losses and so on. Names only; each is declared with its family in `_core.ops`."""

from .._core.ops.declare import PUBLIC as _PUBLIC

globals().update(_PUBLIC.get("nn.functional", {}))


def __getattr__(name: str):
    if name == "multi_head_attention_forward":
        from .attention_forward import multi_head_attention_forward

        return multi_head_attention_forward
    raise AttributeError(f"module 'tenfold.nn.functional' has no attribute '{name}'", name=name)
