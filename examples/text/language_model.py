"""An LSTM reads a text letter by letter; its state goes on from piece to piece, cut off from its history."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

TEXT = "the cat sat on the mat and the dog sat on the log. " * 12
LETTERS = sorted(set(TEXT))


class Model(nn.Module):
    def __init__(self, letters, width=32):
        super().__init__()
        self.embedding = nn.Embedding(letters, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, dropout=0.1)
        self.out = nn.Linear(width, letters)
        self.out.weight = self.embedding.weight  # tied

    def forward(self, x, state=None):  # (T, N)
        y, state = self.lstm(self.embedding(x), state)
        return self.out(y), state


torch.manual_seed(9)
data = torch.tensor([LETTERS.index(c) for c in TEXT])
columns = data[: len(data) // 4 * 4].view(4, -1).t().contiguous()  # (T, 4)
model = Model(len(LETTERS))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
T = 20
for epoch in range(6):
    state, losses = None, []
    for start in range(0, len(columns) - T, T):
        x, y = columns[start : start + T], columns[start + 1 : start + T + 1]
        if state is not None:
            state = tuple(part.detach() for part in state)
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch}  perplexity {torch.tensor(losses).mean().exp().item():.3f}")
