"""Denoising diffusion of points in the plane: learn the noise, then walk back from it (Ho et al. 2020)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

STEPS = 30
betas = torch.linspace(1e-3, 0.2, STEPS)
alphas = 1 - betas
kept = torch.cumprod(alphas, dim=0)


class Denoiser(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.time = nn.Embedding(STEPS, width)
        self.into = nn.Linear(2, width)
        self.net = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x, t):
        return self.net(self.into(x) + self.time(t))


torch.manual_seed(22)
corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
data = corners[torch.randint(0, 2, (512,))] + 0.1 * torch.randn(512, 2)
model = Denoiser()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
for step in range(1, 161):
    t = torch.randint(0, STEPS, (512,))
    noise = torch.randn_like(data)
    mixed = kept[t].sqrt().unsqueeze(1) * data + (1 - kept[t]).sqrt().unsqueeze(1) * noise
    loss = F.mse_loss(model(mixed, t), noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average.update_parameters(model)
    if step % 40 == 0:
        print(f"step {step}  loss {loss.item():.4f}")

with torch.no_grad():
    x = torch.randn(256, 2)
    for t in reversed(range(STEPS)):
        noise = average(x, torch.full((256,), t))
        x = (x - betas[t] / (1 - kept[t]).sqrt() * noise) / alphas[t].sqrt()
        if t:
            x = x + betas[t].sqrt() * torch.randn_like(x)
near = torch.cdist(x, corners).min(dim=1).values
print(f"drawn points within 0.5 of a corner: {(near < 0.5).float().mean().item():.2f}")
