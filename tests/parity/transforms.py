"""Runs every operator of PyTorch's operator database under vmap, under its gradient, and in forward mode, and compares.

What vmap must give is what PyTorch gives slice by slice; forward mode is compared with `torch.func.jvp`. Where PyTorch's own
vmap refuses an operator (a shape that depends on data, say), an error is accepted as well. Random operators are left out."""

import sys
import time
from functools import partial

import harness as h
import numpy as np
import torch
from opinfo import family, full_name, is_private, parse, samples, tolerances
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree

SLICES = 3


class Case:
    """A sample input as a function of its tensors, on one side."""

    def __init__(self, mod, f, sample, process):
        self.mod, self.f = mod, f
        arguments = (sample.input, sample.args, sample.kwargs)
        self.process = h.rebound(process, mod) if process else lambda x: x
        flat, self.tree = _pytree.tree_flatten(arguments)
        self.places = [i for i, t in enumerate(flat) if isinstance(t, torch.Tensor)]
        convert = h.Converter(mod)
        self.flat = [t if isinstance(t, torch.Tensor) else convert(t) for t in flat]
        self.tensors = [flat[i].detach() for i in self.places]

    def floating(self):
        return [k for k, t in enumerate(self.tensors) if t.is_floating_point() or t.is_complex()]

    def __call__(self, which, given):
        """The tensors that the operator returns, with `given` in the place of its tensors `which`."""
        convert, given = h.Converter(self.mod), dict(zip(which, given))
        flat = list(self.flat)
        for k, i in enumerate(self.places):
            flat[i] = given[k] if k in given else convert(self.tensors[k])
        x, args, kwargs = _pytree.tree_unflatten(flat, self.tree)
        return tuple(h.tensors_in(self.mod, self.process(self.f(x, *args, **kwargs))))

    def number(self, which, given):
        """A number that depends on all of what it returns."""
        total = 0
        for j, y in enumerate(self(which, given)):
            y = self.mod.view_as_real(y) if y.is_complex() else y
            if y.is_floating_point():
                weights = self.mod.linspace(0.3 + j, 1.7 + j, y.numel(), dtype=y.dtype).reshape(y.shape)
                total = total + (y * weights).sum()
        return total


def slices_of(tensors):
    """SLICES versions of each tensor: integers are the same in all."""
    return [
        [t * (1 - 0.1 * k) if t.is_floating_point() or t.is_complex() else t for t in tensors] for k in range(SLICES)
    ]


def choices(places):
    """Which tensors have slices: all, the first, all but the first."""
    return [places] if len(places) < 2 else [places, places[:1], places[1:]]


def check_vmap(ref, got, compare, record, where):
    for which in choices(list(range(len(ref.tensors)))):
        with record(f"{where} vmap of tensors {which}"):
            rows = slices_of([ref.tensors[k] for k in which])
            try:
                before = torch.get_rng_state()
                wanted = [torch.stack(column) for column in zip(*[ref(which, row) for row in rows])]
                if not wanted or not torch.equal(before, torch.get_rng_state()):
                    raise h.Unmapped("no result, or random")
            except (RuntimeError, TypeError, ValueError, IndexError) as e:
                raise h.Unmapped("PyTorch refuses a slice") from e
            stacked = [torch.stack(list(column)) for column in zip(*rows)]
            convert = h.Converter(got.mod)
            try:
                found = got.mod.vmap(lambda *ts: got(which, ts))(*[convert(t) for t in stacked])
            except Exception:
                try:
                    torch.vmap(lambda *ts: ref(which, ts))(*stacked)
                except Exception as e:
                    raise h.Unmapped("PyTorch's vmap refuses it too") from e
                raise
            compare(tuple(wanted), found)


