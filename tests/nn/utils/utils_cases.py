"""What nn.utils is asked; `python tests/nn/utils/utils_cases.py` records PyTorch's answers in `utils_cases.json`."""

from __future__ import annotations

import itertools
import sys
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from recorded_cases import case, error_of, filled, leaf, record, wave, with_gradients

ANSWERS = Path(__file__).with_suffix(".json")


@case("utils/rnn/round trip")
def pack_and_pad(torch):
    rnn = torch.nn.utils.rnn
    results = []
    for first, ordered in itertools.product((False, True), repeat=2):
        x = leaf(torch, 3, 4, 2) if first else leaf(torch, 4, 3, 2)
        packed = rnn.pack_padded_sequence(x, [4, 2, 1] if ordered else [2, 1, 4], first, ordered)
        padded, lengths = rnn.pad_packed_sequence(packed, first, -1.0, 5)
        results.append([packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices, lengths])
        results.append(with_gradients(torch, [packed.data, padded], [x]))
        results.append(rnn.unpack_sequence(packed))
    return results


@case("utils/rnn/pad_sequence")
def pad(torch):
    rnn = torch.nn.utils.rnn
    results = []
    for first, side in itertools.product((False, True), ("left", "right")):
        sequences = [leaf(torch, n, 2, phase=float(n)) for n in (2, 3, 1)]
        padded = rnn.pad_sequence(sequences, first, 0.5, side)
        results.append(with_gradients(torch, [padded], sequences))
    whole = rnn.pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
    return results, whole, repr(rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]))


@case("utils/rnn/errors")
def packing_errors(torch):
    rnn, x = torch.nn.utils.rnn, torch.zeros(4, 3, 2)
    calls = {
        "order": lambda: rnn.pack_padded_sequence(x, [1, 4, 2]),
        "zero": lambda: rnn.pack_padded_sequence(x, [4, 2, 0]),
        "count": lambda: rnn.pack_padded_sequence(x, [4, 2]),
        "empty": lambda: rnn.pack_padded_sequence(x[:, :0], []),
        "total": lambda: rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [4, 2, 1]), total_length=3),
        "side": lambda: rnn.pad_sequence([x], padding_side="middle"),
        "none": lambda: rnn.pad_sequence([]),
        "type": lambda: rnn.pad_sequence([1, 2]),
        "shapes": lambda: rnn.pad_sequence([torch.zeros(2, 3), torch.zeros(1, 4)]),
    }
    return {name: error_of(f) for name, f in calls.items()}


def with_grads(torch, *values, dtype="float64"):
    parameters = []
    for v in values:
        p = torch.nn.Parameter(torch.zeros(len(v), dtype=getattr(torch, dtype)))
        p.grad = torch.tensor(v, dtype=p.dtype)
        parameters.append(p)
    return parameters


@case("utils/clip_grad/norm")
def clip_norm(torch):
    results = []
    for norm in (2.0, 1, 3, 0.5, 0, "inf", float("inf"), -float("inf")):
        for bound in (1.0, 100.0):
            parameters = with_grads(torch, [3.0, 4.0], [12.0])
            total = torch.nn.utils.clip_grad_norm_(iter(parameters), bound, norm)
            results.append([total, *[p.grad for p in parameters]])
    return results


@case("utils/clip_grad/others")
def clip_others(torch):
    utils = torch.nn.utils
    half = with_grads(torch, [3.0, 4.0], dtype="float16")
    mixed = with_grads(torch, [3.0, 4.0], dtype="float32") + with_grads(torch, [12.0])
    nan = with_grads(torch, [3.0, float("nan")], [1.0])
    value = with_grads(torch, [3.0, -4.0], [0.5])
    one = with_grads(torch, [3.0, 4.0])[0]
    before = one.grad
    totals = [utils.clip_grad_norm_(ps, 1.0) for ps in (half, mixed, nan, one, [])]
    utils.clip_grad_value_(value, 2)
    grads = [p.grad for p in (*half, *mixed, *nan, *value, one)]
    stops = error_of(lambda: utils.clip_grad_norm_(nan, 1.0, error_if_nonfinite=True))
    return totals, grads, stops, one.grad is before, utils.get_total_norm([torch.ones(2), torch.ones(3)])


@case("utils/convert_parameters")
def convert(torch):
    utils = torch.nn.utils
    parameters = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(1))]
    vector = torch.arange(5.0)
    utils.vector_to_parameters(vector, parameters)
    shared = parameters[0].data_ptr() == vector.data_ptr()
    errors = [
        error_of(lambda: utils.vector_to_parameters([1], parameters)),
        error_of(lambda: utils.vector_to_parameters(vector[:3], parameters)),
    ]
    return [p.detach() for p in parameters], utils.parameters_to_vector(parameters).detach(), shared, errors


@case("utils/fusion")
def fuse(torch):
    nn = torch.nn
    results = []
    for layer, norm in (
        (nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3)),
        (nn.Conv1d(2, 3, 2, bias=False), nn.BatchNorm1d(3, affine=False)),
        (nn.Linear(2, 3), nn.BatchNorm1d(3)),
    ):
        filled(torch, layer)
        filled(torch, norm)
        norm.running_mean.copy_(wave(torch, 3))
        norm.running_var.copy_(wave(torch, 3).abs() + 0.5)
        fuse = nn.utils.fuse_linear_bn_eval if isinstance(layer, nn.Linear) else nn.utils.fuse_conv_bn_eval
        fused = fuse(layer.eval(), norm.eval())
        results.append([fused.weight.detach(), fused.bias.detach(), repr(fused)])
    training = error_of(lambda: nn.utils.fuse_conv_bn_eval(nn.Conv1d(1, 1, 1), nn.BatchNorm1d(1)))
    return results, training


