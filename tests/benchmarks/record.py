"""Writes losses.json: what PyTorch returns for two steps of every benchmark at quick sizes. Run it with PyTorch 2.13."""

import json
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

from programs import WORKLOADS  # noqa: E402


def two_steps(workload):
    step = workload.at(quick=True)(torch)
    return [step(), step()]


if __name__ == "__main__":
    torch.set_num_threads(1)
    losses = {name: two_steps(workload) for name, workload in WORKLOADS.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in losses.items()]
    (HERE / "losses.json").write_text("{\n " + ",\n ".join(lines) + "\n}\n")
