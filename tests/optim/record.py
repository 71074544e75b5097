"""Writes references.json, what PyTorch gives for the runs of optim_problems.py: `python tests/optim/record.py`."""

import json
import sys
import warnings
from pathlib import Path

import torch

here = Path(__file__).parent
sys.path.insert(0, str(here))
import optim_problems as problems  # noqa: E402


def plain(x):
    if isinstance(x, torch.Tensor):
        return {"dtype": str(x.dtype).removeprefix("torch."), "shape": list(x.shape), "values": x.reshape(-1).tolist()}
    if isinstance(x, dict):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    return x


def main():
    warnings.simplefilter("ignore")
    runs = []
    for method, rows in problems.RUNS.items():
        for options in rows:
            for gaps in (False, True) if method != "LBFGS" and not options.get("fused") else (False,):
                optimizer, params = problems.train(torch, method, options, gaps)
                row = {"method": method, "options": options, "gaps": gaps, "repr": repr(optimizer)}
                row["params"] = [plain(p.detach()) for p in params]
                if method != "LBFGS":
                    row["state"] = plain(optimizer.state_dict()["state"])
                runs.append(row)
    paths = {}
    for name in problems.schedules(torch.optim.lr_scheduler):
        path, keys = problems.follow(torch, torch.optim.lr_scheduler, name)
        paths[name] = {"path": path, "state_dict": keys}
    lines = ",\n".join(json.dumps(r) for r in runs)
    schedules = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in paths.items())
    text = f'{{"torch": "{torch.__version__}", "runs": [\n{lines}\n], "schedules": {{\n{schedules}\n}}}}\n'
    (here / "references.json").write_text(text)


if __name__ == "__main__":
    main()