@case("utils/weight_norm")
def weight_norms(torch):
    utils = torch.nn.utils
    results = []
    for dim in (0, 1, None):
        new = utils.parametrizations.weight_norm(filled(torch, torch.nn.Linear(3, 2)), dim=dim)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old = utils.weight_norm(filled(torch, torch.nn.Linear(3, 2)), dim=dim)
        x = leaf(torch, 2, 3)
        results.append(with_gradients(torch, [new(x), old(x)], [x, *new.parameters(), *old.parameters()]))
        results.append([list(new.state_dict()), list(old.state_dict()), repr(new)])
        new.load_state_dict(old.state_dict())
        results.append(list(utils.remove_weight_norm(old).state_dict()))
    return results


@case("utils/spectral_norm")
def spectral_norms(torch):
    """The iteration begins at random, so it runs long enough to forget where."""
    utils = torch.nn.utils
    new = utils.parametrizations.spectral_norm(filled(torch, torch.nn.Linear(3, 2)), n_power_iterations=200)
    old = utils.spectral_norm(filled(torch, torch.nn.Linear(3, 2)), n_power_iterations=200)
    x = leaf(torch, 2, 3)
    results = with_gradients(torch, [new(x), old(x)], [x])
    keys = [list(new.state_dict()), list(old.state_dict())]
    again = utils.spectral_norm(torch.nn.Linear(3, 2).double())
    again.load_state_dict(old.state_dict())
    return results, keys, list(utils.remove_spectral_norm(old).state_dict())


@case("utils/parametrize")
def parametrizations(torch):
    nn, parametrize = torch.nn, torch.nn.utils.parametrize

    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, x):
            return x.triu()

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x / 4, x * 3 / 4

    class Row(nn.Module):
        def forward(self, x):
            return x[0]

    results = []
    for cls in (Symmetric, Sum):
        layer = parametrize.register_parametrization(filled(torch, nn.Linear(3, 3)), "weight", cls())
        x = leaf(torch, 2, 3)
        results.append(with_gradients(torch, [layer(x), layer.weight], [x, *layer.parameters()]))
        results.append([repr(layer), list(layer.state_dict()), type(layer).__name__])
        layer.weight = wave(torch, 3, 3, phase=5.0)
        results.append([layer.weight.detach(), parametrize.is_parametrized(layer, "bias")])
        with parametrize.cached():
            results.append(layer.weight is layer.weight)
        parametrize.remove_parametrizations(layer, "weight")
        results.append([layer.weight.detach(), type(layer).__name__, isinstance(layer.weight, nn.Parameter)])
    errors = [
        error_of(lambda: parametrize.register_parametrization(nn.Linear(3, 3), "weight", Row())),
        error_of(lambda: parametrize.register_parametrization(nn.Linear(3, 3), "none", Row())),
        error_of(lambda: parametrize.remove_parametrizations(nn.Linear(3, 3), "weight")),
    ]
    return results, errors


@case("utils/prune")
def pruning(torch):
    nn, prune = torch.nn, import_module(f"{torch.__name__}.nn.utils.prune")
    layer = filled(torch, nn.Linear(4, 3))
    prune.l1_unstructured(layer, "weight", 3)
    results = [layer.weight_mask, list(layer.state_dict())]
    prune.ln_structured(layer, "weight", 1, 2, 0)
    x = leaf(torch, 2, 4)
    results += [layer.weight_mask.clone(), with_gradients(torch, [layer(x)], [x, *layer.parameters()])]
    prune.l1_unstructured(layer, "weight", 0.5)
    results += [layer.weight_mask.clone(), prune.is_pruned(layer)]
    prune.remove(layer, "weight")
    pair = nn.Sequential(filled(torch, nn.Linear(4, 3)), filled(torch, nn.Linear(3, 2)))
    prune.global_unstructured([(pair[0], "weight"), (pair[1], "weight")], prune.L1Unstructured, amount=0.4)
    results += [layer.weight.detach(), list(layer.state_dict()), pair[0].weight_mask, pair[1].weight_mask]
    for amount in (-1, 5, 1.5, "a"):
        results.append(error_of(partial(prune.l1_unstructured, nn.Linear(2, 2), "weight", amount)))
    return results


@case("utils/stateless")
def stateless(torch):
    nn = torch.nn

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls = self.calls + 1
            return self.a(x), self.b(x)

    def call(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nn.utils.stateless.functional_call(*args, **kwargs)

    model, x, weight = Tied(), torch.ones(1, 2), torch.full((2, 2), 3.0)
    tied = call(model, {"a.weight": weight}, x)
    state = {"a.weight": weight, "calls": torch.zeros(1)}
    call(model, state, (x,), tie_weights=False)
    errors = [
        error_of(lambda: call(model, {"a.weight": weight, "b.weight": weight * 2}, x)),
        error_of(lambda: call(model, {"a.weight": weight}, x, strict=True)),
        error_of(lambda: call(model, {"c.weight": weight}, x)),
        error_of(lambda: call(model, {"a.weight": 1}, x)),
    ]
    return list(tied), model.calls, state["calls"], model.a.weight is model.b.weight, errors


if __name__ == "__main__":
    record(ANSWERS)
