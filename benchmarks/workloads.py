"""The programs that are timed, each written once against a module with PyTorch's API.

A workload is a function of the module that sets things up and returns the step to time. Sizes are so small that
arithmetic takes no time: what is left is the cost of saying what to compute."""

CHAIN = 100
LAYERS, WIDTH, LENGTH, SYMBOLS = 4, 1, 2, 3


def chained_adds(torch):
    """100 additions, each of the last result, and a read at the end."""
    x = torch.ones(1)

    def step():
        y = x
        for _ in range(CHAIN):
            y = y + x
        return y.item()

    return step


def mlp(torch):
    """The tutorial's network: 5-3-5, binary cross entropy, Adam; one training step and its loss."""
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 5), nn.Sigmoid())
    x, y = torch.rand(10, 5), torch.rand(10, 5)
    criterion, optimizer = nn.BCELoss(), torch.optim.Adam(model.parameters(), lr=0.1)
    return training_step(optimizer, lambda: criterion(model(x), y))


def gpt(torch):
    """A character GPT of four layers, as narrow as can be; one training step with AdamW and its loss."""
    torch.manual_seed(0)
    model = gpt_class(torch)()
    tokens = torch.tensor([[0, 1]])
    targets = torch.tensor([[1, 2]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    loss_of = torch.nn.functional.cross_entropy
    return training_step(optimizer, lambda: loss_of(model(tokens).view(-1, SYMBOLS), targets.view(-1)))


def training_step(optimizer, loss_now):
    def step():
        optimizer.zero_grad()
        loss = loss_now()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def gpt_class(torch):
    """The model's class, for the module that is timed."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def attend(self, x):
            n, t, c = x.shape
            q, k, v = self.qkv(x).split(WIDTH, dim=2)
            q, k, v = (z.view(n, t, 1, c).transpose(1, 2) for z in (q, k, v))  # N, H, T, C / H
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(mixed.transpose(1, 2).contiguous().view(n, t, c))

        def forward(self, x):
            x = x + self.attend(self.norm1(x))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.place = nn.Embedding(SYMBOLS, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, SYMBOLS, bias=False)

        def forward(self, tokens):
            x = self.token(tokens) + self.place(torch.arange(tokens.shape[1]))  # N, T, C
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT


def first_visit(torch):
    """Eight operations and a read, on shapes that were never seen: each call has sizes of its own."""
    size = iter(range(3, 1_000_000))

    def step():
        x = torch.ones(next(size), 2)
        y = (x * 0.5).exp() + 1.0
        z = y.sum(0) / 3.0
        return (z - 0.25).sqrt().mean().item()

    return step
