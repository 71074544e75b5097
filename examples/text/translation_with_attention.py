"""An encoder and a decoder with attention (Bahdanau et al. 2015) turn numbers into words, of a length of their own."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

ONES = "zero one two three four five six seven eight nine".split()
TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = ["<end>", *ONES, *TENS]


def in_words(n):
    tens, ones = divmod(n, 10)
    words = [TENS[tens - 1]] if tens else []
    return [WORDS.index(w) for w in words + ([ONES[ones]] if ones or not tens else [])] + [0]


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(10, width)
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, x):
        return self.gru(self.embedding(x))  # (N, T, C), (1, N, C)


class Decoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), width)
        self.cell = nn.GRUCell(2 * width, width)
        self.query, self.key, self.score = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.out = nn.Linear(width, len(WORDS))

    def forward(self, word, state, memory):
        scores = self.score(torch.tanh(self.query(state).unsqueeze(1) + self.key(memory)))  # (N, T, 1)
        weights = scores.softmax(dim=1)
        context = (weights * memory).sum(dim=1)
        state = self.cell(torch.cat([self.embedding(word), context], dim=1), state)
        return self.out(state), state


torch.manual_seed(13)
numbers = torch.randperm(100)[:80]
inputs = torch.stack([numbers // 10, numbers % 10], dim=1)
targets = nn.utils.rnn.pad_sequence(
    [torch.tensor(in_words(n)) for n in numbers.tolist()], batch_first=True, padding_value=-100
)
encoder, decoder = Encoder(32), Decoder(32)
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.01)
for step in range(1, 41):
    memory, state = encoder(inputs)
    state, word, loss = state[0], torch.zeros(len(numbers), dtype=torch.long), 0.0
    for target in targets.unbind(dim=1):
        logits, state = decoder(word, state, memory)
        loss = loss + F.cross_entropy(logits, target, ignore_index=-100)
        word = target.clamp(min=0)  # the right word goes in next
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step}  loss {loss.item():.4f}")
