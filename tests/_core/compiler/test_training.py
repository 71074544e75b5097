"""Training steps, layers and optimizers, interpreted and compiled; then real runs in which the compiler takes over."""

import numpy as np
import oracle
import pytest

import tenfold as torch
import tenfold.nn as nn
import tenfold.nn.functional as F
from tenfold._core import config

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "Adamax": lambda p: torch.optim.Adamax(p),
    "NAdam": lambda p: torch.optim.NAdam(p),
    "RAdam": lambda p: torch.optim.RAdam(p),
    "Rprop": lambda p: torch.optim.Rprop(p),
    "ASGD": lambda p: torch.optim.ASGD(p),
}


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.layer(x)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = kind(4, 3, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.cell(x)[0]


# module, shape of its input
LAYERS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3), nn.Softmax(-1)), (4, 5)),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2), nn.Flatten()
        ),
        (2, 2, 6, 6),
    ),
    "convolution transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 3, stride=2), nn.SiLU()), (2, 2, 4, 4)),
    "norms": (lambda: nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.Tanh()), (3, 4, 6)),
    "embedding": (lambda: nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2), nn.LogSoftmax(-1)), None),
    "attention": (Attention, (2, 3, 8)),
    "lstm": (lambda: Recurrent(nn.LSTM), (2, 3, 4)),
    "gru": (lambda: Recurrent(nn.GRU), (2, 3, 4)),
    "odd activations": (
        lambda: nn.Sequential(
            nn.PReLU(), nn.ELU(0.7), nn.Softplus(), nn.Hardswish(), nn.Mish(), nn.LeakyReLU(), nn.SELU()
        ),
        (3, 5),
    ),
}


def drawn(make, shape):
    """A module, its input and a target, computed: random numbers are no part of the programs that are compared."""
    torch.manual_seed(3)
    module = make()
    x = torch.tensor([[1, 5, 8], [0, 5, 5]]) if shape is None else torch.randn(shape)
    with torch.no_grad():
        target = torch.rand(module(x).shape)
    _ = [t.tolist() for t in [*module.parameters(), x, target]]
    return module, x, target


def steps(make, shape, optimizer, count):
    """The loss of each step of training to reach fixed values, and the parameters at the end."""
    module, x, target = drawn(make, shape)
    opt = optimizer(module.parameters()) if list(module.parameters()) else None
    losses = []
    for _ in range(count):
        loss = F.mse_loss(module(x), target)
        if opt is not None:
            opt.zero_grad()
            loss.backward()
            opt.step()
        losses.append(loss.item())
    return losses, [p.tolist() for p in module.parameters()]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_layers(name):
    with oracle.compared() as counts:
        steps(*LAYERS[name], OPTIMIZERS["SGD"], 2)
    assert counts["machines"] >= 2


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore")
def test_optimizers(name):
    with oracle.compared(native=name in ("Adam", "RAdam", "Rprop")) as counts:
        steps(*LAYERS["mlp"], OPTIMIZERS[name], 3)
    assert counts["programs"] >= 3
    assert counts["donated"] or name == "ASGD"  # the average of the first steps is the parameter itself


@pytest.mark.parametrize("name", ["mlp", "convolution", "lstm"])
@pytest.mark.filterwarnings("ignore")
def test_a_run_goes_on_as_it_was(name, monkeypatch):
    """Where the compiled program takes over, the losses go on as the interpreter's would, and every run has the same bits."""
    monkeypatch.setattr(config, "COMPILE_AT", 3)
    compiled = steps(*LAYERS[name], OPTIMIZERS["Adam"], 8)
    assert steps(*LAYERS[name], OPTIMIZERS["Adam"], 8)[0] == pytest.approx(compiled[0], rel=1e-5)
    again = [steps(*LAYERS[name], OPTIMIZERS["Adam"], 8) for _ in range(2)]  # compiled from their first step on
    assert again[0] == again[1]
    monkeypatch.setattr(config, "COMPILE", False)
    interpreted = steps(*LAYERS[name], OPTIMIZERS["Adam"], 8)
    np.testing.assert_allclose(compiled[0], interpreted[0], rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_deterministic_runs_have_the_same_bits():
    torch.use_deterministic_algorithms(True)
    try:
        runs = [steps(*LAYERS["convolution"], OPTIMIZERS["SGD"], 5) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert runs[0] == runs[1]


def test_a_read_between_steps_keeps_a_transposed_square_weight():
    """What a flush keeps for backward may be the transpose of a square input: of its shape, but not of its order."""
    torch.manual_seed(0)
    cell = nn.RNN(4, 8)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.0)
    x = torch.randn(3, 1, 1, 4)
    norms = []
    for _ in range(config.COMPILE_AT + 2):
        h, states = torch.ones(1, 1, 8), []
        for step in x:
            y, h = cell(step, h)
            y.detach().numpy()  # the walk ends
            states.append(y)
        optimizer.zero_grad()
        torch.cat(states).square().sum().backward()
        norms.append(cell.weight_ih_l0.grad.norm().item())
        optimizer.step()
    assert norms == pytest.approx([norms[0]] * len(norms), rel=1e-5)
