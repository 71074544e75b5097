"""A field of velocities, learned from trajectories: Runge-Kutta steps are differentiated through (Chen et al. 2018)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


def runge_kutta(f, y, h, steps):
    """The trajectory (steps + 1, N, 2) from y."""
    found = [y]
    for _ in range(steps):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        found.append(y)
    return torch.stack(found)


torch.manual_seed(30)
spiral = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
start = torch.randn(24, 2)
true = runge_kutta(lambda y: y**3 @ spiral, start.clamp(-1.5, 1.5), 0.05, 8)
field = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
for layer in field:
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.1)
        nn.init.zeros_(layer.bias)
optimizer = torch.optim.RMSprop(field.parameters(), lr=0.003)
for step in range(1, 61):
    loss = F.l1_loss(runge_kutta(lambda y: field(y**3), true[0], 0.05, 8), true)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 15 == 0:
        print(f"step {step}  loss {loss.item():.5f}")
