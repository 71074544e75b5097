"""Names, one letter after the other: a table of bigrams, counted and then learned by gradient."""

import tenfold as torch
from tenfold.nn import functional as F

NAMES = """ada alan alonzo anna barbara blaise carl charles claude david donald edsger emmy euclid evariste felix frances
george grace hedy henri isaac jean john joan karen kurt leonhard leslie linus maria mary maurice niklaus norbert pierre
radia richard rosa sofia srinivasa stephen tim tony ursula vera vint whitfield yann yoshua""".split()
LETTERS = "." + "".join(sorted(set("".join(NAMES))))
NUMBER = {letter: i for i, letter in enumerate(LETTERS)}

pairs = [(NUMBER[a], NUMBER[b]) for name in NAMES for a, b in zip("." + name, name + ".")]
first, second = torch.tensor(pairs).t()
counts = torch.zeros(len(LETTERS), len(LETTERS))
counts.index_put_((first, second), torch.ones(len(pairs)), accumulate=True)
smooth = (counts + 1) / (counts + 1).sum(dim=1, keepdim=True)
print(f"{len(NAMES)} names, {len(pairs)} pairs of {len(LETTERS)} letters")
print(f"counted: {-smooth[first, second].log().mean().item():.4f}")

torch.manual_seed(8)
weights = torch.randn(len(LETTERS), len(LETTERS), requires_grad=True)
inputs = F.one_hot(first, len(LETTERS)).float()
for step in range(101):
    logits = inputs @ weights
    loss = F.cross_entropy(logits, second) + 0.01 * (weights**2).mean()
    weights.grad = None
    loss.backward()
    weights.data -= 20 * weights.grad
    if step % 25 == 0:
        print(f"step {step}  loss {loss.item():.4f}")

generator = torch.Generator().manual_seed(42)
for _ in range(5):
    letters, at = "", 0
    while True:
        at = torch.multinomial(smooth[at], 1, replacement=True, generator=generator).item()
        if at == 0:
            break
        letters += LETTERS[at]
    print("drawn:", letters)
