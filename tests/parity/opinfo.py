"""Runs every operator of PyTorch's own operator database (OpInfo) on PyTorch and on a candidate module, and compares.

Each operator runs on PyTorch's sample inputs, as a function, as a method, in place, as a Python operator,
with out= and under its aliases, for each dtype; results, gradients and errors must agree."""

import itertools
import random
import sys
import time
from functools import partial

import harness as h
import numpy as np
import torch
from torch.testing._internal.common_device_type import precisionOverride, toleranceOverride
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import (
    BinaryUfuncInfo,
    DecorateInfo,
    ReductionOpInfo,
    ShapeFuncInfo,
    UnaryUfuncInfo,
)

DTYPES = "float32,float64,int64,bool,complex64,bfloat16,float16"
FAMILIES = ("nn.functional", "linalg", "fft", "special", "masked", "signal")
KINDS = {UnaryUfuncInfo: "unary", BinaryUfuncInfo: "binary", ReductionOpInfo: "reduction", ShapeFuncInfo: "shape"}
POOL = 64  # samples are chosen from this many first ones


def full_name(op):
    return f"{op.name} ({op.variant_test_name})" if op.variant_test_name else op.name


def family(op):
    for f in FAMILIES:
        if op.name.startswith(f + "."):
            return f
    return next((name for kind, name in KINDS.items() if isinstance(op, kind)), "other")


def is_private(op):
    last = op.name.split(".")[-1]
    return last.startswith("_") and not last.endswith("__")


def variants(op):
    """(label, how to call it, PyTorch's callable)"""
    yield "function", "function", op.op
    yield "method", "method", op.method_variant
    yield "in-place", "inplace", op.inplace_variant
    yield "operator", "method", op.operator_variant
    yield "in-place operator", "inplace", op.inplace_operator_variant
    if op.supports_out:
        yield "out=", "out", op.op
    for a in op.aliases:
        yield f"alias {a.name}", "function", a.op
        yield f"alias method {a.name}", "method", a.method_variant
        yield f"alias in-place {a.name}", "inplace", a.inplace_variant


def applies(label, how, op, sample):
    if how != "function" and how != "out" and not isinstance(sample.input, torch.Tensor):
        return False
    return not (label.endswith("operator") and sample.kwargs)


def tolerances(op, dtype):
    """The loosest (rtol, atol) that PyTorch's own tests of this operator use on the CPU."""
    rtol = atol = 0.0
    for info in op.decorators:
        if not isinstance(info, DecorateInfo) or info.device_type not in (None, "cpu"):
            continue
        for d in info.decorators:
            if isinstance(d, toleranceOverride) and dtype in d.d:
                atol, rtol = max(atol, d.d[dtype].atol), max(rtol, d.d[dtype].rtol)
            elif isinstance(d, precisionOverride) and dtype in d.d:
                atol = max(atol, d.d[dtype])
    return rtol, atol


def samples(op, dtype, grad, args, count):
    """`count` of the operator's sample inputs: the first, and others picked by the seed."""
    for generator in (torch.manual_seed, np.random.seed, random.seed):
        generator(args.seed)
    make = op.reference_inputs if args.reference else op.sample_inputs
    found = list(itertools.islice(make("cpu", dtype, requires_grad=grad, set_seed=False), POOL))
    rest = sorted(random.Random(args.seed).sample(range(1, len(found)), min(count, len(found)) - 1)) if found else []
    return [(i, found[i]) for i in [0, *rest]] if found else []


