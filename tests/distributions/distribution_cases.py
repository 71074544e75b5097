"""Distributions with random parameters, and the questions that are asked of each: the same for PyTorch and for tenfold.

`torch` is the module under test wherever it is an argument. An answer is a tensor, a text, or an exception's type."""

import warnings
import zlib

import numpy as np

# The kinds of numbers that each parameter takes, in the order of the constructor's arguments.
PARAMETERS = {
    "Bernoulli": {"probs": "unit"},
    "Bernoulli logits": {"logits": "real"},
    "Beta": {"concentration1": "positive", "concentration0": "positive"},
    "Binomial": {"total_count": "count", "probs": "unit"},
    "Binomial logits": {"total_count": "count", "logits": "real"},
    "Categorical": {"probs": "simplex"},
    "Categorical logits": {"logits": "vector"},
    "Cauchy": {"loc": "real", "scale": "positive"},
    "Chi2": {"df": "positive"},
    "ContinuousBernoulli": {"probs": "unit"},
    "ContinuousBernoulli logits": {"logits": "real"},
    "ContinuousBernoulli near": {"probs": "half"},
    "Dirichlet": {"concentration": "positive vector"},
    "Exponential": {"rate": "positive"},
    "FisherSnedecor": {"df1": "positive", "df2": "many"},
    "Gamma": {"concentration": "positive", "rate": "positive"},
    "GeneralizedPareto": {"loc": "real", "scale": "positive", "concentration": "small"},
    "GeneralizedPareto zero": {"loc": "real", "scale": "positive", "concentration": "zero"},
    "Geometric": {"probs": "unit"},
    "Geometric logits": {"logits": "real"},
    "Gumbel": {"loc": "real", "scale": "positive"},
    "HalfCauchy": {"scale": "positive"},
    "HalfNormal": {"scale": "positive"},
    "InverseGamma": {"concentration": "many", "rate": "positive"},
    "Kumaraswamy": {"concentration1": "positive", "concentration0": "positive"},
    "LKJCholesky": {"concentration": "positive"},
    "Laplace": {"loc": "real", "scale": "positive"},
    "LogNormal": {"loc": "real", "scale": "positive"},
    "LogisticNormal": {"loc": "vector", "scale": "positive vector"},
    "LowRankMultivariateNormal": {"loc": "vector", "cov_factor": "factor", "cov_diag": "positive vector"},
    "Multinomial": {"probs": "simplex"},
    "Multinomial logits": {"logits": "vector"},
    "MultivariateNormal": {"loc": "vector", "covariance_matrix": "definite"},
    "MultivariateNormal precision": {"loc": "vector", "precision_matrix": "definite"},
    "MultivariateNormal tril": {"loc": "vector", "scale_tril": "tril"},
    "NegativeBinomial": {"total_count": "count", "probs": "unit"},
    "NegativeBinomial logits": {"total_count": "count", "logits": "real"},
    "Normal": {"loc": "real", "scale": "positive"},
    "OneHotCategorical": {"probs": "simplex"},
    "OneHotCategorical logits": {"logits": "vector"},
    "OneHotCategoricalStraightThrough": {"probs": "simplex"},
    "Pareto": {"scale": "positive", "alpha": "many"},
    "Poisson": {"rate": "rate"},
    "RelaxedBernoulli": {"probs": "unit"},
    "RelaxedBernoulli logits": {"logits": "real"},
    "RelaxedOneHotCategorical": {"probs": "simplex"},
    "RelaxedOneHotCategorical logits": {"logits": "vector"},
    "StudentT": {"df": "many", "loc": "real", "scale": "positive"},
    "StudentT few": {"df": "positive"},
    "Uniform": {"low": "real", "high": "above"},
    "VonMises": {"loc": "real", "concentration": "positive"},
    "Weibull": {"scale": "positive", "concentration": "positive"},
    "Wishart": {"df": "many", "covariance_matrix": "definite"},
    "Wishart tril": {"df": "many", "scale_tril": "tril"},
    "Wishart precision": {"df": "many", "precision_matrix": "definite"},
}
SHAPES = {"none": ((), ()), "batch": ((3,), (3,)), "broadcast": ((2, 1), (3,)), "empty": ((0,), (0,))}
EVENT = 3


