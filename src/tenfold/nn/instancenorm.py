"""Instance normalisation: each channel of each sample by itself."""

import warnings

from tenfold import Tensor
from tenfold.nn import functional as F

from .batchnorm import _check_dims, _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """Instance normalisation of inputs of any number of dims."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self) -> int:
        """The number of dims of one sample."""
        raise NotImplementedError(f"{type(self).__name__} must say which inputs it takes.")

    def _check_input_dim(self, input) -> None:
        dims = self._get_no_batch_dim()
        _check_dims(input, (dims, dims + 1))

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) or (C, *), to the same."""
        self._check_input_dim(input)
        alone = input.dim() == self._get_no_batch_dim()
        dim = 0 if alone else 1
        if input.size(dim) != self.num_features:
            self._mismatch(dim, input.size(dim))
        result = F.instance_norm(
            input.unsqueeze(0) if alone else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result.squeeze(0) if alone else result

    def _mismatch(self, dim, size) -> None:
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={dim} to match num_features ({self.num_features}), but got: {size}."
            )
        warnings.warn(
            f"input's size at dim={dim} does not match num_features: {size} and {self.num_features}. Without affine "
            "parameters num_features is not used.",
            stacklevel=3,
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        if local_metadata.get("version") is None and not self.track_running_stats:
            # Old files hold statistics that this layer, by its defaults, does not keep any more.
            found = [name for name in ("running_mean", "running_var") if prefix + name in state_dict]
            if found:
                names = " and ".join(f'"{name}"' for name in found)
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {names} for {type(self).__name__} with "
                    "track_running_stats=False. Remove these keys, or make the layer with track_running_stats=True."
                )
                for name in found:
                    state_dict.pop(prefix + name)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class InstanceNorm1d(_InstanceNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of each sample of (N, C, L) or (C, L).

    Args:
        num_features: C.
        eps: default 1e-5.
        momentum: weight of a new batch in the running averages. Default 0.1.
        affine: scale and shift are learned. Default False.
        track_running_stats: keep running averages, which evaluation uses. Default False.
        device, dtype: of parameters and averages. Default None: the defaults.
        bias: learn the shift too. Default True.
    Source: Ulyanov et al. 2016, Instance normalization.
    """

    def _get_no_batch_dim(self) -> int:
        return 2


class InstanceNorm2d(_InstanceNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of each sample of (N, C, H, W) or (C, H, W).

    Args:
        num_features: C.
        eps: default 1e-5.
        momentum: weight of a new batch in the running averages. Default 0.1.
        affine: scale and shift are learned. Default False.
        track_running_stats: keep running averages, which evaluation uses. Default False.
        device, dtype: of parameters and averages. Default None: the defaults.
        bias: learn the shift too. Default True.
    Source: Ulyanov et al. 2016, Instance normalization.
    """

    def _get_no_batch_dim(self) -> int:
        return 3


class InstanceNorm3d(_InstanceNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` per channel of each sample, (N, C, D, H, W) or (C, D, H, W).

    Args:
        num_features: C.
        eps: default 1e-5.
        momentum: weight of a new batch in the running averages. Default 0.1.
        affine: scale and shift are learned. Default False.
        track_running_stats: keep running averages, which evaluation uses. Default False.
        device, dtype: of parameters and averages. Default None: the defaults.
        bias: learn the shift too. Default True.
    Source: Ulyanov et al. 2016, Instance normalization.
    """

    def _get_no_batch_dim(self) -> int:
        return 4


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm1d that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm1d

    def _get_no_batch_dim(self) -> int:
        return 2


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm2d that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm2d

    def _get_no_batch_dim(self) -> int:
        return 3


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm3d that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm3d

    def _get_no_batch_dim(self) -> int:
        return 4
