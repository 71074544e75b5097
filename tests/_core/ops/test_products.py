"""Products, convolutions, pools, paddings and resampling: PyTorch's recorded answers, and what must hold by"
" definition."""

from __future__ import annotations

import itertools
import json
import pathlib

import numpy as np
import product_calls as calls
import pytest

import tenfold as torch
import tenfold.nn.functional as F

TABLE = json.loads(pathlib.Path(__file__).with_name("products.json").read_text())
GOOD = {label: (call, shapes) for label, call, *shapes in calls.good()}
MISUSE = {label: (call, shapes) for label, call, *shapes in calls.misuse()}


def close(got, want, label: str) -> None:
    np.testing.assert_allclose(got, want, rtol=2e-8, atol=2e-9, err_msg=label)


@pytest.mark.parametrize("label", GOOD)
def test_results_and_gradients_are_those_of_pytorch(label):
    want = TABLE["rows"][label]
    got = calls.answer(torch, *GOOD[label])
    assert got["shapes"] == want["shapes"]
    assert got["strides"] == want["strides"]
    for g, w in zip(got["values"], want["values"], strict=True):
        close(g, w, label)
    for g, w in zip(got["gradients"], want["gradients"], strict=True):
        if g is None or w is None:
            assert not np.any(w if g is None else g)
        else:
            close(g, w, f"gradient of {label}")


@pytest.mark.parametrize("label", MISUSE)
def test_misuse_raises_the_type_that_pytorch_raises(label):
    assert calls.error(torch, *MISUSE[label]) == TABLE["errors"][label]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: torch.ones(2, 3) @ torch.ones(4, 5), r"shapes cannot be multiplied \(2x3 and 4x5\).*matmul"),
        (
            lambda: F.linear(torch.ones(2, 784), torch.ones(10, 768)),
            r"linear: input has 784 features.*weight takes 768",
        ),
        (
            lambda: F.conv2d(torch.ones(1, 4, 5, 5), torch.ones(2, 3, 3, 3)),
            "to have 3 channels, but got 4 channels instead",
        ),
        (lambda: torch.einsum("ij,jk", torch.ones(2, 3), torch.ones(4, 5)), "subscript j has size 4 for operand 1"),
    ],
)
def test_messages_say_what_does_not_fit(call, words):
    with pytest.raises(RuntimeError, match=words):
        call()


# --- by definition --------------------------------------------------------------------------------------------


