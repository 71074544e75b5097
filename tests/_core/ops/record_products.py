"""Records PyTorch's answers for test_products.py: `python tests/_core/ops/record_products.py` where PyTorch is"
" installed."""

import json
import pathlib
import warnings

import product_calls as calls
import torch


def main():
    warnings.simplefilter("ignore")
    rows = {label: calls.answer(torch, call, shapes) for label, call, *shapes in calls.good()}
    errors = {label: calls.error(torch, call, shapes) for label, call, *shapes in calls.misuse()}
    accepted = [label for label, e in errors.items() if e is None]
    if accepted:
        raise SystemExit(f"PyTorch accepts {accepted}")
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in rows.items())
    text = f'{{"oracle": "PyTorch {torch.__version__}",\n"errors": {json.dumps(errors)},\n"rows": {{\n{lines}\n}}}}\n'
    pathlib.Path(__file__).with_name("products.json").write_text(text)


if __name__ == "__main__":
    main()
