"""Random programs whose sizes change from step to step.

In: a seed. Out: `Program`, a list of statements on tensors whose dims are named N, T, D and W, where only N and T change;
`run(module, sizes, seed)` gives the values that it computes, and gradients."""

import random

import numpy as np

FIXED = {"D": 6, "W": 9}
KEEP_SIZES = ("added", "chosen", "grown", "losses")  # these have a program for each size: fewer of them
RATES = {"T": 7, "N": 5}


class Program:
    def __init__(self, seed, length=10):
        rng = random.Random(seed)
        self.has_grad = rng.random() < 0.7
        self.statements = []
        self.shapes = [("N", "T", "D"), ("T", "D"), ("D",), ("N", "T", "D"), ("D", "W"), ("N", "T", "D")]
        for _ in range(length):
            name = rng.choice([*STATEMENTS, *[n for n in STATEMENTS if n not in KEEP_SIZES] * 3])
            made = STATEMENTS[name](rng, self.shapes)
            if made is not None:
                shape, call = made
                self.statements.append((name, call))
                self.shapes.append(shape)
        self.loss = rng.randrange(1 << 30)

    def run(self, torch, sizes, seed):
        """Values and gradients, as arrays."""
        numbers = np.random.default_rng(seed)
        sizes = {**FIXED, **sizes}
        values = []
        for shape in self.shapes[:6]:
            x = torch.tensor(numbers.standard_normal([sizes[d] for d in shape]).astype("f4"))
            values.append(x.requires_grad_() if self.has_grad else x)
        leaves = list(values)
        long = torch.tensor(numbers.integers(0, FIXED["D"], (sizes["N"], sizes["T"])))
        for _, call in self.statements:
            values.append(call(torch, values, sizes, long))
        total = sum((v.float() * 0.1).tanh().sum() for v in values[6:])
        out = [v.detach() for v in values[6:]]
        if self.has_grad and total.requires_grad:
            total.backward()
            out += [x.grad for x in leaves if x.grad is not None]
        out.append(total.detach())
        return [np.array(x.tolist(), "f8") for x in out]


def of(shapes, rng, wanted=lambda s: True):
    found = [k for k, s in enumerate(shapes) if wanted(s)]
    return rng.choice(found) if found else None


def statement(f):
    STATEMENTS[f.__name__] = f
    return f


STATEMENTS = {}


@statement
def unary(rng, shapes):
    k, name = of(shapes, rng), rng.choice(["tanh", "relu", "sigmoid", "abs", "cos", "neg", "exp"])
    return shapes[k], lambda t, v, s, long: getattr(t, name)(v[k] * 0.5)


@statement
def binary(rng, shapes):
    k = of(shapes, rng)
    other = of(shapes, rng, lambda s: s == shapes[k][len(shapes[k]) - len(s) :] and len(s) <= len(shapes[k]))
    name = rng.choice(["add", "mul", "sub", "maximum"])
    return shapes[k], lambda t, v, s, long: getattr(t, name)(v[k], v[other])


@statement
def scaled(rng, shapes):
    k = of(shapes, rng)
    return shapes[k], lambda t, v, s, long: v[k] / v[k].shape[0] + len(v[k].shape)


@statement
def reduced(rng, shapes):
    k = of(shapes, rng, lambda s: len(s) > 1)
    d, name = rng.randrange(len(shapes[k])), rng.choice(["sum", "mean", "amax", "var", "logsumexp"])
    shape = tuple(x for i, x in enumerate(shapes[k]) if i != d)
    return shape, lambda t, v, s, long: getattr(t, name)(v[k], d)


@statement
def centred(rng, shapes):
    k = of(shapes, rng)
    d = rng.randrange(len(shapes[k]))
    return shapes[k], lambda t, v, s, long: v[k] - v[k].mean(d, keepdim=True)


@statement
def softmax(rng, shapes):
    k = of(shapes, rng)
    d = rng.randrange(len(shapes[k]))
    return shapes[k], lambda t, v, s, long: t.softmax(v[k], d)


@statement
def normal(rng, shapes):
    k = of(shapes, rng, lambda s: s[-1] == "D")
    return shapes[k], lambda t, v, s, long: t.nn.functional.layer_norm(v[k], (s["D"],), v[2])


@statement
def transposed(rng, shapes):
    k = of(shapes, rng, lambda s: len(s) > 1)
    a, b = rng.sample(range(len(shapes[k])), 2)
    shape = list(shapes[k])
    shape[a], shape[b] = shape[b], shape[a]
    return tuple(shape), lambda t, v, s, long: v[k].transpose(a, b)


@statement
def contiguous(rng, shapes):
    k = of(shapes, rng)
    return shapes[k], lambda t, v, s, long: v[k].contiguous() * 1.5


@statement
def flattened(rng, shapes):
    """Reshaped, changed, and back."""
    k = of(shapes, rng, lambda s: len(s) == 3)
    return shapes[k], lambda t, v, s, long: (v[k].reshape(-1, v[k].shape[-1]) * 2).cumsum(0).tanh().reshape(v[k].shape)


@statement
def product(rng, shapes):
    k = of(shapes, rng, lambda s: s[-1] == "D")
    return (*shapes[k][:-1], "W"), lambda t, v, s, long: v[k] @ v[4]


@statement
def attended(rng, shapes):
    k = of(shapes, rng, lambda s: s == ("N", "T", "D"))
    causal = rng.random() < 0.5
    return shapes[k], lambda t, v, s, long: t.nn.functional.scaled_dot_product_attention(
        v[k], v[0], v[3], is_causal=causal
    )


