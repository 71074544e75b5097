"""A bidirectional LSTM over packed sequences: each word is tagged, and padding costs nothing."""

import random

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F
from tenfold.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence
from tenfold.utils.data import DataLoader

WORDS = "the a big old dog bird man sees eats fears quickly today".split()
TAGS = dict(zip(WORDS, (0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4)))  # article, adjective, noun, verb, adverb


def sentence(draw):
    phrase = lambda: [draw.choice(WORDS[:2]), *draw.sample(WORDS[2:4], draw.randint(0, 2)), draw.choice(WORDS[4:7])]
    words = [*phrase(), draw.choice(WORDS[7:10]), *phrase(), *draw.sample(WORDS[10:], draw.randint(0, 1))]
    return torch.tensor([WORDS.index(w) for w in words]), torch.tensor([TAGS[w] for w in words])


def collate(batch):
    words, tags = zip(*batch)
    lengths = torch.tensor([len(row) for row in words])
    return pad_sequence(words, batch_first=True), lengths, pack_sequence(tags, enforce_sorted=False).data


class Tagger(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), width)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, 5)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        return self.lstm(packed)[0]


draw = random.Random(1)
data = [sentence(draw) for _ in range(96)]
torch.manual_seed(15)
model = Tagger()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
for epoch in range(4):
    total = 0.0
    for words, lengths, tags in DataLoader(data, batch_size=32, shuffle=True, collate_fn=collate):
        found = model(words, lengths)
        loss = F.cross_entropy(model.out(found.data), tags)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}  loss {total / 3:.4f}")
padded, lengths = pad_packed_sequence(found, batch_first=True)
print("the last batch:", tuple(padded.shape), "lengths from", lengths.min().item(), "to", lengths.max().item())
