"""A network becomes the solution of u'' = -u with u(0) = 0, u'(0) = 1: its own derivatives are in the loss."""

import tenfold as torch
from tenfold import nn

torch.manual_seed(29)
model = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
x = torch.linspace(0, 3.0, 40).unsqueeze(1).requires_grad_()


def derivative(y, x):
    return torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]


for step in range(1, 121):
    u = model(x)
    du = derivative(u, x)
    equation = (derivative(du, x) + u).square().mean()
    start = u[0].square().sum() + (du[0] - 1).square().sum()
    loss = equation + start
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        error = (u - torch.sin(x)).abs().max().item()
        print(f"step {step}  loss {loss.item():.5f}  farthest from sin(x) {error:.4f}")
