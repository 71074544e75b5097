"""A small U-Net marks the disc in a noisy image, pixel by pixel."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


def two_convolutions(channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """Down to half the size and up again, with what was there before beside it (Ronneberger et al. 2015)."""

    def __init__(self):
        super().__init__()
        self.down = two_convolutions(1, 8)
        self.bottom = two_convolutions(8, 16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.last = two_convolutions(16, 8)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x):  # (N, 1, 16, 16)
        before = self.down(x)
        deep = self.bottom(F.max_pool2d(before, 2))  # (N, 16, 8, 8)
        return self.out(self.last(torch.cat([before, self.up(deep)], dim=1)))


def dice(probabilities, mask):
    return 2 * (probabilities * mask).sum() / (probabilities.sum() + mask.sum())


torch.manual_seed(3)
count = 64
y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
centres = torch.rand(count, 2, 1, 1) * 10 + 3
radii = torch.rand(count, 1, 1) * 3 + 2
masks = (((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) < radii**2).float().unsqueeze(1)
images = masks + 0.8 * torch.randn(count, 1, 16, 16)

model = UNet()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for step in range(20):
    optimizer.zero_grad()
    logits = model(images)
    overlap = dice(logits.sigmoid(), masks)
    loss = F.binary_cross_entropy_with_logits(logits, masks) + 1 - overlap
    loss.backward()
    optimizer.step()
    if step % 5 == 4:
        print(f"step {step}  loss {loss.item():.4f}  overlap {overlap.item():.4f}")
