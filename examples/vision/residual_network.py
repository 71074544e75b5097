"""Residual blocks with batch normalisation, trained with momentum and a one-cycle schedule."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class Block(nn.Module):
    """Two convolutions and a way around them (He et al. 2015)."""

    def __init__(self, channels, out_channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.around = nn.Identity()
        if stride != 1 or channels != out_channels:
            self.around = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.around(x))


torch.manual_seed(1)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1, bias=False),
    nn.BatchNorm2d(8),
    nn.ReLU(),
    Block(8, 8),
    Block(8, 16, stride=2),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(16, 3),
)
print("parameters:", sum(p.numel() for p in model.parameters()))

# which of the three colours waves the fastest
count = 96
kinds = torch.randint(0, 3, (count,))
phase = torch.rand(count, 3, 1, 1) * 6
waves = torch.sin(torch.arange(12.0).view(1, 1, 1, 12) * 0.4 + phase).expand(count, 3, 12, 12).clone()
fast = torch.sin(torch.arange(12.0).view(1, 1, 12) * 1.6 + phase[:, 0])
waves[torch.arange(count), kinds] = fast.expand(count, 12, 12)
images = waves + 0.2 * torch.randn(count, 3, 12, 12)

steps = 10
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
for step in range(steps):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), kinds)
    loss.backward()
    optimizer.step()
    print(f"step {step}  learning rate {schedule.get_last_lr()[0]:.5f}  loss {loss.item():.4f}")
    schedule.step()
