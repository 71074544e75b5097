"""Writes layers.json and init.json, the answers of the PyTorch that is installed: `python tests/nn/record.py`."""

import json
import warnings
from pathlib import Path

import init_cases
import layer_cases
import torch


def rounded(value):
    """Seven digits are what float32 holds."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def main() -> None:
    warnings.simplefilter("ignore")
    lines = {}
    for case in layer_cases.CASES:
        lines[layer_cases.name_of(case)] = rounded(layer_cases.answer(torch, case))
    rows = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in lines.items()]
    text = "{" + f'"torch": "{torch.__version__}",\n' + ",\n".join(rows) + "\n}\n"
    Path(__file__).with_name("layers.json").write_text(text)
    draws = [f"{json.dumps(str(c))}: {json.dumps(rounded(init_cases.draw(torch, c)))}" for c in init_cases.CASES]
    Path(__file__).with_name("init.json").write_text("{" + ",\n".join(draws) + "}\n")


if __name__ == "__main__":
    main()
