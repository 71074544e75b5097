"""A small convolutional network tells four shapes apart, drawn at random places with noise over them."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F
from tenfold.utils.data import DataLoader, TensorDataset


def shapes(count):
    """Images (count, 1, 12, 12) of a bar, a column, a square or a cross; and which it is."""
    images, kinds = torch.randn(count, 1, 12, 12) * 0.3, torch.randint(0, 4, (count,))
    corners = torch.randint(0, 7, (count, 2))
    for image, kind, (top, left) in zip(images, kinds.tolist(), corners.tolist()):
        box = image[0, top : top + 5, left : left + 5]
        if kind in (0, 3):
            box[2] += 1
        if kind in (1, 3):
            box[:, 2] += 1
        if kind == 2:
            box[[0, -1]] += 1
            box[1:-1, [0, -1]] += 1
    return images, kinds


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(16 * 3 * 3, 4)

    def forward(self, x):  # (N, 1, 12, 12)
        x = F.max_pool2d(F.relu(self.first(x)), 2)  # (N, 8, 6, 6)
        x = F.max_pool2d(F.relu(self.second(x)), 2)  # (N, 16, 3, 3)
        return self.out(self.dropout(x.flatten(1)))


torch.manual_seed(0)
train, test = shapes(512), shapes(256)
loader = DataLoader(TensorDataset(*train), batch_size=64, shuffle=True)
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    model.train()
    total = 0.0
    for images, kinds in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), kinds)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(kinds)
    model.eval()
    with torch.no_grad():
        right = (model(test[0]).argmax(dim=1) == test[1]).float().mean().item()
    print(f"epoch {epoch}  loss {total / 512:.4f}  accuracy {right:.3f}")
