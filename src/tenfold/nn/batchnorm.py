"""Batch normalisation."""

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

from . import init
from .lazy import LazyModuleMixin
from .module import Module
from .parameter import Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _NormBase(Module):
    """What batch and instance normalisation share: scale and shift, and running statistics."""

    _version = 2  # 2: num_batches_tracked is part of the state

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._make_parameter("weight", affine, device, dtype)
        self._make_parameter("bias", affine and bias, device, dtype)
        self._make_statistics(device, dtype)
        self.reset_parameters()

    def _make_parameter(self, name, wanted, device, dtype) -> None:
        parameter = None
        if wanted:
            parameter = Parameter(tenfold.empty(self.num_features, device=device, dtype=dtype))
        self.register_parameter(name, parameter)

    def _make_statistics(self, device, dtype) -> None:
        if not self.track_running_stats:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
            return
        self.register_buffer("running_mean", tenfold.zeros(self.num_features, device=device, dtype=dtype))
        self.register_buffer("running_var", tenfold.ones(self.num_features, device=device, dtype=dtype))
        self.register_buffer("num_batches_tracked", tenfold.tensor(0, dtype=tenfold.long, device=device))

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the variance to 1, and forget the batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set scale to 1, shift to 0, and reset the running statistics."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input) -> None:
        """Raises: ValueError if `input` has a number of dims that this layer does not take."""
        raise NotImplementedError(f"{type(self).__name__} must say which inputs it takes.")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            own = self.num_batches_tracked
            usable = own is not None and not own.is_meta
            state_dict[key] = own if usable else tenfold.tensor(0, dtype=tenfold.long)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    """Batch normalisation of inputs of any number of dims."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to the same."""
        self._check_input_dim(input)
        average = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain mean over all batches
                average = 1.0 / float(self.num_batches_tracked)
        use_batch = self.training or (self.running_mean is None and self.running_var is None)
        update = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if update else None,
            self.running_var if update else None,
            self.weight,
            self.bias,
            use_batch,
            average,
            self.eps,
        )


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """Takes `num_features` from dim 1 of the first input."""

    def __init__(
        self,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ) -> None:
        # Made without parameters and statistics first: the shapes are not known yet.
        super().__init__(0, eps, momentum, False, False, device, dtype)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = tenfold.tensor(0, dtype=tenfold.long, device=device)

    def reset_parameters(self) -> None:
        """Set parameters and statistics to their first values, once they have a shape."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input) -> None:
        """Take the number of channels from `input`."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        if self.affine:
            self.weight.materialize((self.num_features,))
            if self.bias is not None:
                self.bias.materialize((self.num_features,))
        if self.track_running_stats:
            self.running_mean.materialize((self.num_features,))
            self.running_var.materialize((self.num_features,))
        self.reset_parameters()


def _check_dims(input, allowed) -> None:
    if input.dim() not in allowed:
        names = " or ".join(f"{dims}D" for dims in allowed)
        raise ValueError(f"expected {names} input (got {input.dim()}D input)")


class BatchNorm1d(_BatchNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of (N, C) or (N, C, L).

    In training, mean and variance are those of the batch, and running averages are kept, which evaluation uses.

    Args:
        num_features: C.
        eps: default 1e-5.
        momentum: weight of a new batch in the averages; None: the plain mean of all. Default 0.1.
        affine: scale and shift are learned. Default True.
        track_running_stats: keep the averages; else the batch's own are used always. Default True.
        device, dtype: of parameters and averages. Default None: the defaults.
        bias: learn the shift too. Default True.
    Source: Ioffe and Szegedy 2015, Batch normalization.
    """

    def _check_input_dim(self, input) -> None:
        _check_dims(input, (2, 3))


class BatchNorm2d(_BatchNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of (N, C, H, W).

    In training, mean and variance are those of the batch, and running averages are kept, which evaluation uses.

    Args:
        num_features: C.
        eps: default 1e-5.
        momentum: weight of a new batch in the averages; None: the plain mean of all. Default 0.1.
        affine: scale and shift are learned. Default True.
        track_running_stats: keep the averages; else the batch's own are used always. Default True.
        device, dtype: of parameters and averages. Default None: the defaults.
        bias: learn the shift too. Default True.
    Source: Ioffe and Szegedy 2015, Batch normalization.
    """

    def _check_input_dim(self, input) -> None:
        _check_dims(input, (4,))


class BatchNorm3d(_BatchNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of (N, C, D, H, W).

    In training, mean and variance are those of the batch, and running averages are kept, which evaluation uses.

    Args:
        num_features: C.
        eps: default 1e-5.
        momentum: weight of a new batch in the averages; None: the plain mean of all. Default 0.1.
        affine: scale and shift are learned. Default True.
        track_running_stats: keep the averages; else the batch's own are used always. Default True.
        device, dtype: of parameters and averages. Default None: the defaults.
        bias: learn the shift too. Default True.
    Source: Ioffe and Szegedy 2015, Batch normalization.
    """

    def _check_input_dim(self, input) -> None:
        _check_dims(input, (5,))


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A BatchNorm1d that takes `num_features` from its first input; the other arguments are the same."""

    cls_to_become = BatchNorm1d

    def _check_input_dim(self, input) -> None:
        _check_dims(input, (2, 3))


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A BatchNorm2d that takes `num_features` from its first input; the other arguments are the same."""

    cls_to_become = BatchNorm2d

    def _check_input_dim(self, input) -> None:
        _check_dims(input, (4,))


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A BatchNorm3d that takes `num_features` from its first input; the other arguments are the same."""

    cls_to_become = BatchNorm3d

    def _check_input_dim(self, input) -> None:
        _check_dims(input, (5,))


class SyncBatchNorm(_BatchNorm):
    """BatchNorm over the batches of all processes, for inputs (N, C, *). In one process it is BatchNorm.

    Args:
        num_features: C.
        eps, momentum, affine, track_running_stats, device, dtype, bias: as for BatchNorm1d.
        process_group: whose processes take part. Default None: all.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to the same."""
        self._check_input_dim(input)
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")
        if self.training and _world_size(self.process_group) > 1:
            raise NotImplementedError(
                "SyncBatchNorm: statistics over several processes are not supported yet; use BatchNorm, whose "
                "statistics are those of each process."
            )
        return super().forward(input)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group=None) -> Module:
        """`module` with every BatchNorm in it replaced by a SyncBatchNorm with the same parameters."""
        result = module
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            result = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            result._parameters = dict(module._parameters)
            result._buffers = dict(module._buffers)
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


def _world_size(group) -> int:
    distributed = getattr(tenfold, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 1
    return distributed.get_world_size(group)
