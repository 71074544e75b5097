"""An image is changed by gradients until its features have the same correlations as a texture's (Gatys et al. 2015)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

torch.manual_seed(6)
features = nn.Sequential(nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(12, 12, 3), nn.ReLU())
features.requires_grad_(False)


def correlations(image):
    """Gram matrices of the activations after both ReLUs."""
    found = []
    for layer in features:
        image = layer(image)
        if isinstance(layer, nn.ReLU):
            flat = image.flatten(2)  # (1, C, H * W)
            found.append(flat @ flat.transpose(1, 2) / flat.shape[2])
    return found


y, x = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
texture = torch.sin(0.9 * x + 0.5 * y).view(1, 1, 20, 20)
wanted = correlations(texture)
image = (0.1 * torch.randn(1, 1, 20, 20)).requires_grad_()
optimizer = torch.optim.Adam([image], lr=0.05)
for step in range(61):
    optimizer.zero_grad()
    loss = sum(F.mse_loss(a, b) for a, b in zip(correlations(image), wanted)) * 1000
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        image.clamp_(-1, 1)
    if step % 20 == 0:
        print(f"step {step}  loss {loss.item():.4f}  contrast {image.std().item():.4f}")
