"""What the parity programs share: values carried from PyTorch to the candidate, calls bound to it,
results compared, work isolated in processes, results reported.

The candidate is any module with PyTorch's API, given by name; PyTorch itself is one."""

import argparse
import collections
import csv
import fnmatch
import functools
import importlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import types
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
STATUSES = ("pass", "wrong", "raises", "missing", "crash", "unmapped")


class Unmapped(Exception):
    """The case cannot be expressed through public names: it is not counted."""


class Mismatch(Exception):
    """The candidate's result differs from PyTorch's."""


# --- carrying values over ---------------------------------------------------------------------------------

WIDER = {"bfloat16": "float32", "complex32": "complex64"}  # dtypes that NumPy lacks, and one that holds them
CONSTANTS = (torch.dtype, torch.memory_format, torch.layout)


def last_name(x):
    return str(x).rsplit(".", 1)[-1]


class Converter:
    """Turns arguments made of PyTorch objects into the module's; one PyTorch tensor is one tensor there."""

    def __init__(self, mod):
        self.mod, self.seen = mod, {}

    def __call__(self, x):
        if isinstance(x, torch.Tensor):
            if id(x) not in self.seen:
                self.seen[id(x)] = (make_tensor(self.mod, x), x)  # x is held, so that its id stays taken
            return self.seen[id(x)][0]
        if isinstance(x, CONSTANTS):
            return getattr(self.mod, last_name(x))
        if isinstance(x, torch.device):
            return self.mod.device(str(x))
        if isinstance(x, torch.Size):
            return getattr(self.mod, "Size", tuple)(x)
        if isinstance(x, (list, tuple)):
            items = [self(i) for i in x]
            return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
        if isinstance(x, dict):
            return {k: self(v) for k, v in x.items()}
        if isinstance(x, slice):
            return slice(self(x.start), self(x.stop), self(x.step))
        if isinstance(x, (types.FunctionType, functools.partial)):
            return bind(x, self.mod)
        if isinstance(x, (type(None), type(...), bool, int, float, complex, str, bytes, np.ndarray, np.generic)):
            return x
        if isinstance(x, torch.nn.Module):
            return make_module(self.mod, x)
        if isinstance(x, type) and not x.__module__.startswith("torch"):
            return x
        raise Unmapped(f"argument of type {type(x).__name__}")

    def leaves(self):
        return [t for t, source in self.seen.values() if source.requires_grad]


def make_tensor(mod, t):
    """The tensor in the module with the values, dtype, shape, strides, offset and requires_grad of t."""
    if t.layout is not torch.strided or t.is_quantized or type(t) not in (torch.Tensor, torch.nn.Parameter):
        raise Unmapped(f"argument with layout {t.layout} and type {type(t).__name__}")
    dtype, d = last_name(t.dtype), t.detach().resolve_conj().resolve_neg()
    offset = d.storage_offset() if d.numel() else 0
    plain, flat = d.is_contiguous() and offset == 0, d
    if not plain:
        reach = sum((n - 1) * s for n, s in zip(d.shape, d.stride())) + 1 if d.numel() else 0
        flat = d.as_strided((offset + reach,), (1,), 0)
    if dtype in WIDER:
        flat = flat.to(getattr(torch, WIDER[dtype]))
    try:
        values = flat.numpy()
    except (TypeError, ValueError) as e:  # a dtype or a number of dimensions that NumPy lacks
        raise Unmapped(str(e)) from e
    out = mod.tensor(values, dtype=getattr(mod, dtype))
    if not plain:
        out = out.as_strided(tuple(d.shape), d.stride(), offset)
    if isinstance(t, torch.nn.Parameter):
        return mod.nn.Parameter(out, requires_grad=t.requires_grad)
    return out.requires_grad_(True) if t.requires_grad else out


def make_module(mod, m):
    """The like of m, a parameterless nn.Module of PyTorch given as an argument (an activation, say)."""
    if list(m.parameters()) or not type(m).__module__.startswith("torch.nn"):
        raise Unmapped(f"argument of type {type(m).__name__}")
    return getattr(mod.nn, type(m).__name__)()


def to_numpy(mod, t):
    t = t.detach()
    if last_name(getattr(t, "layout", "strided")) != "strided":
        t = t.to_dense()
    if last_name(t.dtype) in WIDER:
        t = t.to(getattr(mod, WIDER[last_name(t.dtype)]))
    if mod is torch:
        return np.array(t.numpy(force=True))
    for step in ("resolve_conj", "resolve_neg"):
        t = getattr(t, step)() if hasattr(t, step) else t
    return np.array(t.numpy())


