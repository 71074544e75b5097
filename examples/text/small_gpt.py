"""A decoder-only transformer learns to add two numbers of two digits, digit by digit from the right."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

DIGITS, LENGTH = 2, 7  # "12" "34" -> "12 34" then the sum's three digits, the last first


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        N, T, C = x.shape
        q, k, v = (part.view(N, T, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (N, H, T, C / H)
        return self.out(y.transpose(1, 2).reshape(N, T, C))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, width=48, heads=3, layers=2):
        super().__init__()
        self.tokens = nn.Embedding(10, width)
        self.places = nn.Embedding(LENGTH, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10, bias=False)

    def forward(self, x):
        x = self.tokens(x) + self.places(torch.arange(x.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def sums(count):
    a, b = torch.randint(0, 100, (2, count)).unbind()
    c = a + b
    return torch.stack([a // 10, a % 10, b // 10, b % 10, c % 10, c // 10 % 10, c // 100], dim=1)


torch.manual_seed(10)
model = GPT()
decay = [p for p in model.parameters() if p.dim() > 1]
rest = [p for p in model.parameters() if p.dim() <= 1]
groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
for step in range(1, 41):
    rows = sums(64)
    logits = model(rows[:, :-1])
    target = rows[:, 1:].clone()
    target[:, : 2 * DIGITS - 1] = -100  # what is given is not learned
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-100)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step}  loss {loss.item():.4f}")
