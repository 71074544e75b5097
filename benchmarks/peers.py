"""`make bench-peers`: three of the programs under JAX and tinygrad, beside tenfold and PyTorch.

The equivalents are written by hand in the way that each framework's users are told to: one jitted function for the whole
training step. They start from the same weights, and their losses have to agree. All sides take turns in one process that
is held to one core. What is not installed is left out; tinygrad needs clang."""

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before XLA counts the cores

import timing
from programs import WORKLOADS
from programs.sequences import gpt_class

ROOT = Path(__file__).resolve().parent.parent
LAYERS, WIDTH, HEADS, LENGTH, BATCH, SYMBOLS = 4, 128, 4, 64, 16, 65  # of gpt_train
TOLERANCE = 1e-4


# --- what the workloads start from: the same seed and the same order of draws as in programs/ ------------------------


def arrays(model, **data):
    weights = {name: value.detach().numpy().copy() for name, value in model.named_parameters()}
    return weights, {name: value.numpy().copy() for name, value in data.items()}


def start_of_tiny_mlp(torch):
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 5), nn.Sigmoid())
    return arrays(model, x=torch.rand(10, 5), y=torch.rand(10, 5))


def start_of_mlp_64(torch):
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    return arrays(model, x=torch.rand(64, 784), y=torch.randint(0, 10, (64,)))


def start_of_gpt_train(torch):
    torch.manual_seed(0)
    model = gpt_class(torch, LAYERS, WIDTH, HEADS, LENGTH, SYMBOLS)()
    text = torch.randint(0, SYMBOLS, (BATCH, LENGTH + 1))
    return arrays(model, x=text[:, :-1], y=text[:, 1:])


STARTS = {"tiny_mlp": start_of_tiny_mlp, "mlp_64": start_of_mlp_64, "gpt_train": start_of_gpt_train}


# --- JAX -------------------------------------------------------------------------------------------------------------


