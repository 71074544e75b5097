"""The base class of distributions: shapes, checks, and what is computed from other methods."""

from __future__ import annotations

import warnings

import tenfold as torch

from . import constraints
from .utils import ONE, Size, lazy_property

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution, or a batch of independent ones.

    Args:
        batch_shape: shape of the batch of distributions; event_shape: shape of one value. Default: none.
        validate_args: whether parameters, and later values, are checked. Default: `set_default_validate_args`.
    Raises: ValueError if a parameter is outside its constraint.

    A sample has shape sample_shape + batch_shape + event_shape, a log probability sample_shape + batch_shape."""

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments where `validate_args` is not given; True at the start."""
        if value not in [True, False]:
            raise ValueError(f"set_default_validate_args takes True or False, got {value!r}")
        Distribution._validate_args = value

    def __init__(self, batch_shape=ONE, event_shape=ONE, validate_args: bool | None = None) -> None:
        self._batch_shape = batch_shape
        self._event_shape = event_shape
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    def _check_parameters(self) -> None:
        try:
            found = self.arg_constraints
        except NotImplementedError:
            found = {}
            warnings.warn(
                f"{type(self)} does not define `arg_constraints`: set `arg_constraints = {{}}`, or give "
                "validate_args=False, which turns the checks off",
                stacklevel=3,
            )
        checks = []
        for name, constraint in found.items():
            is_derived = name not in vars(self) and isinstance(getattr(type(self), name, None), lazy_property)
            if not (constraints.is_dependent(constraint) or is_derived):
                value = getattr(self, name)
                checks.append((name, value, constraint, constraint.check(value).all()))
        if len(checks) > 1 and bool(torch.stack([valid for *_, valid in checks]).all()):
            return  # one value is read, not one for each parameter
        for name, value, constraint, valid in checks:
            if not valid:
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    # --- shapes -------------------------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one value."""
        return self._event_shape

    # Parameters that `expand` expands, with the number of last dims that are no batch dims. An item may be a
    # distribution that this one is made of.
    _expands: dict[str, int]

    def expand(self, batch_shape, _instance=None):
        """The distribution with its parameters expanded (as views) to batch_shape.

        Args: _instance: an object of a subclass, made by its own `expand`, that is filled instead of a new one."""
        owner = next((c for c in type(self).__mro__ if "_expands" in vars(c)), None)
        if owner is None:
            raise NotImplementedError(f"{type(self).__name__} does not implement expand")
        new = self._get_checked_instance(owner, _instance)
        batch_shape = Size(batch_shape)
        for name, ndims in self._expands.items():
            if name in vars(self):
                setattr(new, name, _expanded(vars(self)[name], batch_shape, ndims))
        self._copy_to(new, batch_shape)
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _copy_to(self, new: Distribution, batch_shape: Size) -> None:
        """Gives the object that `expand` makes what is no tensor parameter."""

    def _get_checked_instance(self, cls, _instance=None):
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method"
            )
        return type(self).__new__(type(self)) if _instance is None else _instance

    def _extended_shape(self, sample_shape=ONE) -> Size:
        """The shape of samples."""
        return Size(tuple(sample_shape) + tuple(self._batch_shape) + tuple(self._event_shape))

    # --- what a distribution says of itself ---------------------------------------------------------------------------

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The constraint of each parameter, by name."""
        raise _missing(self, "arg_constraints")

    @property
    def support(self):
        """The constraint that values satisfy."""
        raise _missing(self, "support")

    @property
    def mean(self) -> torch.Tensor:
        """The expected value."""
        raise _missing(self, "mean")

    @property
    def mode(self) -> torch.Tensor:
        """The most probable value."""
        raise _missing(self, "mode")

    @property
    def variance(self) -> torch.Tensor:
        """The expected squared distance from the mean."""
        raise _missing(self, "variance")

    @property
    def stddev(self) -> torch.Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    # --- samples ------------------------------------------------------------------------------------------------------

    def sample(self, sample_shape=ONE) -> torch.Tensor:
        """Random values of shape sample_shape + batch_shape + event_shape, without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=ONE) -> torch.Tensor:
        """Random values that are differentiable functions of the parameters (where `has_rsample`)."""
        raise _missing(self, "rsample")

    def sample_n(self, n: int) -> torch.Tensor:
        """n samples; deprecated: `sample((n,))`."""
        warnings.warn("sample_n(n) will be deprecated: write sample((n,))", UserWarning, stacklevel=2)
        return self.sample(Size((n,)))

    # --- probabilities ------------------------------------------------------------------------------------------------

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """The logarithm of the density (or of the probability) at value."""
        raise _missing(self, "log_prob")

    def cdf(self, value: torch.Tensor) -> torch.Tensor:
        """The probability of values up to `value`."""
        raise _missing(self, "cdf")

    def icdf(self, value: torch.Tensor) -> torch.Tensor:
        """The inverse of `cdf`: the quantile of probability `value`."""
        raise _missing(self, "icdf")

    def enumerate_support(self, expand: bool = True) -> torch.Tensor:
        """All values, along a new first dim, where their number is finite.

        Args: expand: whether they are expanded over the batch. Default True; else batch dims have size 1."""
        raise _missing(self, "enumerate_support")

    def entropy(self) -> torch.Tensor:
        """The entropy, of shape batch_shape."""
        raise _missing(self, "entropy")

    def perplexity(self) -> torch.Tensor:
        """exp of the entropy."""
        return torch.exp(self.entropy())

    def _over_batch(self, values: torch.Tensor, expand: bool) -> torch.Tensor:
        """A vector of values along a new first dim of the batch, for `enumerate_support`."""
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _constant(self, number: float, like: torch.Tensor) -> torch.Tensor:
        """That number for each value of the batch."""
        return torch.full(self._extended_shape(), number, dtype=like.dtype, device=like.device)

    # --- checks -------------------------------------------------------------------------------------------------------

    def _validate_sample(self, value: torch.Tensor) -> None:
        """ValueError if value has a wrong type or shape, or is outside the support."""
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"The value argument to log_prob must be a Tensor, not {type(value).__name__}: give torch.tensor({value})"
            )
        event_start = len(value.shape) - len(self._event_shape)
        if value.shape[event_start:] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.shape), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `support`, so that values are not checked: define it, or give "
                "validate_args=False, which turns the checks off",
                stacklevel=3,
            )
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        values = {name: vars(self)[name] for name in self.arg_constraints if name in vars(self)}
        shown = [f"{name}: {v if v.numel() == 1 else v.shape}" for name, v in values.items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def _expanded(value, batch_shape: Size, ndims: int):
    if isinstance(value, Distribution):
        own = value.batch_shape
        return value.expand(batch_shape + own[len(own) - ndims :])
    return value.expand(batch_shape + value.shape[value.dim() - ndims :])


def _missing(distribution: Distribution, name: str) -> NotImplementedError:
    return NotImplementedError(f"{type(distribution)} does not implement {name}")
