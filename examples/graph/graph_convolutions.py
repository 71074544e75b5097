"""Graph convolutions (Kipf and Welling 2017) find two groups of friends from two members whose group is known."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class GraphConvolution(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x, adjacency):
        return adjacency @ (x @ self.weight) + self.bias


torch.manual_seed(24)
count = 30
groups = torch.arange(count) % 2
chance = torch.where(groups.unsqueeze(0) == groups.unsqueeze(1), 0.5, 0.05)
friends = torch.triu(torch.rand(count, count) < chance, diagonal=1).float()
friends = friends + friends.t() + torch.eye(count)
degree = friends.sum(dim=1).rsqrt()
adjacency = degree.unsqueeze(1) * friends * degree

first, second = GraphConvolution(count, 8), GraphConvolution(8, 2)
parameters = [*first.parameters(), *second.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.02, weight_decay=5e-4)
features, known = torch.eye(count), torch.tensor([0, 1])
print("friendships:", int((friends.sum() - count) / 2))
for step in range(1, 41):
    h = F.dropout(F.relu(first(features, adjacency)), 0.2)
    logits = second(h, adjacency)
    loss = F.cross_entropy(logits[known], groups[known])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        right = (logits.argmax(dim=1) == groups).float().mean().item()
        print(f"step {step}  loss {loss.item():.4f}  members right {right:.2f}")
