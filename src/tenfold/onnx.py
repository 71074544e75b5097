"""ONNX files: tenfold does not write them yet. The names are there because programs import them for an option."""

__all__ = ["export", "is_in_onnx_export"]


def is_in_onnx_export() -> bool:
    """False: nothing is ever being exported."""
    return False


def export(model, args=(), f=None, **options):
    """Not there: raises NotImplementedError."""
    raise NotImplementedError(
        "torch.onnx.export: tenfold does not write ONNX files; save model.state_dict() and export it with PyTorch"
    )
