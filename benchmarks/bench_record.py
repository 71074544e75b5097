"""`make bench-record`: what recording costs in Python, beside PyTorch when it is installed.

Hit path: tenfold runs under `tenfold.debug.record_only()`, where a program that has run once gives its results again
without computing, so what is timed is the recorder: operations, look-ups, flushes; first in plain Python, then as machine code. PyTorch runs whole, on sizes where
arithmetic takes no time. First visits compute for real, in both. The sides alternate, and the best round of each
counts: a busy machine only ever adds time."""

import argparse
import contextlib
import gc
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import workloads

SIDES = ("tenfold", "torch")
HIT = {  # workload: (title, unit, how many units a step has, the target as a sentence)
    "chained_adds": ("a + b, 100 chained and a read", "µs per operation", workloads.CHAIN, "at most 1.0 µs"),
    "mlp": ("5-3-5 MLP, Adam: a training step", "µs per step", 1, "at least 15 times less than PyTorch"),
    "gpt": ("4-layer GPT, AdamW: a training step", "µs per step", 1, "at most a quarter of PyTorch's"),
}
FIRST = {
    "first_visit": ("eight new operations and a read", "µs", "at most twice PyTorch's"),
    "first_step": ("a first training step (MLP), fresh process", "µs", "at most twice PyTorch's"),
}
SECONDS_A_ROUND = 0.05


def candidates():
    """name -> module, for the sides that are installed."""
    found = {}
    for name in SIDES:
        with contextlib.suppress(ModuleNotFoundError):
            found[name] = importlib.import_module(name)
    if "torch" in found:
        found["torch"].set_num_threads(1)
    return found


def quiet_mode(module):
    """tenfold's mode in which nothing is computed; nothing for PyTorch."""
    return module.debug.record_only() if module.__name__ == "tenfold" else contextlib.nullcontext()


def timed(step, count):
    """Seconds for one of `count` calls."""
    started = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - started) / count


def interleaved(steps, rounds):
    """name -> the best round's seconds for a step; the sides take turns."""
    counts = {name: max(1, int(SECONDS_A_ROUND / timed(step, 20))) for name, step in steps.items()}
    best = dict.fromkeys(steps, float("inf"))
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, step in steps.items():
                best[name] = min(best[name], timed(step, counts[name]))
    finally:
        gc.enable()
    return best


def hit_path(workload, modules, rounds):
    with contextlib.ExitStack() as stack:
        for module in modules.values():
            stack.enter_context(quiet_mode(module))
        steps = {name: getattr(workloads, workload)(module) for name, module in modules.items()}
        for step in steps.values():
            for _ in range(50):
                step()
        return interleaved(steps, rounds)


def first_visits(modules, rounds):
    """Seconds for a call on new shapes; every call has shapes of its own, so the count of calls stays small."""
    steps = {name: workloads.first_visit(module) for name, module in modules.items()}
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for name, step in steps.items():
            best[name] = min(best[name], timed(step, 20))
    return best


def first_steps(modules, rounds):
    """Seconds for the first training step of a process that has imported the module and built the model."""
    best = dict.fromkeys(modules, float("inf"))
    for _ in range(rounds):
        for name, module in modules.items():
            folder = str(Path(module.__file__).resolve().parent.parent)
            env = {**os.environ, "PYTHONPATH": folder}
            command = [sys.executable, __file__, "--one-step", name]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            best[name] = min(best[name], float(done.stdout))
    return best


def one_step(name):
    """Prints the seconds of a first training step."""
    module = importlib.import_module(name)
    if name == "torch":
        module.set_num_threads(1)
    step = workloads.mlp(module)
    print(timed(step, 1))


def row(title, unit, target, best, units=1):
    """One line of the table, and its figures."""
    figures = {name: 1e6 * seconds / units for name, seconds in best.items()}
    shown = [f"{figures[name]:10.2f}" if name in figures else f"{'-':>10s}" for name in SIDES]
    ratio = f"{figures['torch'] / figures['tenfold']:8.2f}" if len(figures) == 2 else f"{'-':>8s}"
    print(f"{title:44s} {shown[0]:>16s} {shown[1]} {ratio}   {unit}; {target}", flush=True)
    return {"title": title, "unit": unit, "target": target, **figures}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="of each workload (default: %(default)s)")
    parser.add_argument("--only", help="one workload")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--one-step", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one_step:
        one_step(args.one_step)
        return 0
    modules = candidates()
    versions = ", ".join(f"{name} {module.__version__}" for name, module in modules.items())
    print(f"Python {sys.version.split()[0]}; {versions}; best of {args.rounds} rounds, one thread")
    rows = table(args, modules, "tenfold (Python)")
    if "tenfold" in modules and modules["tenfold"].debug.native():
        rows |= {f"native {name}": found for name, found in table(args, modules, "tenfold (native)").items()}
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def table(args, modules, title):
    """Prints and returns the rows, for the recorder as it is now."""
    print(f"{'':44s} {title:>16s} {'PyTorch':>10s} {'ratio':>8s}")
    rows = {}
    for workload, (title, unit, units, target) in HIT.items():
        if args.only in (None, workload):
            rows[workload] = row(title, unit, target, hit_path(workload, modules, args.rounds), units)
    if args.only in (None, "first_visit"):
        rows["first_visit"] = row(*FIRST["first_visit"], first_visits(modules, args.rounds))
    if args.only in (None, "first_step") and "native" not in title:  # it is not native yet in a process that begins
        rows["first_step"] = row(*FIRST["first_step"], first_steps(modules, max(3, args.rounds // 8)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
