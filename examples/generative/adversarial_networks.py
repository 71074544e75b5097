"""Two networks play: one makes points that look like the ring, the other tells them apart (Goodfellow et al. 2014)."""

import math

import tenfold as torch
from tenfold import nn
from tenfold.nn.utils.parametrizations import spectral_norm

torch.manual_seed(21)
generator = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
judge = nn.Sequential(
    spectral_norm(nn.Linear(2, 32)),
    nn.LeakyReLU(0.2),
    spectral_norm(nn.Linear(32, 32)),
    nn.LeakyReLU(0.2),
    nn.Linear(32, 1),
)
criterion = nn.BCEWithLogitsLoss()
options = {"lr": 0.002, "betas": (0.5, 0.999)}
make, tell = torch.optim.Adam(generator.parameters(), **options), torch.optim.Adam(judge.parameters(), **options)


def ring(count):
    angle = torch.rand(count) * 2 * math.pi
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(count, 2)


ones, zeros = torch.ones(128, 1), torch.zeros(128, 1)
for step in range(1, 61):
    fake = generator(torch.randn(128, 4))
    told = criterion(judge(ring(128)), ones) + criterion(judge(fake.detach()), zeros)
    tell.zero_grad()
    told.backward()
    tell.step()
    made = criterion(judge(fake), ones)
    make.zero_grad()
    made.backward()
    make.step()
    if step % 15 == 0:
        radius = fake.detach().norm(dim=1)
        print(f"step {step}  judge {told.item():.4f}  maker {made.item():.4f}  radius {radius.mean().item():.3f}")
