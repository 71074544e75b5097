"""Two images through one network, and a contrastive loss: near if they show the same, far if they do not."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.PReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3),
            nn.PReLU(),
            nn.Flatten(),
            nn.Linear(144, 2),
        )

    def forward(self, x):
        return self.net(x)


def contrastive(a, b, same, margin=1.0):
    """Hadsell et al. 2006: squared distance of pairs that belong together, a hinge for the others."""
    distance = F.pairwise_distance(a, b)
    return torch.where(same, distance**2, F.relu(margin - distance) ** 2).mean()


torch.manual_seed(5)
prototypes = torch.randn(3, 1, 12, 12)


def pairs(count):
    first, second = torch.randint(0, 3, (2, count)).unbind()
    images = [prototypes[which] + 0.5 * torch.randn(count, 1, 12, 12) for which in (first, second)]
    return *images, first == second


model = Embedding()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
for step in range(20):
    a, b, same = pairs(64)
    optimizer.zero_grad()
    loss = contrastive(model(a), model(b), same)
    loss.backward()
    optimizer.step()
    if step % 5 == 4:
        print(f"step {step}  loss {loss.item():.4f}")
with torch.no_grad():
    centres = model(prototypes)
    print("distances between the three:", [round(d, 2) for d in F.pdist(centres).tolist()])
