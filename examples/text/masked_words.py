"""A bidirectional encoder guesses the words that were masked (Devlin et al. 2019)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

LENGTH, WORDS, MASK = 10, 12, 12

torch.manual_seed(14)
# sentences are progressions: each word is the one before plus a step, modulo 12
starts, strides = torch.randint(0, WORDS, (256, 1)), torch.randint(1, 4, (256, 1))
sentences = (starts + strides * torch.arange(LENGTH)) % WORDS


class Encoder(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS + 1, width), nn.Embedding(LENGTH, width)
        self.norm = nn.LayerNorm(width)
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(width, WORDS)

    def forward(self, x):
        return self.out(self.encoder(self.norm(self.words(x) + self.places.weight)))


model = Encoder()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.006)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
for step in range(1, 31):
    hidden = torch.rand(sentences.shape) < 0.15
    logits = model(sentences.masked_fill(hidden, MASK))
    loss = F.cross_entropy(logits[hidden], sentences[hidden])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    if step % 6 == 0:
        print(f"step {step}  masked {hidden.sum().item()}  loss {loss.item():.4f}")