def numbers(rng, kind, shape):
    """Random parameters of a kind, of that batch shape."""
    real = rng.normal(size=shape)
    if kind == "real":
        return real
    if kind == "positive":
        return np.exp(real)
    if kind == "many":
        return 4.5 + 4 * rng.uniform(size=shape)
    if kind == "rate":
        return 20 * rng.uniform(size=shape)
    if kind == "unit":
        return rng.uniform(0.05, 0.95, size=shape)
    if kind == "half":
        return rng.uniform(0.4993, 0.5007, size=shape)
    if kind == "small":
        return rng.uniform(-0.4, 0.4, size=shape)
    if kind == "zero":
        return np.zeros(shape)
    if kind == "count":
        return np.full(shape, 7.0)
    if kind == "above":
        return 4 + np.exp(real)
    vector = rng.normal(size=(*shape, EVENT))
    if kind == "vector":
        return vector
    if kind == "positive vector":
        return np.exp(vector)
    if kind == "simplex":
        weights = np.exp(vector)
        return weights / weights.sum(-1, keepdims=True)
    if kind == "factor":
        return rng.normal(size=(*shape, EVENT, 2))
    square = rng.normal(size=(*shape, EVENT, EVENT))
    if kind == "tril":
        return np.tril(square, -1) + np.eye(EVENT) * np.exp(rng.normal(size=(*shape, 1, EVENT)) / 2)
    return square @ np.swapaxes(square, -1, -2) + np.eye(EVENT)  # "definite"


def parameters(name, shape_name):
    """The arrays for a case, by parameter."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {shape_name}".encode()))
    kinds = PARAMETERS[name].items()
    first, later = SHAPES[shape_name]
    return {p: numbers(rng, kind, later if k else first) for k, (p, kind) in enumerate(kinds)}


def tensors(torch, name, shape_name, dtype="float64", requires_grad=False):
    """Those arrays as tensors."""
    made = {}
    for parameter, array in parameters(name, shape_name).items():
        t = torch.tensor(array.tolist(), dtype=getattr(torch, dtype)).reshape(array.shape)
        made[parameter] = t.requires_grad_(requires_grad and parameter != "total_count")
    return made


def make(torch, name, given, validate_args=None):
    """The distribution of a case with given parameters."""
    given = dict(given)
    class_name = name.split()[0]
    if class_name == "LKJCholesky":
        given["dim"] = EVENT
    if class_name == "Multinomial":
        given["total_count"] = 6
    if class_name.startswith("Relaxed"):
        dtype = next(iter(given.values())).dtype
        given["temperature"] = torch.tensor(0.7, dtype=dtype)
    return getattr(torch.distributions, class_name)(**given, validate_args=validate_args)


def plain(torch, x):
    """A tensor as an array, with its dtype; anything else as text."""
    if not isinstance(x, torch.Tensor):
        return repr(x)
    return str(x.dtype).removeprefix("torch."), np.array(x.detach().tolist(), dtype=float).reshape(tuple(x.shape))


def attempt(torch, f, *args):
    """What f(*args) gives, or the type of the exception that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(torch, f(*args))
        except (NotImplementedError, ValueError, RuntimeError, TypeError, AttributeError, IndexError) as e:
            return type(e).__name__


def weights(torch, x):
    """A cotangent of the shape of x."""
    rng = np.random.default_rng(x.numel())
    return torch.tensor(rng.normal(size=tuple(x.shape)).tolist(), dtype=x.dtype).reshape(x.shape)


def gradient(torch, result, leaf):
    """The gradient of a weighted sum of `result` for a leaf; None as zeros."""
    if not result.requires_grad:
        return "no gradient"
    total = (result * weights(torch, result)).sum()
    (found,) = torch.autograd.grad(total, [leaf], allow_unused=True, retain_graph=True)
    return torch.zeros_like(leaf) if found is None else found


def drawn(torch, d, method, shape=(4,)):
    torch.manual_seed(7)
    return getattr(d, method)(torch.Size(shape))


