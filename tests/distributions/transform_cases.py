"""Transforms, constraints and divergences with arguments, and what is asked of each: the same for PyTorch and tenfold."""

import warnings

import numpy as np
from distribution_cases import attempt, gradient, make, numbers, plain, tensors


def transforms(torch):
    """Transforms and an argument for each, by name."""
    d = torch.distributions
    rng = np.random.default_rng(5)

    def given(kind, shape=(4, 3)):
        return torch.tensor(numbers(rng, kind, shape).tolist(), dtype=torch.float64)

    line, positive, vectors = given("real"), given("positive"), given("vector", (4,))
    matrices = given("definite", (4,))
    scale = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64)
    chain = d.ComposeTransform([d.AffineTransform(0.5, 2.0), d.TanhTransform()])
    return {
        "abs": (d.AbsTransform(), line),
        "affine": (d.AffineTransform(0.5, -2.0), line),
        "affine tensors": (d.AffineTransform(scale, scale), line),
        "affine vectors": (d.AffineTransform(scale, scale, event_dim=1), line),
        "cat": (d.CatTransform([d.ExpTransform(), d.AffineTransform(1.0, 2.0)], dim=0, lengths=[1, 3]), line),
        "cat last": (d.CatTransform([d.ExpTransform(), d.TanhTransform()], dim=-1, lengths=[1, 2]), line),
        "cat vectors": (d.CatTransform([d.AffineTransform(0.0, scale, 1), d.ExpTransform()], 0, [1, 3]), line),
        "compose": (chain, line),
        "compose none": (d.ComposeTransform([]), line),
        "compose dims": (
            d.ComposeTransform([d.TanhTransform(), d.StickBreakingTransform(), d.ExpTransform()]),
            vectors,
        ),
        "corr cholesky": (d.CorrCholeskyTransform(), vectors),
        "cumulative": (d.CumulativeDistributionTransform(d.Normal(0.5, 2.0)), line),
        "exp": (d.ExpTransform(), line),
        "independent": (d.IndependentTransform(d.ExpTransform(), 1), line),
        "lower cholesky": (d.LowerCholeskyTransform(), matrices),
        "positive definite": (d.PositiveDefiniteTransform(), matrices),
        "power": (d.PowerTransform(torch.tensor([2.0, -1.5, 0.5], dtype=torch.float64)), positive),
        "reshape": (d.ReshapeTransform((4, 3), (2, 6)), line),
        "reshape batch": (d.ReshapeTransform((3,), (3, 1)), line),
        "sigmoid": (d.SigmoidTransform(), line),
        "softplus": (d.SoftplusTransform(), line),
        "tanh": (d.TanhTransform(), line),
        "softmax": (d.SoftmaxTransform(), vectors),
        "stack": (d.StackTransform([d.ExpTransform(), d.TanhTransform(), d.AffineTransform(1.0, 2.0)], -1), line),
        "stick breaking": (d.StickBreakingTransform(), vectors),
        "inverse": (d.ExpTransform().inv, positive),
        "inverse of chain": (chain.inv, 0.9 * torch.tanh(line)),
    }


def transform_answers(torch, name):
    """What is asked of a transform."""
    t, x = transforms(torch)[name]
    x = x.clone().requires_grad_()
    out = {}

    def ask(key, f, *args):
        out[key] = attempt(torch, f, *args)

    for key in ("domain", "codomain", "bijective", "event_dim", "sign"):
        ask(key, getattr, t, key)
    ask("repr", lambda: repr(t))
    ask("repr of inverse", lambda: repr(t.inv))
    y = t(x)
    ask("value", lambda: t(x))
    ask("inverse", lambda: t.inv(y))
    ask("jacobian", lambda: t.log_abs_det_jacobian(x, y))
    ask("jacobian of inverse", lambda: t.inv.log_abs_det_jacobian(y, x))
    ask("gradient of value", lambda: gradient(torch, t(x), x))
    ask("gradient of jacobian", lambda: gradient(torch, t.log_abs_det_jacobian(x, t(x)), x))
    ask("in domain", lambda: t.domain.check(x))
    ask("in codomain", lambda: t.codomain.check(y))
    for shape in ((), (3,), (2, 3), (3, 3), (4, 3)):
        ask(f"forward shape {shape}", lambda s: tuple(t.forward_shape(torch.Size(s))), shape)
        ask(f"inverse shape {shape}", lambda s: tuple(t.inverse_shape(torch.Size(s))), shape)
    ask("is equal", lambda: t == transforms(torch)[name][0])
    ask("cached", lambda: t.with_cache(1).inv(t(x)))
    return out


def constraints(torch):
    """Constraints, by name."""
    c = torch.distributions.constraints
    bound = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    names = (
        "boolean corr_cholesky lower_cholesky lower_triangular nonnegative nonnegative_integer one_hot positive "
        "positive_semidefinite positive_definite positive_integer real real_vector simplex square symmetric unit_interval"
    )
    made = {name: getattr(c, name) for name in names.split()}
    return made | {
        "greater_than": c.greater_than(bound),
        "greater_than_eq": c.greater_than_eq(1.0),
        "less_than": c.less_than(bound),
        "interval": c.interval(0.0, bound),
        "half_open_interval": c.half_open_interval(0, 1),
        "integer_interval": c.integer_interval(0, 2),
        "multinomial": c.multinomial(3),
        "independent": c.independent(c.positive, 2),
        "cat": c.cat([c.positive, c.real], dim=-1, lengths=[1, 2]),
        "stack": c.stack([c.positive, c.unit_interval, c.integer_interval(0, 2)], dim=-1),
        "mixture": c.MixtureSameFamilyConstraint(c.unit_interval),
    }


