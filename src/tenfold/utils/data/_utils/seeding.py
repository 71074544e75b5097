"""The random numbers of a worker: seeds of its own for `random`, tenfold and NumPy."""

import random

import numpy as np

import tenfold

_WORD = 0xFFFFFFFF


def seed_worker(base_seed: int, worker_id: int) -> int:
    """Seed every generator of this process from the loader's seed and the worker's number.

    Returns: the seed, `base_seed + worker_id`.
    """
    seed = base_seed + worker_id
    random.seed(seed)
    tenfold.manual_seed(seed)
    np.random.seed(numpy_seed(base_seed, worker_id))
    return seed


def numpy_seed(base_seed: int, worker_id: int) -> np.ndarray:
    """Four words for NumPy's generator, which takes no seed of 64 bits: both numbers, mixed by NumPy's SeedSequence."""
    entropy = [worker_id, base_seed & _WORD, base_seed >> 32, 0]
    return np.random.SeedSequence(entropy).generate_state(4)
