"""Twice the resolution: what interpolation misses is added by convolutions and a pixel shuffle (Shi et al. 2016)."""

import math

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

torch.manual_seed(4)
model = nn.Sequential(
    nn.Conv2d(1, 16, 5, padding=2),
    nn.Tanh(),
    nn.Conv2d(16, 8, 3, padding=1),
    nn.Tanh(),
    nn.Conv2d(8, 4, 3, padding=1),
    nn.PixelShuffle(2),
)
for layer in model:
    if isinstance(layer, nn.Conv2d):
        nn.init.orthogonal_(layer.weight, nn.init.calculate_gain("tanh"))
        nn.init.zeros_(layer.bias)
nn.init.zeros_(model[-2].weight)  # nothing is added at first

# smooth random images: sums of waves
grid = torch.arange(24.0) / 24
frequencies, phases = torch.rand(32, 6, 2) * 12, torch.rand(32, 6, 1, 1) * 2 * math.pi
waves = frequencies[..., :1, None] * grid.view(24, 1) + frequencies[..., 1:, None] * grid + phases
sharp = torch.sin(waves).mean(dim=1, keepdim=True)  # (32, 1, 24, 24)
small = F.avg_pool2d(sharp, 2)


def decibels(error):
    return -10 * math.log10(error)


bicubic = F.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False)
print(f"bicubic interpolation: {decibels(F.mse_loss(bicubic, sharp).item()):.2f} dB")
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for step in range(1, 61):
    optimizer.zero_grad()
    loss = F.mse_loss(bicubic + model(small), sharp)
    loss.backward()
    optimizer.step()
    if step % 15 == 0:
        print(f"step {step}: {decibels(loss.item()):.2f} dB")
