"""Looks for differences from PyTorch over a range of seeds, and shows each kind once, shrunk to few steps.

    python tests/differential/explore.py 0 500             # seeds 0 to 499
    python tests/differential/explore.py 42 43 --available # leave out steps whose operation tenfold lacks

For developing: needs PyTorch, and finds at once what `make parity` would find with its own programs."""

import argparse
import contextlib
import re
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import torch
from random_programs import compare, drawing, executor, writing

import tenfold

EAGER = []  # not empty: under tenfold.debug.eager()


def on_tenfold(program):
    with tenfold.debug.eager() if EAGER else contextlib.nullcontext():
        return executor.run(program, tenfold, writing.STEPS)


def without_missing(program):
    """The program without the steps that fail because tenfold has no such name."""
    while True:
        did = executor.run(program, tenfold, writing.STEPS).steps
        kept = [s for s, result in zip(program, did, strict=False) if result != "AttributeError"]
        if len(kept) == len(program):
            return program
        program = kept


def verdict(program, available):
    """(program as compared, outcome, what differs or None)"""
    if available:
        program = without_missing(program)
    program, expected = executor.settled(program, torch, writing.STEPS)
    got = on_tenfold(program)
    return program, got, compare.difference(expected, got)


def shrunk(program, available):
    """A failing program with as many steps taken out as still leave it failing, and its verdict."""
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(program))):
            shorter = program[:i] + program[i + 1 :]
            if verdict(shorter, available)[2]:
                program, changed = shorter, True
    return verdict(program, available)


def kind(difference):
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "N", difference.partition("[")[0])


def cause_of(program):
    """The exceptions that tenfold raises on the way, as text."""
    seen = []
    plain = executor.one_step

    def watched(ex, step, number):
        def and_note(e):
            try:
                step(e)
            except executor.Failed as failed:
                trace = traceback.extract_tb(failed.__cause__.__traceback__)[-1]
                place = f"{Path(trace.filename).name}:{trace.lineno}"
                seen.append(f"# {type(failed.__cause__).__name__} at {place}: {str(failed.__cause__)[:200]}")
                raise

        return plain(ex, and_note, number)

    executor.one_step = watched
    try:
        on_tenfold(program)
    finally:
        executor.one_step = plain
    return seen


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int, help="not included")
    parser.add_argument("--available", action="store_true", help="leave out what tenfold lacks")
    parser.add_argument("--each", type=int, default=1, help="examples of a kind (default: %(default)s)")
    parser.add_argument("--eager", action="store_true", help="tenfold computes one operation after the other")
    args = parser.parse_args(argv)
    EAGER.extend([True] * args.eager)
    warnings.simplefilter("ignore")
    counts = Counter()
    for seed in range(args.first, args.last):
        program, _, found = verdict(drawing.seeded(seed), args.available)
        counts[kind(found) if found else "agree"] += 1
        if found and counts[kind(found)] <= args.each:
            program, got, found = shrunk(program, args.available)
            print(f"--- seed {seed}: {found}", *got.lines, *cause_of(program), sep="\n", flush=True)
    for what, count in counts.most_common():
        print(f"{count:6d}  {what}")
    return int(set(counts) != {"agree"})


if __name__ == "__main__":
    sys.exit(main())
