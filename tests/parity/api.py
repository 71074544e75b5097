"""Which public names of PyTorch a candidate module has, and whether their signatures agree.

PyTorch's signatures come from the objects themselves; for what is written in C++, from the first lines of its
documentation (parameter names only, all overloads together)."""

import importlib
import inspect
import re
import sys
import time
import types
import warnings

import harness as h
import torch

NAMESPACES = """torch Tensor nn nn.functional nn.init nn.utils nn.utils.rnn nn.utils.parametrize
    nn.utils.parametrizations optim optim.lr_scheduler optim.swa_utils utils.data utils.checkpoint autograd
    autograd.functional autograd.profiler linalg fft special distributions distributions.constraints
    distributions.transforms func random masked sparse signal.windows testing serialization amp
    nn.attention nn.parallel backends cuda distributed jit hub utils.dlpack""".split()
EXTRA_TENSOR = """add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv floordiv rfloordiv mod rmod pow
    rpow ipow matmul rmatmul neg abs invert and or xor lshift rshift eq ne lt le gt ge getitem setitem len bool int
    float complex index iter contains format repr hash array deepcopy reduce_ex dir dlpack dlpack_device""".split()
NOT_PUBLIC = (types.ModuleType,)
CLASSES = {
    "Generator",
    "Size",
    "Stream",
    "Event",
    "device",
    "dtype",
    "layout",
    "memory_format",
    "finfo",
    "iinfo",
    "Tag",
}
TYPING = set(dir(__import__("typing"))) | {"annotations", "ParamSpec", "TypeIs", "deprecated"}


def public_names(namespace):
    """The namespace's `__all__`, and else what it defines without an underscore."""
    if namespace == "Tensor":
        names = [n for n in dir(torch.Tensor) if not n.startswith("_")]
        return sorted(names + [f"__{n}__" for n in EXTRA_TENSOR if hasattr(torch.Tensor, f"__{n}__")])
    try:
        mod = torch if namespace == "torch" else importlib.import_module(f"torch.{namespace}")
    except ImportError:
        return []
    names = set(getattr(mod, "__all__", ()))
    if not names:
        names = {n for n in dir(mod) if n not in TYPING and is_own(mod, getattr(mod, n))}
    if namespace == "torch":
        kinds = (torch.dtype, torch.layout, torch.memory_format, types.BuiltinFunctionType)
        names |= {n for n in dir(mod) if isinstance(getattr(mod, n), kinds) and getattr(mod, n).__doc__}
        names -= {n for n in names if is_internal_class(n)}
    return sorted(n for n in names if not n.startswith("_") and not isinstance(getattr(mod, n, None), NOT_PUBLIC))


def is_internal_class(name):
    """Classes of PyTorch's C++ side (the JIT's types, for the most part) that `torch` lists but does not document."""
    obj = getattr(torch, name, None)
    return isinstance(obj, type) and hasattr(torch._C, name) and name not in CLASSES


def is_own(mod, obj):
    if isinstance(obj, type) or callable(obj):
        home = getattr(obj, "__module__", None) or ""
        parent = mod.__name__.rsplit(".", 1)[0] if mod.__name__.count(".") > 1 else mod.__name__
        return home.startswith(parent) or home.startswith("torch._C") or isinstance(obj, types.BuiltinFunctionType)
    return False


def parameters(f):
    """name -> default (or None where unknown) as in the object's own signature; None where it has none."""
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in found):
        return None
    return {p.name: p.default for p in found if p.name not in ("self", "cls") and not p.name.startswith("_")}


def documented(name, f):
    """The parameters of all the overloads in f's documentation."""
    doc = f.__doc__ if isinstance(f.__doc__, str) else ""
    line = rf"^\s*(?:\.\. (?:function|method):: )?(?:torch\.|Tensor\.)?{re.escape(name)}\((.*?)\)\s*(?:->|$)"
    found = []
    for text in re.findall(line, doc, re.M):
        while text != (text := re.sub(r"\([^()]*\)", "", text)):  # defaults that are tuples
            pass
        found += [re.split("[=:]", part)[0].strip(" *\\[]/.") for part in text.split(",")]
    return [n for n in dict.fromkeys(found) if n.isidentifier() and n != "self"]


def shown(value):
    """A default as text, with the names of modules and addresses taken out."""
    if value is inspect.Parameter.empty:
        return "(none)"
    text = getattr(value, "__name__", None) or repr(value)
    return re.sub(r"\b(\w+\.)+(?=[A-Za-z_])| at 0x[0-9a-f]+", "", text)


def compare_signatures(name, ref, got):
    """What differs, in words; '' where nothing does, None where it cannot be known."""
    if not callable(ref):
        return ""
    if not callable(got):
        return "not callable"
    theirs = parameters(got)
    ours = parameters(ref)
    if theirs is None:
        return None if ref is not got else ""
    if ours is None:
        wanted = documented(name, ref)
        lacking = [n for n in wanted if n not in theirs]
        return f"no parameter {', '.join(lacking)}" if lacking else "" if wanted else None
    lacking = [n for n in ours if n not in theirs]
    if lacking:
        return f"no parameter {', '.join(lacking)}"
    order = [n for n in theirs if n in ours]
    if order != list(ours):
        return f"parameters in the order {', '.join(order)}"
    for n, default in ours.items():
        if shown(default) != shown(theirs[n]):
            return f"default of {n}: {shown(theirs[n])} instead of {shown(default)}"
    return ""


def check_name(namespace, name, mod):
    dotted = name if namespace == "torch" else f"{namespace}.{name}"
    ref = h.lookup(torch, dotted)
    try:
        got = h.lookup(mod, dotted)
    except AttributeError:
        return "missing", "", False
    except Exception as e:
        return "raises", h.describe(e), False
    difference = compare_signatures(name, ref, got)
    return ("wrong", difference, True) if difference else ("pass", "", difference is not None)


def main(argv=None):
    p = h.parser(__doc__)
    args, started, table, rows = p.parse_args(argv), time.monotonic(), h.usage(), []
    warnings.simplefilter("ignore")
    try:
        mod = h.import_candidate(args.module)
    except ImportError as e:
        raise SystemExit(f"import {args.module}: {e}") from e
    unknown = 0
    for namespace in NAMESPACES:
        for name in public_names(namespace):
            dotted = name if namespace == "torch" else f"{namespace}.{name}"
            if not h.chosen(dotted, namespace, args):
                continue
            try:
                status, detail, known = check_name(namespace, name, mod)
            except AttributeError:  # listed in __all__, but not there
                continue
            unknown += not known and status == "pass"
            weight = h.used(table, dotted, *([name] if namespace == "Tensor" else []))
            row = {"name": dotted, "family": namespace, "usage": weight, "status": status, "detail": detail}
            rows.append({**row, "checks": 1, "failed": int(status != "pass")})
    code = h.report(rows, args, started, "names")
    print(f"of those that pass, {unknown} have no signature to compare on one side or the other")
    return code


if __name__ == "__main__":
    sys.exit(main())
