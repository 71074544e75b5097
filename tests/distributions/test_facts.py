"""What holds of distributions by mathematics, of their objects by what they promise, and where PyTorch gives no answer."""

import math
import pickle

import distribution_cases
import numpy as np
import pytest

import tenfold as torch

d = torch.distributions
CONTINUOUS = [
    name
    for name in distribution_cases.PARAMETERS
    if name.split()[0]
    in "Cauchy Exponential Gamma GeneralizedPareto Gumbel HalfCauchy HalfNormal InverseGamma Kumaraswamy Laplace LogNormal "
    "Normal Pareto Uniform Weibull ContinuousBernoulli Chi2".split()
]


def made(name, shape="batch"):
    return distribution_cases.make(torch, name, distribution_cases.tensors(torch, name, shape))


# Close to probs = 1/2 the cdf of ContinuousBernoulli is, as PyTorch's, that of the uniform distribution.
@pytest.mark.parametrize("name", [n for n in CONTINUOUS if n != "ContinuousBernoulli near"])
def test_the_density_is_the_slope_of_the_cdf(name):
    dist = made(name)
    torch.manual_seed(1)
    x = dist.sample((20,)).requires_grad_()
    (slope,) = torch.autograd.grad(dist.cdf(x).sum(), x)
    np.testing.assert_allclose(slope.numpy(), dist.log_prob(x).exp().detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in CONTINUOUS if n.split()[0] not in ("Gamma", "Chi2", "InverseGamma")])
