"""Writes references.npz (an index, and all numbers one after the other), what PyTorch answers to the questions of the cases: `python tests/distributions/record.py`."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

here = Path(__file__).parent
sys.path.insert(0, str(here))
import distribution_cases  # noqa: E402
import misuse_cases  # noqa: E402
import transform_cases  # noqa: E402


def main():
    index, numbers = [], []

    def keep(kind, name, found):
        for question, answer in found.items():
            if not isinstance(answer, str):
                numbers.append(answer[1].ravel())
                answer = [answer[0], list(answer[1].shape)]
            index.append([kind, name, question, answer])

    for name in distribution_cases.PARAMETERS:
        keep("distribution", name, distribution_cases.answers(torch, name, "batch"))
    for name in transform_cases.transforms(torch):
        keep("transform", name, transform_cases.transform_answers(torch, name))
    for name in transform_cases.constraints(torch):
        keep("constraint", name, transform_cases.constraint_answers(torch, name))
    for p, q in transform_cases.PAIRS:
        keep("divergence", f"{p} to {q}", transform_cases.kl_answers(torch, p, q, "none"))
    for name in misuse_cases.calls(torch):
        keep("misuse", name, {"outcome": misuse_cases.outcome(torch, name)})
    text = json.dumps({"torch": torch.__version__, "index": index}).encode()
    np.savez_compressed(here / "references.npz", index=np.frombuffer(text, np.uint8), numbers=np.concatenate(numbers))


if __name__ == "__main__":
    main()
