"""Errors of `torch._dynamo.exc`."""

from ..compiler.errors import InvalidBackend, TorchDynamoException, Unsupported

__all__ = ["InvalidBackend", "TorchDynamoException", "Unsupported"]
