"""Constraints: the sets that parameters and values of distributions lie in.

`check` says for each value (of `event_dim` dims) whether it is in the set. In `arg_constraints` and `support`,
`dependent` and `dependent_property` stand for a set that is known only for one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tenfold as torch

__all__ = [
    "Constraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "independent",
    "integer_interval",
    "interval",
    "half_open_interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "MixtureSameFamilyConstraint",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_semidefinite",
    "positive_definite",
    "positive_integer",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A set of values.

    `is_discrete`: whether it is countable; `event_dim`: how many of the last dims make one value."""

    is_discrete = False
    event_dim = 0
    _bounds: tuple[str, ...] = ()  # attributes that the text shows

    def check(self, value: torch.Tensor) -> torch.Tensor:
        """Whether each value is in the set: bool, of the shape of `value` without its last `event_dim` dims."""
        raise NotImplementedError(f"{type(self).__name__} does not implement check")

    def __repr__(self):
        shown = ", ".join([f"{name}={getattr(self, name)}" for name in self._bounds])
        return f"{type(self).__name__[1:]}({shown})"


def _require_constraints(what: str, *constraints) -> None:
    for c in constraints:
        if not isinstance(c, Constraint):
            raise AssertionError(f"{what} must be a Constraint, got {type(c).__name__}")


# --- sets that depend on the object -----------------------------------------------------------------------------------


class _Dependent(Constraint):
    """A set that depends on other parameters; calling it again fills in what was left open."""

    def __init__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        self._is_discrete = is_discrete
        self._event_dim = event_dim
        super().__init__()

    @property
    def is_discrete(self) -> bool:
        return self._known("is_discrete")

    @property
    def event_dim(self) -> int:
        return self._known("event_dim")

    def _known(self, name: str):
        value = getattr(self, "_" + name)
        if value is NotImplemented:
            raise NotImplementedError(f".{name} cannot be determined statically: ask the constraint of an object")
        return value

    def _filled(self, is_discrete, event_dim) -> dict[str, Any]:
        return {
            "is_discrete": self._is_discrete if is_discrete is NotImplemented else is_discrete,
            "event_dim": self._event_dim if event_dim is NotImplemented else event_dim,
        }

    def __call__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented) -> _Dependent:
        return _Dependent(**self._filled(is_discrete, event_dim))

    def check(self, x):
        raise ValueError("Cannot determine validity of dependent constraint: ask the constraint of an object")


class _DependentProperty(property, _Dependent):
    """A property whose value on an object is a constraint: as decorator with `is_discrete` and `event_dim`, or without."""

    def __init__(
        self, fn: Callable[..., Any] | None = None, *, is_discrete=NotImplemented, event_dim=NotImplemented
    ) -> None:
        property.__init__(self, fn)
        self._is_discrete = is_discrete
        self._event_dim = event_dim

    def __call__(self, fn: Callable[..., Any]) -> _DependentProperty:
        return _DependentProperty(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


def is_dependent(constraint) -> bool:
    """Whether the constraint is one that depends on an object (a `dependent` or a `dependent_property`)."""
    return isinstance(constraint, _Dependent)


# --- sets of numbers --------------------------------------------------------------------------------------------------


class _Real(Constraint):
    def check(self, value):
        return value == value  # all but NaN


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value):
        return (value == 0) | (value == 1)


class _WithLower(Constraint):
    _bounds = ("lower_bound",)

    def __init__(self, lower_bound) -> None:
        self.lower_bound = lower_bound
        super().__init__()


class _WithUpper(Constraint):
    _bounds = ("upper_bound",)

    def __init__(self, upper_bound) -> None:
        self.upper_bound = upper_bound
        super().__init__()


class _Between(Constraint):
    _bounds = ("lower_bound", "upper_bound")

    def __init__(self, lower_bound, upper_bound) -> None:
        self.lower_bound = lower_bound
        self.upper_bound = upper_bound
        super().__init__()


class _GreaterThan(_WithLower):
    def check(self, value):
        return self.lower_bound < value


class _GreaterThanEq(_WithLower):
    def check(self, value):
        return self.lower_bound <= value


class _LessThan(_WithUpper):
    def check(self, value):
        return value < self.upper_bound


class _Interval(_Between):
    def check(self, value):
        return (self.lower_bound <= value) & (value <= self.upper_bound)


class _HalfOpenInterval(_Between):
    def check(self, value):
        return (self.lower_bound <= value) & (value < self.upper_bound)


def _is_whole(value):
    return value % 1 == 0


class _IntegerInterval(_Between):
    is_discrete = True

    def check(self, value):
        return _is_whole(value) & (self.lower_bound <= value) & (value <= self.upper_bound)


class _IntegerLessThan(_WithUpper):
    is_discrete = True

    def check(self, value):
        return _is_whole(value) & (value <= self.upper_bound)


class _IntegerGreaterThan(_WithLower):
    is_discrete = True

    def check(self, value):
        return _is_whole(value) & (value >= self.lower_bound)


# --- sets of vectors and matrices -------------------------------------------------------------------------------------


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value):
        return torch.all(value >= 0, dim=-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value):
        return ((value == 0) | (value == 1)).all(-1) & value.sum(-1).eq(1)


class _Multinomial(_WithUpper):
    is_discrete = True
    event_dim = 1
    _bounds = ()

    def check(self, x):
        return (x >= 0).all(dim=-1) & (x.sum(dim=-1) <= self.upper_bound)


def _is_lower_triangular(value):
    return (value == value.tril()).flatten(-2).all(-1)


