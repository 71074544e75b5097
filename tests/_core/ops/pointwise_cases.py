"""What is recorded from PyTorch for the element-wise operations: functions, operands and options, the same for both
libraries."""

from __future__ import annotations

import math

NUMBERS = [-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 3.7]
LIMITS = [math.inf, -math.inf, math.nan, -0.0, 1e30, -1e30, 1e-30]
OTHERS = [0.7, -1.0, 2.0, -0.0, 0.4, 3.0, -1.5]
INSIDE = [0.05, 0.2, 0.45, 0.6, 0.85, 0.99]

UNARY = (
    "abs acos acosh angle asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 "
    "floor frac i0 isfinite isinf "
    "isnan isneginf isposinf isreal lgamma log log10 log1p log2 logical_not logit nan_to_num neg positive "
    "rad2deg reciprocal relu round rsqrt "
    "sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc special.entr special.erfcx special.expit "
    "special.gammaln special.i0e "
    "special.i1 special.i1e special.log_ndtr special.ndtr special.ndtri special.psi nn.functional.gelu "
    "nn.functional.hardsigmoid "
    "nn.functional.hardswish nn.functional.logsigmoid nn.functional.mish nn.functional.relu6 nn.functional.selu "
    "nn.functional.silu "
    "nn.functional.softsign nn.functional.tanhshrink nn.functional.softplus"
).split()

WITH_OPTIONS = [
    ("clamp", [-0.5, 1.5], {}), ("clamp", [], {"max": 0.3}), ("clamp_min", [0.1], {}), ("round", [], {"decimals": 1}),
    ("nan_to_num", [], {"nan": 1.5, "posinf": 9.0, "neginf": -9.0}),
    ("logit", [0.2], {}), ("pow", [2], {}), ("pow", [3], {}),
    ("pow", [-1.5], {}), ("pow", [0], {}), ("special.polygamma_of_2", [], {}), ("mvlgamma", [2], {}),
    ("nn.functional.elu", [0.7], {}), ("nn.functional.celu", [1.3], {}), ("nn.functional.leaky_relu", [0.2], {}),
    ("nn.functional.hardtanh", [-0.4, 0.9], {}), ("nn.functional.threshold", [0.2, -3.0], {}),
    ("nn.functional.softplus", [2.0, 3.0], {}),
    ("nn.functional.hardshrink", [0.35], {}), ("nn.functional.softshrink", [0.35], {}),
    ("nn.functional.gelu", [], {"approximate": "tanh"}),
    ("nn.functional.rrelu", [0.1, 0.3], {}),
]  # fmt: skip

BINARY = (
    "add sub mul div true_divide floor_divide remainder fmod atan2 copysign maximum minimum fmax fmin hypot "
    "logaddexp logaddexp2 xlogy pow "
    "float_power eq ne lt le gt ge logical_and logical_or logical_xor heaviside nextafter isclose "
    "special.xlog1py rsub ldexp clamp_max"
).split()

INTEGER = (
    "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm remainder fmod "
    "floor_divide div pow add sub mul "
    "maximum eq lt"
).split()

INTEGERS = [-7, -1, 0, 3, 100, 2, -128]
DIVISORS = [3, -2, 5, 1, 7, -3, 63]

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
SCALARS = [True, 2, 1.5, 1j]


def find(mod, name: str):
    """The function of that dotted name."""
    if name == "special.polygamma_of_2":
        return lambda x: mod.special.polygamma(2, x)
    f = mod
    for part in name.split("."):
        f = getattr(f, part)
    return f


def encode(x):
    """Nested values for JSON, which has neither infinities nor NaN nor complex numbers."""
    if isinstance(x, list):
        return [encode(y) for y in x]
    if isinstance(x, complex):
        return [encode(x.real), encode(x.imag)]
    if isinstance(x, float) and not math.isfinite(x):
        return repr(x)
    return x


def outcome(mod, f, operands, options, grads: bool) -> dict:
    """Values, dtype and, for floats, the gradient of a weighted sum."""
    leaves = [t.detach().requires_grad_() if grads and t.dtype.is_floating_point else t for t in operands]
    r = f(*leaves, *options[0], **options[1])
    out = {"dtype": str(r.dtype), "values": encode(r.tolist())}
    if grads and r.dtype.is_floating_point and r.requires_grad:
        weights = mod.arange(1, r.numel() + 1, dtype=r.dtype).reshape(r.shape)
        try:
            found = mod.autograd.grad(r, [t for t in leaves if t.requires_grad], weights, allow_unused=True)
        except RuntimeError:
            return out
        out["gradients"] = [None if g is None else encode((g + 0).tolist()) for g in found]
    return out


def cases(mod):
    """(label, thunk) of everything that is recorded."""
    f64, i64 = mod.float64, mod.int64
    for name in UNARY:
        where = INSIDE if name in ("acosh", "erfinv", "special.ndtri", "logit") else NUMBERS
        for label, data, d, grads in (
            ("numbers", where, f64, True),
            ("limits", LIMITS, f64, False),
            ("integers", INTEGERS, i64, False),
            ("bools", [True, False], mod.bool, False),
        ):
            yield (
                f"{name} {label}",
                lambda n=name, x=data, d=d, g=grads: outcome(mod, find(mod, n), [mod.tensor(x, dtype=d)], ([], {}), g),
            )
    for name, args, kwargs in WITH_OPTIONS:
        data = [2.3, 0.9, 4.1] if name == "mvlgamma" else INSIDE if name == "logit" else NUMBERS
        label = f"{name} {args} {kwargs}"
        yield (
            label,
            lambda n=name, a=args, k=kwargs, x=data: outcome(
                mod, find(mod, n), [mod.tensor(x, dtype=f64)], (a, k), True
            ),
        )
    for name in BINARY:
        for label, data in (("numbers", NUMBERS), ("limits", LIMITS)):
            yield (
                f"{name} {label}",
                lambda n=name, x=data, g=label == "numbers": outcome(
                    mod, find(mod, n), [mod.tensor(x, dtype=f64), mod.tensor(OTHERS, dtype=f64)], ([], {}), g
                ),
            )
    for name in INTEGER:
        yield (
            f"{name} whole",
            lambda n=name: outcome(mod, find(mod, n), [mod.tensor(INTEGERS), mod.tensor(DIVISORS)], ([], {}), False),
        )


def promotions(mod) -> dict[str, str]:
    """The dtype of sums and quotients of tensors with dims, 0-d tensors and numbers."""
    out = {}
    for a in DTYPES:
        x = mod.ones(2, dtype=getattr(mod, a))
        for b in DTYPES:
            out[f"{a}[2] * {b}[2]"] = str((x * mod.ones(2, dtype=getattr(mod, b))).dtype)
            out[f"{a}[2] * {b}[]"] = str((x * mod.ones((), dtype=getattr(mod, b))).dtype)
            out[f"{a}[2] / {b}[2]"] = str((x / mod.ones(2, dtype=getattr(mod, b))).dtype)
        for s in SCALARS:
            out[f"{a}[2] * {s}"] = str((x * s).dtype)
            out[f"{a}[] * {s}"] = str((x[0] * s).dtype)
    return {k: v for k, v in out.items() if "complex32" not in v}