def answers(torch, name, shape_name, dtype="float64"):
    """Everything that is asked of one distribution."""
    leaves = tensors(torch, name, shape_name, dtype, requires_grad=True)
    leaves = {k: v for k, v in leaves.items() if v.requires_grad} | {k: v for k, v in leaves.items()}
    d = make(torch, name, leaves)
    out = {}

    def ask(key, f, *args):
        out[key] = attempt(torch, f, *args)

    for key in ("batch_shape", "event_shape", "has_rsample", "has_enumerate_support"):
        ask(key, getattr, d, key)
    ask("repr", lambda: repr(d))
    ask("support", lambda: repr(d.support))
    ask("arg_constraints", lambda: sorted((k, repr(v)) for k, v in d.arg_constraints.items()))
    for key in ("mean", "mode", "variance", "stddev"):
        ask(key, getattr, d, key)
    for key in ("entropy", "perplexity", "enumerate_support"):
        ask(key, lambda key: getattr(d, key)(), key)
    ask("enumerate_support small", lambda: d.enumerate_support(expand=False))
    ask("sample", lambda: drawn(torch, d, "sample"))
    ask("sample one", lambda: drawn(torch, d, "sample", ()))
    ask("sample many", lambda: drawn(torch, d, "sample", (3, 4)))
    ask("rsample", lambda: drawn(torch, d, "rsample"))
    value = d.sample((4,)) if shape_name == "empty" else drawn(torch, d, "sample")
    ask("log_prob", lambda: d.log_prob(value))
    ask("cdf", lambda: d.cdf(value))
    quantiles = torch.linspace(0.1, 0.9, 4, dtype=value.dtype).reshape((4,) + (1,) * len(d.batch_shape))
    ask("icdf", lambda: d.icdf(quantiles))
    wanted = {k: v for k, v in leaves.items() if v.requires_grad}
    for key, f in (
        ("log_prob", lambda: d.log_prob(value)),
        ("rsample", lambda: drawn(torch, d, "rsample")),
        ("entropy", lambda: d.entropy()),
        ("mean", lambda: d.mean),
        ("variance", lambda: d.variance),
        ("cdf", lambda: d.cdf(value)),
        ("icdf", lambda: d.icdf(quantiles)),
    ):
        if isinstance(out.get(key), tuple):
            for leaf in wanted:
                ask(f"gradient of {key} for {leaf}", lambda f, leaf: gradient(torch, f(), wanted[leaf]), f, leaf)
    if isinstance(out["log_prob"], tuple) and value.is_floating_point():
        moved = value.detach().clone().requires_grad_()
        unchecked = make(torch, name, leaves, validate_args=False)
        ask("gradient of log_prob for value", lambda: gradient(torch, unchecked.log_prob(moved), moved))
    shape = (2, *d.batch_shape)
    ask("expanded sample", lambda: drawn(torch, d.expand(shape), "sample", ()))
    for key in ("batch_shape", "mean", "variance"):
        ask(f"expanded {key}", getattr, d.expand(shape), key)
    ask("expanded log_prob", lambda: d.expand(shape).log_prob(value.unsqueeze(1)))
    ask("expanded entropy", lambda: d.expand(shape).entropy())
    ask("expanded repr", lambda: repr(d.expand(shape)))
    return out


# Where PyTorch 2.13 has no answer, or a wrong one, by a slip of its own, and tenfold answers: (class, question).
BETTER = {
    ("Chi2", "gradient of cdf for df"),  # igamma has no gradient for its first argument there
    ("Gamma", "gradient of cdf for concentration"),
    ("InverseGamma", "gradient of cdf for concentration"),
    ("GeneralizedPareto", "log_prob"),  # raises in float64
    ("GeneralizedPareto", "cdf"),
    ("GeneralizedPareto", "expanded log_prob"),
    ("Kumaraswamy", "mode"),  # NaN whatever the parameters
    ("LogisticNormal", "log_prob"),  # raises for an empty batch
    ("LogisticNormal", "expanded log_prob"),
    ("Multinomial", "expanded entropy"),  # AttributeError
    ("Wishart", "gradient of rsample for df"),  # a tensor that is needed was changed in place
    ("Wishart", "gradient of rsample for covariance_matrix"),
    ("Wishart", "gradient of rsample for precision_matrix"),
    ("Wishart", "gradient of rsample for scale_tril"),
}


def tolerance(name, question, dtype):
    """How far answers may be apart, relative and absolute."""
    if question.startswith("gradient of rsample"):
        return 3e-3  # PyTorch approximates how gamma and beta numbers move with their parameters to some 1e-3
    if dtype == "float32":
        return 1e-4
    return 3e-7 if name.startswith("VonMises") else 1e-8  # Bessel functions by polynomials with errors of 2e-7


def difference(name, question, ours, theirs, tolerance):
    """What is different in two answers, as a text; None if nothing is."""
    if (name.split()[0], question) in BETTER:
        is_answer = isinstance(ours, tuple) and not (isinstance(theirs, str) and isinstance(ours, str))
        return None if is_answer else f"no answer: {ours}"
    if isinstance(ours, str) or isinstance(theirs, str):
        return None if ours == theirs else f"{ours} instead of {theirs}"
    if ours[0] != theirs[0] or ours[1].shape != theirs[1].shape:
        return f"{ours[0]} {ours[1].shape} instead of {theirs[0]} {theirs[1].shape}"
    if np.allclose(ours[1], theirs[1], rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    return f"{ours[1]} instead of {theirs[1]}"


def differences(name, ours, theirs, dtype="float64"):
    """The differences of all answers, as lines."""
    known = {question for case, question in BETTER if case == name.split()[0]}
    only = [q for q in set(ours) ^ set(theirs) if q in theirs or not any(f"gradient of {k} for" in q for k in known)]
    lines = [f"{name}: only one answers {q}" for q in only]
    for question in set(ours) & set(theirs):
        d = difference(name, question, ours[question], theirs[question], tolerance(name, question, dtype))
        if d is not None:
            lines.append(f"{name}, {question}: {d}")
    return lines
