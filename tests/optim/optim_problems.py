"""What the recorded references and the tests both run: the same steps, on PyTorch and on tenfold."""

import math

STEPS = 6

# method -> options of each run
RUNS = {
    "SGD": [
        {},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
    ],
    "Adam": [
        {},
        {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True},
        {"lr": 0.01, "betas": [0.3, 0.5], "maximize": True},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
        {"fused": True},
    ],
    "AdamW": [{}, {"lr": 0.01, "weight_decay": 0.2, "amsgrad": True}],
    "Adamax": [{}, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}],
    "NAdam": [
        {},
        {"weight_decay": 0.1, "momentum_decay": 0.006},
        {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "RAdam": [
        {"lr": 0.1},
        {"lr": 0.1, "betas": [0.9, 0.99], "weight_decay": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "Adadelta": [{}, {"rho": 0.95, "weight_decay": 0.9, "maximize": True}],
    "Adagrad": [
        {},
        {"lr": 0.1, "lr_decay": 0.5, "weight_decay": 0.1, "initial_accumulator_value": 0.1, "maximize": True},
    ],
    "RMSprop": [
        {},
        {"weight_decay": 0.1, "centered": True, "momentum": 0.1},
        {"alpha": 0.3, "momentum": 0.9, "maximize": True},
    ],
    "Rprop": [{}, {"etas": [0.4, 1.5], "step_sizes": [1e-3, 0.02], "maximize": True}],
    "ASGD": [{"lambd": 0.1}, {"t0": 2, "lr": 0.02, "weight_decay": 0.1, "maximize": True}],
    "Adafactor": [
        {},
        {"lr": 0.3, "d": 1.5, "beta2_decay": -0.3, "weight_decay": 0.1, "eps": [1e-4, 1e-2], "maximize": True},
    ],
    "Muon": [{}, {"lr": 0.01, "momentum": 0.8, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}],
    "LBFGS": [{}, {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 2}],
}


def numbers(torch, shape, seed):
    """A tensor of float64 numbers that need no random generator."""
    count = math.prod(shape)
    return torch.tensor([math.sin(1.3 * seed + 0.7 * i) for i in range(count)], dtype=torch.float64).reshape(shape)


def parameters(torch, method):
    """Tensors that an optimizer of that method can step."""
    shapes = [(3, 2), (2, 4)] if method == "Muon" else [(3, 2), (4,), ()]
    return [numbers(torch, shape, i + 1).requires_grad_() for i, shape in enumerate(shapes)]


def give_gradients(torch, params, step, gaps=False):
    """Set the gradients of a step; with `gaps` some parameters have none at some steps."""
    for i, p in enumerate(params):
        p.grad = None if gaps and (step + i) % 3 == 0 else numbers(torch, tuple(p.shape), 10 * step + i + 5)


def loss_of(torch, params):
    """A smooth function with a minimum."""
    return sum((((p - 0.3) ** 2).sum() + (p**4).sum()) for p in params)


def train(torch, method, options, gaps=False):
    """Step an optimizer of that method some times; returns it with its parameters."""
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    params = parameters(torch, method)
    optimizer = getattr(torch.optim, method)(params, **options)
    for step in range(STEPS):
        if method == "LBFGS":
            optimizer.step(lambda: closure(torch, optimizer, params))
        else:
            give_gradients(torch, params, step, gaps)
            optimizer.step()
    return optimizer, params


def closure(torch, optimizer, params):
    """The loss, after its gradients were computed."""
    optimizer.zero_grad()
    loss = loss_of(torch, params)
    loss.backward()
    return loss


def schedules(s):
    """name -> makes that schedule (of the package s, an optim.lr_scheduler) for an optimizer."""
    return {
        "LambdaLR": lambda o: s.LambdaLR(o, lambda k: 0.95**k),
        "MultiplicativeLR": lambda o: s.MultiplicativeLR(o, lambda k: 0.9),
        "StepLR": lambda o: s.StepLR(o, 3, 0.5),
        "MultiStepLR": lambda o: s.MultiStepLR(o, [2, 4, 4, 9], 0.3),
        "ConstantLR": lambda o: s.ConstantLR(o, 0.5, 4),
        "LinearLR": lambda o: s.LinearLR(o, 0.1, 0.8, 7),
        "ExponentialLR": lambda o: s.ExponentialLR(o, 0.9),
        "PolynomialLR": lambda o: s.PolynomialLR(o, 7, 2.0),
        "CosineAnnealingLR": lambda o: s.CosineAnnealingLR(o, 5, 1e-3),
        "CosineAnnealingWarmRestarts": lambda o: s.CosineAnnealingWarmRestarts(o, 2, 2, 1e-3),
        "CyclicLR triangular2": lambda o: s.CyclicLR(o, 0.01, [0.1, 0.2], 3, 5, "triangular2"),
        "CyclicLR exp_range": lambda o: s.CyclicLR(o, 0.01, 0.1, 4, mode="exp_range", gamma=0.97),
        "OneCycleLR": lambda o: s.OneCycleLR(o, 0.2, total_steps=16),
        "OneCycleLR three": lambda o: s.OneCycleLR(
            o, [0.2, 0.3], epochs=4, steps_per_epoch=4, anneal_strategy="linear", three_phase=True
        ),
        "ReduceLROnPlateau": lambda o: s.ReduceLROnPlateau(o, patience=1, cooldown=1),
        "SequentialLR": lambda o: s.SequentialLR(
            o, [s.LinearLR(o, 0.1, 1.0, 4), s.CosineAnnealingLR(o, 5), s.StepLR(o, 2)], [4, 7]
        ),
        "ChainedScheduler": lambda o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)]),
    }


METRICS = [1.0, 0.5, 0.5, 0.6, 0.4, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]


def two_groups(torch, lr=0.1):
    """An SGD with two param groups."""
    params = [numbers(torch, (2,), i).requires_grad_() for i in range(2)]
    return torch.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.02}], lr=lr, momentum=0.9)


def follow(torch, scheduler_package, name):
    """Rates and momenta of both groups along a schedule."""
    optimizer = two_groups(torch)
    scheduler = schedules(scheduler_package)[name](optimizer)
    path = []
    for metric in METRICS:
        path.append([[float(g["lr"]), float(g["momentum"])] for g in optimizer.param_groups])
        optimizer.step()
        scheduler.step(*([metric] if name == "ReduceLROnPlateau" else []))
    return path, list(scheduler.state_dict())
