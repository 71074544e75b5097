"""torch.compile, for comparison: the whole step is given to it, in a process of its own, beside eager PyTorch.

Run as a script it is that process. Dynamo cuts the step where it must (backward, item, the optimizer's Python), and
compiles the pieces."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

TIMEOUT = 300


def measure(workload, *, quick, threads):
    """{"eager": µs, "compiled": µs, "first_step_s": …}, or {"error": …} where it does not run or takes too long."""
    command = [sys.executable, __file__, workload.name, "--threads", str(threads)] + ["--quick"] * quick
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return {"error": f"not finished after {TIMEOUT} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def main():
    import timing
    import torch
    from programs import WORKLOADS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    workload = WORKLOADS[args.workload]
    steps = {"eager": workload.at(args.quick)(torch), "compiled": torch.compile(workload.at(args.quick)(torch))}
    started = time.perf_counter()
    steps["compiled"]()
    first = time.perf_counter() - started
    clock = timing.CLOCKS["wall"]
    best = timing.turns(workload, steps, rounds=10, threads=args.threads, clock=clock)
    print(json.dumps({"first_step_s": first} | {name: 1e6 * seconds for name, seconds in best.items()}))


if __name__ == "__main__":
    main()
