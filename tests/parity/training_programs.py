"""Random training loops: a small net, a loss, an optimizer, and what people do around them, all drawn from a seed.

`run(torch, seed, dtype)` runs the loop on a module with PyTorch's API and gives what it met, in order: (what, values).
Every draw depends on the seed alone, so two libraries run the same program; most of what is drawn keeps its period, so that
the paths of a loop come back and its compiled programs take over."""

import copy
import io
import math
import random

import numpy as np

DIVERGED = 1e20  # what comes after such a value overflows at one place or another


class Drawn:
    """The draws of one program, and what it has met."""

    def __init__(self, torch, seed, dtype, without=()):
        self.torch, self.F, self.nn = torch, torch.nn.functional, torch.nn
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.dtype = getattr(torch, dtype)
        self.without = set(without)
        self.met = []
        self.told = []

    def some(self, what, often):
        """Whether the program has a feature."""
        yes = self.rng.random() < often and what not in self.without
        if yes:
            self.told.append(what)
        return yes

    def one(self, *options):
        chosen = self.rng.choice(options)
        self.told.append(str(getattr(chosen, "__name__", chosen)))
        return chosen

    def note(self, what, x):
        if not isinstance(x, (int, float, bool, list, str)):
            x = np.array(x.detach().cpu().tolist(), "f8") if x is not None else np.array(np.nan)
        self.met.append((what, np.asarray(x) if not isinstance(x, str) else x))

    def floats(self, *shape, scale=1.0):
        return self.torch.tensor(self.numbers.standard_normal(shape) * scale, dtype=self.dtype)

    def ints(self, high, *shape):
        return self.torch.tensor(self.numbers.integers(0, high, shape))


# --- layers ---------------------------------------------------------------------------------------------------


def activation(d):
    nn = d.nn
    return d.one(
        nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid, nn.ELU, nn.Softplus, nn.Mish, nn.ReLU, nn.LeakyReLU, nn.Hardtanh, nn.Softsign,
        nn.SELU, nn.LogSigmoid, nn.PReLU, nn.CELU, nn.Hardswish,
    )()  # fmt: skip


