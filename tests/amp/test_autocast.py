"""Autocast: which dtype results have, how blocks nest, and that gradients have the dtype of what they belong to."""

import threading

import pytest

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

LOW = torch.bfloat16


def square(dtype=torch.float32):
    return torch.eye(2, dtype=dtype) * 3


# PyTorch 2.13's results, under autocast on the CPU
RECORDED = {
    "mm": (lambda: torch.mm(square(), square()), LOW),
    "operator": (lambda: square() @ square()[0], LOW),
    "linear": (lambda: F.linear(square(), square(), torch.ones(2)), LOW),
    "convolution": (lambda: nn.Conv2d(1, 2, 2)(torch.ones(1, 1, 3, 3)), LOW),
    "einsum": (lambda: torch.einsum("ij,jk->ik", square(), square()), LOW),
    "attention": (lambda: F.scaled_dot_product_attention(*[square()[None, None]] * 3), LOW),
    "prelu": (lambda: F.prelu(square(), torch.ones(1)), LOW),
    "lstm": (lambda: nn.LSTM(2, 3)(square())[1][1], LOW),
    "gru": (lambda: nn.GRU(2, 3)(square())[0], torch.float32),
    "rnn": (lambda: nn.RNN(2, 3)(square())[0], LOW),
    "lstm cell": (lambda: nn.LSTMCell(2, 3)(square())[0], torch.float32),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(2, 1)(square()), torch.float32),
    "half operands": (lambda: torch.mm(square(torch.float16), square()), LOW),
    "doubles": (lambda: torch.mm(square(torch.float64), square(torch.float64)), torch.float64),
    "integers": (lambda: torch.mm(square().long(), square().long()), torch.int64),
    "addition": (lambda: square() + square(), torch.float32),
    "matrix times vector": (lambda: torch.mv(square(), square()[0]), torch.float32),
    "softmax": (lambda: square(LOW).softmax(-1), LOW),
    "layer_norm": (lambda: F.layer_norm(square(LOW), (2,), torch.ones(2)), LOW),
    "cross_entropy": (lambda: F.cross_entropy(square(LOW), torch.tensor([0, 1])), torch.float32),
    "mse_loss": (lambda: F.mse_loss(square(LOW), square(LOW)), torch.float32),
    "product": (lambda: square(LOW).prod(), torch.float32),
    "index_copy": (lambda: torch.index_copy(torch.ones(3), 0, torch.tensor([1]), torch.ones(1, dtype=LOW)), torch.float32),
    "pinv": (lambda: torch.linalg.pinv(square()), LOW),
    "out=": (lambda: torch.mm(square(), square(), out=torch.zeros(2, 2)), torch.float32),
    "in place": (lambda: torch.zeros(2, 2).addmm_(square(), square()), torch.float32),
    "meta": (lambda: square().to("meta") @ square().to("meta"), torch.float32),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_dtypes_as_recorded(name):
    call, want = RECORDED[name]
    with torch.autocast("cpu"):
        assert call().dtype is want


def test_an_edge_made_under_autocast_is_not_found_without_it():
    x = square()
    for _ in range(3):
        assert (x @ x).dtype is torch.float32
        with torch.autocast("cpu"):
            assert (x @ x).dtype is LOW


def test_operands_are_rounded_before_the_product():
    x = torch.tensor([[1.001, 2.003]])
    with torch.autocast("cpu"):
        y = x @ x.T
    assert y.item() == (x.bfloat16() @ x.bfloat16().T).item() != (x @ x.T).item()


