"""Convolutions of several widths over the words of a sentence: is it praise or not? (Kim 2014)"""

import random

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

GOOD, BAD = "great lovely superb fine charming".split(), "awful dull poor sad terrible".split()
REST = "the film story music cast was is a very quite rather with and of it".split()
WORDS = ["<pad>", *GOOD, *BAD, "not", *REST]
NUMBER = {word: i for i, word in enumerate(WORDS)}


def sentence(draw):
    """Words with one judgement among them, half of the time turned round by "not"."""
    words = draw.choices(REST, k=draw.randint(5, 9))
    praise, turned = draw.random() < 0.5, draw.random() < 0.5
    judgement = [draw.choice(GOOD if praise else BAD)]
    at = draw.randint(0, len(words))
    words[at:at] = ["not", *judgement] if turned else judgement
    return [NUMBER[w] for w in words], int(praise != turned)


class TextCNN(nn.Module):
    def __init__(self, width=16, filters=8, sizes=(2, 3, 4)):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), width, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv2d(1, filters, (size, width)) for size in sizes)
        self.out = nn.Linear(filters * len(sizes), 2)

    def forward(self, x):  # (N, T)
        x = self.embedding(x).unsqueeze(1)  # (N, 1, T, C)
        found = [F.relu(conv(x)).squeeze(3).amax(dim=2) for conv in self.convolutions]
        return self.out(torch.cat(found, dim=1))


draw = random.Random(0)
rows, labels = zip(*(sentence(draw) for _ in range(400)))
inputs = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
labels = torch.tensor(labels)

torch.manual_seed(11)
model = TextCNN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(1, 41):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(inputs[:300]), labels[:300])
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        with torch.no_grad():
            right = (model(inputs[300:]).argmax(1) == labels[300:]).float().mean().item()
        print(f"step {step}  loss {loss.item():.4f}  unseen sentences right {right:.2f}")