def feature_layers(d, width, depth):
    """Layers from (*, width) to (*, width)."""
    nn, torch = d.nn, d.torch

    class Residual(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.scale = nn.Parameter(torch.tensor(0.7))

        def forward(self, x):
            return x + self.scale * self.inner(x)

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.both = nn.Linear(width, 2 * width, bias=d.some("no bias", 0.3) is False)

        def forward(self, x):
            a, b = self.both(x).chunk(2, -1)
            return a * torch.sigmoid(b)

    class Mixed(nn.Module):
        """One of the operations that nets are sometimes made of."""

        def __init__(self, how):
            super().__init__()
            self.how = how
            self.weight = nn.Parameter(d.floats(width, width, scale=0.3))

        def forward(self, x):
            return MIXES[self.how](d, x, self.weight)

    def layer():
        kind = d.one(
            "linear", "linear", "norm", "act", "residual", "gated", "mixed", "mixed", "dropout", "softmax", "bilinear"
        )
        if kind == "norm":
            return d.one(nn.LayerNorm, nn.RMSNorm)(width)
        if kind == "act":
            return activation(d)
        if kind == "residual":
            return Residual(nn.Sequential(nn.Linear(width, width), activation(d)))
        if kind == "gated":
            return Gated()
        if kind == "mixed":
            return Mixed(d.one(*MIXES))
        if kind == "dropout":
            return nn.Dropout(d.one(0.1, 0.5))
        if kind == "softmax":
            return nn.Sequential(nn.Linear(width, width), nn.Softmax(-1))
        if kind == "bilinear":

            class Twice(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.inner = nn.Bilinear(width, width, width)

                def forward(self, x):
                    return self.inner(x, x.flip(-1))

            return Twice()
        return nn.Linear(width, width, bias=not d.some("no bias", 0.3))

    return [layer() for _ in range(depth)]


MIXES = {
    "cumsum": lambda d, x, w: x.cumsum(-1) @ w,
    "sorted": lambda d, x, w: (x @ w).sort(-1).values,
    "top": lambda d, x, w: d.F.pad((x @ w).topk(3, -1).values, (0, x.shape[-1] - 3)),
    "kept product": lambda d, x, w: x @ w @ w.t(),
    "square": lambda d, x, w: x @ (w @ w),
    "halves": lambda d, x, w: d.torch.cat([x[..., 2:], x[..., :2]], -1) * w[0],
    "written": lambda d, x, w: written(d, x, w),
    "strided": lambda d, x, w: x + d.F.pad((x @ w)[..., ::2], (0, x.shape[-1] - (x.shape[-1] + 1) // 2)),
    "norm": lambda d, x, w: x / (x.norm(dim=-1, keepdim=True) + 0.1) @ w,
    "standard": lambda d, x, w: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 0.1).sqrt() * w[:, 0],
    "where": lambda d, x, w: d.torch.where(x > 0, x @ w, 0.1 * x),
    "power": lambda d, x, w: (x @ w).abs().clamp(min=0.05).pow(1.5),
    "einsum": lambda d, x, w: d.torch.einsum("...i,ij,...j->...j", x, w, x),
    "windows": lambda d, x, w: (d.F.pad(x, (1, 1)).unfold(-1, 3, 1) * w[0, :3]).sum(-1),
    "maximum": lambda d, x, w: d.torch.maximum(x, x @ w) - d.torch.minimum(x, w[1]),
    "logsumexp": lambda d, x, w: x - d.torch.logsumexp(x @ w, -1, keepdim=True),
    "gathered": lambda d, x, w: x.index_select(-1, d.torch.arange(x.shape[-1] - 1, -1, -1)) * w.diagonal(),
    "turned": lambda d, x, w: x.roll(2, -1) * w.sum(0) + x.flip(-1),
    "outer": lambda d, x, w: (x[..., None] * x[..., None, :] * w).sum(-2),
    "expm": lambda d, x, w: x @ d.torch.tril(w).exp() * 0.1,
    "solved": lambda d, x, w: d.torch.linalg.solve(
        w @ w.mT + d.torch.eye(w.shape[0], dtype=x.dtype), x.reshape(-1, x.shape[-1]).mT
    ).mT.reshape(x.shape),
    "spectrum": lambda d, x, w: d.torch.fft.irfft(d.torch.fft.rfft(x) * w[0, 0], x.shape[-1]),
    "viewed": lambda d, x, w: (x.reshape(*x.shape[:-1], 2, -1).transpose(-1, -2) * w[0, 1]).reshape(x.shape),
    "prod": lambda d, x, w: x * (1 + 0.1 * w).prod(0),
    "erf": lambda d, x, w: d.torch.erf(x @ w) + d.torch.special.expit(x),
    "amax": lambda d, x, w: x - (x @ w).amax(-1, keepdim=True).detach(),
    "scatter": lambda d, x, w: d.torch.zeros_like(x).scatter_add(
        -1, (d.torch.arange(x.shape[-1]) // 2).expand(x.shape), x @ w
    ),
}


def written(d, x, w):
    out = x @ w
    out[..., 0] = 0.5
    out[..., 1:3] += x[..., :2]
    out *= 0.9
    out[..., -1].mul_(2)
    return out


# --- nets: a model, a function that makes a batch of so many samples, and the width of its output ----------------


def flat_net(d):
    nn = d.nn
    width, classes = d.rng.choice([8, 10, 12]), d.rng.choice([3, 5])
    normal = d.some("batch norm", 0.25)  # a bias before it has a gradient of rounding errors
    first = nn.Linear(6, width, bias=not normal)
    layers = [first, *feature_layers(d, width, d.rng.randint(1, 5)), nn.Linear(width, classes)]
    if normal:
        layers.insert(1, nn.BatchNorm1d(width, momentum=d.rng.choice([0.1, None]), affine=d.rng.random() < 0.8))
    if d.some("weight norm", 0.1):
        layers[0] = nn.utils.parametrizations.weight_norm(layers[0])
    if d.some("spectral norm", 0.1):
        layers[-1] = nn.utils.parametrizations.spectral_norm(layers[-1])
    return nn.Sequential(*layers), lambda b: d.floats(b, 6), classes


def image_net(d):
    nn = d.nn
    channels, classes = d.rng.choice([4, 6]), 3

    def block(inner):
        kind = d.one("batch", "group", "instance", "none", "layer")
        bias = kind in ("none", "group", "layer") and not d.some("no bias", 0.3)
        layers = [nn.Conv2d(inner, channels, 3, stride=d.one(1, 2), padding=d.one(0, 1), bias=bias)]
        if kind == "batch":
            layers.append(nn.BatchNorm2d(channels))
        elif kind == "group":
            layers.append(nn.GroupNorm(2, channels))
        elif kind == "instance":
            layers.append(nn.InstanceNorm2d(channels, affine=True))
        elif kind == "layer":
            layers.append(nn.GroupNorm(1, channels))
        layers.append(activation(d))
        if d.some("pool", 0.5):
            layers.append(
                d.one(lambda: nn.MaxPool2d(2, 1), lambda: nn.AvgPool2d(2, 1, 1), lambda: nn.LPPool2d(2, 2, 1))()
            )
        if d.some("upsample", 0.15):
            layers.append(nn.Upsample(scale_factor=2, mode=d.one("nearest", "bilinear")))
        if d.some("depthwise", 0.2):
            layers.append(nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=2, bias=False))
        if d.some("transposed", 0.2):
            layers.append(nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, bias=False))
        if d.some("dropout2d", 0.2):
            layers.append(nn.Dropout2d(0.2))
        return layers

    layers = block(2)
    if d.some("two blocks", 0.5):
        layers += block(channels)
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, classes)]
    size = d.rng.choice([7, 8, 10])
    return nn.Sequential(*layers), lambda b: d.floats(b, 2, size, size), classes


