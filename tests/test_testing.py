"""tenfold.testing: what assert_close lets pass, and what it says of the rest."""

import pytest

import tenfold as torch
from tenfold.testing import assert_close, make_tensor

ONE = torch.ones(2)


def test_close_and_equal_pass():
    assert_close(ONE, ONE + 1e-6)
    assert_close({"a": [ONE, 1, None]}, {"a": [ONE.clone(), 1, None]})
    assert_close(ONE, ONE.double(), check_dtype=False)
    assert_close(torch.tensor([float("nan")]), torch.tensor([float("nan")]), equal_nan=True)


@pytest.mark.parametrize(
    ("actual", "expected", "text"),
    [
        (ONE, ONE + 1, "Greatest absolute difference: 1.0 at index (0,)"),
        (ONE, torch.ones(3), "'shape' do not match"),
        (ONE, ONE.double(), "'dtype' do not match"),
        (ONE, torch.ones(2, device="meta"), "'device' do not match"),
        ([1, 2], [1, 3], "The failure occurred for item [1]"),
        ({"a": 1}, {"b": 1}, "Missing keys in the actual mapping: ['b']"),
        ([1], [1, 2], "length of the sequences mismatch"),
        (1.0, 1.1, "Scalars are not close!"),
        (torch.tensor([float("nan")]), torch.tensor([float("nan")]), "Mismatched elements: 1 / 1"),
    ],
)
def test_differences_are_described(actual, expected, text):
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, expected)
    assert text in str(caught.value)


def test_both_tolerances_or_none():
    with pytest.raises(ValueError, match="no atol"):
        assert_close(ONE, ONE, rtol=1.0)


def test_what_cannot_be_compared():
    with pytest.raises(TypeError):
        assert_close(ONE, [1.0, 1.0])


def test_make_tensor():
    t = make_tensor((4, 6), dtype=torch.float32, low=2, high=3, noncontiguous=True)
    assert t.shape == (4, 6) and not t.is_contiguous()
    assert 2 <= t.min().item() and t.max().item() < 3


def test_assert_allclose_is_looser():
    torch.testing.assert_allclose(torch.ones(2), torch.ones(2) + 5e-5)
    torch.testing.assert_allclose([1.0, 2.0], torch.tensor([1.0, 2.0]))
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_allclose(torch.ones(2), torch.zeros(2))
