"""`SummaryWriter` on top of tensorboardX: this side turns tensors into arrays, that side writes the files."""

from typing import Any

import tenfold

from .._pytree import tree_map_only

try:
    import tensorboardX  # pyright: ignore[reportMissingImports]
except ImportError as missing:
    raise ImportError(
        "tenfold.utils.tensorboard needs the package tensorboardX, which is not installed. "
        'Install it with: pip install "tenfold[tensorboard]"'
    ) from missing

__all__ = ["SummaryWriter"]


class SummaryWriter:
    """Writes scalars, images, histograms and more to a folder that TensorBoard reads.

    The methods (`add_scalar`, `add_image`, `add_histogram`, `add_text`, `flush`, ...) are tensorboardX's; tensors may
    be given wherever they take arrays or numbers.

    Args:
        log_dir: folder. Default None: `runs/` and the date, the machine and `comment`.
        comment: end of the default folder's name.
        purge_step: drop what an earlier run logged from this step on. Default None.
        max_queue: events that wait before they are written. Default 10.
        flush_secs: seconds between two writes. Default 120.
        filename_suffix: end of the file's name.
    """

    def __init__(
        self,
        log_dir: str | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        self._writer = tensorboardX.SummaryWriter(
            None if log_dir is None else str(log_dir),
            comment=comment,
            purge_step=purge_step,
            max_queue=max_queue,
            flush_secs=flush_secs,
            filename_suffix=filename_suffix,
        )

    @property
    def log_dir(self) -> str:
        """Where the files are."""
        return self._writer.logdir

    def get_logdir(self) -> str:
        """Where the files are."""
        return self.log_dir

    def add_graph(self, model, input_to_model=None, verbose: bool = False, use_strict_trace: bool = True) -> None:
        """Not available: the files hold graphs in the form of another tracer."""
        raise NotImplementedError(
            "SummaryWriter.add_graph: a model's graph cannot be written for TensorBoard; "
            "tenfold.explain shows what a function computes."
        )

    def __getattr__(self, name: str):
        if name.startswith("__") or "_writer" not in self.__dict__:
            raise AttributeError(f"SummaryWriter has no attribute {name!r}")
        found = getattr(self._writer, name)
        return _with_arrays(found) if name.startswith("add_") else found

    def close(self) -> None:
        """Write what is left and close the files."""
        self._writer.close()

    def __enter__(self) -> "SummaryWriter":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()


def _with_arrays(method):
    def call(*args, **kwargs):
        args, kwargs = tree_map_only(tenfold.Tensor, _as_array, (args, kwargs))
        return method(*args, **kwargs)

    call.__name__ = method.__name__
    call.__doc__ = method.__doc__
    return call


def _as_array(tensor):
    if tensor.dtype == tenfold.bfloat16:
        tensor = tensor.float()
    return tensor.item() if tensor.dim() == 0 else tensor.detach().numpy()
