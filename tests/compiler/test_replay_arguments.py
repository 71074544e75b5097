"""What the function is given: tensors, containers, objects."""

import pytest
from replaying import Config, check, counts, registering

import tenfold as torch
from tenfold import nn

TABLE = {"a": 1.0, "b": [1, 2]}
PROGRAMS = []
program = registering(PROGRAMS)


@program
def other_shapes_dtypes_strides(compile):
    @compile
    def f(x):
        if x.dtype == torch.int64:
            return x + x.shape[0]
        if x.is_contiguous() and x.ndim > 1:
            return x.sum(0)
        return x * 2 + x.stride(0)

    base = torch.arange(24.0)
    tensors = [base, base[:5], base[::2], base.view(4, 6), base.view(4, 6).t(), base.view(6, 4), base.double(), base.long(),
               base.view(2, 3, 4), base[3:], torch.tensor(3.0).expand(4), base[:0], base.bfloat16()]  # fmt: skip
    for _ in range(3):
        for x in tensors:
            yield f(x)


@program
def requires_grad_and_leaves(compile):
    @compile
    def f(x):
        return x * 3 if x.requires_grad else x * 5

    a = torch.ones(2)
    b = torch.ones(2, requires_grad=True)
    c = b * 1
    for _ in range(3):
        yield f(a)
        yield f(b)
        yield f(c)
        yield f(b.detach())
        with torch.no_grad():
            yield f(b)
            yield f(a)
    f(b).sum().backward()
    f(c).sum().backward()
    yield b.grad


@program
def the_same_tensor_twice(compile):
    @compile
    def f(x, y):
        return x + 1 if x is y else x * y

    a, b = torch.full((2,), 3.0), torch.full((2,), 4.0)
    for _ in range(3):
        yield f(a, b)
        yield f(a, a)
        yield f(b, a)
        yield f(b, b)


WEIGHT = torch.full((2,), 3.0)


@program
def an_argument_that_is_also_a_global(compile):
    @compile
    def f(x):
        return x + 1 if x is WEIGHT else x * WEIGHT

    other = torch.full((2,), 4.0)
    for _ in range(3):
        yield f(other)
        yield f(WEIGHT)


@program
def aliases(compile):
    @compile
    def f(x, y):
        x.add_(1)
        return x * y

    for _ in range(3):
        base = torch.arange(4.0)
        a, b = torch.ones(2), torch.ones(2)
        yield f(a, b), a, b
        yield f(a, b), a, b
        yield f(base[:2], base[2:]), base
        yield f(base[:2], base[1:3]), base
        yield f(a, a), a
        yield f(a, a.view(2)), a


@program
def tensors_outside_that_change(compile):
    """What is known of them by name, besides their elements."""
    w = torch.arange(4.0).view(2, 2)
    TABLE["w"] = w

    @compile
    def f(x):
        w = TABLE["w"]
        return x * (w if w.requires_grad else w.sum(0)), w.shape, w.stride(), w.requires_grad

    x = torch.ones(2, 2)

    def thrice():
        for _ in range(3):
            yield f(x)

    yield from thrice()
    w.requires_grad_()
    yield from thrice()
    f(x)[0].sum().backward()
    yield w.grad
    w.requires_grad_(False)
    yield from thrice()
    w.t_()
    yield from thrice()
    w.data = torch.ones(3, 2)
    yield from thrice()
    w.unsqueeze_(2).squeeze_(2)
    yield from thrice()
    w.fill_(7.0)
    yield from thrice()
    del TABLE["w"]


@program
def tensors_outside_that_are_replaced(compile):
    class Box(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(2))
            self.register_buffer("b", torch.ones(2))

    box = Box()
    x = y = torch.ones(2)
    parts = [torch.ones(2)]

    @compile
    def f(k):
        same = x is y, x is TABLE["x"], x is k, x is parts[0]
        return (x * box.w + box.b + TABLE["x"] * 2 + parts[0]) * k + y.sum(), same

    @compile
    def g():
        x.add_(1)
        return x * y

    k = torch.full((2,), 2.0)
    TABLE["x"] = x
    for n in range(20):
        box.zero_grad()
        out, same = f(k)
        out.sum().backward()
        yield out, same, box.w.grad
        yield g(), x, y
        new = torch.full((2,), float(n))
        if n in (2, 3, 4, 12):
            x = new
        if n in (4, 5, 6, 13):
            y = torch.full((2,), n + 0.5)
        if n in (7, 12):
            y = x
        if n in (8, 9):
            TABLE["x"] = x
        if n in (10, 11):
            x = y = TABLE["x"] = new
        if n in (14, 15):
            box.w = nn.Parameter(new.clone())
        if n in (16, 17):
            box.b = new.clone()
        if n == 17:
            parts[0] = new.clone()
        if n == 18:
            k = x
    del TABLE["x"]


def test_a_batch_that_is_a_global_is_no_reason():
    net = nn.Linear(3, 2)
    batch = None
    f = torch.compile(lambda: net(batch) * 2)
    for _ in range(12):
        batch = torch.randn(4, 3)
        assert torch.equal(f(), net(batch) * 2)
    assert counts(f) == (11, 1)


@program
def attributes_of_tensors(compile):
    @compile
    def f(x):
        return x * getattr(x, "factor", 1.0)

    x, y = torch.ones(2), torch.ones(2)
    y.factor = 3.0
    for _ in range(4):
        yield f(x)
        yield f(y)
        y.factor += 1


@program
def nested_arguments(compile):
    @compile
    def f(batch, scale=1):
        y = batch["x"] * scale
        for t in batch["more"]:
            y = y + t
        return {"y": y, "n": len(batch["more"])}

    x = torch.arange(3.0)
    for _ in range(3):
        yield f({"x": x, "more": [x, x + 1]})
        yield f({"x": x, "more": [x]})
        yield f({"x": x, "more": (x,)})
        yield f({"x": x, "more": []}, scale=3)
        yield f({"more": [], "x": x}, 2.5)


@program
def numbers_and_strings(compile):
    @compile
    def f(x, how, k):
        return x.pow(k) if how == "pow" else x / k if how == "div" else x

    x = torch.arange(1.0, 4.0)
    for _ in range(3):
        for how in ("pow", "div", "none"):
            for k in (1, 2, 1.0, 2.5, True, float("inf")):
                yield f(x, how, k)


@program
def objects_as_arguments(compile):
    @compile
    def f(x, config):
        for _ in range(config.depth):
            x = x * config.scales[0]
        return x

    a, b = Config(2), Config(3)
    x = torch.ones(2)
    for _ in range(3):
        yield f(x, a)
        yield f(x, b)
    a.depth = 1
    yield f(x, a)
    yield f(x, a)
    a.scales[0] = 5.0
    yield f(x, a)
    a.scales = [7.0]
    yield f(x, a)
    yield f(x, a)
    del a.depth
    Config.depth = 3
    yield f(x, a)
    yield f(x, a)
    yield f(x, a)
    del Config.depth


@program
def pending_arguments(compile):
    @compile
    def f(x, y):
        return x @ y

    for k in range(4):
        x = torch.full((2, 2), float(k)) + 1  # not computed yet
        yield f(x, x.t())
        yield f(x + 1, x * 2)
        yield f(x[0], x[:, 1])


@program
def memory_shared_with_numpy(compile):
    import numpy as np

    @compile
    def f(x):
        return x * 2

    a = np.zeros(3, np.float32)
    x = torch.from_numpy(a)
    for k in range(5):
        a[:] = k
        y = f(x)
        a[:] = -1
        yield y


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_it_sees_the_same(program, deterministic):
    check(program)