def sequence_net(d):
    nn, torch = d.nn, d.torch
    words, width, classes = 11, 8, 4
    kind = d.one("rnn", "gru", "lstm", "encoder", "attention", "cells", "conv1d", "mean", "decoder")
    tied = d.some("tied", 0.4)
    lengths = d.one([5], [5, 6, 7], [4, 9])

    class Sequence(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(words, width, padding_idx=0 if d.some("padding", 0.3) else None)
            if kind in ("rnn", "gru", "lstm"):
                make = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind]
                self.two = d.some("bidirectional", 0.3)
                self.core = make(
                    width, width // 2 if self.two else width, num_layers=d.one(1, 2), bidirectional=self.two, batch_first=True,
                    dropout=d.one(0.0, 0.0, 0.2),
                )  # fmt: skip
            elif kind == "encoder":
                self.core = nn.TransformerEncoderLayer(
                    width, 2, 16, dropout=d.one(0.0, 0.1), batch_first=True, norm_first=d.some("norm first", 0.5),
                    activation=d.one("relu", "gelu"), bias=False,
                )  # fmt: skip
            elif kind == "decoder":
                self.core = nn.TransformerDecoderLayer(width, 2, 16, dropout=0.0, batch_first=True, bias=False)
            elif kind == "attention":
                self.core = nn.MultiheadAttention(width, 2, bias=False, batch_first=True, dropout=d.one(0.0, 0.1))
            elif kind == "cells":
                self.core = d.one(nn.GRUCell, nn.RNNCell, nn.LSTMCell)(width, width)
            elif kind == "conv1d":
                self.core = nn.Conv1d(width, width, 3, padding=1, padding_mode=d.one("zeros", "circular", "replicate"))
            self.more = nn.Sequential(*feature_layers(d, width, d.rng.randint(0, 2)))
            self.head = nn.Linear(width, words if tied else classes)
            if tied:
                self.head.weight = self.embedding.weight

        def forward(self, ids):
            x = self.embedding(ids)
            if kind in ("rnn", "gru", "lstm"):
                x = self.core(x)[0]
            elif kind == "encoder":
                mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
                x = self.core(x, src_mask=mask.to(x.dtype))
            elif kind == "decoder":
                x = self.core(x, x.flip(1) * 0.5)
            elif kind == "attention":
                x = self.core(x, x, x, key_padding_mask=ids == 0, need_weights=False)[0]
                x = torch.nan_to_num(x)
            elif kind == "cells":
                h, out = None, []
                for t in range(x.shape[1]):
                    h = self.core(x[:, t], h)
                    out.append(h[0] if isinstance(h, tuple) else h)
                x = torch.stack(out, 1)
            elif kind == "conv1d":
                x = self.core(x.mT).mT
            return self.head(self.more(x).mean(1))

    def data(b):
        return d.ints(words, b, d.rng.choice(lengths))

    return Sequence(), data, words if tied else classes


