"""Training is saved in the middle and goes on from the file, with the same losses as without the break."""

import os
import tempfile

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


def parts():
    torch.manual_seed(41)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    return model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)


def train(model, optimizer, schedule, x, y, steps):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.huber_loss(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(42)
x = torch.randn(128, 6)
y = x[:, :1] * x[:, 1:2]
straight = train(*parts(), x, y, 20)

model, optimizer, schedule = parts()
first = train(model, optimizer, schedule, x, y, 10)
path = os.path.join(tempfile.mkdtemp(), "checkpoint.pt")
state = {
    "model": model.state_dict(),
    "optimizer": optimizer.state_dict(),
    "schedule": schedule.state_dict(),
    "random": torch.get_rng_state(),
}
torch.save(state, path)
del model, optimizer, schedule

model, optimizer, schedule = parts()
saved = torch.load(path)
model.load_state_dict(saved["model"])
optimizer.load_state_dict(saved["optimizer"])
schedule.load_state_dict(saved["schedule"])
torch.set_rng_state(saved["random"])
second = train(model, optimizer, schedule, x, y, 10)
print("losses:", [round(loss, 4) for loss in straight[::5]], "...", round(straight[-1], 4))
print("the same with a break:", max(abs(a - b) for a, b in zip(straight, first + second)) < 1e-6)