def test_the_quantile_function_is_the_inverse_of_the_cdf(name):
    dist = made(name)
    p = torch.linspace(0.05, 0.95, 7, dtype=torch.float64).unsqueeze(-1)
    np.testing.assert_allclose(dist.cdf(dist.icdf(p)).numpy(), p.expand(7, 3).numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", ["Bernoulli", "Binomial", "Categorical", "OneHotCategorical", "Categorical logits"])
def test_probabilities_of_all_values_sum_to_1(name):
    dist = made(name)
    log_prob = dist.log_prob(dist.enumerate_support())
    np.testing.assert_allclose(log_prob.exp().sum(0).numpy(), np.ones(3), rtol=1e-9)
    np.testing.assert_allclose(-(log_prob.exp() * log_prob).sum(0).numpy(), dist.entropy().numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", ["Gamma", "Beta", "StudentT", "Dirichlet", "Poisson", "Binomial", "Wishart"])
def test_samples_have_the_mean(name):
    dist = made(name)
    torch.manual_seed(2)
    x = dist.sample((2000,))
    offset = x.mean(0).numpy() - dist.mean.numpy()
    assert (np.abs(offset) < 6 * dist.stddev.numpy() / math.sqrt(2000)).all()


def test_angles_have_their_mean_and_circular_variance():
    dist = d.VonMises(torch.tensor([0.5, 3.0, -1.0]), torch.tensor([0.5, 2.0, 30.0]))
    torch.manual_seed(3)
    centre = np.exp(1j * dist.sample((4000,)).numpy()).mean(0)
    np.testing.assert_allclose(np.angle(centre), dist.mean.numpy(), atol=0.15)
    np.testing.assert_allclose(1 - np.abs(centre), dist.variance.numpy(), atol=0.05)


def test_parameters_at_the_end_of_their_range():
    centre = torch.tensor([0.5, -2.0])
    assert d.VonMises(centre, torch.tensor(math.inf)).sample().tolist() == pytest.approx([0.5, -2.0])
    x = d.ContinuousBernoulli(logits=torch.tensor([math.inf, -math.inf])).sample((50,))
    assert ((x >= 0) & (x <= 1)).all()
    assert x[:, 0].mean() > 0.9 > 0.1 > x[:, 1].mean()


def test_mode_of_kumaraswamy_is_the_top_of_the_density():
    dist = d.Kumaraswamy(torch.tensor([2.0, 1.5], dtype=torch.float64), torch.tensor([3.0, 5.0], dtype=torch.float64))
    mode = dist.mode.requires_grad_()
    (slope,) = torch.autograd.grad(dist.log_prob(mode).sum(), mode)
    np.testing.assert_allclose(slope.numpy(), 0, atol=1e-12)


def test_divergences_of_wisharts_are_those_of_each():
    df, other = torch.tensor([4.0, 6.0]), torch.tensor([5.0, 5.5])
    matrix = torch.stack([torch.eye(2), 2 * torch.eye(2)])
    whole = d.kl_divergence(d.Wishart(df, matrix), d.Wishart(other, torch.eye(2)))
    each = [d.kl_divergence(d.Wishart(df[i], matrix[i]), d.Wishart(other[i], torch.eye(2))) for i in range(2)]
    np.testing.assert_allclose(whole.detach().numpy(), [x.item() for x in each], rtol=1e-5)
    assert (whole > 0).all()


def test_ends_of_supports_that_are_equal_are_inside():
    unit, continuous = d.Uniform(0.0, 1.0), d.ContinuousBernoulli(torch.tensor(0.3))
    assert d.kl_divergence(continuous, unit).item() == pytest.approx(-continuous.entropy().item(), abs=1e-6)
    assert math.isfinite(d.kl_divergence(unit, continuous).item())
    assert d.kl_divergence(unit, d.Uniform(0.1, 1.0)).item() == math.inf


@pytest.mark.parametrize("name", distribution_cases.PARAMETERS)
def test_objects_survive_pickle(name):
    dist = made(name)
    again = pickle.loads(pickle.dumps(dist))
    assert repr(again) == repr(dist)
    torch.manual_seed(0)
    x = dist.sample()
    np.testing.assert_array_equal(again.log_prob(x).detach().numpy(), dist.log_prob(x).detach().numpy())


def test_subclasses_expand_only_with_a_constructor_of_their_own_that_expands():
    class Centred(d.Normal):
        def __init__(self, scale):
            super().__init__(0.0, scale)

    class Plain(d.Normal):
        pass

    with pytest.raises(
        NotImplementedError, match=r"Subclass Centred of Normal .* must also define a custom .expand\(\)"
    ):
        Centred(1.0).expand((2,))
    assert type(Plain(0.0, 1.0).expand((2,))) is Plain

    class Filled(Centred):
        def expand(self, batch_shape, _instance=None):
            return super().expand(batch_shape, self._get_checked_instance(Filled, _instance))

    assert Filled(1.0).expand((2,)).loc.shape == (2,)


def test_a_family_of_its_own_has_entropy_and_divergence():
    class Waiting(d.ExponentialFamily):
        arg_constraints = {"rate": d.constraints.positive}
        _mean_carrier_measure = 0

        def __init__(self, rate):
            self.rate = rate
            super().__init__(rate.shape)

        @property
        def _natural_params(self):
            return (-self.rate,)

        def _log_normalizer(self, x):
            return -torch.log(-x)

    rates = torch.tensor([0.5, 2.0]), torch.tensor([1.5, 1.0])
    ours, theirs = [Waiting(r) for r in rates], [d.Exponential(r) for r in rates]
    np.testing.assert_allclose(ours[0].entropy().detach().numpy(), theirs[0].entropy().numpy(), rtol=1e-6)
    divergences = d.kl_divergence(*ours), d.kl_divergence(*theirs)
    np.testing.assert_allclose(divergences[0].detach().numpy(), divergences[1].numpy(), rtol=1e-5)


def test_the_closest_divergence_is_taken():
    class First(d.Normal):
        pass

    class Second(First):
        pass

    d.register_kl(First, d.Normal)(lambda p, q: "by p")
    assert d.kl_divergence(Second(0.0, 1.0), d.Normal(0.0, 1.0)) == "by p"
    d.register_kl(d.Normal, Second)(lambda p, q: "by q")
    with pytest.warns(RuntimeWarning, match=r"Ambiguous kl_divergence\(Second, Second\)"):
        assert d.kl_divergence(Second(0.0, 1.0), Second(0.0, 1.0)) == "by p"
    d.register_kl(Second, Second)(lambda p, q: "both")
    assert d.kl_divergence(Second(0.0, 1.0), Second(0.0, 1.0)) == "both"
    assert d.kl_divergence(d.Normal(0.0, 1.0), d.Normal(0.0, 1.0)).item() == 0


def test_checks_can_be_turned_off_for_all():
    d.Distribution.set_default_validate_args(False)
    try:
        assert math.isnan(d.Normal(0.0, -1.0).entropy().item())
        with pytest.raises(ValueError, match="parameter scale"):
            d.Normal(0.0, -1.0, validate_args=True)
    finally:
        d.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match=r"parameter scale \(Tensor of shape \(2,\)\) of distribution Normal"):
        d.Normal(torch.zeros(2), torch.tensor([1.0, -1.0]))


def test_wrong_values_are_shown():
    with pytest.raises(ValueError, match=r"within the support \(Interval\(lower_bound=0.0, upper_bound=1.0\)\)"):
        d.Beta(1.0, 2.0).log_prob(torch.tensor([0.5, 1.5]))


def test_transforms_keep_the_last_pair_when_told_to():
    t = d.ExpTransform(cache_size=1)
    x = torch.tensor([1.0, 2.0])
    y = t(x)
    assert t(x) is y
    assert t.inv(y) is x
    assert d.ExpTransform().inv.inv == d.ExpTransform()
    assert t.inv is t.inv


def test_policy_gradient_step():
    torch.manual_seed(0)
    logits = torch.zeros(4, 3, requires_grad=True)
    policy = d.Categorical(logits=logits)
    action = policy.sample()
    (-(policy.log_prob(action) * torch.arange(4.0)).sum() - 0.01 * policy.entropy().sum()).backward()
    one_hot = np.eye(3)[action.numpy()]
    np.testing.assert_allclose(logits.grad.numpy(), (1 / 3 - one_hot) * np.arange(4)[:, None], atol=1e-6)


def test_gradients_reach_parameters_through_samples():
    torch.manual_seed(0)
    alpha = torch.tensor([0.3, 1.0, 30.0], dtype=torch.float64, requires_grad=True)
    x = d.Gamma(alpha, 2.0).rsample((5,))
    (found,) = torch.autograd.grad(x.sum(), alpha)
    # x moves such that its place in the distribution stays: d cdf / d alpha + density * dx / d alpha = 0
    step = 1e-5
    with torch.no_grad():
        low, high = (d.Gamma(alpha + s, 2.0).cdf(x) for s in (-step, step))
        density = d.Gamma(alpha, 2.0).log_prob(x).exp()
    expected = (-(high - low) / (2 * step) / density).sum(0)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)
