"""`make bench`: ordinary programs under tenfold and under PyTorch eager, in turns in one process.

Each of `programs/` is built from the same seed under both modules; the losses of the first steps have to agree. Then the
sides take turns, and the best burst of each counts. A fresh process tells what a first step, the way to the 20th step,
and memory cost. A full run writes docs/benchmarks.md and docs/benchmarks.png; every run prints the table."""

import argparse
import contextlib
import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import compiled
import fresh
import machine
import report
import timing
from programs import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="NAME", help="workloads, or patterns such as 'gpt_*'"
    )
    parser.add_argument("--list", action="store_true", help="print the workloads' names and stop")
    parser.add_argument("--threads", choices=("1", "all", "both"), default="both", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=20, help="bursts of each side (default: %(default)s)")
    parser.add_argument("--clock", choices=timing.CLOCKS, default="wall", help="cpu: processor time, on a busy machine")
    parser.add_argument(
        "--fresh", type=int, default=3, metavar="N", help="fresh processes a side; 0: none (default: 3)"
    )
    parser.add_argument("--compile", action="store_true", help="time torch.compile too (slow)")
    parser.add_argument("--busy", action="store_true", help="while another process computes")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes and few rounds: to see whether everything runs"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures there (a full run: out/bench.json)"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="measure nothing: write docs/ from figures kept there"
    )
    args = parser.parse_args(argv)
    args.names = [name for name in WORKLOADS if any(fnmatch(name, pattern) for pattern in args.only)]
    if not args.names:
        parser.error(f"no workload is called {' or '.join(args.only)}; --list tells their names")
    return args


@contextlib.contextmanager
def another_process(wanted):
    """Keeps one core busy from another process meanwhile."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if other:
            other.kill()
            other.wait()


def thread_counts(choice):
    return {"1": [1], "all": [machine.cores()], "both": sorted({1, machine.cores()})}[choice]


def peers():
    """The figures that `make bench-peers` left."""
    kept = ROOT / "out" / "peers.json"
    return {"peers": json.loads(kept.read_text())} if kept.exists() else {}


def measured(workload, modules, args):
    """All figures of one workload; an error where it does not run."""
    threads = thread_counts(args.threads)
    rounds = min(args.rounds, 3) if args.quick else args.rounds
    row = {"title": workload.title, "target": workload.target, "tolerance": workload.tolerance}
    try:
        row |= timing.compare(workload, modules, quick=args.quick, rounds=rounds, threads=threads, clock=args.clock)
        runs = min(args.fresh, 1) if args.quick else args.fresh
        if runs:
            row["fresh"] = fresh.measure(workload, modules, quick=args.quick, runs=runs, threads=threads[0])
        if args.compile and "torch" in modules:
            row["compile"] = compiled.measure(workload, quick=args.quick, threads=threads[0])
    except Exception as error:  # one workload that does not run must not hide the others
        row["error"] = f"{type(error).__name__}: {error}"
    return row


def main(argv=None):
    args = arguments(argv)
    if args.list:
        for name in args.names:
            print(f"{name:18s} {WORKLOADS[name].title}")
        return 0
    if args.report:
        report.write(json.loads(args.report.read_text()) | peers(), ROOT / "docs")
        return 0
    modules = timing.sides()
    full = args.only == ["*"] and not args.quick and "torch" in modules
    kept = args.json or (ROOT / "out" / "bench.json" if full else None)
    results = {"about": machine.about(modules, args), "rows": {}}
    print(report.about_line(results["about"]))
    print(report.heading())
    with another_process(args.busy):
        for name in args.names:
            results["rows"][name] = row = measured(WORKLOADS[name], modules, args)
            print(report.line(name, row), flush=True)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(results, indent=1) + "\n")
    print(report.summary(results["rows"]))
    if full and not args.busy:
        report.write(results | peers(), ROOT / "docs")
    wrong = [name for name, row in results["rows"].items() if "error" in row or not row.get("agree", True)]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
