"""What `save` writes, and where."""

import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest


def _saved(framework, obj, **options):
    stream = io.BytesIO()
    framework.save(obj, stream, **options)
    stream.seek(0)
    return stream


def _mixed(framework):
    base = framework.tensor(np.arange(6, dtype="f4").reshape(2, 3))
    parameter = framework.Parameter(base)
    parameter.note = [1]
    return {
        "base": base,
        "view": framework.Tensor(base.storage, "float32", 1, (2,), (3,)),
        "parameter": parameter,
        "half": framework.tensor(np.array([0x3F80], "u2"), dtype_name="bfloat16"),
        "wide": framework.tensor(np.array([7], "u4")),
        "flags": framework.tensor(np.array([True, False])),
        "meta": framework.MetaTensor("float32", (2,), (1,)),
        "dtype": framework.Dtype("float32"),
        "device": framework.Device("cpu", None),
        "size": framework.Size((1, 2)),
        "plain": [1, 2.5, None, "é", b"\xff", {1}, (1,), 1j, collections.OrderedDict(a=1), bytearray(b"x")],
    }


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("options", [{}, {"pickle_protocol": 4}, {"pickle_protocol": 5}, {"legacy": True}])
def test_round_trip(framework, options, weights_only):
    before = _mixed(framework)
    after = framework.load(_saved(framework, before, **options), weights_only=weights_only)
    for name in ("base", "view", "parameter", "half", "wide", "flags"):
        assert type(after[name]) is type(before[name])
        assert after[name].dtype_name == before[name].dtype_name
        np.testing.assert_array_equal(after[name].values, before[name].values)
    assert after["view"].storage is after["base"].storage is after["parameter"].storage
    assert after["parameter"].note == [1]
    for name in ("dtype", "device", "size", "plain"):
        assert after[name] == before[name]


def test_an_object_met_twice_is_one_object(framework):
    tensor = framework.tensor(np.ones(2))
    after = framework.load(_saved(framework, [tensor, {"again": tensor}]))
    assert after[0] is after[1]["again"]


def test_a_subclass_is_restored_when_allowed(framework):
    image = framework.tensor(np.ones(2))
    image.__class__ = framework.Image
    image.title = "dunes"
    stream = _saved(framework, image)
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.images\.Image"):
        framework.load(stream)
    with framework.files.safe_globals([framework.Image]):
        stream.seek(0)
        after = framework.load(stream)
    assert type(after) is framework.Image
    assert after.title == "dunes"


def test_layout_is_pytorchs(framework, tmp_path):
    framework.save(_mixed(framework), tmp_path / "weights.pt")
    with zipfile.ZipFile(tmp_path / "weights.pt") as archive:
        assert archive.testzip() is None
        names = [info.filename for info in archive.infolist()]
        assert names[:4] == [
            "weights/data.pkl",
            "weights/.format_version",
            "weights/.storage_alignment",
            "weights/byteorder",
        ]
        assert names[4:8] == [f"weights/data/{number}" for number in range(4)]
        assert names[8:] == ["weights/version", "weights/.data/serialization_id"]
        assert archive.read("weights/version") == b"3\n"
        content = (tmp_path / "weights.pt").read_bytes()
        for info in archive.infolist():
            lengths = struct.unpack("<HH", content[info.header_offset + 26 : info.header_offset + 30])
            start = info.header_offset + 30 + sum(lengths)
            assert start % 64 == 0
            assert content[start : start + info.file_size] == archive.read(info)


def test_names_in_the_pickle_are_pytorchs(framework):
    with zipfile.ZipFile(_saved(framework, _mixed(framework))) as archive:
        pickled = archive.read("archive/data.pkl")
    for name in (
        b"torch._utils\n_rebuild_tensor_v2\n",
        b"torch\nFloatStorage\n",
        b"torch\nSize\n",
        b"torch\nfloat32\n",
    ):
        assert name in pickled
    assert b"tenfold" not in pickled


def test_one_storage_of_two_dtypes_is_refused(framework):
    floats = framework.tensor(np.ones(2, "f4"))
    ints = framework.Tensor(floats.storage, "int32", 0, (2,), (1,))
    integers = framework.files.StorageRecord(floats.storage.data.view("i4"), "int32", key=floats.storage)

    def describe(obj):
        return (
            framework.files.TensorRecord(integers, "int32", 0, (2,), (1,)) if obj is ints else framework.describe(obj)
        )

    with pytest.raises(RuntimeError, match="view the same data as different types"):
        framework.files.save([floats, ints], io.BytesIO(), describe=describe)


def test_a_failed_save_leaves_the_old_file(framework, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    framework.save([1], path)
    before = path.read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        framework.save([lambda: 1], path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        framework.save([2], path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.pt"]


def test_a_save_keeps_the_mode_of_a_file_and_a_link_to_it(framework, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link = tmp_path / "latest.pt"
    link.symlink_to(path)
    framework.save([1], link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert framework.load(path) == [1]


def test_wrong_destinations(framework, tmp_path):
    with pytest.raises(RuntimeError, match="Parent directory"):
        framework.save(1, tmp_path / "missing" / "a.pt")
    with pytest.raises(RuntimeError, match="is a directory"):
        framework.save(1, tmp_path)
    with pytest.raises(AttributeError, match="'write'"):
        framework.save(1, 3)


def test_streams_that_can_only_be_written(framework):
    class Sink:
        def __init__(self):
            self.pieces = []

        def write(self, data):
            self.pieces.append(bytes(data))
            return len(data)

        def flush(self):
            self.pieces.append(b"")

    sink = Sink()
    framework.save(framework.tensor(np.arange(3)), sink)
    assert framework.load(io.BytesIO(b"".join(sink.pieces))).values.tolist() == [0, 1, 2]


def test_a_nested_class_needs_protocol_4(framework):
    class Inner:
        pass

    names = {"global_name": lambda obj: ("torch.x", "Outer.Inner") if obj is Inner else None}
    with pytest.raises(pickle.PicklingError, match="pickle_protocol=4"):
        framework.files.save(Inner, io.BytesIO(), describe=framework.describe, **names)
    framework.files.save(Inner, io.BytesIO(), describe=framework.describe, pickle_protocol=4, **names)
