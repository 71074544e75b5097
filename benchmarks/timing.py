"""Times the same program under several modules, in turns in one process, and compares the losses they return.

The sides alternate burst by burst with the same number of steps, so that they meet the same machine and do the same
work; the best burst of each counts, since a busy machine only ever adds time."""

import gc
import importlib
import math
import os
import time

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
CHECKED_STEPS = 5
WARM_STEPS, WARM_SECONDS = 30, 5.0
BURST_SECONDS, LONGEST_BURST = 0.03, 0.2
LEAST_ROUNDS, WORKLOAD_SECONDS = 4, 30.0
PAUSE = 0.03  # after a burst on several threads: OpenMP's workers spin for a while before they sleep


def sides():
    """name -> module, for what is installed of tenfold and torch."""
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # NumPy's own threads: tenfold's interpreter has no say over them
    found = {"tenfold": importlib.import_module("tenfold")}
    try:
        found["torch"] = importlib.import_module("torch")
    except ModuleNotFoundError:
        print("PyTorch is not installed: tenfold alone is timed")
    return found


def difference(these, those):
    """The largest difference of two lists of losses, relative to the larger number; infinite where one is not a number."""
    if len(these) != len(those):
        return math.inf
    pairs = [(a, b) for a, b in zip(these, those) if a != b]
    apart = [abs(a - b) / max(abs(a), abs(b)) for a, b in pairs]
    return max((gap if gap == gap else math.inf for gap in apart), default=0.0)


def timed(step, count, clock):
    """Seconds for one of `count` steps."""
    started = clock()
    for _ in range(count):
        step()
    return (clock() - started) / count


def warm(step, steps, clock):
    """Runs a step until it is as fast as it gets; returns about how many seconds it takes."""
    best, end = math.inf, time.perf_counter() + WARM_SECONDS
    for done in range(steps):
        best = min(best, timed(step, 1, clock))
        if time.perf_counter() > end and done >= 3:
            break
    return best


def steps_in_a_burst(workload, seconds):
    """How many steps each side takes at a turn: enough to time the fastest, not too many for the slowest."""
    count = min(BURST_SECONDS / max(min(seconds), 1e-7), LONGEST_BURST / max(seconds))
    return workload.burst * max(1, math.floor(count / workload.burst))


def turns(workload, steps, *, rounds, threads, clock):
    """name -> seconds for a step of the best burst; `steps` is name -> step."""
    warm_steps = max(WARM_STEPS, 4 * workload.burst if workload.burst > 1 else 0)
    roughly = [warm(step, warm_steps, clock) for step in steps.values()]
    count = steps_in_a_burst(workload, roughly)
    best = dict.fromkeys(steps, math.inf)
    end = time.perf_counter() + WORKLOAD_SECONDS
    gc.collect()
    gc.disable()
    try:
        for done in range(rounds):
            for name, step in steps.items():
                best[name] = min(best[name], timed(step, count, clock))
                if threads > 1:
                    time.sleep(PAUSE)
            if time.perf_counter() > end and done >= LEAST_ROUNDS:
                break
    finally:
        gc.enable()
    return best


def settle(module):
    """Waits for what tenfold does in the background once in a process: its recorder becomes machine code."""
    if module.__name__ == "tenfold":
        module.debug.native()


def compare(workload, modules, *, quick, rounds, threads, clock):
    """Measures one workload: {threads: {side: µs}} for each number of threads, and how far the losses are apart."""
    for module in modules.values():
        module.set_num_threads(threads[0])
    steps = {name: workload.at(quick)(module) for name, module in modules.items()}
    losses = {name: [step() for _ in range(CHECKED_STEPS)] for name, step in steps.items()}
    for module in modules.values():
        settle(module)
    found = {"losses": losses, "µs": {}}
    if "torch" in losses:
        found["difference"] = difference(losses["tenfold"], losses["torch"])
        found["agree"] = found["difference"] <= workload.tolerance
    for count in threads:
        for module in modules.values():
            module.set_num_threads(count)
        best = turns(workload, steps, rounds=rounds, threads=count, clock=CLOCKS[clock])
        found["µs"][str(count)] = {name: 1e6 * seconds for name, seconds in best.items()}
    return found
