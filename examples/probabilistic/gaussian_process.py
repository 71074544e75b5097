"""Gaussian process regression: the kernel's three parameters by the marginal likelihood, through a Cholesky factor."""

import math

import tenfold as torch


def kernel(a, b, scale, height):
    return height * torch.exp(-0.5 * ((a.unsqueeze(1) - b) / scale) ** 2)


torch.manual_seed(33)
x = torch.rand(25, dtype=torch.float64) * 6
y = torch.sin(x) + 0.1 * torch.randn(25, dtype=torch.float64)
logs = torch.zeros(3, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([logs], lr=0.1)
for step in range(1, 61):
    scale, height, noise = logs.exp()
    covariance = kernel(x, x, scale, height) + noise * torch.eye(25, dtype=torch.float64)
    factor = torch.linalg.cholesky(covariance)
    solved = torch.cholesky_solve(y.unsqueeze(1), factor).squeeze(1)
    loss = 0.5 * y @ solved + factor.diagonal().log().sum() + 12.5 * math.log(2 * math.pi)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 15 == 0:
        print(f"step {step}  -log p(y) {loss.item():.4f}  scale {scale.item():.3f}  noise {noise.sqrt().item():.3f}")
with torch.no_grad():
    at = torch.tensor([1.0, 3.0, 5.0, 9.0], dtype=torch.float64)
    across = kernel(at, x, scale, height)
    mean = across @ solved
    half = torch.linalg.solve_triangular(factor, across.t(), upper=False)
    deviation = (height - half.square().sum(dim=0)).sqrt()
for row in zip(at.tolist(), mean.tolist(), deviation.tolist()):
    print("at {:.0f}: {:.2f} +- {:.2f}".format(*row))