# --- losses, optimizers, schedulers -----------------------------------------------------------------------------


def drawn_loss(d, classes):
    F, torch = d.F, d.torch
    kind = d.one("cross entropy", "smoothed", "weighted", "mse", "bce", "smooth l1", "nll", "huber", "kl", "margin", "cosine",
                 "mine", "triplet", "poisson", "sum")  # fmt: skip
    weights = d.floats(classes).abs() + 0.1
    floats = lambda b: d.floats(b, classes)  # noqa: E731
    labels = lambda b: d.ints(classes, b)  # noqa: E731
    return {
        "cross entropy": (labels, F.cross_entropy),
        "smoothed": (labels, lambda o, y: F.cross_entropy(o, y, label_smoothing=0.1)),
        "weighted": (
            labels,
            lambda o, y: F.cross_entropy(o, y, weight=weights, ignore_index=1, reduction="sum") / len(y),
        ),
        "mse": (floats, F.mse_loss),
        "bce": (lambda b: (d.floats(b, classes) > 0).to(d.dtype), F.binary_cross_entropy_with_logits),
        "smooth l1": (floats, lambda o, y: F.smooth_l1_loss(o, y, beta=0.5)),
        "nll": (labels, lambda o, y: F.nll_loss(F.log_softmax(o, 1), y)),
        "huber": (floats, lambda o, y: F.huber_loss(o, y, delta=0.7)),
        "kl": (floats, lambda o, y: F.kl_div(F.log_softmax(o, -1), F.softmax(y, -1), reduction="batchmean")),
        "margin": (labels, lambda o, y: F.multi_margin_loss(o, y)),
        "cosine": (floats, lambda o, y: F.cosine_embedding_loss(o, y, torch.ones(len(y), dtype=o.dtype))),
        "mine": (floats, lambda o, y: ((o - y) ** 2).mean(0).sqrt().sum() + 0.01 * o.logsumexp(1).mean()),
        "triplet": (floats, lambda o, y: F.triplet_margin_loss(o, y, y.flip(0))),
        "poisson": (lambda b: d.ints(4, b, classes).to(d.dtype), lambda o, y: F.poisson_nll_loss(o.clamp(max=3), y)),
        "sum": (floats, lambda o, y: (o * y).sum() * 0.01),
    }[kind]