class Call:
    """One call of a variant on a sample, on one side: its result or its error, and its differentiable inputs."""

    def __init__(self, mod, f, how, sample, out_like=None):
        convert = self.convert = h.Converter(mod)
        self.mod, self.error, self.result, self.random = mod, None, None, False
        x, args, kwargs = (convert(v) for v in (sample.input, sample.args, sample.kwargs))
        h.seed(mod)
        state = torch.get_rng_state() if mod is torch else None
        try:
            if how == "inplace":
                x = x.clone()
                result = f(x, *args, **kwargs)
                self.result = (result, x, result is x)
            elif how == "out":
                make = partial(h.make_tensor, mod)
                out = make(out_like) if isinstance(out_like, torch.Tensor) else tuple(map(make, out_like))
                result = f(x, *args, **kwargs, out=out)
                self.result = (result, out)
            else:
                self.result = f(x, *args, **kwargs)
        except Exception as e:
            self.error = e
        if state is not None:
            self.random = not torch.equal(state, torch.get_rng_state())

    def gradients(self, process, which, seeds, second, guide=None):
        """d(outputs . seeds)/d(inputs), and with `second` the gradients of those (of the ones that have any in
        guide, PyTorch's first gradients)."""
        mod, convert, inputs = self.mod, h.Converter(self.mod), self.convert.leaves()
        outputs = [h.tensors_in(mod, process(self.result))[i] for i in which]
        weights = [convert(s.requires_grad_(second)) for s in seeds]
        first = list(mod.autograd.grad(outputs, inputs, weights, create_graph=second, allow_unused=True))
        guide = guide or first
        live = [i for i, g in enumerate(guide) if second and g is not None and g.requires_grad]
        again = [(first[i], convert(s)) for i, s in zip(live, h.cotangents([guide[i] for i in live], 1))]
        again = [(g, s) for g, s in again if g is not None and g.requires_grad]
        if not again:
            return first, [None for _ in inputs + weights]
        more = mod.autograd.grad([g for g, _ in again], inputs + weights, [s for _, s in again], allow_unused=True)
        return first, list(more)


def same_gradients(ref, got, compare, at):
    if len(ref) != len(got):
        raise h.Mismatch(f"{at}: {len(got)} instead of {len(ref)}")
    for i, (r, g) in enumerate(zip(ref, got)):
        if r is None or g is None:  # no gradient and a gradient of zeros mean the same
            there, mod = (r, torch) if g is None else (g, compare.mod)
            if there is not None and compare.values and h.to_numpy(mod, there).any():
                raise h.Mismatch(
                    f"{at} {i}: {'None instead of a gradient' if g is None else 'a gradient instead of None'}"
                )
        else:
            compare(r, g, f"{at} {i}")


def check_pair(op, mod, how, fs, sample, compare, args, second, words):
    """Compares one call. fs: PyTorch's callable and the candidate's."""
    out_like = None
    if how == "out":
        plain = Call(torch, fs[0], "function", sample)
        results = h.tensors_in(torch, plain.result)
        if plain.error or not results or not isinstance(plain.result, (torch.Tensor, tuple)) or plain.random:
            raise h.Unmapped("no plain result")
        if any(t.requires_grad for t in results):
            raise h.Unmapped("out= takes no gradient")
        empty = [torch.full_like(t, 0, memory_format=torch.contiguous_format) for t in results]
        out_like = empty[0] if isinstance(plain.result, torch.Tensor) else empty
    ref = Call(torch, fs[0], how, sample, out_like)
    got = Call(mod, fs[1], how, sample, out_like)
    if ref.error:
        return h.check_error(ref.error, got.error, words)
    if got.error:
        raise got.error
    compare.values = not op.has_nondeterministic_output and (args.seeded or not ref.random)
    process = [h.rebound(sample.output_process_fn_grad, m) for m in (torch, mod)]
    if how == "function" and sample.output_process_fn_grad.__code__.co_code != (lambda x: x).__code__.co_code:
        # the raw result is defined up to a choice (the sign of an eigenvector): only the processed one is compared
        values, compare.values = compare.values, False
        compare(ref.result, got.result)
        compare.values = values
    elif how != "function":
        process = [lambda x: x] * 2
    results = [p(c.result) for p, c in zip(process, (ref, got))]
    compare(results[0], results[1])
    if how not in ("function", "inplace") or not ref.convert.leaves():
        return
    which = [
        i
        for i, t in enumerate(h.tensors_in(torch, results[0]))
        if t.requires_grad and (t.is_floating_point() or t.is_complex())
    ]
    if not which:
        return
    seeds = h.cotangents([h.tensors_in(torch, results[0])[i] for i in which])
    try:
        expected = ref.gradients(process[0], which, seeds, second)
    except RuntimeError:  # PyTorch has no derivative here
        return
    compare.slack = 4.0
    found = got.gradients(process[1], which, seeds, second, guide=expected[0])
    compare.requires_grad = compare.strides = False
    same_gradients(expected[0], found[0], compare, "gradient")
    same_gradients(expected[1], found[1], compare, "second gradient")


