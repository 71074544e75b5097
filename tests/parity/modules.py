"""Runs PyTorch's own databases of modules and optimizers, and its learning-rate schedules, on a candidate module.

A module: built with the same arguments, its repr and state_dict keys, the same weights loaded, forward and
backward, in training and in evaluation. An optimizer: five steps on a small regression. A schedule: thirty steps."""

import sys
import time
import warnings
from functools import partial

import harness as h
import torch
from torch.testing._internal.common_modules import FunctionInput, ModuleErrorEnum, ModuleInfo, ModuleInput, module_db
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

STEPS, LR_STEPS = 5, 30

# Modules that PyTorch's database leaves out: (class, arguments, shapes of the inputs)
OTHERS = [
    ("Identity", (), {}, [(2, 3)]),
    ("Flatten", (), {}, [(2, 3, 4)]),
    ("Flatten", (0, 1), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(4, 6)]),
    ("Dropout", (0.3,), {}, [(4, 5)]),
    ("Dropout1d", (), {}, [(2, 4, 5)]),
    ("Dropout2d", (), {}, [(2, 4, 3, 3)]),
    ("Dropout3d", (), {}, [(2, 4, 3, 3, 3)]),
    ("AlphaDropout", (0.2,), {}, [(4, 5)]),
    ("FeatureAlphaDropout", (), {}, [(2, 4, 5)]),
    ("Hardsigmoid", (), {}, [(4, 5)]),
    ("RReLU", (), {}, [(4, 5)]),
    ("PixelShuffle", (2,), {}, [(1, 8, 3, 3)]),
    ("PixelUnshuffle", (2,), {}, [(1, 2, 6, 6)]),
    ("ChannelShuffle", (2,), {}, [(1, 4, 3, 3)]),
    ("Upsample", (), {"scale_factor": 2}, [(1, 2, 3, 3)]),
    ("Upsample", (), {"size": (5, 7), "mode": "bilinear", "align_corners": True}, [(1, 2, 3, 3)]),
    ("UpsamplingNearest2d", (), {"scale_factor": 3}, [(1, 2, 3, 3)]),
    ("UpsamplingBilinear2d", (), {"size": (4, 5)}, [(1, 2, 3, 3)]),
    ("Fold", ((4, 5), (2, 2)), {}, [(1, 12, 12)]),
    ("Unfold", ((2, 3),), {"padding": 1}, [(2, 3, 5, 6)]),
    ("CosineSimilarity", (), {"dim": 1}, [(4, 5), (4, 5)]),
    ("PairwiseDistance", (), {"p": 1.5}, [(4, 5), (4, 5)]),
    ("TripletMarginLoss", (), {"margin": 2.0}, [(4, 5), (4, 5), (4, 5)]),
    ("TripletMarginWithDistanceLoss", (), {"swap": True}, [(4, 5), (4, 5), (4, 5)]),
    ("LazyLinear", (3,), {}, [(4, 5)]),
    ("LazyBatchNorm1d", (), {}, [(4, 5)]),
    ("LazyBatchNorm2d", (), {}, [(2, 3, 4, 4)]),
    ("LazyInstanceNorm2d", (), {"affine": True}, [(2, 3, 4, 4)]),
    ("Sequential", (torch.nn.Tanh(), torch.nn.Sigmoid()), {}, [(2, 3)]),
]


def attempt(f, *args, **kwargs):
    """f's result, or the exception that it raised."""
    try:
        return f(*args, **kwargs)
    except Exception as e:
        return e


def both(f, g, words):
    """The results of PyTorch's f and the candidate's g; None where PyTorch raises and the candidate agrees."""
    ref, got = attempt(f), attempt(g)
    if isinstance(ref, Exception):
        return h.check_error(ref, got, words)
    if isinstance(got, Exception):
        raise got
    return ref, got


# --- modules ----------------------------------------------------------------------------------------------


def build(mod, cls, given, dtype):
    convert = h.Converter(mod)
    args, kwargs = convert(given.args), convert(given.kwargs)
    h.seed(mod)
    return h.lookup(mod, f"nn.{cls.__name__}")(*args, **kwargs).to(getattr(mod, dtype))


def run(mod, m, given):
    """Outputs, gradients of inputs and parameters, and buffers after one forward and backward."""
    convert = h.Converter(mod)
    args, kwargs = convert(given.args), convert(given.kwargs)
    h.seed(mod)
    out = m(*args, **kwargs)
    outputs = [t for t in h.tensors_in(mod, out) if t.requires_grad]
    shapes = [torch.empty(tuple(t.shape), dtype=getattr(torch, h.last_name(t.dtype))) for t in outputs]
    weights = h.Converter(mod)(h.cotangents(shapes))
    for p in m.parameters():
        p.grad = None
    if outputs:
        mod.autograd.backward(outputs, weights)
    return {
        "output": out,
        "input gradients": [t.grad for t in convert.leaves()],
        "parameter gradients": {n: p.grad for n, p in m.named_parameters()},
        "buffers": dict(m.named_buffers()),
    }


