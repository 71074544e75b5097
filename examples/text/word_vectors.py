"""Word vectors by skip-grams with negative samples (Mikolov et al. 2013): words that stand in like places come near."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

ANIMALS, FOODS = "cat dog cow pig".split(), "bread rice soup cake".split()
SENTENCES = [f"the {a} runs and the {b} sleeps".split() for a in ANIMALS for b in ANIMALS if a != b]
SENTENCES += [f"we eat {a} with {b} today".split() for a in FOODS for b in FOODS if a != b]
WORDS = sorted({word for words in SENTENCES for word in words})
NUMBER = {word: i for i, word in enumerate(WORDS)}

pairs = [
    (NUMBER[words[i]], NUMBER[words[j]])
    for words in SENTENCES
    for i in range(len(words))
    for j in range(max(0, i - 2), min(len(words), i + 3))
    if i != j
]
centres, contexts = torch.tensor(pairs).unbind(dim=1)
frequency = torch.bincount(contexts, minlength=len(WORDS)).float() ** 0.75

torch.manual_seed(12)
inside, outside = nn.Embedding(len(WORDS), 8), nn.Embedding(len(WORDS), 8)
optimizer = torch.optim.Adam([*inside.parameters(), *outside.parameters()], lr=0.05)
for step in range(61):
    negatives = torch.multinomial(frequency, len(pairs) * 4, replacement=True).view(-1, 4)
    v = inside(centres)
    positive = (v * outside(contexts)).sum(dim=1)
    negative = torch.bmm(outside(negatives), v.unsqueeze(2)).squeeze(2)
    loss = -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(dim=1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step}  loss {loss.item():.4f}")

vectors = F.normalize(inside.weight.detach())
similarity = vectors @ vectors.t()


def mean_similarity(some, others):
    found = [similarity[NUMBER[a], NUMBER[b]].item() for a in some for b in others if a != b]
    return sum(found) / len(found)


print(f"animal to animal {mean_similarity(ANIMALS, ANIMALS):.2f}")
print(f"food to food {mean_similarity(FOODS, FOODS):.2f}")
print(f"animal to food {mean_similarity(ANIMALS, FOODS):.2f}")
