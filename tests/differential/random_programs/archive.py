"""Programs with the outcomes that PyTorch gave, in one file: JSON for the structure, an array of all numbers."""

import json

import numpy as np

from .executor import Outcome

KEPT = ("steps", "metadata", "names", "bounds")


def save(path, recorded, oracle):
    """Writes (program, Outcome) pairs, and the version of the module that gave them."""
    numbers, programs = [], []
    for program, outcome in recorded:
        row = {"program": program, **{k: getattr(outcome, k) for k in KEPT}}
        for what in ("values", "gradients"):
            row[what] = [None if a is None else [a.dtype.name, list(a.shape)] for a in getattr(outcome, what)]
            numbers += [a.astype(np.float64).ravel() for a in getattr(outcome, what) if a is not None]
        programs.append(row)
    text = json.dumps({"oracle": oracle, "programs": programs}, separators=(",", ":")).encode()
    np.savez_compressed(path, text=np.frombuffer(text, np.uint8), numbers=np.concatenate(numbers))


def load(path):
    """The (program, Outcome) pairs of the file."""
    with np.load(path) as file:
        data, numbers = json.loads(file["text"].tobytes()), file["numbers"]
    recorded, at = [], 0
    for row in data["programs"]:
        outcome = Outcome(**{k: row[k] for k in KEPT})
        for what in ("values", "gradients"):
            for described in row[what]:
                array = None
                if described is not None:
                    dtype, shape = described
                    count = int(np.prod(shape, dtype=np.int64))
                    array = numbers[at : at + count].astype(dtype).reshape(shape)
                    at += count
                getattr(outcome, what).append(array)
        recorded.append(([tuple(step) for step in row["program"]], outcome))
    return recorded
