"""Writes making.json: what PyTorch answers to the cases. Run it where PyTorch is installed: python record_making.py."""

import json
import pathlib
import warnings

import torch
import torch.signal.windows
import torch.utils.dlpack
from making_answers import answers
from test_making import CASES

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = {name: answers(cases, torch) for name, cases in CASES.items()}
    target = pathlib.Path(__file__).with_name("making.json")
    target.write_text(json.dumps({"torch": torch.__version__, "answers": found}, separators=(",", ":")) + "\n")
