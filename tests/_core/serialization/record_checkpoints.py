"""Writes the small checkpoints in data/ with PyTorch (run with a Python that has torch)."""

import collections
import pathlib

import numpy as np
import torch

FOLDER = pathlib.Path(__file__).with_name("data")
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
DTYPES += ["complex64", "complex128", "uint16", "uint32", "uint64"]


def objects():
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    parameter = torch.nn.Parameter(torch.arange(3.0))
    noted = torch.ones(2)
    noted.note = "kept"
    return {
        "base": base,
        "column": base[:, 1],
        "transposed": base.t(),
        "expanded": torch.tensor([7.0]).expand(4),
        "empty": torch.zeros(0, 3, dtype=torch.int64),
        "scalar": torch.tensor(5),
        "leaf": torch.tensor([1.0], requires_grad=True),
        "parameter": parameter,
        "same": parameter,
        "noted": noted,
        "meta": torch.zeros(2, 3, device="meta", dtype=torch.int32),
        "dtypes": {name: torch.tensor([0, 1, 1, 0]).to(getattr(torch, name)) for name in DTYPES},
        "plain": [1, -2, 2**70, 2.5, True, None, "text", b"\x00\xff", 1j, (1, (2, ())), {3, 4}, bytearray(b"ab")],
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
        "counter": collections.Counter("aab"),
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cuda", 1),
    }


def trained():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    model(torch.ones(4, 2)).pow(2).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}


def main():
    FOLDER.mkdir(exist_ok=True)
    old = {key: value for key, value in objects().items() if key != "dtypes"}
    torch.save(objects(), FOLDER / "objects.pt")
    torch.save(old, FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(trained(), FOLDER / "trained.pt")
    torch.save({"scalar": np.float64(1.5), "array": np.arange(6).reshape(2, 3)}, FOLDER / "numpy.pt")
    linear = torch.nn.Linear(2, 1)
    linear.weight.data.fill_(0.5)
    torch.save(linear, FOLDER / "module.pt")
    torch.save(torch.tensor([1 + 2j]).conj(), FOLDER / "conj.pt")
    torch.save(torch.eye(2).to_sparse(), FOLDER / "sparse.pt")
    torch.serialization.set_crc32_options(False)
    torch.save(torch.arange(3), FOLDER / "no_checksums.pt")


if __name__ == "__main__":
    main()