def jax_step(name, weights, data):
    """One jitted function: loss, gradients and update; the old weights are donated."""
    import jax
    import jax.numpy as jnp

    def two_layers(p, x):
        return jax.nn.relu(x @ p["0.weight"].T + p["0.bias"]) @ p["2.weight"].T + p["2.bias"]

    def binary_cross_entropy(p, x, y):
        chance = jax.nn.sigmoid(two_layers(p, x))
        logs = jnp.maximum(jnp.log(chance), -100), jnp.maximum(jnp.log1p(-chance), -100)
        return -jnp.mean(y * logs[0] + (1 - y) * logs[1])

    def cross_entropy(logits, y):
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1))

    def norm(p, key, x):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p[key + ".weight"] + p[key + ".bias"]

    def linear(p, key, x):
        return x @ p[key + ".weight"].T + p[key + ".bias"]

    def gpt(p, tokens):
        n, t = tokens.shape
        x = p["token.weight"][tokens] + p["place.weight"][:t]  # N, T, C
        causal = jnp.tril(jnp.ones((t, t), bool))
        for i in range(LAYERS):
            block = f"blocks.{i}."
            qkv = linear(p, block + "qkv", norm(p, block + "norm1", x)).reshape(n, t, 3, HEADS, -1)
            q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # each N, H, T, C / H
            scores = jnp.where(causal, q @ k.transpose(0, 1, 3, 2) * (WIDTH // HEADS) ** -0.5, -jnp.inf)
            mixed = (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(n, t, WIDTH)
            x = x + linear(p, block + "out", mixed)
            h = jax.nn.gelu(linear(p, block + "up", norm(p, block + "norm2", x)), approximate=False)
            x = x + linear(p, block + "down", h)
        return norm(p, "norm", x) @ p["head.weight"].T

    losses = {
        "tiny_mlp": binary_cross_entropy,
        "mlp_64": lambda p, x, y: cross_entropy(two_layers(p, x), y),
        "gpt_train": lambda p, x, y: cross_entropy(gpt(p, x), y),
    }
    loss_of, each = losses[name], jax.tree_util.tree_map

    def adam(p, grads, state, lr, decay):
        count, m, v = state
        count = count + 1
        m = each(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = each(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        size, root = lr / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
        p = each(lambda p, m, v: p * (1 - lr * decay) - size * m / (jnp.sqrt(v) / root + 1e-8), p, m, v)
        return p, (count, m, v)

    updates = {
        "tiny_mlp": lambda p, grads, state: adam(p, grads, state, 0.1, 0.0),
        "mlp_64": lambda p, grads, state: (each(lambda p, g: p - 0.1 * g, p, grads), state),
        "gpt_train": lambda p, grads, state: adam(p, grads, state, 1e-3, 0.1),
    }
    update = updates[name]

    def training_step(p, state, x, y):
        loss, grads = jax.value_and_grad(loss_of)(p, x, y)
        return loss, *update(p, grads, state)

    jitted = jax.jit(training_step, donate_argnums=(0, 1))
    p = {key: jnp.asarray(value) for key, value in weights.items()}
    x, y = (jnp.asarray(data[key]) for key in ("x", "y"))
    state = (jnp.float32(0), each(jnp.zeros_like, p), each(jnp.zeros_like, p))

    def step():
        nonlocal p, state
        loss, p, state = jitted(p, state, x, y)
        return float(loss)

    return step


# --- tinygrad --------------------------------------------------------------------------------------------------------


def tinygrad_step(name, weights, data):
    """One TinyJit for the whole step, its own optimizers."""
    from tinygrad import Context, Tensor, TinyJit, nn

    p = {key: Tensor(value).realize() for key, value in weights.items()}
    x, y = (Tensor(data[key]).realize() for key in ("x", "y"))

    def linear(key, x):
        return x.linear(p[key + ".weight"].T, p[key + ".bias"])

    def norm(key, x):
        return x.layernorm(eps=1e-5) * p[key + ".weight"] + p[key + ".bias"]

    def gelu(x):
        return 0.5 * x * (1 + (x * 0.5**0.5).erf())

    def gpt(tokens):
        n, t = tokens.shape
        h = p["token.weight"][tokens] + p["place.weight"][:t]
        for i in range(LAYERS):
            block = f"blocks.{i}."
            qkv = linear(block + "qkv", norm(block + "norm1", h)).reshape(n, t, 3, HEADS, -1)
            q, k, v = (qkv[:, :, j].transpose(1, 2) for j in range(3))
            mixed = q.scaled_dot_product_attention(k, v, is_causal=True)
            h = h + linear(block + "out", mixed.transpose(1, 2).reshape(n, t, WIDTH))
            h = h + linear(block + "down", gelu(linear(block + "up", norm(block + "norm2", h))))
        return norm("norm", h) @ p["head.weight"].T

    def two_layers():
        return linear("2", linear("0", x).relu())

    losses = {
        "tiny_mlp": lambda: two_layers().sigmoid().binary_crossentropy(y),
        "mlp_64": lambda: two_layers().sparse_categorical_crossentropy(y),
        "gpt_train": lambda: gpt(x).reshape(-1, SYMBOLS).sparse_categorical_crossentropy(y.reshape(-1)),
    }
    parameters = list(p.values())
    optimizers = {
        "tiny_mlp": lambda: nn.optim.Adam(parameters, lr=0.1),
        "mlp_64": lambda: nn.optim.SGD(parameters, lr=0.1),
        "gpt_train": lambda: nn.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1),
    }
    loss_of, optimizer = losses[name], optimizers[name]()

    @TinyJit
    def jitted():
        optimizer.zero_grad()
        loss = loss_of().backward()
        return loss.realize(*optimizer.schedule_step())

    def step():
        with Context(TRAINING=1):
            return jitted().item()

    return step


# --- the measurement -------------------------------------------------------------------------------------------------

PEERS = {"jax": jax_step, "tinygrad": tinygrad_step}


def installed(names):
    """name -> module, of those that can be imported."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.import_module(name)
        except ModuleNotFoundError:
            print(f"{name} is not installed, and left out")
    return found


def first_step(step):
    started = time.perf_counter()
    loss = step()
    return time.perf_counter() - started, loss


def measured(name, modules, rounds, clock):
    """side -> figures for one workload; the sides whose losses disagree, or that fail, say so instead of a time."""
    workload, row, steps, losses = WORKLOADS[name], {}, {}, {}
    weights, data = STARTS[name](modules["tenfold"])
    for side, module in modules.items():
        try:
            step = PEERS[side](name, weights, data) if side in PEERS else workload.build(module)
            seconds, loss = first_step(step)
            losses[side] = [loss] + [step() for _ in range(timing.CHECKED_STEPS - 1)]
        except Exception as error:  # a peer that fails must not hide the others
            row[side] = {"error": f"{type(error).__name__}: {error}"}
            continue
        apart = timing.difference(losses["tenfold"], losses[side])
        row[side] = {"first_step_s": seconds, "difference": apart}
        if apart <= TOLERANCE:
            steps[side] = step
        else:
            row[side]["error"] = f"losses {losses[side]}, not {losses['tenfold']}"
    best = timing.turns(workload, steps, rounds=rounds, threads=1, clock=clock)
    for side, seconds in best.items():
        row[side]["µs"] = 1e6 * seconds
    return row


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=STARTS, default=list(STARTS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clock", choices=timing.CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, default=ROOT / "out" / "peers.json", metavar="FILE")
    args = parser.parse_args(argv)
    modules = timing.sides() | installed(PEERS)
    for module in modules.values():
        if hasattr(module, "set_num_threads"):
            module.set_num_threads(1)
    versions = {side: getattr(module, "__version__", None) or version(side) for side, module in modules.items()}
    results = {"versions": versions, "rows": {}}
    for name in args.only:
        results["rows"][name] = row = measured(name, modules, args.rounds, timing.CLOCKS[args.clock])
        for side, got in row.items():
            shown = got.get("error") or f"{got['µs']:12,.0f} µs, first step {got['first_step_s']:.3f} s, "
            shown += "" if "error" in got else f"losses {got['difference']:.0e} apart"
            print(f"{name:12s} {side:10s} {shown}", flush=True)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def version(distribution):
    from importlib import metadata

    return metadata.version(distribution)


if __name__ == "__main__":
    sys.exit(main())
