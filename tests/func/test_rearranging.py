"""rearrange: shapes and places by patterns."""

import pytest

import tenfold as torch
from tenfold.func import rearrange

X = torch.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "pattern, shape, sizes",
    [
        ("a b c -> c b a", (4, 3, 2), {}),
        ("a b c -> (a b) c", (6, 4), {}),
        ("a b c -> a (b c) 1", (2, 12, 1), {}),
        ("a (b c) d -> a b c d", (2, 3, 1, 4), {"b": 3}),
        ("a b (c d) -> d a b c", (2, 2, 3, 2), {"c": 2}),
        ("a b ... -> ... b a", (4, 3, 2), {}),
        ("... -> (...)", (24,), {}),
        ("... a -> a ...", (4, 2, 3), {}),
        ("a b c -> a b c 1 1", (2, 3, 4, 1, 1), {}),
    ],
)
def test_shapes(pattern, shape, sizes):
    out = rearrange(X, pattern, **sizes)
    assert out.shape == shape and sorted(out.flatten().tolist()) == list(range(24))


def test_places():
    assert rearrange(X, "a b (c d) -> c a b d", c=2)[1, 0, 2, 1].item() == X[0, 2, 3].item()
    assert rearrange([X, X + 1], "n a b c -> a n b c")[1, 1].tolist() == (X[1] + 1).tolist()
    assert rearrange(torch.ones(2, 1, 3), "a 1 c -> a c").shape == (2, 3)


@pytest.mark.parametrize(
    "pattern, sizes",
    [
        ("a b c -> a b", {}),
        ("a b c -> a b c d", {}),
        ("a b -> b a", {}),
        ("a b a -> a b", {}),
        ("a b c", {}),
        ("a (b c -> a b c", {}),
        ("a b) c -> a b c", {}),
        ("a b c -> a (b (c))", {}),
        ("(...) a b -> a b ...", {}),
        ("a b c -> a.b c", {}),
        ("a b 1c -> a b 1c", {}),
        ("a b (c d) -> a b c d", {}),
        ("a b (c d) -> a b c d", {"c": 3}),
        ("a b c -> a b c", {"e": 1}),
    ],
)
def test_errors(pattern, sizes):
    with pytest.raises(ValueError, match="rearrange"):
        rearrange(X, pattern, **sizes)