def check_module(info, mod, note, args):
    cls = info.module_cls
    words = {"nn", cls.__name__}
    record = h.Record(words)
    for dtype in args.dtypes.split(","):
        if getattr(torch, dtype) not in info.supported_dtypes("cpu"):
            continue
        for training in (True, False):
            mode = "train" if training else "eval"
            inputs = info.module_inputs_func(
                info, device="cpu", dtype=getattr(torch, dtype), requires_grad=True, training=training
            )
            for i, given in enumerate(inputs[: 2 if args.fast else None]):
                where = f"{mode} {dtype} input {i} {given.desc}".rstrip()
                note(where)
                compare = h.Compare(mod, dtype, rtol=1e-5, requires_grad=True)
                pair = None
                with record(f"{where}: construction"):
                    make = [partial(build, m, cls, given.constructor_input, dtype) for m in (torch, mod)]
                    pair = both(*make, words)
                if not pair:
                    continue
                with record(f"{where}: repr"):
                    compare(*map(repr, pair), "repr")
                if given.forward_input is None:
                    continue
                lazy = info.is_lazy
                with record(f"{where}: state_dict"):
                    ref, got = (m.state_dict() for m in pair)
                    compare(list(ref), list(got), "keys")
                    if not lazy:
                        compare.values = args.seeded
                        compare(dict(ref), dict(got), "initial state")
                        pair[1].load_state_dict(h.Converter(mod)(dict(ref)))
                        compare.values = True
                        compare(dict(ref), dict(pair[1].state_dict()), "loaded state")
                with record(f"{where}: forward and backward"):
                    for m in pair:
                        m.train(training)
                    if lazy:  # the first call makes the parameters, which are then made equal
                        both(*(partial(run, s, m, given.forward_input) for s, m in zip((torch, mod), pair)), words)
                        pair[1].load_state_dict(h.Converter(mod)(dict(pair[0].state_dict())))
                    state = torch.get_rng_state()
                    torch.manual_seed(0)
                    start = torch.get_rng_state()
                    runs = both(*(partial(run, s, m, given.forward_input) for s, m in zip((torch, mod), pair)), words)
                    compare.values = args.seeded or torch.equal(start, torch.get_rng_state())
                    torch.set_rng_state(state)
                    if runs:
                        compare(*runs, "result")
    check_module_errors(info, mod, record, note, words)
    return record.result()


def check_module_errors(info, mod, record, note, words):
    if not info.module_error_inputs_func:
        return
    errors = info.module_error_inputs_func(info, "cpu", torch.float32, True, True)
    for i, e in enumerate(errors):
        given = e.module_error_input
        note(f"error input {i}")
        with record(f"error input {i}"):
            make = [partial(build, m, info.module_cls, given.constructor_input, "float32") for m in (torch, mod)]
            pair = both(*make, words)
            if pair and e.error_on is ModuleErrorEnum.FORWARD_ERROR:
                both(*(partial(run, s, m, given.forward_input) for s, m in zip((torch, mod), pair)), words)


# --- optimizers -------------------------------------------------------------------------------------------


def problem(mod, sparse=False, flat=True):
    """(parameters, loss): a two-layer regression, or an embedding where gradients must be sparse."""
    g = torch.Generator().manual_seed(3)
    convert = h.Converter(mod)
    shapes = [(4, 3), (4,), (2, 4), (2,)] if flat else [(4, 3), (2, 4)]
    randn = partial(torch.randn, generator=g, dtype=torch.float64)
    params = [mod.nn.Parameter(convert(randn(s))) for s in ([(6, 2)] if sparse else shapes)]
    x, y = convert(randn(8, 3)), convert(randn(8, 2))
    index = convert(torch.tensor([0, 2, 5, 2, 1, 0, 3, 5]))
    f = mod.nn.functional

    def loss():
        if sparse:
            return ((f.embedding(index, params[0], sparse=True) - y) ** 2).mean()
        if not flat:
            return ((f.linear(mod.tanh(f.linear(x, params[0])), params[1]) - y) ** 2).mean()
        return ((f.linear(mod.tanh(f.linear(x, params[0], params[1])), params[2], params[3]) - y) ** 2).mean()

    return params, loss


