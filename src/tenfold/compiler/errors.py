"""Errors of `torch.compile`.

RuntimeError
    TorchDynamoException
        Unsupported         with `fullgraph=True`: why a call cannot be replayed
        InvalidBackend      a backend that there is not"""


class TorchDynamoException(RuntimeError):
    """Of `torch.compile`."""


class Unsupported(TorchDynamoException):
    """With `fullgraph=True`: why a call cannot be replayed."""


class InvalidBackend(TorchDynamoException):
    """A backend that there is not."""
