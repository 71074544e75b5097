"""Workloads of many small operations: PyTorch's time goes into calls, not into arithmetic."""

from .registry import training_step, workload


@workload("5-3-5 MLP, Adam", target=20)
def tiny_mlp(torch):
    """The tutorial's network: binary cross entropy on ten rows."""
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 5), nn.Sigmoid())
    x, y = torch.rand(10, 5), torch.rand(10, 5)
    criterion, optimizer = nn.BCELoss(), torch.optim.Adam(model.parameters(), lr=0.1)
    return training_step(optimizer, lambda: criterion(model(x), y))


@workload("100 chained scalar operations, no gradients", target=12, quick={"rounds": 3})
def scalar_chain(torch, rounds=25):
    """Four operations a round on 0-d tensors, and a read."""
    x, a, b, c, d = (torch.tensor(value) for value in (0.5, 1.25, 0.75, 0.5, 1.5))

    def step():
        with torch.no_grad():
            y = x
            for _ in range(rounds):
                y = (y * a + b - c) / d
            return y.item()

    return step


@workload("200 small parameters, Adam", target=20, quick={"layers": 3, "width": 4})
def adam_200(torch, layers=100, width=16):
    """A chain of a hundred layers, each with a weight and a bias."""
    nn = torch.nn
    torch.manual_seed(0)
    chain = [layer for _ in range(layers) for layer in (nn.Linear(width, width), nn.Tanh())]
    model = nn.Sequential(*chain)
    x, y = torch.randn(16, width), torch.randn(16, width)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return training_step(optimizer, lambda: nn.functional.mse_loss(model(x), y))


@workload("DataLoader epoch", target=8, quick={"samples": 64})
def dataloader_epoch(torch, samples=1000):
    """Shuffled batches of 32, collated sample by sample, each a step of SGD; the mean loss of the epoch."""
    nn, data = torch.nn, torch.utils.data
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5))
    dataset = data.TensorDataset(torch.randn(samples, 20), torch.randint(0, 5, (samples,)))
    loader = data.DataLoader(dataset, batch_size=32, shuffle=True)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.05)

    def epoch():
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(loader)

    return epoch


@workload("logistic regression, LBFGS", target=10, quick={"rows": 40, "iterations": 3}, tolerance=1e-3,
          why="twenty iterations of a quasi-Newton method amplify the last bits of the first gradient")  # fmt: skip
def lbfgs_logreg(torch, rows=1000, columns=20, iterations=20):
    """One call of LBFGS.step from zero: up to twenty iterations, each with a closure."""
    nn = torch.nn
    torch.manual_seed(0)
    x = torch.randn(rows, columns)
    y = (x @ torch.randn(columns, 1) + torch.randn(rows, 1) > 0).float()
    model, criterion = nn.Linear(columns, 1), nn.BCEWithLogitsLoss()

    def step():
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=iterations)

        def closure():
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        return closure().item()

    return step


@workload("word-window tagger", target=10)
def ner_window(torch, words=200, width=25, window=2):
    """Is a word a place? Two sentences, padded; a window of five words each, embedded; one loss over all words."""
    nn = torch.nn
    torch.manual_seed(0)

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(words, width, padding_idx=0)
            self.hidden = nn.Sequential(nn.Linear((2 * window + 1) * width, width), nn.Tanh())
            self.output = nn.Linear(width, 1)

        def forward(self, tokens):
            windows = tokens.unfold(1, 2 * window + 1, 1)  # N, T, window
            n, t, _ = windows.shape
            features = self.embedding(windows).view(n, t, -1)
            return torch.sigmoid(self.output(self.hidden(features))).view(n, t)

    lengths = torch.tensor([11, 8])
    longest = int(lengths.max())
    inside = (torch.arange(longest) < lengths[:, None]).float()  # N, T
    tokens = torch.zeros(2, longest + 2 * window, dtype=torch.long)
    tokens[:, window:-window] = torch.randint(1, words, (2, longest)) * inside.long()
    labels = (torch.rand(2, longest) < 0.3).float() * inside
    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def loss_now():
        losses = nn.functional.binary_cross_entropy(model(tokens), labels, reduction="none")
        return (losses * inside).sum() / inside.sum()

    return training_step(optimizer, loss_now)


@workload("second-order loss (physics-informed)", target=5, quick={"points": 16, "width": 8})
def pinn(torch, points=256, width=32):
    """Burgers' equation: u_t + u u_x = ν u_xx at random points, with derivatives of the network in the loss."""
    nn, grad = torch.nn, torch.autograd.grad
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
        nn.Linear(width, 1),
    )  # fmt: skip
    x = (2 * torch.rand(points, 1) - 1).requires_grad_()
    t = torch.rand(points, 1).requires_grad_()
    x0 = 2 * torch.rand(points // 4, 1) - 1
    u0 = -torch.sin(torch.pi * x0)
    start = torch.cat([x0, torch.zeros_like(x0)], dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_now():
        u = model(torch.cat([x, t], dim=1))
        u_x, u_t = grad(u.sum(), (x, t), create_graph=True)
        (u_xx,) = grad(u_x.sum(), x, create_graph=True)
        residual = u_t + u * u_x - 0.01 / torch.pi * u_xx
        return (residual**2).mean() + ((model(start) - u0) ** 2).mean()

    return training_step(optimizer, loss_now)


@workload("hand-written autograd.Function", target=4, quick={"width": 8})
def custom_function(torch, width=64):
    """An MLP whose activation, x · sigmoid(x), has a forward and a backward of its own."""
    nn = torch.nn
    torch.manual_seed(0)

    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            gate = torch.sigmoid(x)
            ctx.save_for_backward(x, gate)
            return x * gate

        @staticmethod
        def backward(ctx, grad):
            x, gate = ctx.saved_tensors
            return grad * (gate + x * gate * (1 - gate))

    first, second, last = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 1)
    x, y = torch.randn(64, width), torch.randn(64, 1)
    parameters = [*first.parameters(), *second.parameters(), *last.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.01)

    def loss_now():
        h = Swish.apply(second(Swish.apply(first(x))))
        return ((last(h) - y) ** 2).mean()

    return training_step(optimizer, loss_now)
