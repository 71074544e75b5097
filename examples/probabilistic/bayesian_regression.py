"""Weights with a mean and a width each, learned by drawing them (Blundell et al. 2015): doubt grows away from the data."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class BayesianLinear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.mean = nn.Parameter(torch.randn(outputs, inputs + 1) * 0.3)
        self.rho = nn.Parameter(torch.full((outputs, inputs + 1), -3.0))

    def forward(self, x):
        drawn = self.mean + F.softplus(self.rho) * torch.randn_like(self.mean)
        return F.linear(x, drawn[:, :-1], drawn[:, -1])

    def divergence(self):
        """From a standard normal prior."""
        scale = F.softplus(self.rho)
        return (0.5 * (scale**2 + self.mean**2 - 1) - scale.log()).sum()


torch.manual_seed(35)
x = torch.cat([torch.rand(30, 1) - 1.5, torch.rand(30, 1) + 0.5])
y = torch.sin(3 * x) + 0.05 * torch.randn(60, 1)
first, second = BayesianLinear(1, 20), BayesianLinear(20, 1)
optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.05)
for step in range(1, 201):
    error = F.mse_loss(second(torch.tanh(first(x))), y) / (2 * 0.1**2)
    loss = error + (first.divergence() + second.divergence()) / 60
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step}  loss {loss.item():.3f}  error {error.item():.3f}")
with torch.no_grad():
    at = torch.tensor([[-1.0], [1.0], [4.0]])
    spread = torch.stack([second(torch.tanh(first(at))) for _ in range(200)]).std(dim=0)
print("spread at -1, 1 and 4:", [round(s, 2) for s in spread.flatten().tolist()])
