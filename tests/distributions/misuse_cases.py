"""Wrong calls of distributions and what they end in, the same for PyTorch and tenfold: an exception's type, or no exception."""

import warnings


def calls(torch):
    """The calls, by name."""
    d = torch.distributions
    c = d.constraints
    t = torch.tensor
    nan = float("nan")
    two = d.Normal(torch.zeros(2), 1.0)
    return {
        "Normal of NaN": lambda: d.Normal(t([0.0, nan]), t([1.0, 1.0])),
        "Normal of negative scale": lambda: d.Normal(0.0, -1.0),
        "Normal unchecked": lambda: d.Normal(0.0, -1.0, validate_args=False),
        "Normal of text": lambda: d.Normal("a", 1.0),
        "Normal of other sizes": lambda: d.Normal(torch.zeros(2), torch.ones(3)),
        "log_prob of a number": lambda: d.Normal(0.0, 1.0).log_prob(3),
        "log_prob of NaN": lambda: d.Normal(0.0, 1.0).log_prob(t(nan)),
        "log_prob outside": lambda: d.Bernoulli(t(0.5)).log_prob(t(2.0)),
        "log_prob of other sizes": lambda: two.log_prob(torch.zeros(3)),
        "log_prob of other events": lambda: d.Dirichlet(torch.ones(3)).log_prob(torch.ones(2) / 2),
        "log_prob of no event": lambda: d.Dirichlet(torch.ones(3)).log_prob(t(1.0)),
        "sample of an int": lambda: two.sample(3),
        "sample of a list": lambda: two.sample([3]),
        "no parameter": lambda: d.Bernoulli(),
        "two parameters": lambda: d.Bernoulli(0.5, 0.5),
        "probability above 1": lambda: d.Bernoulli(2),
        "Geometric of 0": lambda: d.Geometric(t([0.0, 0.5])),
        "Categorical of a number": lambda: d.Categorical(t(0.5)),
        "Categorical of a negative": lambda: d.Categorical(t([0.5, -0.1])),
        "Categorical of zeros": lambda: d.Categorical(t([0.0, 0.0])),
        "Categorical outside": lambda: d.Categorical(t([1.0, 1.0])).log_prob(t(2)),
        "Categorical between": lambda: d.Categorical(t([1.0, 1.0])).log_prob(t(1.5)),
        "Categorical without both": lambda: d.Categorical(),
        "no samples of Categorical": lambda: d.Categorical(t([1.0, 1.0])).sample((0,)),
        "Multinomial of a real count": lambda: d.Multinomial(2.5, t([1.0, 1.0])),
        "Multinomial of many counts": lambda: d.Multinomial(t([2, 3]), t([1.0, 1.0])),
        "Multinomial of too many": lambda: d.Multinomial(3, t([1.0, 1.0])).log_prob(t([3.0, 1.0])),
        "Poisson of a negative": lambda: d.Poisson(-1.0),
        "Dirichlet of a number": lambda: d.Dirichlet(t(0.5)),
        "Uniform of no width": lambda: d.Uniform(1.0, 0.0),
        "ContinuousBernoulli above 1": lambda: d.ContinuousBernoulli(t(2.0), validate_args=True),
        "MultivariateNormal of a number": lambda: d.MultivariateNormal(t(0.0), t([[1.0]])),
        "MultivariateNormal of a vector": lambda: d.MultivariateNormal(t([0.0]), t([1.0])),
        "MultivariateNormal of nothing": lambda: d.MultivariateNormal(t([0.0])),
        "MultivariateNormal of two": lambda: d.MultivariateNormal(t([0.0]), torch.eye(1), torch.eye(1)),
        "not definite": lambda: d.MultivariateNormal(torch.zeros(2), t([[1.0, 2.0], [2.0, 1.0]])),
        "not definite, unchecked": lambda: float(
            d.MultivariateNormal(torch.zeros(2), t([[1.0, 2.0], [2.0, 1.0]]), validate_args=False).entropy()
        ),
        "not symmetric": lambda: d.MultivariateNormal(torch.zeros(2), t([[1.0, 0.5], [0.0, 1.0]])),
        "low rank of other sizes": lambda: d.LowRankMultivariateNormal(torch.zeros(2), torch.ones(3, 1), torch.ones(2)),
        "low rank of other diagonals": lambda: d.LowRankMultivariateNormal(
            torch.zeros(2), torch.ones(2, 1), torch.ones(3)
        ),
        "low rank of other batches": lambda: d.LowRankMultivariateNormal(
            torch.zeros(4, 2), torch.ones(3, 2, 1), torch.ones(2)
        ),
        "low rank of negative diagonals": lambda: d.LowRankMultivariateNormal(
            torch.zeros(2), torch.ones(2, 1), -torch.ones(2)
        ),
        "infinite covariance": lambda: d.MultivariateNormal(torch.zeros(2), torch.full((2, 2), float("inf"))),
        "HalfNormal of a negative": lambda: d.HalfNormal(-1.0),
        "Beta of a negative": lambda: d.Beta(-1.0, 1.0),
        "RelaxedBernoulli above 1": lambda: d.RelaxedBernoulli(t(1.0), 2.0),
        "LKJ of one row": lambda: d.LKJCholesky(1),
        "Wishart of few": lambda: d.Wishart(t(0.5), torch.eye(2)),
        "Wishart of nothing": lambda: d.Wishart(t(3.0)),
        "Wishart of two": lambda: d.Wishart(t(3.0), torch.eye(2), scale_tril=torch.eye(2)),
        "Wishart of a vector": lambda: d.Wishart(t(3.0), torch.ones(2)),
        "Independent of too many": lambda: d.Independent(two, 2),
        "expand the other way": lambda: d.Normal(0.0, 1.0).expand([2]).expand([3]),
        "enumerate reals": lambda: d.Normal(0.0, 1.0).enumerate_support(),
        "enumerate vectors": lambda: d.Independent(d.Bernoulli(torch.ones(2) / 2), 1).enumerate_support(),
        "enumerate unequal counts": lambda: d.Binomial(t([2.0, 3.0]), t([0.5, 0.5])).enumerate_support(),
        "entropy of unequal counts": lambda: d.Binomial(t([2.0, 3.0]), t([0.5, 0.5])).entropy(),
        "no mean": lambda: d.Distribution(validate_args=False).mean,
        "no mode": lambda: d.Distribution(validate_args=False).mode,
        "no support": lambda: d.Distribution(validate_args=False).support,
        "no arg_constraints": lambda: d.Distribution(validate_args=False).arg_constraints,
        "no expand": lambda: d.Distribution(validate_args=False).expand((2,)),
        "no entropy": lambda: d.ExponentialFamily(validate_args=False).entropy(),
        "no rsample": lambda: d.Bernoulli(0.5).rsample(),
        "default of 3": lambda: d.Distribution.set_default_validate_args(3),
        "no divergence": lambda: d.kl_divergence(d.StudentT(1.0), d.StudentT(1.0)),
        "divergence of families": lambda: d.kl_divergence(d.Normal(0.0, 1.0), d.Poisson(1.0)),
        "divergence of counts": lambda: d.kl_divergence(d.Binomial(2, t(0.5)), d.Binomial(3, t(0.5))),
        "divergence of events": lambda: d.kl_divergence(
            d.MultivariateNormal(torch.zeros(2), torch.eye(2)), d.MultivariateNormal(torch.zeros(3), torch.eye(3))
        ),
        "divergence of Independent": lambda: d.kl_divergence(
            d.Independent(two.expand((3, 2)), 1), d.Independent(two.expand((3, 2)), 2)
        ),
        "divergence of transforms": lambda: d.kl_divergence(d.LogNormal(0.0, 1.0), d.HalfNormal(1.0)),
        "register a number": lambda: d.register_kl(3, d.Normal),
        "mixture of normals": lambda: d.MixtureSameFamily(two, two),
        "mixture of a number": lambda: d.MixtureSameFamily(d.Categorical(torch.ones(3)), 3),
        "mixture of other sizes": lambda: d.MixtureSameFamily(d.Categorical(torch.ones(3)), two),
        "mixture of other batches": lambda: d.MixtureSameFamily(
            d.Categorical(torch.ones(2, 3)), d.Normal(torch.zeros(4, 3), 1.0)
        ),
        "transformed by a number": lambda: d.TransformedDistribution(two, 3),
        "transformed by numbers": lambda: d.TransformedDistribution(two, [3]),
        "transformed without dims": lambda: d.TransformedDistribution(d.Normal(0.0, 1.0), d.StickBreakingTransform()),
        "mean of transformed": lambda: d.LogisticNormal(torch.zeros(2), 1.0).mean,
        "HalfNormal below 0": lambda: d.HalfNormal(t(1.0)).log_prob(t(-1.0)),
        "cdf outside": lambda: d.Exponential(t(1.0)).cdf(t(-1.0)),
        "cdf of transformed outside": lambda: d.LogNormal(0.0, 1.0).cdf(t(-1.0)),
        "VonMises of a negative": lambda: d.VonMises(t(1.0), t(-1.0)),
        "no transform to booleans": lambda: d.biject_to(c.boolean),
        "no bijection to matrices": lambda: d.biject_to(c.positive_definite),
        "no transform to a number": lambda: d.transform_to(3),
        "register no constraint": lambda: d.biject_to.register(3)(3),
        "register int": lambda: d.biject_to.register(int, 3),
        "check of a dependent": lambda: c.dependent.check(t(1.0)),
        "dims of a dependent": lambda: c.dependent.event_dim,
        "check of the base": lambda: c.Constraint().check(t(1.0)),
        "independent of a number": lambda: c.independent(3, 1),
        "independent of few dims": lambda: c.independent(c.real, 2).check(torch.zeros(3)),
        "cat of numbers": lambda: c.cat([3]),
        "cat outside": lambda: c.cat([c.real], 2).check(torch.zeros(3)),
        "cat of other lengths": lambda: c.cat([c.real], 0, [1, 2]),
        "stack outside": lambda: c.stack([c.real], 2).check(torch.zeros(3)),
        "cache of 2": lambda: d.ExpTransform(2),
        "sign of abs": lambda: d.AbsTransform().sign,
        "jacobian of abs": lambda: d.AbsTransform().log_abs_det_jacobian(t(1.0), t(1.0)),
        "reshape to other sizes": lambda: d.ReshapeTransform((2, 3), (5,)),
        "shape that does not fit": lambda: d.ReshapeTransform((2, 3), (6,)).forward_shape((3, 2)),
        "vectors of few dims": lambda: d.StickBreakingTransform().forward_shape(()),
        "no triangle": lambda: d.CorrCholeskyTransform().forward_shape((5,)),
        "no square": lambda: d.CorrCholeskyTransform().inverse_shape((3, 2)),
        "no event_dim": lambda: d.CorrCholeskyTransform().event_dim,
        "cat of no transforms": lambda: d.CatTransform([3]),
        "cat transform of other sizes": lambda: d.CatTransform([d.ExpTransform()])(torch.zeros(3)),
        "stack transform of other sizes": lambda: d.StackTransform([d.ExpTransform()])(torch.zeros(3)),
        "hash of a transform": lambda: hash(d.ExpTransform()),
        "matrix of a wrong diagonal": lambda: d.utils.tril_matrix_to_vec(torch.eye(3), 3),
        "vector of no triangle": lambda: d.utils.vec_to_tril_matrix(torch.ones(5)),
    }


def outcome(torch, name):
    """The type of the exception that the call of that name raises; "none" if it raises none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            calls(torch)[name]()
        except Exception as e:
            return type(e).__name__.lstrip("_")
        return "none"