def drawn_optimizer(d, model):
    o = d.torch.optim
    kind = d.one("SGD", "momentum", "nesterov", "Adam", "AdamW", "amsgrad", "RMSprop", "centered", "Adagrad", "Adadelta",
                 "Adamax", "NAdam", "RAdam", "ASGD", "Adam wd", "maximize", "Adafactor")  # fmt: skip
    parameters = list(model.parameters())
    if d.some("groups", 0.3) and len(parameters) > 1:
        parameters = [{"params": parameters[::2]}, {"params": parameters[1::2], "lr": 0.004}]
    return {
        "SGD": lambda p: o.SGD(p, lr=0.05), "momentum": lambda p: o.SGD(p, lr=0.02, momentum=0.9, weight_decay=1e-3),
        "nesterov": lambda p: o.SGD(p, lr=0.02, momentum=0.8, nesterov=True), "Adam": lambda p: o.Adam(p, lr=0.01),
        "AdamW": lambda p: o.AdamW(p, lr=0.01), "amsgrad": lambda p: o.Adam(p, lr=0.01, amsgrad=True),
        "RMSprop": lambda p: o.RMSprop(p, lr=0.003, momentum=0.5),
        "centered": lambda p: o.RMSprop(p, lr=0.003, centered=True, eps=1e-4),
        "Adagrad": lambda p: o.Adagrad(p, lr=0.02), "Adadelta": lambda p: o.Adadelta(p), "Adamax": lambda p: o.Adamax(p, lr=0.01),
        "NAdam": lambda p: o.NAdam(p, lr=0.005), "RAdam": lambda p: o.RAdam(p, lr=0.01), "ASGD": lambda p: o.ASGD(p, lr=0.02),
        "Adam wd": lambda p: o.Adam(p, lr=0.01, weight_decay=0.01, betas=(0.8, 0.9)),
        "maximize": lambda p: o.SGD(p, lr=0.002, maximize=True),
        "Adafactor": lambda p: o.Adafactor(p, lr=0.02),
    }[kind](parameters)  # fmt: skip


def drawn_scheduler(d, optimizer, steps):
    s = d.torch.optim.lr_scheduler
    kind = d.one(
        "none", "none", "step", "exponential", "cosine", "one cycle", "lambda", "plateau", "sequential", "cyclic"
    )
    return {
        "none": lambda: None,
        "step": lambda: s.StepLR(optimizer, 7, 0.5),
        "exponential": lambda: s.ExponentialLR(optimizer, 0.95),
        "cosine": lambda: s.CosineAnnealingLR(optimizer, steps),
        "one cycle": lambda: s.OneCycleLR(optimizer, 0.02, total_steps=steps + 1, cycle_momentum=False),
        "lambda": lambda: s.LambdaLR(optimizer, lambda n: 1 / (1 + 0.1 * n)),
        "plateau": lambda: s.ReduceLROnPlateau(optimizer, factor=0.5, patience=2),
        "sequential": lambda: s.SequentialLR(
            optimizer, [s.LinearLR(optimizer, 0.2, total_iters=5), s.CosineAnnealingLR(optimizer, steps)], [5]
        ),
        "cyclic": lambda: s.CyclicLR(optimizer, 0.001, 0.02, 4, cycle_momentum=False),
    }[kind]()


# --- the loop ----------------------------------------------------------------------------------------------------