# --- binding calls ----------------------------------------------------------------------------------------


def lookup(mod, dotted):
    """The object of that name below the module; AttributeError where there is none."""
    obj, path = mod, mod.__name__
    for part in dotted.split("."):
        path += "." + part
        if not hasattr(obj, part) and isinstance(obj, types.ModuleType):
            try:
                importlib.import_module(path)
            except ImportError:
                pass
        obj = getattr(obj, part)
    return obj


def bind(f, mod, name=""):
    """The candidate's like of f, a callable of PyTorch (known there as torch.`name`) or of PyTorch's tests,
    whose code is then run with its names `torch` and `F` meaning the candidate."""
    if name and is_at(name, f):
        return lookup(mod, name)
    if isinstance(f, functools.partial):
        return functools.partial(bind(f.func, mod), *f.args, **f.keywords)
    module, name = getattr(f, "__module__", None) or "", getattr(f, "__name__", "")
    if module == "_operator":
        return f
    if isinstance(f, (types.MethodDescriptorType, types.WrapperDescriptorType)) or module == "torch._tensor":
        return lambda self, *args, **kwargs: getattr(self, name)(*args, **kwargs)
    if not isinstance(f, types.FunctionType):
        raise Unmapped(f"{type(f).__name__} {name}")
    if not module.startswith("torch.testing."):
        return lookup(mod, f"{module.removeprefix('torch.')}.{name}")
    if "ops" in f.__code__.co_names:
        raise Unmapped("calls torch.ops")
    names = {**f.__globals__, "torch": mod, "wrapper_set_seed": lambda op, *a, **k: op(*a, **k)}
    names.pop("F", None)
    if "F" in f.__code__.co_names:
        names["F"] = lookup(mod, "nn.functional")
    cells = tuple(types.CellType(rebound(c.cell_contents, mod)) for c in f.__closure__ or ())
    out = types.FunctionType(f.__code__, names, name, f.__defaults__, cells)
    out.__kwdefaults__ = f.__kwdefaults__
    return out


def rebound(x, mod):
    if isinstance(x, types.FunctionType):
        return bind(x, mod)
    return Converter(mod)(x) if isinstance(x, (torch.Tensor, *CONSTANTS)) else x


def is_at(name, f):
    try:
        return lookup(torch, name) is f
    except AttributeError:
        return False


def names_in(f):
    """Attribute names that f's own code mentions."""
    if isinstance(f, functools.partial):
        return names_in(f.func)
    code, found = getattr(f, "__code__", None), {getattr(f, "__name__", "")}
    todo = [code] if code and f.__module__.startswith("torch.testing.") else []
    while todo:
        code = todo.pop()
        found.update(code.co_names)
        todo += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return found


# --- comparing --------------------------------------------------------------------------------------------

# torch.testing.assert_close's own defaults, by dtype: (rtol, atol)
TOLERANCE = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex32": (1e-3, 1e-5), "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip
EPSILON = {
    "float16": 2**-10, "bfloat16": 2**-7, "float32": 2**-23, "float64": 2**-52,
    "complex32": 2**-10, "complex64": 2**-23, "complex128": 2**-52,
}  # fmt: skip