@statement
def scores(rng, shapes):
    k = of(shapes, rng, lambda s: s == ("N", "T", "D"))
    return ("N", "T", "T"), lambda t, v, s, long: v[k] @ v[0].transpose(1, 2) * s["D"] ** -0.5


@statement
def taken(rng, shapes):
    return ("N", "T", "W"), lambda t, v, s, long: t.nn.functional.embedding(long, v[4])


@statement
def shifted(rng, shapes):
    """Cut, and joined in another order."""
    k = of(shapes, rng, lambda s: "T" in s)
    d = shapes[k].index("T")
    return shapes[k], lambda t, v, s, long: t.cat([v[k].narrow(d, 2, s["T"] - 2), v[k].narrow(d, 0, 2)], d)


@statement
def last(rng, shapes):
    k = of(shapes, rng, lambda s: s[0] == "N" and "T" in s[1:2])
    return ("N", *shapes[k][2:]), lambda t, v, s, long: v[k][:, -1]


@statement
def masked(rng, shapes):
    k = of(shapes, rng)
    return shapes[k], lambda t, v, s, long: t.where(v[k] > 0, v[k], v[k] * 0.1)


@statement
def counted(rng, shapes):
    k = of(shapes, rng, lambda s: s[-1] == "T")
    if k is None:
        return None
    return shapes[k], lambda t, v, s, long: v[k] + t.arange(s["T"]) * 0.01


@statement
def written(rng, shapes):
    k = of(shapes, rng, lambda s: "T" in s)
    d = shapes[k].index("T")

    def call(t, v, s, long):
        out = v[k] * 1
        out.narrow(d, 1, s["T"] - 1).mul_(0.5)
        return out

    return shapes[k], call


@statement
def windows(rng, shapes):
    """Pieces that overlap: their gradients are added up where they do."""
    k = of(shapes, rng, lambda s: "T" in s)
    d = shapes[k].index("T")

    def call(t, v, s, long):
        return v[k] + v[k].unfold(d, 3, 1).mean(-1).sum(d, keepdim=True)

    return shapes[k], call


@statement
def added(rng, shapes):
    """Rows added where numbers say, in some dim."""
    k = of(shapes, rng, lambda s: s == ("N", "T", "D"))

    def call(t, v, s, long):
        return (
            v[k]
            .scatter_add(2, long[:, :, None].expand(-1, -1, 2), v[3][:, :, :2])
            .index_add(0, long[:, 0] % s["N"], v[0])
        )

    return shapes[k], call


@statement
def chosen(rng, shapes):
    k = of(shapes, rng, lambda s: s[-1] == "D" and len(s) == 3)
    return shapes[k], lambda t, v, s, long: v[k].gather(2, (long[:, :, None] + t.arange(s["D"])) % s["D"])


@statement
def ordered(rng, shapes):
    k = of(shapes, rng)
    d = rng.randrange(len(shapes[k]))
    return shapes[k], lambda t, v, s, long: v[k].sort(d).values * 0.5


@statement
def convolved(rng, shapes):
    k = of(shapes, rng, lambda s: s[-2:] == ("T", "D"))
    return shapes[
        k
    ], lambda t, v, s, long: t.nn.functional.conv1d(v[k].mT, v[4][:, :3, None].expand(6, 3, 3), padding=1, groups=2).mT


@statement
def pooled(rng, shapes):
    k = of(shapes, rng, lambda s: s[-1] == "T" and len(s) > 1)
    if k is None:
        return None
    return shapes[
        k
    ], lambda t, v, s, long: t.nn.functional.avg_pool1d(v[k], 3, 1, 1) + t.nn.functional.max_pool1d(v[k], 5, 1, 2)


@statement
def grown(rng, shapes):
    k = of(shapes, rng, lambda s: s[-1] in ("T", "D"))
    mode = rng.choice(["constant", "replicate", "circular"])

    def call(t, v, s, long):
        x = v[k].reshape(-1, 1, v[k].shape[-1])
        return t.nn.functional.pad(x, (2, 1), mode=mode)[..., 1:-2].reshape(v[k].shape)

    return shapes[k], call


@statement
def turned(rng, shapes):
    k = of(shapes, rng)
    d = rng.randrange(len(shapes[k]))
    return shapes[k], lambda t, v, s, long: v[k].flip(d) - v[k].roll(1, d)


@statement
def losses(rng, shapes):
    k = of(shapes, rng, lambda s: s == ("N", "T", "D"))
    return ("N", "T"), lambda t, v, s, long: t.nn.functional.cross_entropy(
        v[k].mT, long, ignore_index=1, reduction="none"
    )


@statement
def stacked(rng, shapes):
    k = of(shapes, rng, lambda s: len(s) == 2)
    return shapes[k], lambda t, v, s, long: t.stack([v[k], v[k] * 2]).sum(0)


@statement
def split(rng, shapes):
    k = of(shapes, rng, lambda s: s[-1] == "D")
    return (*shapes[k][:-1], "D"), lambda t, v, s, long: t.cat(
        [x * (n + 1) for n, x in enumerate(v[k].chunk(3, -1))], -1
    )


@statement
def dropped(rng, shapes):
    k = of(shapes, rng)
    return shapes[k], lambda t, v, s, long: t.nn.functional.dropout(v[k], 0.2, training=True)