def optimise(mod, info, kwargs, groups):
    """Parameters and losses after each of some steps, and the optimizer's state_dict."""
    params, loss = problem(mod, info.only_supports_sparse_grads, info.name != "Muon")
    given = [{"params": params[:1], "lr": 0.003}, {"params": params[1:]}] if groups else params
    optimizer = h.lookup(mod, f"optim.{info.name}")(given, **h.Converter(mod)(kwargs))
    path = []

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(STEPS):
        if info.step_requires_closure:
            value = optimizer.step(closure)
        else:
            value = closure()
            optimizer.step()
        path.append((value.detach(), [p.detach().clone() for p in params]))
    state = optimizer.state_dict()
    described = {"state": state["state"], "param_groups": state["param_groups"]}
    again = h.lookup(mod, f"optim.{info.name}")(given, **h.Converter(mod)(kwargs))
    again.load_state_dict(state)
    return {"path": path, "state_dict": described, "loaded": again.state_dict(), "repr": repr(optimizer)}


def check_optimizer(info, mod, note, args):
    words = {"optim", info.name}
    record = h.Record(words)
    options = [(o.desc, o.kwargs) for o in info.optim_inputs_func(device="cpu")]
    options += [("foreach", {"foreach": True})] if "foreach" in info.supported_impls else []
    options += [("fused", {"fused": True})] if "cpu" in info.supports_fused_on else []
    options = [(desc, kwargs) for desc, kwargs in options if not kwargs.get("differentiable")]  # not for leaves
    if args.fast:
        options = options[:2]
    for desc, kwargs in options:
        for groups in (False, True) if info.supports_param_groups and not info.only_supports_sparse_grads else (False,):
            where = f"{desc}{' in groups' if groups else ''}"
            note(where)
            with record(where):
                runs = both(*(partial(optimise, m, info, kwargs, groups) for m in (torch, mod)), words)
                if runs:
                    loose = 1e-4 if info.name == "Muon" else 0.0  # it computes in bfloat16
                    h.Compare(mod, "float64", rtol=loose, atol=loose)(*runs, "result")
    for i, e in enumerate(info.optim_error_inputs_func(device="cpu", dtype=torch.float32)):
        if e.error_on is not OptimizerErrorEnum.CONSTRUCTION_ERROR or issubclass(e.error_type, Warning):
            continue
        given = e.optimizer_error_input
        with record(f"error input {i} {given.desc}"):
            both(*(partial(construct, m, info.name, given) for m in (torch, mod)), words)
    return record.result()


def construct(mod, name, given):
    convert = h.Converter(mod)
    params = [torch.nn.Parameter(torch.ones(1, 1))] if given.params is None else given.params
    return h.lookup(mod, f"optim.{name}")(convert(params), **convert(given.kwargs))


# --- learning-rate schedules ------------------------------------------------------------------------------


def schedules(s):
    """name -> ways to make that schedule of s (an optim.lr_scheduler) for an optimizer."""
    return {
        "LambdaLR": [lambda o: s.LambdaLR(o, lambda k: 0.95**k), lambda o: s.LambdaLR(o, [lambda k: 1 / (k + 1)])],
        "MultiplicativeLR": [lambda o: s.MultiplicativeLR(o, lambda k: 0.9)],
        "StepLR": [lambda o: s.StepLR(o, 7), lambda o: s.StepLR(o, step_size=3, gamma=0.5)],
        "MultiStepLR": [lambda o: s.MultiStepLR(o, [4, 9, 9, 20], gamma=0.3)],
        "ConstantLR": [lambda o: s.ConstantLR(o), lambda o: s.ConstantLR(o, factor=0.5, total_iters=4)],
        "LinearLR": [lambda o: s.LinearLR(o), lambda o: s.LinearLR(o, 0.1, 0.8, total_iters=11)],
        "ExponentialLR": [lambda o: s.ExponentialLR(o, 0.9)],
        "PolynomialLR": [lambda o: s.PolynomialLR(o), lambda o: s.PolynomialLR(o, total_iters=12, power=2.0)],
        "CosineAnnealingLR": [lambda o: s.CosineAnnealingLR(o, 10), lambda o: s.CosineAnnealingLR(o, 20, eta_min=1e-3)],
        "CosineAnnealingWarmRestarts": [
            lambda o: s.CosineAnnealingWarmRestarts(o, 5),
            lambda o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=1e-3),
        ],
        "CyclicLR": [
            lambda o: s.CyclicLR(o, 0.01, 0.1, step_size_up=4),
            lambda o: s.CyclicLR(o, 0.01, 0.1, step_size_up=3, step_size_down=5, mode="triangular2"),
            lambda o: s.CyclicLR(o, 0.01, 0.1, step_size_up=4, mode="exp_range", gamma=0.97),
            lambda o: s.CyclicLR(o, 0.01, 0.1, step_size_up=4, scale_fn=lambda x: 1 / (1 + x), scale_mode="iterations"),
        ],
        "OneCycleLR": [
            lambda o: s.OneCycleLR(o, 0.2, total_steps=32),
            lambda o: s.OneCycleLR(o, 0.2, epochs=4, steps_per_epoch=8, anneal_strategy="linear", three_phase=True),
            lambda o: s.OneCycleLR(o, 0.2, total_steps=20, pct_start=0.2, cycle_momentum=False),
        ],
        "ReduceLROnPlateau": [
            lambda o: s.ReduceLROnPlateau(o, patience=2),
            lambda o: s.ReduceLROnPlateau(o, mode="max", factor=0.5, patience=1, cooldown=2, threshold_mode="abs"),
            lambda o: s.ReduceLROnPlateau(o, patience=0, threshold=0.5, min_lr=0.01),
        ],
        "SequentialLR": [
            lambda o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)], milestones=[5]),
        ],
        "ChainedScheduler": [lambda o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)])],
    }


