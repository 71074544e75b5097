"""A network gives a mixture of Gaussians for each input, where one number would be wrong (Bishop 1994)."""

import math

import tenfold as torch
from tenfold import nn

torch.manual_seed(34)
place = torch.rand(400, 1) * 2 - 1
branch = torch.randint(0, 2, (400, 1)) * 2 - 1
y = branch * (0.3 + 0.5 * place**2) + 0.05 * torch.randn(400, 1)  # two answers for every input
model = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 3 * 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(1, 81):
    logits, mean, log_scale = model(place).chunk(3, dim=1)  # (N, 3) each
    log_normal = -0.5 * ((y - mean) / log_scale.exp()) ** 2 - log_scale - 0.5 * math.log(2 * math.pi)
    loss = -torch.logsumexp(logits.log_softmax(dim=1) + log_normal, dim=1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step}  negative log-likelihood {loss.item():.4f}")