def check_gradients(ref, got, compare, record, where):
    mod = got.mod
    for which in choices(ref.floating()):
        rows = [[t.clone().requires_grad_() for t in row] for row in slices_of([ref.tensors[k] for k in which])]
        try:
            before = torch.get_rng_state()
            firsts = [torch.autograd.grad(ref.number(which, row), row, allow_unused=True) for row in rows]
            if not torch.equal(before, torch.get_rng_state()):
                return
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):  # no derivative in PyTorch
            continue
        firsts = [[torch.zeros_like(t) if g is None else g for g, t in zip(f, row)] for f, row in zip(firsts, rows)]
        wanted = [torch.stack(list(column)) for column in zip(*firsts)]
        stacked = [torch.stack([t.detach() for t in column]) for column in zip(*rows)]
        try:
            torch.vmap(torch.func.grad(lambda *ts: ref.number(which, ts), tuple(range(len(which)))))(*stacked)
            refused = False
        except Exception:
            refused = True
        for name in ("vmap(grad)", "grad(vmap)"):
            with record(f"{where} {name} by tensors {which}"):
                convert = h.Converter(mod)
                given = [convert(t) for t in stacked]
                try:
                    if name == "vmap(grad)":
                        transformed = mod.func.grad(lambda *ts: got.number(which, ts), tuple(range(len(which))))
                        found = mod.vmap(transformed)(*given)
                    else:
                        given = [t.requires_grad_() for t in given]
                        total = mod.vmap(lambda *ts: got.number(which, ts))(*given).sum()
                        found = mod.autograd.grad(total, given, allow_unused=True)
                        found = [mod.zeros_like(t) if g is None else g for g, t in zip(found, given)]
                except Exception as e:
                    if refused:
                        raise h.Unmapped("PyTorch refuses it too") from e
                    raise
                for r, g in zip(wanted, found):
                    compare(r, g, "gradient")


def check_jvp(ref, got, compare, record, where):
    which = ref.floating()
    primals = tuple([ref.tensors[k] for k in which])
    tangents = tuple(h.cotangents(primals))
    with record(f"{where} jvp"):
        try:
            before = torch.get_rng_state()
            wanted = torch.func.jvp(lambda *ts: ref(which, ts), primals, tangents)
            if not torch.equal(before, torch.get_rng_state()):
                raise h.Unmapped("random")
        except h.Unmapped:
            raise
        except Exception as e:
            raise h.Unmapped("PyTorch has no forward mode for it") from e
        convert = h.Converter(got.mod)
        found = got.mod.func.jvp(
            lambda *ts: got(which, ts), tuple([convert(t) for t in primals]), tuple([convert(t) for t in tangents])
        )
        compare(wanted, found)


def check_op(index, mod, note, args):
    op = op_db[index]
    words = {part for name in (op.name, *(a.name for a in op.aliases)) for part in name.split(".")}
    record = h.Record(words)
    if is_private(op) or "empty" in op.name or op.name.startswith("torch.ops"):
        return {"status": "unmapped", "checks": 0, "failed": 0, "detail": "private, or without values"}
    try:
        fs = h.bind(op.op, torch, op.name), h.bind(op.op, mod, op.name)
    except h.Unmapped as e:
        return {"status": "unmapped", "checks": 0, "failed": 0, "detail": str(e)}
    for name in args.dtypes.split(","):
        dtype = getattr(torch, name)
        if not op.supports_dtype(dtype, "cpu"):
            continue
        differentiable = op.supports_autograd and name in ("float64", "complex128")
        try:
            batch = samples(op, dtype, False, args, args.samples)
        except Exception as e:
            return {"status": "unmapped", "checks": 0, "failed": 0, "detail": f"no samples: {h.describe(e)}"}
        rtol, atol = tolerances(op, dtype)
        for i, sample in batch:
            where = f"{name} sample {i}"
            note(where)
            compare = h.Compare(mod, name, max(rtol, 1e-6), max(atol, 1e-6), slack=16.0)
            try:
                cases = [Case(m, f, sample, sample.output_process_fn_grad) for m, f in zip((torch, mod), fs)]
            except (h.Unmapped, RuntimeError):  # sparse inputs
                continue
            if not cases[0].tensors:
                continue
            check_vmap(*cases, compare, record, where)
            if differentiable and cases[0].floating():
                check_gradients(*cases, compare, record, where)
                check_jvp(*cases, compare, record, where)
    return record.result()


def main(argv=None, **defaults):
    args, started = parse(argv, **{"dtypes": "float64,int64", "samples": 3, **defaults}), time.monotonic()
    np.seterr(all="ignore")
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