@dataclass
class Compare:
    """Compares results; raises Mismatch at the first difference.

    dtype: the inputs' dtype (the coarser of it and the result's sets the tolerance); rtol, atol: at least
    these; slack: allowed in units of epsilon times the largest magnitude in the result, for results
    that sum many terms."""

    mod: types.ModuleType
    dtype: str = "float32"
    rtol: float = 0.0
    atol: float = 0.0
    slack: float = 4.0
    values: bool = True
    strides: bool = False
    requires_grad: bool = False

    def __call__(self, ref, got, at="result"):
        if isinstance(ref, torch.Tensor):
            return self.tensors(ref, got, at)
        if isinstance(ref, (list, tuple)):
            kind = list if isinstance(ref, list) else tuple
            if not isinstance(got, kind):
                raise Mismatch(f"{at}: {type(got).__name__} instead of {type(ref).__name__}")
            if len(ref) != len(got):
                raise Mismatch(f"{at}: {len(got)} items instead of {len(ref)}")
            for field in getattr(type(ref), "__match_args__", ()):
                if not hasattr(got, field):
                    raise Mismatch(f"{at}: no field {field!r}")
            for i, (r, g) in enumerate(zip(ref, got)):
                self(r, g, f"{at}[{i}]")
        elif isinstance(ref, dict):
            if not isinstance(got, dict) or list(ref) != list(got):
                raise Mismatch(f"{at}: keys {list(got) if isinstance(got, dict) else got!r} instead of {list(ref)}")
            for k in ref:
                self(ref[k], got[k], f"{at}[{k!r}]")
        elif isinstance(ref, (bool, int, float, complex, str, type(None))):
            if type(ref) is not type(got):
                raise Mismatch(f"{at}: {got!r} ({type(got).__name__}) instead of {ref!r} ({type(ref).__name__})")
            if self.values and isinstance(ref, (float, complex)):
                self.arrays(np.array(ref), np.array(got), "float64", at)
            elif self.values and ref != got:
                raise Mismatch(f"{at}: {got!r} instead of {ref!r}")
        elif isinstance(ref, (torch.device, *CONSTANTS)) and last_name(ref) != last_name(got):
            raise Mismatch(f"{at}: {got} instead of {ref}")

    def tensors(self, ref, got, at):
        if not isinstance(got, self.mod.Tensor):
            raise Mismatch(f"{at}: {type(got).__name__} instead of Tensor")
        for what in ("dtype", "layout"):
            r, g = last_name(getattr(ref, what)), last_name(getattr(got, what, "strided"))
            if r != g:
                raise Mismatch(f"{at}: {what} {g} instead of {r}")
        if tuple(ref.shape) != tuple(got.shape):
            raise Mismatch(f"{at}: shape {tuple(got.shape)} instead of {tuple(ref.shape)}")
        if self.requires_grad and ref.requires_grad != got.requires_grad:
            raise Mismatch(f"{at}: requires_grad {got.requires_grad} instead of {ref.requires_grad}")
        if self.strides and ref.layout is torch.strided and ref.numel():
            r, g = ([s for s, n in zip(t.stride(), ref.shape) if n > 1] for t in (ref, got))
            if r != g:
                raise Mismatch(f"{at}: strides {tuple(got.stride())} instead of {tuple(ref.stride())}")
        if self.values:
            self.arrays(to_numpy(torch, ref), to_numpy(self.mod, got), last_name(ref.dtype), at)

    def arrays(self, ref, got, dtype, at):
        if ref.dtype.kind in "fc":
            used = [d for d in (dtype, self.dtype) if d in TOLERANCE]
            rtol = max([self.rtol] + [TOLERANCE[d][0] for d in used])
            atol = max([self.atol] + [TOLERANCE[d][1] for d in used])
            ref, got = (x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) for x in (ref, got))
            finite = np.isfinite(ref) & np.isfinite(got)
            size = np.abs(np.where(finite, ref, 0))
            bound = atol + rtol * size + self.slack * max(EPSILON[d] for d in used) * size.max(initial=0)
            with np.errstate(all="ignore"):
                close = np.where(finite, np.abs(got - ref) <= bound, ref == got)
            # an infinite complex number has many spellings
            close |= ~np.isfinite(ref) & ~np.isfinite(got) if ref.dtype.kind == "c" else np.isnan(ref) & np.isnan(got)
        else:
            close = ref == got
        if not close.all():
            i = tuple(int(k) for k in np.argwhere(~close)[0])
            where = f"[{', '.join(map(str, i))}]" if i else ""
            count = f"; {int((~close).sum())} of {close.size} differ" if close.size > 1 else ""
            raise Mismatch(f"{at}{where}: {got[i].item()!r} instead of {ref[i].item()!r}{count}")


def same_error(ref, got):
    """Whether got is the exception that PyTorch raised, or a kind of it. `NotImplementedError` is a kind of
    `RuntimeError` by inheritance alone, and says that a feature is not there."""
    if isinstance(got, NotImplementedError) and type(ref) is not NotImplementedError:
        return False
    return type(ref).__name__.lstrip("_") in [c.__name__.lstrip("_") for c in type(got).__mro__]


def check_error(ref, got, words=()):
    """Raises unless got, what the candidate did where PyTorch raised ref, is the same exception.
    An AttributeError on one of the words is raised itself: the operation is missing."""
    if isinstance(got, AttributeError) and got.name in words and not isinstance(ref, AttributeError):
        raise got
    if not isinstance(got, Exception):
        raise Mismatch(f"no error where PyTorch raises {describe(ref)}")
    if not same_error(ref, got):
        raise Mismatch(f"raises {describe(got)} where PyTorch raises {describe(ref)}")