def plain_conv(x, w, stride, padding, dilation):
    """A convolution, one product at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kh, kw = w.shape[2:]
    h = (x.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    v = (x.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    out = np.zeros((x.shape[0], w.shape[0], h, v))
    for i, j, a, b in itertools.product(range(h), range(v), range(kh), range(kw)):
        out[:, :, i, j] += x[:, :, i * stride + a * dilation, j * stride + b * dilation] @ w[:, :, a, b].T
    return out


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 2)])
def test_conv2d_is_the_sum_over_windows(stride, padding, dilation):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 2, 8, 7)), rng.standard_normal((4, 2, 3, 2))
    got = torch.conv2d(torch.from_numpy(x), torch.from_numpy(w), None, stride, padding, dilation)
    np.testing.assert_allclose(got.numpy(), plain_conv(x, w, stride, padding, dilation), rtol=1e-12, atol=1e-12)


def test_large_batches_are_convolved_in_parts(monkeypatch):
    from tenfold._core.ops import windows

    x, w = torch.randn(5, 3, 6, 6, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    x.requires_grad_()
    w.requires_grad_()

    def run():
        out = torch.conv2d(x, w)
        return [out.tolist(), *[g.tolist() for g in torch.autograd.grad(out.pow(2).sum(), (x, w))]]

    whole = run()
    monkeypatch.setattr(windows, "CHUNK_BYTES", 1)
    for got, want in zip(run(), whole):
        np.testing.assert_allclose(got, want, rtol=1e-10)


def test_a_transposed_convolution_is_the_adjoint():
    """<conv(x), y> = <x, conv_transpose(y)>."""
    x, w = torch.randn(2, 3, 7, 9, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    y = torch.conv2d(x, w, stride=2, padding=1)
    g = torch.randn(*y.shape, dtype=torch.float64)
    back = torch.conv_transpose2d(g, w, stride=2, padding=1)
    assert back.shape == x.shape
    assert (y * g).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-10)


def test_fold_adds_up_what_unfold_took():
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    columns = F.unfold(x, 3, padding=1)
    times = F.fold(F.unfold(torch.ones_like(x), 3, padding=1), (5, 6), 3, padding=1)
    np.testing.assert_allclose(F.fold(columns, (5, 6), 3, padding=1).numpy(), (x * times).numpy(), rtol=1e-12)


def test_calls_that_differ_in_one_keyword_are_told_apart():
    x, w = torch.ones(2, 4, 6, 6), torch.ones(4, 1, 3, 3)
    for _ in range(3):
        assert torch.conv2d(x, w, groups=4, stride=(3, 2)).shape == (2, 4, 2, 2)
        assert torch.conv2d(x, w, groups=4, padding=(1, 1)).shape == (2, 4, 6, 6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_rounded_once(dtype):
    a, b = torch.randn(4, 300).to(dtype), torch.randn(300, 3).to(dtype)
    want = (a.float() @ b.float()).to(dtype)
    assert (a @ b).tolist() == want.tolist()
    x, w = torch.randn(1, 2, 5, 5).to(dtype), torch.randn(3, 2, 3, 3).to(dtype)
    np.testing.assert_allclose(
        torch.conv2d(x, w).float().tolist(), torch.conv2d(x.float(), w.float()).tolist(), rtol=1e-2, atol=0.05
    )


def test_whole_numbers_stay_exact():
    a = torch.tensor([[2**40, 1], [3, -5]])
    assert (a @ a).tolist() == [[2**80 % 2**64 + 3, 2**40 - 5], [3 * 2**40 - 15, 28]]
    assert torch.conv2d(torch.ones(1, 1, 3, 3, dtype=torch.int64), torch.full((1, 1, 2, 2), 2)).tolist() == [
        [[[8, 8], [8, 8]]]
    ]


def test_complex_products_have_conjugate_gradients():
    a = torch.tensor([[1 + 2j, 3j]], requires_grad=True)
    b = torch.tensor([[2 - 1j], [1 + 1j]], requires_grad=True)
    torch.view_as_real(a @ b).sum().backward()
    assert a.grad.tolist() == [[(1 + 1j) * (2 + 1j), (1 + 1j) * (1 - 1j)]]
    assert b.grad.tolist() == [[(1 + 1j) * (1 - 2j)], [(1 + 1j) * -3j]]


@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (lambda x, w: torch.conv2d(x, w, padding=1), [(1, 2, 4, 4), (2, 2, 3, 3)]),
        (lambda x, w: torch.conv_transpose2d(x, w, stride=2, output_padding=1), [(1, 2, 2, 2), (2, 2, 3, 3)]),
        (lambda x, w: F.linear(x, w), [(2, 3), (4, 3)]),
        (lambda x: F.avg_pool2d(x, 2, 1), [(1, 1, 3, 3)]),
        (lambda x: F.adaptive_avg_pool2d(x, 2), [(1, 1, 3, 5)]),
        (lambda x: F.interpolate(x, 5, mode="bicubic"), [(1, 1, 3, 3)]),
        (lambda x, g: F.grid_sample(x, g.tanh(), align_corners=True), [(1, 1, 3, 3), (1, 2, 2, 2)]),
        (lambda x: F.pad(x, (2, 1), "reflect"), [(1, 4)]),
        (lambda x, y, w: F.bilinear(x, y, w), [(2, 2), (2, 3), (2, 2, 3)]),
        (lambda x, y: torch.einsum("ij,kj->ki", x, y), [(2, 3), (4, 3)]),
    ],
)
def test_second_gradients_agree_with_differences(call, shapes):
    operands = [calls.operand(torch, s, k) for k, s in enumerate(shapes)]
    assert torch.autograd.gradgradcheck(call, operands)


def test_channels_last_stays_channels_last():
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert torch.conv2d(x, torch.randn(5, 3, 3, 3)).stride() == (180, 1, 30, 5)
    assert F.max_pool2d(x, 2).stride() == (48, 1, 12, 3)
    assert F.interpolate(x, 16).stride() == (768, 1, 48, 3)


def test_meta_tensors_have_shapes():
    x = torch.empty(2, 3, 32, 32, device="meta")
    y = F.max_pool2d(torch.conv2d(x, torch.empty(8, 3, 5, 5, device="meta")), 2)
    assert y.shape == (2, 8, 14, 14)
    assert y.device.type == "meta"


def test_out_and_in_place_forms():
    a, b, c = torch.ones(2, 3), torch.ones(3, 2), torch.zeros(2, 2)
    out = torch.empty(2, 2)
    assert torch.mm(a, b, out=out) is out
    assert out.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert c.addmm_(a, b, alpha=2) is c
    assert c.tolist() == [[6.0, 6.0], [6.0, 6.0]]


def test_einsum_of_one_operand_is_a_view():
    x = torch.zeros(3, 3)
    torch.einsum("ii->i", x).fill_(1)
    assert x.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_the_greatest_of_nan_is_nan():
    x = torch.tensor([[[[1.0, float("nan")], [float("nan"), 1.0]]]])
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert values.isnan().all()
    assert indices.item() == 2


def test_fractional_pools_draw_what_pytorch_draws():
    """The samples are those of torch.rand."""
    x = torch.arange(64.0).reshape(1, 1, 8, 8)
    torch.manual_seed(3)
    got = F.fractional_max_pool2d(x, 2, 3)
    torch.manual_seed(3)
    assert got.tolist() == F.fractional_max_pool2d(x, 2, 3, _random_samples=torch.rand(1, 1, 2)).tolist()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda r: r(2, 3) @ r(3, 4), "Mm"),
        (lambda r: r(2, 2, 3) @ r(3, 4), "UnsafeView"),
        (lambda r: F.linear(r(2, 3), r(4, 3), r(4)), "Addmm"),
        (lambda r: F.linear(r(5, 2, 3), r(4, 3), r(4)), "View"),
        (lambda r: torch.bmm(r(2, 2, 2), r(2, 2, 2)), "Bmm"),
        (lambda r: F.conv2d(r(1, 2, 4, 4), r(2, 2, 3, 3)), "Convolution"),
        (lambda r: F.max_pool2d(r(1, 2, 4, 4), 2), "MaxPool2DWithIndices"),
        (lambda r: F.pad(r(2, 2), (1, 1)), "ConstantPadNd"),
    ],
)
def test_grad_fn_is_called_as_in_pytorch(call, name):
    t = call(lambda *shape: torch.ones(*shape, requires_grad=True))
    assert t.grad_fn.name() == f"{name}Backward0"
    t.tolist()  # once computed, it has the same name
    assert t.grad_fn.name() == f"{name}Backward0"
