"""Causal, dilated convolutions with weight normalisation remember a mark from long ago (Bai et al. 2018)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F
from tenfold.nn.utils.parametrizations import weight_norm


class Layer(nn.Module):
    def __init__(self, channels, out_channels, dilation):
        super().__init__()
        self.left = 2 * dilation
        self.conv = weight_norm(nn.Conv1d(channels, out_channels, 3, dilation=dilation))
        self.around = nn.Conv1d(channels, out_channels, 1)

    def forward(self, x):
        return F.relu(self.conv(F.pad(x, (self.left, 0)))) + self.around(x)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(Layer(2, 12, 1), Layer(12, 12, 2), Layer(12, 12, 4), Layer(12, 12, 8))
        self.out = nn.Linear(12, 1)

    def forward(self, x):  # (N, 2, T)
        return self.out(self.layers(x)[:, :, -1]).squeeze(1)


torch.manual_seed(18)
# add the two numbers that are marked
values, marks = torch.rand(256, 24), torch.zeros(256, 24)
marks[torch.arange(256), torch.randint(0, 12, (256,))] = 1
marks[torch.arange(256), torch.randint(12, 24, (256,))] = 1
inputs, sums = torch.stack([values, marks], dim=1), (values * marks).sum(dim=1)
model = Network()
optimizer = torch.optim.NAdam(model.parameters(), lr=0.01)
print(f"always the mean: {sums.var(unbiased=False).item():.4f}")
for step in range(1, 61):
    optimizer.zero_grad()
    loss = F.mse_loss(model(inputs), sums)
    loss.backward()
    optimizer.step()
    if step % 15 == 0:
        print(f"step {step}  loss {loss.item():.4f}")