def candidates(torch):
    """Values that are in some of the constraints, by name: (..., 3, 3)."""
    rng = np.random.default_rng(3)
    definite = numbers(rng, "definite", (2,))
    lower = np.linalg.cholesky(definite)
    rows = lower / np.linalg.norm(lower, axis=-1, keepdims=True)
    weights = numbers(rng, "simplex", (2, 3))
    arrays = {
        "normal": rng.normal(size=(2, 3, 3)),
        "uniform": rng.uniform(size=(2, 3, 3)),
        "integers": rng.integers(-1, 4, size=(2, 3, 3)).astype(float),
        "bits": rng.integers(0, 2, size=(2, 3, 3)).astype(float),
        "identity": np.stack([np.eye(3), -np.eye(3)]),
        "definite": definite,
        "lower": lower,
        "lengths 1": rows,
        "simplex": weights,
        "almost simplex": weights * 1.00001,
        "wide": rng.normal(size=(2, 2, 3)),
        "special": np.array([[np.nan, np.inf, -np.inf], [0.0, -0.0, 1.0], [1e-300, 1e300, 0.5]]),
    }
    return {name: torch.tensor(a.tolist(), dtype=torch.float64) for name, a in arrays.items()}


def constraint_answers(torch, name):
    """What a constraint says of itself and of the candidates, and the transforms that lead to it."""
    c = constraints(torch)[name]
    out = {}

    def ask(key, f, *args):
        out[key] = attempt(torch, f, *args)

    ask("repr", lambda: repr(c))
    ask("is_discrete", lambda: c.is_discrete)
    ask("event_dim", lambda: c.event_dim)
    for key, value in candidates(torch).items():
        ask(f"check {key}", c.check, value)
    x = torch.linspace(-1, 1, 9, dtype=torch.float64).reshape(3, 3)
    for name in ("biject_to", "transform_to"):
        registry = getattr(torch.distributions, name)
        ask(name, lambda registry: repr(registry(c)), registry)
        ask(f"{name} value", lambda registry: registry(c)(x), registry)
    return out


NUMBERS = "Beta ContinuousBernoulli Exponential Gamma Gumbel Laplace Normal Pareto Uniform".split()
PAIRS = [(p, q) for p in NUMBERS for q in NUMBERS]
PAIRS += [(p, p) for p in ("Bernoulli", "Binomial", "Categorical", "Categorical logits", "Cauchy", "Chi2", "Dirichlet")]
PAIRS += [(p, p) for p in ("Geometric", "HalfNormal", "InverseGamma", "LogNormal", "OneHotCategorical", "Poisson")]
PAIRS += [(p, p) for p in ("StudentT", "Wishart", "Weibull", "LogisticNormal", "ContinuousBernoulli near")]
PAIRS += [("Bernoulli", "Poisson"), ("Poisson", "Bernoulli"), ("Poisson", "Binomial"), ("Normal", "Poisson")]
PAIRS += [
    (p, q)
    for p in ("MultivariateNormal", "LowRankMultivariateNormal", "MultivariateNormal precision")
    for q in ("MultivariateNormal tril", "LowRankMultivariateNormal")
]


def pair(torch, p, q, shape_name="batch", requires_grad=False):
    """Two distributions and the parameters of both. Where the support of one can be inside the other's, it is."""
    first = tensors(torch, p, shape_name, requires_grad=requires_grad)
    # Other numbers of the same kinds: those of another case.
    rng = np.random.default_rng(len(p) * 31 + len(q))
    second = tensors(torch, q, shape_name)
    for name, t in second.items():
        if t.is_floating_point() and name in ("loc", "rate", "scale", "concentration", "df", "alpha"):
            second[name] = t * torch.tensor(rng.uniform(1.0, 1.4), dtype=t.dtype)
        if name in ("probs", "concentration1", "logits"):
            second[name] = t * torch.tensor(rng.uniform(0.7, 0.95), dtype=t.dtype)
    if p == "Uniform":
        first = {k: (t.sigmoid() if k == "low" else 1 - t.sigmoid() * 0.1) for k, t in first.items()}
        first["low"] = first["low"] * 0.9
    if q == "Uniform" and p in ("Beta", "ContinuousBernoulli", "Uniform"):
        second = {"low": second["low"] * 0 - 0.25, "high": second["high"]}
    if q == "Pareto":
        second["scale"] = second["scale"] * 0.01
    second = {k: t.detach().requires_grad_(requires_grad and k != "total_count") for k, t in second.items()}
    given = [*first.values(), *second.values()]
    return make(torch, p, first), make(torch, q, second), [t for t in given if t.requires_grad]


def kl_answers(torch, p, q, shape_name="batch"):
    """The divergence and its gradients, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b, leaves = pair(torch, p, q, shape_name, requires_grad=True)
        try:
            result = torch.distributions.kl_divergence(a, b)
        except NotImplementedError:
            return {"divergence": "NotImplementedError"}
        out = {"divergence": plain(torch, result)}
        for k, leaf in enumerate(leaves):
            out[f"gradient {k}"] = attempt(torch, gradient, torch, result, leaf)
        return out
