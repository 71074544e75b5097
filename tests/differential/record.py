"""Records what PyTorch does with the random programs that `make test` replays: `make record`."""

import warnings
from pathlib import Path

import torch
from random_programs import archive, drawing, executor, writing

COUNT = 200
TARGET = Path(__file__).resolve().parent / "recorded.npz"


def main():
    warnings.simplefilter("ignore")
    recorded = [executor.settled(drawing.seeded(seed), torch, writing.STEPS) for seed in range(COUNT)]
    archive.save(TARGET, recorded, torch.__version__.partition("+")[0])
    print(f"{TARGET.name}: {len(recorded)} programs, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
