"""Values at which formulas that are the same elsewhere differ: infinities, zeros of both signs, indices that repeat."""

import pytest

import tenfold as torch

INF, NAN = float("inf"), float("nan")
F = torch.nn.functional


def same(found, expected):
    assert [str(x) for x in found.tolist()] == [str(float(x)) for x in expected]


@pytest.mark.parametrize(
    ("target", "expected"), [(0.0, [INF, NAN, NAN]), (1.0, [NAN, NAN, NAN]), (0.5, [INF, NAN, NAN])]
)
def test_cross_entropy_of_infinite_logits(target, expected):
    x = torch.tensor([INF, -INF, NAN])
    y = torch.full((3,), target)
    same(F.binary_cross_entropy_with_logits(x, y, reduction="none"), expected)
    same(F.binary_cross_entropy_with_logits(x, y, reduction="none", pos_weight=torch.tensor(2.0)), expected)


def test_labels_of_infinite_logits():
    x = torch.tensor([[INF], [-INF]])
    for target, expected in ((0.0, [INF, NAN]), (1.0, [NAN, INF]), (0.5, [INF, INF])):
        same(F.multilabel_soft_margin_loss(x, torch.full((2, 1), target), reduction="none"), expected)


def test_a_negative_zero_is_zero_in_every_dtype():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        x = torch.tensor([0.0, -0.0, 1.0, -2.0, NAN], dtype=dtype)
        assert torch.nonzero(x).tolist() == torch.argwhere(x).tolist() == [[2], [3], [4]]
        assert torch.nonzero(x, as_tuple=True)[0].tolist() == [2, 3, 4]
    assert torch.nonzero(torch.tensor([1e-300], dtype=torch.float64)).tolist() == [[0]]


def test_the_gradient_of_a_filled_value_counts_each_place_once():
    x = torch.ones(2, 3, requires_grad=True)
    value = torch.tensor(3.0, requires_grad=True)
    filled = x.index_fill(1, torch.tensor([0, 0, 2]), value)
    (torch.arange(6.0).reshape(2, 3) * filled).sum().backward()
    assert value.grad.item() == 0 + 2 + 3 + 5
    assert x.grad.tolist() == [[0, 1, 0], [0, 4, 0]]


def test_take_along_dim_counts_round():
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    taken = torch.take_along_dim(x, torch.tensor([[-1], [-3]]), 1)
    assert taken.tolist() == [[2], [3]]
    (taken * torch.tensor([[1.0], [2.0]])).sum().backward()
    assert x.grad.tolist() == [[0, 0, 1], [2, 0, 0]]


def test_what_has_no_derivative_says_so():
    x, q = torch.tensor([2.0], requires_grad=True), torch.tensor([1.5], requires_grad=True)
    (by_q,) = torch.autograd.grad(torch.special.zeta(x.detach(), q).sum(), q)
    assert by_q.item() == pytest.approx(-2 * torch.special.zeta(torch.tensor(3.0), torch.tensor(1.5)).item())
    with pytest.raises(NotImplementedError, match="'zeta'"):
        torch.autograd.grad(torch.special.zeta(x, q).sum(), x)[0].item()


def test_incomplete_gamma_of_large_arguments():
    """Near the diagonal, P(a, a + z sqrt(a)) tends to the normal distribution's Phi(z), as 1 / sqrt(a)."""
    for a in (1e6, 1e10, 1e14):
        x = torch.tensor([a - 2 * a**0.5, a, a + 1.5 * a**0.5], dtype=torch.float64)
        first = torch.full_like(x, a)
        found = torch.igamma(first, x)
        expected = torch.special.ndtr(torch.tensor([-2.0, 0.0, 1.5], dtype=torch.float64))
        torch.testing.assert_close(found, expected, rtol=0, atol=0.2 / a**0.5 + 1e-8)
        torch.testing.assert_close(torch.igammac(first, x), 1 - found, rtol=0, atol=1e-15)


def test_losses_of_the_torch_namespace_are_not_reduced():
    x, y = torch.ones(3), torch.zeros(3)
    rows = torch.ones(3, 2)
    assert torch.binary_cross_entropy_with_logits(x, y).shape == (3,)
    assert torch.hinge_embedding_loss(x, x).shape == torch.kl_div(x, x).shape == (3,)
    assert torch.margin_ranking_loss(x, x, x).shape == torch.triplet_margin_loss(rows, rows, rows).shape == (3,)
    assert torch.cosine_embedding_loss(rows, rows, x).shape == (3,) and torch.kl_div(x, x, 1).shape == ()


def test_numbers_beside_whole_numbers():
    x = torch.tensor([255, 1], dtype=torch.uint8)
    assert torch.isin(x, -1).tolist() == [True, False] and torch.isin(x, 257).tolist() == [False, True]
    assert torch.isin(x, 1.0).tolist() == [False, True] and torch.isin(300, torch.tensor([44], dtype=torch.uint8))
    assert torch.equal(torch.tensor([1, 2]), torch.tensor([1.0, 2.0]))
    assert not torch.equal(torch.tensor([1, 2]), torch.tensor([1.0, 2.5]))
