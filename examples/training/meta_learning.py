"""Model-agnostic meta-learning: gradients of gradients, through a step taken for each task (Finn et al. 2017)."""

import math

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


def task():
    """Ten points of a sine of random height and phase, to adapt to, and ten to be judged by."""
    height, phase = torch.rand(1) * 2 + 0.5, torch.rand(1) * math.pi
    x = torch.rand(20, 1) * 10 - 5
    return (x, height * torch.sin(x + phase))


torch.manual_seed(39)
model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
before, after = 0.0, 0.0
for step in range(1, 101):
    total = 0.0
    for _ in range(4):
        x, y = task()
        weights = dict(model.named_parameters())
        loss = F.mse_loss(torch.func.functional_call(model, weights, (x[:10],)), y[:10])
        grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        adapted = {name: w - 0.01 * g for (name, w), g in zip(weights.items(), grads)}
        total = total + F.mse_loss(torch.func.functional_call(model, adapted, (x[10:],)), y[10:]) / 4
        before += F.mse_loss(model(x[10:]), y[10:]).item() / 100
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    after += total.item() / 25
    if step % 25 == 0:
        print(f"steps {step - 24} to {step}  before adapting {before:.4f}  after {after:.4f}")
        before, after = 0.0, 0.0
