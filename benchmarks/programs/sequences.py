"""Workloads on sequences: recurrent networks, attention, generation."""

from .registry import training_step, workload


@workload("hand-written GRU, 30 steps", target=5, quick={"batch": 2, "width": 6, "length": 3})
def gru_loop(torch, batch=16, width=64, length=30):
    """The gates in Python, a linear layer for each; Adam."""
    nn = torch.nn
    torch.manual_seed(0)

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.reset_x, self.reset_h = nn.Linear(width, width), nn.Linear(width, width)
            self.update_x, self.update_h = nn.Linear(width, width), nn.Linear(width, width)
            self.new_x, self.new_h = nn.Linear(width, width), nn.Linear(width, width)

        def forward(self, x, h):
            reset = torch.sigmoid(self.reset_x(x) + self.reset_h(h))
            update = torch.sigmoid(self.update_x(x) + self.update_h(h))
            new = torch.tanh(self.new_x(x) + reset * self.new_h(h))
            return (1 - update) * new + update * h

    cell, head = Cell(), nn.Linear(width, 1)
    x, y = torch.randn(length, batch, width), torch.randn(batch, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], lr=1e-3)

    def loss_now():
        h = torch.zeros(batch, width)
        for t in range(length):
            h = cell(x[t], h)
        return nn.functional.mse_loss(head(h), y)

    return training_step(optimizer, loss_now)


@workload("LSTM language model, 2 layers", target=1.25, quick={"batch": 2, "width": 8, "length": 4, "words": 30})
def lstm_lm(torch, batch=20, width=128, length=35, words=2000):
    """nn.LSTM with dropout, the state carried from step to step, clipped gradients, SGD."""
    nn = torch.nn
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.drop = nn.Embedding(words, width), nn.Dropout(0.2)
            self.lstm = nn.LSTM(width, width, num_layers=2, dropout=0.2)
            self.head = nn.Linear(width, words)

        def forward(self, tokens, state):
            y, state = self.lstm(self.drop(self.embedding(tokens)), state)  # T, N, D
            return self.head(self.drop(y)), state

    model = Model()
    tokens = torch.randint(0, words, (length + 1, batch))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    state = [torch.zeros(2, batch, width), torch.zeros(2, batch, width)]

    def step():
        optimizer.zero_grad()
        logits, new = model(tokens[:-1], tuple(state))
        loss = nn.functional.cross_entropy(logits.view(-1, words), tokens[1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        state[:] = [part.detach() for part in new]
        return loss.item()

    return step


@workload("character GPT, 4 layers: training", target=1.25,
          quick={"batch": 2, "width": 8, "heads": 2, "length": 5, "layers": 1})  # fmt: skip
def gpt_train(torch, layers=4, width=128, heads=4, length=64, batch=16, symbols=65):
    """A training step with AdamW."""
    torch.manual_seed(0)
    model = gpt_class(torch, layers, width, heads, length, symbols)()
    text = torch.randint(0, symbols, (batch, length + 1))
    tokens, targets = text[:, :-1], text[:, 1:]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    loss_of = torch.nn.functional.cross_entropy
    return training_step(optimizer, lambda: loss_of(model(tokens).view(-1, symbols), targets.reshape(-1)))


@workload("character GPT: 64 letters generated", target=2, quick={"width": 8, "heads": 2, "length": 5, "layers": 1})
def gpt_generate(torch, layers=4, width=64, heads=4, length=64, symbols=65):
    """Letter after letter, each drawn from the whole text so far; the sum of what was drawn."""
    torch.manual_seed(0)
    model = gpt_class(torch, layers, width, heads, length, symbols)().eval()

    def generate():
        with torch.no_grad():
            tokens = torch.zeros(1, 1, dtype=torch.long)
            for _ in range(length):
                logits = model(tokens[:, -length:])[:, -1]
                chances = torch.softmax(logits / 0.8, dim=-1)
                tokens = torch.cat([tokens, torch.multinomial(chances, 1)], dim=1)
            return float(tokens.sum().item())

    return generate


def gpt_class(torch, layers, width, heads, length, symbols):
    """The class of a GPT, for the module that is timed."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def attend(self, x):
            n, t, c = x.shape
            q, k, v = self.qkv(x).split(width, dim=2)
            q, k, v = (z.view(n, t, heads, c // heads).transpose(1, 2) for z in (q, k, v))  # N, H, T, C / H
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(mixed.transpose(1, 2).contiguous().view(n, t, c))

        def forward(self, x):
            x = x + self.attend(self.norm1(x))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, symbols, bias=False)

        def forward(self, tokens):
            x = self.token(tokens) + self.place(torch.arange(tokens.shape[1]))  # N, T, C
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT


@workload("Transformer encoder, padding mask", target=1.5,
          quick={"batch": 2, "width": 8, "length": 5, "layers": 1})  # fmt: skip
def encoder_mask(torch, batch=16, width=64, length=64, layers=2, words=1000):
    """nn.TransformerEncoder on padded sentences, the mean of the real words classified; dropout, Adam."""
    nn = torch.nn
    torch.manual_seed(0)

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(words, width, padding_idx=0)
            layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.1, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, layers)
            self.head = nn.Linear(width, 4)

        def forward(self, tokens):
            padding = tokens == 0  # N, T
            x = self.encoder(self.embedding(tokens), src_key_padding_mask=padding)
            real = (~padding).unsqueeze(-1)
            return self.head((x * real).sum(1) / real.sum(1))

    lengths = torch.randint(length // 2, length + 1, (batch, 1))
    tokens = torch.randint(1, words, (batch, length)) * (torch.arange(length) < lengths)
    y = torch.randint(0, 4, (batch,))
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return training_step(optimizer, lambda: nn.functional.cross_entropy(model(tokens), y))
