"""Calls of nn.init whose draws are recorded: (function, shape, keyword arguments)."""

CASES = [
    ("uniform_", (2, 3), {"a": -1.0, "b": 2.0}),
    ("normal_", (2, 3), {"mean": 1.0, "std": 2.0}),
    ("normal_", (4, 5), {}),
    ("trunc_normal_", (3, 4), {"std": 0.5, "a": -0.4, "b": 1.0}),
    ("trunc_normal_", (3, 4), {}),
    ("trunc_normal_", (3, 4), {"a": -0.3, "b": 0.2}),
    ("trunc_normal_", (3, 4), {"std": 0.5, "a": 1.0, "b": 2.0}),
    ("xavier_uniform_", (3, 4), {"gain": 2.0}),
    ("xavier_normal_", (3, 2, 2), {}),
    ("kaiming_uniform_", (3, 4), {"a": 2.0, "mode": "fan_out"}),
    ("kaiming_normal_", (3, 4), {"nonlinearity": "relu"}),
    ("orthogonal_", (3, 4), {"gain": 0.5}),
    ("orthogonal_", (5, 2), {}),
    ("sparse_", (5, 3), {"sparsity": 0.4}),
]


def draw(torch, case) -> list[float]:
    name, shape, kwargs = case
    torch.manual_seed(3)
    return getattr(torch.nn.init, name)(torch.empty(shape), **kwargs).reshape(-1).tolist()