def check_op(index, mod, note, args):
    op = op_db[index]
    words = {part for name in (op.name, *(a.name for a in op.aliases)) for part in name.split(".")}
    record = h.Record(words)
    if is_private(op):
        return {"status": "unmapped", "checks": 0, "failed": 0, "detail": "private name"}
    bound = []
    for label, how, f in variants(op):
        if f is None or isinstance(f, str):
            continue
        record.words |= h.names_in(f)
        try:
            name = label.split()[-1] if label.startswith("alias") else op.name
            bound.append((label, how, (h.bind(f, torch, name), h.bind(f, mod, name))))
        except h.Unmapped as e:
            if label == "function":
                return {"status": "unmapped", "checks": 0, "failed": 0, "detail": str(e)}
        except AttributeError as e:
            if label != "out=":
                with record(label):
                    raise e
    elementwise = isinstance(op, (UnaryUfuncInfo, BinaryUfuncInfo))
    for name in args.dtypes.split(","):
        dtype = getattr(torch, name)
        if not op.supports_dtype(dtype, "cpu"):
            continue
        grad = op.supports_autograd and dtype in op.supported_backward_dtypes("cpu")
        second = args.second and op.supports_gradgrad and name in ("float64", "complex128")
        note(f"samples {name}")
        try:
            batch = samples(op, dtype, grad and not args.no_grad, args, args.samples)
        except Exception as e:
            return {"status": "unmapped", "checks": 0, "failed": 0, "detail": f"no samples: {h.describe(e)}"}
        rtol, atol = tolerances(op, dtype)
        for label, how, fs in bound:
            few = batch if label == "function" else batch[: max(1, min(3, args.samples))]
            for i, sample in few if not label.startswith("alias") else batch[:1]:
                if not applies(label, how, op, sample):
                    continue
                if how == "out":
                    sample = sample.transform(lambda t: t.detach() if isinstance(t, torch.Tensor) else t)
                where = f"{label} {name} sample {i}"
                note(where)
                slack = 0.0 if elementwise else 4.0
                compare = h.Compare(mod, name, rtol, atol, slack, strides=args.strides, requires_grad=True)
                with record(where):
                    check_pair(op, mod, how, fs, sample, compare, args, second, record.words)
    if op.error_inputs_func and bound and bound[0][0] == "function":
        check_errors(op, mod, bound[0][2], record, note, args)
    return record.result()


def check_errors(op, mod, fs, record, note, args):
    try:
        errors = list(itertools.islice(op.error_inputs("cpu"), 2 if args.fast else None))
    except Exception:
        return
    for i, e in enumerate(errors):
        note(f"error input {i}")
        with record(f"error input {i}"):
            ref = Call(torch, fs[0], "function", e.sample_input)
            if not ref.error:
                raise h.Unmapped("PyTorch accepts it")
            got = Call(mod, fs[1], "function", e.sample_input)
            h.check_error(ref.error, got.error, record.words)


def parse(argv, **defaults):
    p = h.parser(__doc__)
    p.add_argument("--dtypes", default=DTYPES, help="default: %(default)s")
    p.add_argument("--samples", type=int, default=6, help="samples for each dtype (default: %(default)s)")
    p.add_argument("--fast", action="store_true", help="2 samples")
    p.add_argument("--seed", type=int, default=1, help="of the samples (default: %(default)s)")
    p.add_argument("--reference", action="store_true", help="PyTorch's larger reference inputs")
    p.add_argument("--seeded", action="store_true", help="random operators must give PyTorch's numbers")
    p.add_argument("--strides", action="store_true", help="strides of results must agree")
    p.add_argument("--second", action="store_true", help="second gradients, for float64")
    p.add_argument("--no-grad", action="store_true", help="no gradients")
    p.set_defaults(**defaults)
    args = p.parse_args(argv)
    args.samples = 2 if args.fast else args.samples
    return args


def main(argv=None, **defaults):
    args, started = parse(argv, **defaults), time.monotonic()
    table, rows = h.usage(), []
    tasks = [i for i, op in enumerate(op_db) if h.chosen(op.name, family(op), args)]
    work = partial(check_op, args=args)
    for i, result, died in h.isolate(tasks, work, args.module, args.jobs, args.timeout, not args.verbose):
        op = op_db[i]
        if died:
            result = {"status": "crash", "checks": 1, "failed": 1, "detail": died}
        weight = h.used(table, op.name, f"Tensor.{op.name}", f"Tensor.{op.name}_")
        rows.append({"name": full_name(op), "family": family(op), "usage": weight, **result})
    return h.report(rows, args, started)


if __name__ == "__main__":
    sys.exit(main())
