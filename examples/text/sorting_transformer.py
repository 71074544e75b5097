"""`nn.Transformer`, encoder and decoder with masks, learns to sort; what it writes is then decoded greedily."""

import math

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

LENGTH, SYMBOLS, START = 5, 10, 10


class Sorter(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS + 1, width)
        self.transformer = nn.Transformer(width, 4, 1, 1, 64, dropout=0.0, batch_first=True)
        self.out = nn.Linear(width, SYMBOLS)
        place = torch.arange(LENGTH + 1).unsqueeze(1)
        rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        table = torch.zeros(LENGTH + 1, width)
        table[:, 0::2], table[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
        self.register_buffer("places", table)

    def embed(self, x):
        return self.embedding(x) + self.places[: x.shape[1]]

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.out(self.transformer(self.embed(source), self.embed(target), tgt_mask=mask))


def batch(count):
    rows = torch.randint(0, SYMBOLS, (count, LENGTH))
    ordered = rows.sort(dim=1).values
    return rows, torch.cat([torch.full((count, 1), START), ordered[:, :-1]], dim=1), ordered


torch.manual_seed(16)
model = Sorter()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003, betas=(0.9, 0.98))
for step in range(1, 31):
    rows, shifted, ordered = batch(64)
    loss = F.cross_entropy(model(rows, shifted).flatten(0, 1), ordered.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step}  loss {loss.item():.4f}")
model.eval()
with torch.no_grad():
    rows, _, ordered = batch(20)
    written = torch.full((20, 1), START)
    for _ in range(LENGTH):
        following = model(rows, written)[:, -1].argmax(dim=1, keepdim=True)
        written = torch.cat([written, following], dim=1)
print(f"places right, greedily decoded: {(written[:, 1:] == ordered).float().mean().item():.2f}")