def describe(e, limit=160):
    text = " ".join(str(e).split())
    return f"{type(e).__name__}: {text if len(text) <= limit else text[: limit - 3] + '...'}"


def seed(mod, number=0):
    if hasattr(mod, "manual_seed"):
        mod.manual_seed(number)


def tensors_in(mod, x):
    if isinstance(x, mod.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for i in x for t in tensors_in(mod, i)] if isinstance(x, (list, tuple)) else []


def cotangents(outputs, salt=0):
    """Fixed random tensors (of PyTorch) like the outputs, to weigh them by."""
    rng = np.random.default_rng(1000 + salt)
    out = []
    for t in outputs:
        values = rng.standard_normal(t.shape)
        if t.is_complex():
            values = values + 1j * rng.standard_normal(t.shape)
        out.append(torch.tensor(values).to(t.dtype))
    return out


# --- isolation --------------------------------------------------------------------------------------------


def import_candidate(name):
    for p in (os.getcwd(), os.path.join(os.getcwd(), "src")):
        if p not in sys.path:
            sys.path.insert(0, p)
    return importlib.import_module(name)


def _serve(pipe, module, work, quiet):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if quiet:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1), os.dup2(sink, 2)
    try:
        mod = import_candidate(module)
    except BaseException as e:
        pipe.send(("dead", f"import {module}: {describe(e)}"))
        return
    pipe.send(("ready", None))
    while (task := pipe.recv()) is not None:
        try:
            result = work(task, mod, lambda text: pipe.send(("note", text)))
        except Exception as e:
            result = {"status": "raises", "checks": 1, "failed": 1, "detail": f"outside any check: {describe(e)}"}
        pipe.send(("done", result))


class Worker:
    def __init__(self, module, work, quiet):
        context = multiprocessing.get_context("fork")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(end, module, work, quiet), daemon=True)
        self.process.start()
        end.close()
        self.task, self.note, self.since = None, "starting", time.monotonic()

    def give(self, task):
        self.task, self.note, self.since = task, "", time.monotonic()
        self.pipe.send(task)

    def stop(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def isolate(tasks, work, module, jobs=2, timeout=60, quiet=True):
    """Yields (task, result, None), or (task, None, how it died), for work(task, candidate, note) run in forked
    processes: a crash or a hang costs the task, not the run. note(text) says what is being done."""
    tasks, workers = collections.deque(tasks), []
    try:
        while tasks or workers:
            while len(workers) < jobs and len(tasks) > sum(w.task is None for w in workers):
                workers.append(Worker(module, work, quiet))
            ready = multiprocessing.connection.wait([w.pipe for w in workers], timeout=1)
            for w in list(workers):
                died = None
                if w.pipe in ready:
                    try:
                        kind, value = w.pipe.recv()
                    except (EOFError, OSError):
                        w.process.join(5)
                        code = w.process.exitcode
                        died = signal.Signals(-code).name if code and code < 0 else f"exit status {code}"
                    else:
                        if kind == "note":
                            w.note, w.since = value, time.monotonic()
                            continue
                        if kind == "dead":
                            raise SystemExit(value)
                        if kind == "done":
                            yield w.task, value, None
                        if tasks:
                            w.give(tasks.popleft())
                        else:
                            w.stop()
                            workers.remove(w)
                        continue
                elif time.monotonic() - w.since > timeout:
                    died = f"no answer in {timeout} s"
                if died:
                    w.stop()
                    workers.remove(w)
                    if w.task is None:
                        raise SystemExit(f"import {module}: {died}")
                    yield w.task, None, f"{died} in {w.note}" if w.note else died
    finally:
        for w in workers:
            w.stop()


# --- recording and reporting ------------------------------------------------------------------------------


class Record:
    """The checks of one operation. `with record("where"):` is one check; `words` are the names that it
    looks up, so that an AttributeError on one of them counts as missing."""

    def __init__(self, words=()):
        self.words, self.count, self.failures = set(words), 0, []

    def __call__(self, where):
        self.where = where
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, e, traceback):
        if kind is None:
            self.count += 1
            return True
        if not issubclass(kind, Exception) or kind is Unmapped:
            return kind is Unmapped
        self.count += 1
        if kind is Mismatch:
            status = "wrong"
        elif kind is AttributeError and e.name in self.words:
            status = "missing"
        else:
            status = "raises"
        self.failures.append((status, f"{self.where}: {e if kind is Mismatch else describe(e)}"))
        return True

    def result(self):
        if not self.count:
            return {"status": "unmapped", "checks": 0, "failed": 0, "detail": "nothing to compare"}
        status, detail = min(self.failures, key=lambda f: STATUSES.index(f[0]), default=("pass", ""))
        if self.failures and self.failures[0][0] == "missing":  # what comes first is the operation itself
            status, detail = self.failures[0]
        return {"status": status, "checks": self.count, "failed": len(self.failures), "detail": detail}


