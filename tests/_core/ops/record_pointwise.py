"""Records PyTorch's answers for test_pointwise.py: `python tests/_core/ops/record_pointwise.py` where PyTorch is
installed."""

import json
import pathlib
import warnings

import pointwise_cases
import torch


def main():
    warnings.simplefilter("ignore")
    rows = {}
    for label, run in pointwise_cases.cases(torch):
        try:
            rows[label] = run()
        except Exception as e:
            rows[label] = {"error": type(e).__name__}
    table = {"oracle": f"PyTorch {torch.__version__}", "rows": rows, "promotions": pointwise_cases.promotions(torch)}
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in rows.items())
    rest = json.dumps(table["promotions"])
    text = f'{{"oracle": {json.dumps(table["oracle"])},\n"promotions": {rest},\n"rows": {{\n{lines}\n}}}}\n'
    pathlib.Path(__file__).with_name("pointwise.json").write_text(text)


if __name__ == "__main__":
    main()
