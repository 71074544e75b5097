"""What a new process pays: its first step, the time from its start to the 20th step, and its peak memory.

Run as a script it is that process: it imports one module, runs one workload, and prints what it found."""

import argparse
import compileall
import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from programs import WORKLOADS

STEPS, DECKS = 20, 4
TIMEOUT = 900


def measure(workload, modules, *, quick, runs, threads):
    """side -> figures of the best of `runs` processes; tenfold's cold start has an empty folder of compiled kernels."""
    found = {}
    for module in modules.values():  # what pip does when it installs
        compileall.compile_dir(Path(module.__file__).parent, quiet=2)
    with tempfile.TemporaryDirectory() as kept:
        for turn in range(runs + 1):
            for name, module in modules.items():
                first_of_tenfold = name == "tenfold" and turn == 0
                if turn == 0 and not first_of_tenfold:
                    continue
                figures = process(workload, name, module, kept, quick=quick, threads=threads)
                if first_of_tenfold:
                    found["tenfold_cold"] = figures
                else:
                    best = found.setdefault(name, figures)
                    found[name] = {key: min(best[key], figures[key]) for key in figures}
    return found


def process(workload, name, module, cache, *, quick, threads):
    """Starts a process for one workload and returns what it printed."""
    folder = str(Path(module.__file__).resolve().parent.parent)
    env = {**os.environ, "PYTHONPATH": folder, "TENFOLD_CACHE": cache, "BENCH_STARTED": repr(time.monotonic())}
    command = [sys.executable, __file__, name, workload.name, "--threads", str(threads)] + ["--quick"] * quick
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{workload.name} under {name} in a fresh process: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory():
    """The most bytes that this process has had in memory."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):  # ru_maxrss is inherited from the process that started this one
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", choices=("tenfold", "torch"))
    parser.add_argument("workload")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    module = importlib.import_module(args.module)
    imported = time.monotonic()
    module.set_num_threads(args.threads)
    step = WORKLOADS[args.workload].at(args.quick)(module)
    module.ones(1).item()  # tenfold computes the weights when a number is first read
    built = time.monotonic()
    step()
    first = time.monotonic()
    for _ in range(STEPS - 1):
        step()
    started = float(os.environ["BENCH_STARTED"])
    figures = {
        "import_s": imported - started,
        "setup_s": built - imported,
        "first_step_s": first - built,
        "start_to_20_s": time.monotonic() - started,
        "peak_mib": peak_memory() / 2**20,
    }
    deck = WORKLOADS[args.workload].burst
    if deck > 1:  # each size comes back a few times: the cost of meeting sizes shows, which the best burst hides
        for _ in range(DECKS * deck - STEPS):
            step()
        figures["start_to_decks_s"] = time.monotonic() - started
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
