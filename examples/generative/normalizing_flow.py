"""A flow of affine couplings: invertible, so that the density of the data is known exactly (Dinh et al. 2017)."""

import math

import tenfold as torch
from tenfold import nn


class Coupling(nn.Module):
    """One coordinate is scaled and moved by functions of the other."""

    def __init__(self, first):
        super().__init__()
        self.register_buffer("mask", torch.tensor([1.0, 0.0] if first else [0.0, 1.0]))
        self.net = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 4))

    def parts(self, x):
        scale, shift = self.net(x * self.mask).chunk(2, dim=1)
        return torch.tanh(scale) * (1 - self.mask), shift * (1 - self.mask)

    def forward(self, x):
        scale, shift = self.parts(x)
        return x * scale.exp() + shift, scale.sum(dim=1)

    def inverse(self, y):
        scale, shift = self.parts(y)
        return (y - shift) * (-scale).exp()


torch.manual_seed(23)
flow = nn.ModuleList(Coupling(i % 2 == 0) for i in range(4))


def log_density(x):
    total = torch.zeros(len(x))
    for layer in flow:
        x, logdet = layer(x)
        total = total + logdet
    return total - 0.5 * (x**2).sum(dim=1) - math.log(2 * math.pi)


first = torch.randn(512)
data = torch.stack([first, 0.5 * first**2 + 0.2 * torch.randn(512)], dim=1)  # a banana
optimizer = torch.optim.Adam(flow.parameters(), lr=0.005)
for step in range(1, 81):
    loss = -log_density(data).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step}  negative log-likelihood {loss.item():.4f}")
with torch.no_grad():
    x = data
    for layer in flow:
        x, _ = layer(x)
    for layer in reversed(flow):
        x = layer.inverse(x)
print("inverted within 1e-4:", bool((x - data).abs().max() < 1e-4))
