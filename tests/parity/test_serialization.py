"""Live PyTorch loads what `save` writes, and the other way round, on plain arrays (no tensor core in between)."""

import collections
import io

import numpy as np
import pytest

from tenfold._core import serialization as files

torch = pytest.importorskip("torch")

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64"]
DTYPES += ["complex128", "uint16", "uint32", "uint64"]


class Strided:
    """A tensor as an array: the memory of `base`, seen through offset, shape and strides."""

    def __init__(self, base, offset, shape, strides, name=None):
        self.base = base
        self.place = (offset, tuple(shape), tuple(strides))
        self.name = name or base.dtype.name

    @property
    def values(self):
        offset, shape, strides = self.place
        return np.lib.stride_tricks.as_strided(self.base[offset:], shape, [s * self.base.itemsize for s in strides])


def describe(obj):
    if not isinstance(obj, Strided):
        return None
    return files.TensorRecord(files.StorageRecord(obj.base, obj.name), obj.name, *obj.place)


def build(record):
    if isinstance(record, files.StorageRecord):
        return record
    if isinstance(record, files.TensorRecord):
        base = record.storage.data.view(files.records.MEMORY_DTYPES[record.dtype_name])
        return Strided(base, record.offset, record.shape, record.strides, record.dtype_name)
    return record


def resolve(module, name):
    return Strided if name == "Tensor" else None


def to_torch(obj, **options):
    stream = io.BytesIO()
    files.save(obj, stream, describe=describe, **options)
    stream.seek(0)
    return stream


def from_torch(obj, **options):
    stream = io.BytesIO()
    torch.save(obj, stream, **options)
    stream.seek(0)
    return files.load(stream, build=build, resolve=resolve)


def random_tensors(rng, name):
    size = int(rng.integers(0, 60))
    base = rng.integers(0, 2, size).astype(name) if name == "bool" else rng.integers(0, 100, size).astype(name)
    yield Strided(base, 0, (size,), (1,))
    if size >= 6:
        yield Strided(base, 1, (2, 2), (1, 3))
        yield Strided(base, size - 1, (3,), (0,))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("weights_only", [False, True])
def test_torch_loads_ours(weights_only, legacy):
    rng = np.random.default_rng(0)
    # PyTorch cannot load its own old-format files with these three (their storages have no dtype there).
    names = [name for name in DTYPES if not (legacy and name in ("uint16", "uint32", "uint64"))]
    tensors = [tensor for name in names for _ in range(4) for tensor in random_tensors(rng, name)]
    loaded = torch.load(to_torch(tensors, legacy=legacy), weights_only=weights_only)
    for mine, theirs in zip(tensors, loaded, strict=True):
        offset, shape, strides = mine.place
        assert (theirs.storage_offset(), tuple(theirs.shape), theirs.stride()) == (offset, shape, strides)
        assert str(theirs.dtype) == f"torch.{mine.name}"
        np.testing.assert_array_equal(theirs.numpy(), mine.values)


def test_we_load_torchs():
    rng = np.random.default_rng(1)
    for name in DTYPES:
        for legacy in (False, True):
            data = torch.from_numpy(rng.integers(0, 2, 12).astype(name)).reshape(3, 4)
            tensors = [data, data.t(), data[1:, ::2], data[0, 0], data[:0]]
            loaded = from_torch(tensors, _use_new_zipfile_serialization=not legacy)
            for mine, theirs in zip(loaded, tensors, strict=True):
                expected = (theirs.storage_offset(), tuple(theirs.shape), theirs.stride())
                assert mine.place == expected
                np.testing.assert_array_equal(mine.values, theirs.numpy())


def test_sharing_survives_in_torch():
    base = np.arange(6.0)
    views = torch.load(to_torch([Strided(base, 0, (6,), (1,)), Strided(base, 2, (2,), (1,))]))
    views[0][2] = 100
    assert views[1][0] == 100


def test_plain_objects_both_ways():
    plain = {"a": [1, 2**80, -1.5, None, True, "é", b"\xff", 1j], "b": collections.OrderedDict(x=(1, (2,))), 3: {4, 5}}
    plain["c"] = collections.Counter("aab")
    plain["d"] = bytearray(b"xyz")
    assert torch.load(to_torch(plain)) == plain
    assert from_torch(plain) == plain


def test_dtypes_sizes_devices():
    ours = [files.DtypeRecord("bfloat16"), files.SizeRecord((2, 3)), files.DeviceRecord("cuda", 1)]
    ours += [files.MetaTensorRecord("int32", (2,), (1,))]
    dtype, size, device, meta = torch.load(to_torch(ours))
    assert (dtype, size, device) == (torch.bfloat16, torch.Size([2, 3]), torch.device("cuda:1"))
    assert (meta.device.type, meta.dtype, meta.shape) == ("meta", torch.int32, (2,))


def test_parameters_and_whole_modules():
    weight = Strided(np.arange(2.0, dtype="f4"), 0, (1, 2), (2, 1))
    parameter = files.ParameterRecord(describe(weight), True, {"note": 1})
    loaded = torch.load(to_torch(parameter))
    assert type(loaded) is torch.nn.Parameter
    assert loaded.requires_grad
    assert loaded.note == 1


def test_state_dicts_of_an_optimizer():
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    loaded = from_torch(optimizer.state_dict())
    assert loaded["param_groups"] == optimizer.state_dict()["param_groups"]
    again = torch.load(to_torch(loaded))
    torch.testing.assert_close(again["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])


def test_mapped_by_torch(tmp_path):
    files.save([Strided(np.arange(5), 0, (5,), (1,))], tmp_path / "a.pt", describe=describe)
    assert torch.load(tmp_path / "a.pt", mmap=True)[0].tolist() == [0, 1, 2, 3, 4]


def test_errors_are_of_torchs_kind():
    stream = to_torch([Strided(np.arange(5), 0, (5,), (1,))])
    content = stream.getvalue()
    for damaged in (b"", content[:100], content[: len(content) // 2]):
        with pytest.raises(Exception) as theirs:
            torch.load(io.BytesIO(damaged))
        with pytest.raises(theirs.type):
            files.load(io.BytesIO(damaged), build=build, resolve=resolve)