def test_blocks_nest_and_end():
    x = square()
    with torch.autocast("cpu"):
        assert torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            assert (x @ x).dtype is torch.float32
        with torch.autocast("cpu", dtype=torch.float16):
            assert (x @ x).dtype is torch.float16
            assert torch.get_autocast_dtype("cpu") is torch.float16
        assert (x @ x).dtype is LOW
        print(x)  # a read ends the walk, not the block
        assert (x @ x).dtype is LOW
        with torch.no_grad():
            assert (x @ x).dtype is LOW
    assert not torch.is_autocast_enabled("cpu")
    assert (x @ x).dtype is torch.float32
    assert torch.autocast("cpu")(lambda: x @ x)().dtype is LOW
    with pytest.raises(KeyError), torch.autocast("cpu"):
        raise KeyError
    assert (x @ x).dtype is torch.float32


def test_other_threads_are_not_affected():
    found = []
    with torch.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append((square() @ square()).dtype))
        thread.start()
        thread.join()
    assert found == [torch.float32]


def test_training_under_autocast_keeps_the_parameters_in_float32():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(32, 4)
    y = x.sum(dim=1, keepdim=True)
    losses = []
    for _ in range(20):  # the path comes back, so that it is compiled too
        optimizer.zero_grad()
        with torch.autocast("cpu"):
            out = model(x)
            loss = F.mse_loss(out, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert out.dtype is LOW
    assert loss.dtype is torch.float32
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    assert losses[-1] < losses[0] / 3
    # PyTorch 2.13's losses of this program
    assert losses[:3] == pytest.approx([3.1734507083892822, 2.397979259490967, 1.7816224098205566], rel=1e-4)


def test_what_is_refused():
    with pytest.raises(ValueError, match="device_type"):
        torch.autocast(torch.device("cpu"))
    with pytest.raises(RuntimeError, match="device type"):
        torch.autocast("abc")
    with pytest.warns(UserWarning, match="Disabling autocast"), torch.autocast("cpu", dtype=torch.float64):
        assert (square() @ square()).dtype is torch.float32
    with pytest.warns(UserWarning, match="CUDA"), torch.autocast("cuda"):
        assert (square() @ square()).dtype is torch.float32


def test_settings_by_function():
    assert torch.amp.is_autocast_available("cpu")
    assert not torch.amp.is_autocast_available("meta")
    torch.set_autocast_enabled("cpu", True)
    try:
        assert (square() @ square()).dtype is LOW
        torch.set_autocast_dtype("cpu", torch.float16)
        assert (square() @ square()).dtype is torch.float16
    finally:
        torch.set_autocast_enabled("cpu", False)
        torch.set_autocast_dtype("cpu", LOW)
    assert (square() @ square()).dtype is torch.float32
    with pytest.warns(DeprecationWarning, match="is_autocast_enabled"):
        assert torch.is_autocast_cpu_enabled() is False
    with pytest.warns(FutureWarning, match="torch.amp.autocast"), torch.cpu.amp.autocast():
        assert (square() @ square()).dtype is LOW


class Times(torch.autograd.Function):
    """x @ x, and what autocast was in forward and backward."""

    seen: list = []

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")
    def forward(ctx, x):
        Times.seen.append(torch.is_autocast_enabled("cpu"))
        return x @ x

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, g):
        Times.seen.append(torch.is_autocast_enabled("cpu"))
        return g @ g


class Twice(torch.autograd.Function):
    """2 x, in float32 without autocast."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, x):
        assert not torch.is_autocast_enabled("cpu")
        return x * 2

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, g):
        return g * 2


def test_functions_of_ones_own_run_backward_in_forwards_autocast():
    Times.seen.clear()
    x = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu"):
        y = Times.apply(x)
    y.sum().backward()
    assert y.dtype is LOW
    assert Times.seen == [True, True]
    assert x.grad.dtype is torch.float32  # backward's result was in bfloat16
    low = torch.ones(2, dtype=LOW, requires_grad=True)
    with torch.autocast("cpu"):
        z = Twice.apply(low)
    z.sum().backward()
    assert z.dtype is torch.float32
    assert low.grad.dtype is LOW
    assert Twice.apply(low).dtype is LOW  # without autocast nothing is cast
