"""Attention along edges, kept as a list: softmax over each node's neighbours by scatter (Veličković et al. 2018)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class Attention(nn.Module):
    def __init__(self, inputs, outputs, heads):
        super().__init__()
        self.linear = nn.Linear(inputs, heads * outputs, bias=False)
        self.source, self.target = (nn.Parameter(torch.randn(heads, outputs) * 0.3) for _ in range(2))
        self.heads = heads

    def forward(self, x, edges):
        source, target = edges
        h = self.linear(x).view(len(x), self.heads, -1)  # (nodes, H, C)
        scores = (h * self.source).sum(dim=2)[source] + (h * self.target).sum(dim=2)[target]
        weights = torch.exp(F.leaky_relu(scores, 0.2))  # (edges, H)
        total = torch.zeros(len(x), self.heads).index_add(0, target, weights)
        messages = h[source] * (weights / total[target]).unsqueeze(2)
        return torch.zeros_like(h).index_add(0, target, messages).flatten(1)


torch.manual_seed(25)
nodes = 40
edges = torch.randint(0, nodes, (2, 160))
edges = torch.cat([edges, torch.arange(nodes).expand(2, -1)], dim=1)  # and each node itself
features = torch.randn(nodes, 6)
# a node's class depends on the mean of what its neighbours have first
sums = torch.zeros(nodes).index_add(0, edges[1], features[edges[0], 0])
labels = (sums / torch.bincount(edges[1]) > 0).long()

layers = nn.ModuleList([Attention(6, 8, 4), Attention(32, 2, 1)])
optimizer = torch.optim.Adam(layers.parameters(), lr=0.01)
for step in range(1, 51):
    logits = layers[1](F.elu(layers[0](features, edges)), edges)
    loss = F.cross_entropy(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step}  loss {loss.item():.4f}  right {(logits.argmax(1) == labels).float().mean().item():.3f}")