def follow(mod, name, way):
    params, _ = problem(mod)
    optimizer = mod.optim.SGD(params, lr=0.05, momentum=0.9)
    scheduler = schedules(h.lookup(mod, "optim.lr_scheduler"))[name][way](optimizer)
    path = []
    for step in range(LR_STEPS):
        group = optimizer.param_groups[0]
        path.append((float(group["lr"]), float(group["momentum"]), [float(r) for r in scheduler.get_last_lr()]))
        optimizer.step()
        scheduler.step(*([1.0 / (1 + min(step, 6))] if name == "ReduceLROnPlateau" else []))
    return {"path": path, "state_dict keys": sorted(scheduler.state_dict())}


def check_schedule(name, mod, note, args):
    words = {"optim", "lr_scheduler", name}
    record = h.Record(words)
    for way in range(len(schedules(None)[name])):
        note(f"way {way}")
        with record(f"way {way}"):
            runs = both(*(partial(follow, m, name, way) for m in (torch, mod)), words)
            if runs:
                h.Compare(mod, "float64", slack=0)(*runs, "result")
    return record.result()


# --- all --------------------------------------------------------------------------------------------------


def other_inputs(info, device, dtype, requires_grad, training):
    g = torch.Generator().manual_seed(5)
    inputs = []
    for name, args, kwargs, shapes in OTHERS:
        if name == info.module_cls.__name__:
            tensors = [torch.randn(s, generator=g).to(device, dtype).requires_grad_(requires_grad) for s in shapes]
            inputs.append(ModuleInput(FunctionInput(*args, **kwargs), FunctionInput(*tensors)))
    return inputs


CHECKS = {"modules": check_module, "optimizers": check_optimizer, "schedules": check_schedule}


def everything():
    """(family, name, what its check takes)"""
    others = [getattr(torch.nn, name) for name in dict.fromkeys(row[0] for row in OTHERS)]
    for info in [*module_db, *(ModuleInfo(cls, module_inputs_func=other_inputs) for cls in others)]:
        yield "modules", info.name, info
    for info in optim_db:
        yield "optimizers", f"optim.{info.name}", info
    for name in schedules(None):
        yield "schedules", f"optim.lr_scheduler.{name}", name


def check(task, mod, note, args):
    family, _, subject = EVERYTHING[task]
    warnings.simplefilter("ignore")
    return CHECKS[family](subject, mod, note, args)


EVERYTHING = list(everything())


def main(argv=None):
    p = h.parser(__doc__)
    p.add_argument("--dtypes", default="float32,float64", help="of modules (default: %(default)s)")
    p.add_argument("--fast", action="store_true", help="two inputs for each")
    p.add_argument("--seeded", action="store_true", help="initial weights and dropout must be PyTorch's numbers")
    args, started, table, rows = p.parse_args(argv), time.monotonic(), h.usage(), []
    tasks = [i for i, (family, name, _) in enumerate(EVERYTHING) if h.chosen(name, family, args)]
    work = partial(check, args=args)
    for i, result, died in h.isolate(tasks, work, args.module, args.jobs, args.timeout, not args.verbose):
        family, name, _ = EVERYTHING[i]
        if died:
            result = {"status": "crash", "checks": 1, "failed": 1, "detail": died}
        rows.append({"name": name, "family": family, "usage": h.used(table, name), **result})
    return h.report(rows, args, started, "modules, optimizers and schedules")


if __name__ == "__main__":
    sys.exit(main())
