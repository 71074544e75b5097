"""Workloads whose step is another one each time: lengths that differ, depth chosen at random."""

from random import Random

from .registry import shuffled, workload

LENGTHS = range(10, 74)
DEPTHS = [0, 1, 2, 3] * 4


@workload("lengths that differ at each step", target=2, burst=len(LENGTHS),
          quick={"batch": 2, "width": 8, "heads": 2})  # fmt: skip
def varlen(torch, batch=8, width=32, heads=4, words=500):
    """A self-attentive classifier; each batch of sentences is as long as its longest. 64 lengths, in random order."""
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(words, width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.head = nn.Linear(width, 2)

        def forward(self, tokens):
            n, t = tokens.shape
            x = self.embedding(tokens)  # N, T, D
            q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, heads, -1).permute(2, 0, 3, 1, 4)  # each N, H, T, D / H
            scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
            mixed = F.softmax(scores, dim=-1) @ v
            x = x + self.out(mixed.transpose(1, 2).reshape(n, t, width))
            x = x + self.down(F.relu(self.up(self.norm2(x))))
            return self.head(x.mean(1))

    model = Classifier()
    text, y = torch.randint(0, words, (batch, LENGTHS.stop)), torch.randint(0, 2, (batch,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    lengths = shuffled(Random(0), LENGTHS)

    def step():
        tokens = text[:, : next(lengths)]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@workload("depth chosen at random at each step", target=5, burst=len(DEPTHS), quick={"width": 8})
def dynamic_depth(torch, batch=32, width=64):
    """A hidden layer used 0 to 3 times; Adam."""
    nn = torch.nn
    torch.manual_seed(0)
    first, middle, last = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 1)
    x, y = torch.randn(batch, width), torch.randn(batch, 1)
    optimizer = torch.optim.Adam([*first.parameters(), *middle.parameters(), *last.parameters()], lr=1e-3)
    depths = shuffled(Random(0), DEPTHS)

    def step():
        h = torch.relu(first(x))
        for _ in range(next(depths)):
            h = torch.relu(middle(h))
        loss = nn.functional.mse_loss(last(h), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