def usage():
    """name -> number of public repositories that use it, from api-usage.tsv beside this file; empty where there is none."""
    path = HERE / "api-usage.tsv"
    if not path.exists():
        return {}
    with path.open(newline="") as f:
        rows = list(csv.DictReader(f, delimiter="\t"))
    return {r["name"]: int(r["repositories"]) for r in rows}


def used(table, *names):
    """Usage of the most used of these spellings; torch.nn.functional is F there as well."""
    spelled = [s for n in names for s in (n, f"torch.{n}", n.replace("nn.functional.", "F."))]
    return max((table.get(s, 0) for s in spelled), default=0)


def parser(doc):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--module", default="tenfold", help="the candidate (default: %(default)s)")
    p.add_argument("--only", metavar="PATTERN,...", help="names that match a shell pattern: relu, '*norm*'")
    p.add_argument("--family", help="one family (the headings of the table)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    p.add_argument("--all", action="store_true", help="list what passes too")
    p.add_argument("--list-missing", action="store_true", help="list only what is missing, most used first")
    p.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    p.add_argument("--timeout", type=float, default=60, help="seconds for one check (default: %(default)s)")
    p.add_argument("--require", type=float, default=0, metavar="PERCENT", help="exit with 1 below this share of passes")
    p.add_argument("--verbose", action="store_true", help="let the candidate print")
    return p


def chosen(name, family, args):
    patterns = (args.only or "*").split(",")
    return args.family in (None, family) and any(fnmatch.fnmatchcase(name, p) for p in patterns)


def report(rows, args, started, what="ops"):
    """Prints the table and the summary; rows are dicts with name, family, status, checks, failed, detail, usage."""
    counts = collections.Counter(r["status"] for r in rows)
    counted = [r for r in rows if r["status"] != "unmapped"]
    if args.list_missing:
        for r in sorted((r for r in rows if r["status"] == "missing"), key=lambda r: (-r["usage"], r["name"])):
            print(f"{r['usage']:7d}  {r['name']}  {r['detail']}")
    else:
        for family in sorted({r["family"] for r in rows}):
            group = [r for r in rows if r["family"] == family]
            shown = [r for r in group if args.all or r["status"] not in ("pass", "unmapped")]
            mapped = [r for r in group if r["status"] != "unmapped"]
            print(f"{family}: {sum(r['status'] == 'pass' for r in mapped)} of {len(mapped)} pass")
            for r in sorted(shown, key=lambda r: (STATUSES.index(r["status"]), r["name"])):
                done = f"{r['checks'] - r['failed']}/{r['checks']}"
                print(f"  {r['status']:8s} {r['name']:40s} {done:>9s}  {r['detail']}")
    passed, weight = counts["pass"], sum(r["usage"] for r in counted)
    share = f"{100 * passed / max(len(counted), 1):.1f}%"
    weighted = "n/a (no usage table)"
    if weight:
        weighted = f"{100 * sum(r['usage'] for r in counted if r['status'] == 'pass') / weight:.1f}%"
    others = ", ".join(f"{counts[s]} {s}" for s in STATUSES[1:])
    checks, failed = sum(r["checks"] for r in counted), sum(r["failed"] for r in counted)
    line = (
        f"{passed} of {len(counted)} {what} pass ({share}), weighted by public usage {weighted}; {others}; "
        f"{checks - failed} of {checks} checks, {time.monotonic() - started:.0f} s"
    )
    print(line)
    if args.json:
        options = {k: v for k, v in vars(args).items() if k != "json"}
        text = json.dumps({"torch": torch.__version__, "options": options, "summary": line, "rows": rows}, indent=1)
        Path(args.json).write_text(text + "\n")
    return int(100 * passed < args.require * len(counted))