class _LowerTriangular(Constraint):
    event_dim = 2

    def check(self, value):
        return _is_lower_triangular(value)


class _LowerCholesky(Constraint):
    event_dim = 2

    def check(self, value):
        return _is_lower_triangular(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(Constraint):
    event_dim = 2

    def check(self, value):
        slack = torch.finfo(value.dtype).eps * 10 * value.shape[-1]  # what rounding may leave
        rows_have_length_1 = ((torch.linalg.vector_norm(value.detach(), dim=-1) - 1).abs() <= slack).all(-1)
        return lower_cholesky.check(value) & rows_have_length_1


class _Square(Constraint):
    event_dim = 2

    def check(self, value):
        return torch.full(value.shape[:-2], value.shape[-2] == value.shape[-1], dtype=torch.bool, device=value.device)


class _Symmetric(_Square):
    def check(self, value):
        if value.shape[-2] != value.shape[-1]:
            return super().check(value)
        return torch.isclose(value, value.mT, atol=1e-6).all(-2).all(-1)


class _PositiveSemidefinite(_Symmetric):
    def check(self, value):
        symmetric = super().check(value)
        if not symmetric.all():  # eigenvalues are asked of symmetric matrices only
            return symmetric
        return torch.linalg.eigvalsh(value).ge(0).all(-1)


class _PositiveDefinite(_Symmetric):
    def check(self, value):
        symmetric = super().check(value)
        if not symmetric.all():
            return symmetric
        return torch.linalg.cholesky_ex(value).info.eq(0)


# --- sets made of sets ------------------------------------------------------------------------------------------------


class _IndependentConstraint(Constraint):
    """Values whose last `reinterpreted_batch_ndims` dims more belong to the event: all of them must be in the set."""

    def __init__(self, base_constraint, reinterpreted_batch_ndims):
        _require_constraints("base_constraint", base_constraint)
        if not isinstance(reinterpreted_batch_ndims, int) or reinterpreted_batch_ndims < 0:
            raise AssertionError(f"reinterpreted_batch_ndims must be an int >= 0, got {reinterpreted_batch_ndims}")
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        super().__init__()

    @property
    def is_discrete(self) -> bool:
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value):
        result = self.base_constraint.check(value)
        if result.dim() < self.reinterpreted_batch_ndims:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()} in {self}")
        return result.reshape((*result.shape[: result.dim() - self.reinterpreted_batch_ndims], -1)).all(-1)

    def __repr__(self):
        return f"{type(self).__name__[1:]}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The support of a mixture: a value must be in the support of every component."""

    def __init__(self, base_constraint):
        _require_constraints("base_constraint", base_constraint)
        self.base_constraint = base_constraint
        super().__init__()

    @property
    def is_discrete(self) -> bool:
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:
        return self.base_constraint.event_dim

    def check(self, value):
        of_components = value.unsqueeze(-1 - self.event_dim)
        result = self.base_constraint.check(of_components)
        if value.dim() < self.event_dim:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()} in {self}")
        kept = value.dim() - self.event_dim
        return result.reshape((*result.shape[:kept], -1)).all(-1)

    def __repr__(self):
        return f"{type(self).__name__}({self.base_constraint!r})"


class _Joined(Constraint):
    """Constraints for parts of a tensor along `dim`."""

    def __init__(self, cseq: Sequence[Constraint], dim: int):
        for c in cseq:
            if not isinstance(c, Constraint):
                raise AssertionError(f"All elements of cseq must be Constraint instances, one is {c!r}")
        self.cseq = list(cseq)
        self.dim = dim
        super().__init__()

    @property
    def is_discrete(self) -> bool:
        return any(c.is_discrete for c in self.cseq)

    def _check_dim(self, value) -> None:
        if not -value.dim() <= self.dim < value.dim():
            raise AssertionError(f"dim {self.dim} out of range for value with {value.dim()} dimensions")


class _Cat(_Joined):
    """`cat(cseq, dim=0, lengths=None)`: the k-th `lengths[k]` (default: 1) elements along dim are in the k-th set."""

    def __init__(self, cseq, dim=0, lengths=None):
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise AssertionError(
                f"lengths must have same length as cseq: {len(self.lengths)} lengths for {len(self.cseq)} constraints"
            )

    @property
    def event_dim(self) -> int:
        return max(c.event_dim for c in self.cseq)

    def check(self, value):
        self._check_dim(value)
        starts = [sum(self.lengths[:k]) for k in range(len(self.lengths))]
        parts = [value.narrow(self.dim, start, n) for start, n in zip(starts, self.lengths)]
        return torch.cat([c.check(part) for c, part in zip(self.cseq, parts)], self.dim)


class _Stack(_Joined):
    """`stack(cseq, dim=0)`: the k-th slice along dim is in the k-th set."""

    def __init__(self, cseq, dim=0):
        super().__init__(cseq, dim)

    @property
    def event_dim(self) -> int:
        dim = max(c.event_dim for c in self.cseq)
        return dim + 1 if self.dim + dim < 0 else dim

    def check(self, value):
        self._check_dim(value)
        slices = [value.select(self.dim, k) for k in range(value.size(self.dim))]
        return torch.stack([c.check(v) for c, v in zip(self.cseq, slices)], self.dim)


# --- public names -----------------------------------------------------------------------------------------------------

dependent = _Dependent()
dependent_property = _DependentProperty
independent = _IndependentConstraint
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
cat = _Cat
stack = _Stack