def run(torch, seed, dtype="float64", without=()):
    """What the program of that seed meets, and what it is made of."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        torch.manual_seed(seed)
        d = Drawn(torch, seed, dtype, without)
        loop(d)
        return d
    finally:
        torch.set_default_dtype(before)


def loop(d):
    torch, nn, rng = d.torch, d.nn, d.rng
    model, data, classes = d.one(flat_net, flat_net, image_net, sequence_net)(d)
    targets, loss_of = drawn_loss(d, classes)
    optimizer = drawn_optimizer(d, model)
    steps = rng.randint(24, 40)
    scheduler = drawn_scheduler(d, optimizer, steps)
    batch = rng.choice([3, 4, 8, 16])
    epoch = rng.choice([1, 3, 4])
    last = d.some("last batch smaller", 0.4)
    fixed = d.some("same data", 0.4)
    batches = [(data(b), targets(b)) for b in [batch] * (epoch - last) + [max(2, batch // 2)] * last]
    clip = d.one(None, None, "norm", "value", "inf norm", "by hand")
    accumulate = d.one(1, 1, 1, 2, 3)
    read_each = d.one(1, 1, 2, 5, 100)
    ema = copy.deepcopy(model) if d.some("ema", 0.25) else None
    freeze_at = rng.randint(9, 20) if d.some("freeze", 0.2) else -1
    evaluate_each = d.one(0, 0, 3, 6)
    round_trip_at = rng.randint(9, 22) if d.some("state dict", 0.2) else -1
    copy_at = rng.randint(9, 22) if d.some("deepcopy", 0.15) else -1
    lr_at = rng.randint(9, 22) if d.some("lr change", 0.2) else -1
    penalty = (
        d.some("gradient penalty", 0.12) and "weight norm" not in d.told
    )  # PyTorch's second gradient is wrong there
    l2 = d.some("l2 by hand", 0.2)
    keep = d.some("outputs kept", 0.25)
    scaled = d.some("loss scaled", 0.15)
    to_none = not d.some("grads zeroed in place", 0.25)
    zero_late = d.some("zero at the end", 0.3)
    by_grad = d.some("autograd.grad", 0.12)
    hook = d.some("hook", 0.12)
    two = d.some("two losses", 0.15)
    noise = d.some("noise", 0.15)
    augment = d.some("in place on the batch", 0.15)
    target_net = copy.deepcopy(model) if d.some("target net", 0.12) else None
    closure = d.some("closure", 0.15)
    retain = d.some("retain graph", 0.1)
    data_write = d.some("data written", 0.1)
    kept_losses, kept_outputs, seen = [], [], []
    running = torch.zeros(())
    if hook:
        first = next(iter(model.parameters()))
        first.register_hook(lambda g: g * 0.5)
    model.train()
    for step in range(steps):
        x, y = batches[step % len(batches)]
        if not fixed and step % epoch == 0:
            batches = [(data(len(a)), targets(len(b))) for a, b in batches]
        if noise and x.is_floating_point():
            x = x + 0.1 * torch.randn_like(x)
        if augment and x.is_floating_point():
            x = x.clone()
            x[::2] *= -1
            x[0].clamp_(-1, 1)

        def compute(x=x, y=y):
            out = model(x)
            loss = loss_of(out, y)
            if penalty:
                p = [q for q in model.parameters() if q.requires_grad][:2]
                grads = torch.autograd.grad(loss, p, create_graph=True)
                loss = loss + 0.01 * sum((g * g).sum() for g in grads)
            if l2:
                loss = loss + 1e-3 * sum(q.pow(2).sum() for q in model.parameters())
            if target_net is not None:
                with torch.no_grad():
                    aim = target_net(x)
                loss = loss + 0.1 * (out - aim).pow(2).mean()
            return out, loss / accumulate

        if not zero_late and step % accumulate == 0:
            optimizer.zero_grad(set_to_none=to_none)
        if closure and accumulate == 1 and clip is None:

            def again():
                optimizer.zero_grad(set_to_none=to_none)
                _, loss = compute()
                loss.backward()
                return loss

            loss = optimizer.step(again)
            out = None
        else:
            out, loss = compute()
            if by_grad:
                trained = [p for p in model.parameters() if p.requires_grad]
                grads = torch.autograd.grad(loss, trained, allow_unused=True)
                for p, g in zip(trained, grads):
                    if g is not None:
                        p.grad = g if p.grad is None else p.grad + g
            elif two:
                loss.backward(retain_graph=True)
                (0.1 * out.pow(2).mean()).backward()
            elif scaled:
                (loss * 8).backward()
                for p in model.parameters():
                    if p.grad is not None:
                        p.grad.div_(8)
            elif retain:
                loss.backward(retain_graph=True)
                seen.append(out.detach().mean())
            else:
                loss.backward()
            if (step + 1) % accumulate == 0:
                if clip == "norm":
                    total = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                    if step % 5 == 0:
                        d.note(f"{step} norm", total)
                elif clip == "inf norm":
                    nn.utils.clip_grad_norm_(model.parameters(), 0.2, norm_type=math.inf)
                elif clip == "value":
                    nn.utils.clip_grad_value_(model.parameters(), 0.05)
                elif clip == "by hand":
                    with torch.no_grad():
                        for p in model.parameters():
                            if p.grad is not None:
                                p.grad.mul_((1 / (p.grad.norm() + 1e-3)).clamp(max=1.0))
                optimizer.step()
                if zero_late:
                    optimizer.zero_grad(set_to_none=to_none)
        if scheduler is not None:
            if type(scheduler).__name__ == "ReduceLROnPlateau":
                scheduler.step(loss.item())
            else:
                scheduler.step()
        running = running * 0.9 + 0.1 * loss.detach()
        kept_losses.append(loss.detach())
        if keep and out is not None:
            kept_outputs.append(out.detach() if step % 2 else out)
            if len(kept_outputs) > 3:
                d.note(f"{step} kept", kept_outputs.pop(0))
        if (step + 1) % read_each == 0:
            d.note(f"{step} loss", loss)
        if ema is not None:
            with torch.no_grad():
                for a, b in zip(ema.parameters(), model.parameters()):
                    a.lerp_(b, 0.1) if step % 2 else a.mul_(0.9).add_(b, alpha=0.1)
        if target_net is not None and step % 4 == 0:
            target_net.load_state_dict(model.state_dict())
        if data_write and step % 3 == 0:
            for p in model.parameters():
                p.data.mul_(0.999)
        if step == freeze_at:
            for p in list(model.parameters())[: 1 + len(list(model.parameters())) // 3]:
                p.requires_grad_(False)
                p.grad = None
        if freeze_at >= 0 and step == freeze_at + 9:
            for p in model.parameters():
                p.requires_grad_(True)
        if evaluate_each and step % evaluate_each == 0:
            model.eval()
            with torch.no_grad():
                d.note(f"{step} evaluated", model(x).sum())
            model.train()
        if step == round_trip_at:
            file = io.BytesIO()
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
            file.seek(0)
            state = torch.load(file)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        if step == copy_at:
            other = copy.deepcopy(model)
            other.load_state_dict(model.state_dict())
            with torch.no_grad():
                for p in other.parameters():
                    p.add_(0.1)
            d.note(f"{step} copy", other(x).sum())
        if step == lr_at:
            for g in optimizer.param_groups:
                g["lr"] *= 0.5
        if step % 11 == 10:
            p = next(iter(model.parameters()))
            d.note(f"{step} grad", None if p.grad is None else p.grad)
    d.note("running", running)
    d.note("losses", torch.stack(kept_losses))
    if seen:
        d.note("seen", torch.stack(seen))
    for k, v in model.state_dict().items():
        d.note(f"final {k}", v)
    if ema is not None:
        for k, v in ema.named_parameters():
            d.note(f"ema {k}", v)
    for n, s in enumerate(optimizer.state_dict()["state"].values()):
        for k, v in s.items():
            if hasattr(v, "tolist"):
                d.note(f"state {n} {k}", v)


def difference(expected, got, tolerance):
    """The first thing that differs, in words; None where all agree."""
    for (a, x), (b, y) in zip(expected, got, strict=False):
        if a != b:
            return f"{b} is met instead of {a}"
        if x.shape != y.shape:
            return f"{a}: shape {y.shape} instead of {x.shape}"
        size = max(1e-3, float(np.abs(np.nan_to_num(x, posinf=0, neginf=0)).max(initial=0)))
        if size > DIVERGED:
            return None
        with np.errstate(all="ignore"):
            near = (np.abs(x - y) <= tolerance * size) | (x == y) | (np.isnan(x) & np.isnan(y))
        if not near.all():
            k = tuple(int(i) for i in np.argwhere(~near)[0])
            return f"{a}{list(k)}: {y[k]} instead of {x[k]} ({(~near).sum()} of {near.size} differ)"
    if len(expected) != len(got):
        return f"{len(got)} things met instead of {len(expected)}"
    return None
