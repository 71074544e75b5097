"""A vision transformer: an image as a sequence of patches, read through the token of the class."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class VisionTransformer(nn.Module):
    def __init__(self, size=16, patch=4, width=32, heads=4, layers=2, classes=4):
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, dim_feedforward=64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, images):  # (N, 1, 16, 16)
        x = self.patches(images).flatten(2).transpose(1, 2)  # (N, 16 patches, 32)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.places
        return self.head(self.encoder(x)[:, 0])


torch.manual_seed(2)
# in which quarter of the image is it brighter?
count = 128
quarters = torch.randint(0, 4, (count,))
images = torch.randn(count, 1, 16, 16)
for image, quarter in zip(images, quarters.tolist()):
    top, left = 8 * (quarter // 2), 8 * (quarter % 2)
    image[0, top : top + 8, left : left + 8] += 1.0

model = VisionTransformer()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.05)
for step in range(12):
    optimizer.zero_grad()
    logits = model(images)
    loss = F.cross_entropy(logits, quarters, label_smoothing=0.1)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 3 == 2:
        right = (logits.argmax(1) == quarters).float().mean().item()
        print(f"step {step}  loss {loss.item():.4f}  accuracy {right:.3f}")
