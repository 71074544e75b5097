"""Complex numbers: angles, conjugates, and pairs of real tensors."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import float32
from ..ir.shapes import Layout, broadcast_shapes, layout, result_strides
from ..trace.handle import layout_of
from .comparison import eq
from .declare import elementwise, function, inplace_variant, primitive, publish, scalar_name, store_out
from .elementwise import _conj, _real_part, conj, sgn, zero_where


def _angle_gradient(g, out, input):
    if not layout_of(input).dtype.is_complex:
        return zero_where(g, True)
    return zero_where(g * (input * 1j / (_real_part(input * conj(input)))), eq(input, 0))


def _phase(d):
    wide = float32 if d.category < 2 else d
    return wide, wide.to_real()


@elementwise(kind=_phase, gradient=_angle_gradient, where="", name="angle", inplace=False, out=False)
def _angle(input):
    if input.dtype.kind == "c":
        return np.angle(input)
    flat = np.where(input < 0, input.dtype.type(math.pi), input.dtype.type(0))
    return np.where(np.isnan(input), input, flat)


@function
def angle(input, *, out=None):
    """The angle in the complex plane, in [-pi, pi]; of real numbers 0, or pi where negative."""
    r = _angle(input)
    if layout_of(input).dtype.is_complex:
        r = r.contiguous()
    return r if out is None else store_out(out, r, "angle")


@function
def conj_physical(input, *, out=None):
    """The complex conjugate, in new memory; a real tensor itself."""
    r = _conj(input) if layout_of(input).dtype.is_complex else input
    return r if out is None else store_out(out, r, "conj_physical")


publish(inplace_variant(conj_physical, "conj_physical"), "conj_physical_", "torch Tensor")


@function(name="conj")
def conjugate(input):
    """The complex conjugate; a real tensor itself."""
    return _conj(input) if layout_of(input).dtype.is_complex else input


@function
def resolve_conj(input):
    """input: conjugates are never lazy here."""
    return input


@function
def resolve_neg(input):
    """input: negatives are never lazy here."""
    return input


@function
def is_conj(input) -> bool:
    """Whether a conjugation is still to be done: never."""
    return False


@function
def is_neg(input) -> bool:
    """Whether a negation is still to be done: never."""
    return False


def _pair_rule(name: str):
    def rule(a, b):
        for position, (argument, operand) in enumerate((("input", a), ("other", b)), 1):
            if not isinstance(operand, Layout):
                raise TypeError(
                    f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
                    f"{type(operand).__name__}"
                )
        if not a.dtype.is_floating_point or not b.dtype.is_floating_point:
            raise RuntimeError(
                f"Expected both inputs to be Half, Float or Double tensors but got {scalar_name(a.dtype)} and "
                f"{scalar_name(b.dtype)}"
            )
        if a.dtype is not b.dtype:
            raise RuntimeError(
                f"{name}: Expected object of scalar type {scalar_name(a.dtype)} but got scalar type "
                f"{scalar_name(b.dtype)} for second argument"
            )
        if a.dtype.half:
            raise NotImplementedError(
                f"{name}: there is no complex dtype for {a.dtype} here; convert with .float() first"
            )
        shape = broadcast_shapes(a.shape, b.shape)
        return layout(shape, result_strides(shape, [a, b]), a.dtype.to_complex(), a.device)

    return rule


def _imag_part(x):
    return _real_part(x * -1j)


def _complex_of(real, imag):
    real, imag = np.broadcast_arrays(real, imag)
    out = np.empty(real.shape, np.result_type(real.dtype, np.complex64))
    out.real = real
    out.imag = imag
    return out


@primitive(
    rule=_pair_rule("complex"),
    gradient=lambda g, out, real, imag: (_real_part(g), _imag_part(g)),
    where="",
    name="complex",
)
def _complex(real, imag):
    return _complex_of(real, imag)


def _store_pair(out, r, name: str):
    if out is None:
        return r
    have, want = layout_of(out).dtype, layout_of(r).dtype
    if have is not want:
        raise RuntimeError(
            f"{name}: Expected object of scalar type {scalar_name(want)} but got scalar type {scalar_name(have)} "
            "for argument 'out'"
        )
    return store_out(out, r, name)


@function(where="torch")
def complex(real, imag, *, out=None):
    """real + 1j * imag, from two float tensors of the same dtype."""
    return _store_pair(out, _complex(real, imag), "complex")


def _polar_gradient(g, out, abs, angle):
    return _real_part(conj(g) * sgn(out)), _real_part(conj(g) * (out * 1j))


@primitive(rule=_pair_rule("polar"), gradient=_polar_gradient, where="", name="polar")
def _polar(abs, angle):
    return _complex_of(abs * np.cos(angle), abs * np.sin(angle))


@function(where="torch")
def polar(abs, angle, *, out=None):
    """abs * exp(1j * angle), from two float tensors of the same dtype."""
    return _store_pair(out, _polar(abs, angle), "polar")
