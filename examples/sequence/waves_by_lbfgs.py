"""Two LSTM cells continue sine waves; L-BFGS trains them in double precision, on all waves at once."""

import math

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class Continue(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.width = width
        self.first, self.second = nn.LSTMCell(1, width), nn.LSTMCell(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, waves, future=0):  # (N, T)
        h1, c1, h2, c2 = (torch.zeros(len(waves), self.width, dtype=waves.dtype) for _ in range(4))
        outputs = []
        for x in waves.split(1, dim=1):
            h1, c1 = self.first(x, (h1, c1))
            h2, c2 = self.second(h1, (h2, c2))
            outputs.append(self.out(h2))
        for _ in range(future):
            h1, c1 = self.first(outputs[-1], (h1, c1))
            h2, c2 = self.second(h1, (h2, c2))
            outputs.append(self.out(h2))
        return torch.cat(outputs, dim=1)


torch.manual_seed(17)
phases = torch.rand(8, 1, dtype=torch.float64) * 2 * math.pi
waves = torch.sin(torch.arange(31, dtype=torch.float64) * 0.5 + phases)
inputs, targets = waves[:, :20], waves[:, 1:21]
model = Continue().double()
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=6)
for step in range(3):

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(inputs), targets)
        loss.backward()
        return loss

    before = optimizer.step(closure)
    with torch.no_grad():
        continued = model(inputs, future=10)[:, 20:]
        print(
            f"step {step}  loss {before.item():.5f}  ten steps ahead {F.mse_loss(continued, waves[:, 21:]).item():.5f}"
        )
