"""Workloads without a network: a long element-wise chain, sorting and its kin, a matrix product, a graph."""

from .registry import training_step, workload


@workload("sort/topk/cumsum/var mix", target=4, quick={"rows": 8, "columns": 40})
def reduce_sort_mix(torch, rows=512, columns=1024):
    """What statistics and ranking losses use, with gradients."""
    torch.manual_seed(0)
    x = torch.randn(rows, columns, requires_grad=True)
    weight = torch.linspace(0, 1, columns)

    def step():
        x.grad = None
        ordered, _ = x.sort(dim=1)
        best, _ = x.topk(32, dim=1)
        ranked = (ordered * weight).sum()
        spread = x.var(dim=1).mean() + x.std(dim=0).mean()
        run = x.cumsum(dim=1)[:, ::64].mean()
        winners = x.argmax(dim=0).float().mean() + x.amax(dim=1).mean()
        loss = ranked / rows + best.mean() + spread + run + winners
        loss.backward()
        return loss.item() + x.grad[0, 0].item()

    return step


@workload("16 MiB element-wise chain", target=2.5, quick={"numel": 1 << 10})
def elementwise_4m(torch, numel=1 << 22):
    """Eight operations on four million numbers, no gradients: one pass would do."""
    torch.manual_seed(0)
    x, y = torch.randn(numel), torch.randn(numel)

    def step():
        with torch.no_grad():
            z = torch.tanh(x * 1.5 + y) * 0.5 + 0.25
            return (torch.relu(z) * x - y).abs().mean().item()

    return step


@workload("matmul 1024 × 1024", target=1.0, quick={"size": 32})
def matmul_1024(torch, size=1024):
    """One product of square matrices, no gradients, and the sum of it."""
    torch.manual_seed(0)
    a, b = torch.rand(size, size), torch.rand(size, size)

    def step():
        with torch.no_grad():
            return (a @ b).sum().item()

    return step


@workload("MLP 784-256-10, batch 64", target=1.5, quick={"batch": 4, "hidden": 8})
def mlp_64(torch, batch=64, hidden=256):
    """Cross entropy and SGD on images as flat vectors."""
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    x, y = torch.rand(batch, 784), torch.randint(0, 10, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return training_step(optimizer, lambda: nn.functional.cross_entropy(model(x), y))


@workload("MLP 784-256-10, batch 512", target=1.15, quick={"batch": 8, "hidden": 8})
def mlp_512(torch, batch=512, hidden=256):
    """The same network on a larger batch."""
    return mlp_64(torch, batch, hidden)


@workload("graph convolution", target=2, quick={"nodes": 30, "edges": 60, "width": 8})
def gcn(torch, nodes=1000, edges=8000, width=64, classes=7):
    """Two layers of message passing along a list of edges, weighted by degree; full batch, Adam."""
    nn = torch.nn
    torch.manual_seed(0)
    ends = torch.randint(0, nodes, (2, edges))
    loops = torch.arange(nodes)
    source, target = torch.cat([ends, torch.stack([loops, loops])], dim=1)
    degree = torch.zeros(nodes).index_add_(0, target, torch.ones(len(target)))
    weight = (degree[source] * degree[target]).rsqrt().unsqueeze(1)

    class Convolution(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.linear = nn.Linear(n_in, n_out, bias=False)
            self.bias = nn.Parameter(torch.zeros(n_out))

        def forward(self, x):
            messages = self.linear(x)[source] * weight
            return torch.zeros(nodes, messages.shape[1]).index_add(0, target, messages) + self.bias

    first, second = Convolution(width, width), Convolution(width, classes)
    x, y = torch.randn(nodes, width), torch.randint(0, classes, (nodes,))
    known = torch.rand(nodes) < 0.5
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.01, weight_decay=5e-4)

    def loss_now():
        h = nn.functional.dropout(torch.relu(first(x)), 0.5)
        return nn.functional.cross_entropy(second(h)[known], y[known])

    return training_step(optimizer, loss_now)
