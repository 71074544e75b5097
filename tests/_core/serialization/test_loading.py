"""`load`'s arguments, and files that are damaged."""

import io
import pathlib
import pickle
import random
import zipfile

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).with_name("data")
DAMAGE = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError)


def _file(framework, obj, **options):
    stream = io.BytesIO()
    framework.save(obj, stream, **options)
    stream.seek(0)
    return stream


def _rewritten(stream, changes=(), drop=(), method=zipfile.ZIP_STORED):
    """The archive again, with other contents for some records."""
    changes = dict(changes)
    result = io.BytesIO()
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(result, "w", method) as new:
        for info in old.infolist():
            name = info.filename.partition("/")[2]
            if name not in drop:
                new.writestr(info.filename, changes.get(name, old.read(info)))
    result.seek(0)
    return result


@pytest.fixture
def checkpoint(framework):
    return _file(framework, {"a": framework.tensor(np.arange(100, dtype="f4")), "b": [1, "two", (3.0,)]})


# ---- arguments ----


class LikeADevice:
    type = "meta"
    index = None

    def __call__(self, function):
        return function

    def __str__(self):
        return self.type


@pytest.mark.parametrize("location", ["meta", LikeADevice(), {"cpu": "meta"}])
def test_map_location_meta(framework, checkpoint, location):
    tensor = framework.load(checkpoint, map_location=location)["a"]
    assert type(tensor) is framework.MetaTensor
    assert tensor.shape == (100,)


def test_map_location_function(framework, checkpoint):
    seen = []

    def keep(storage, location):
        seen.append((type(storage), location))
        return storage

    assert framework.load(checkpoint, map_location=keep)["a"].values[3] == 3
    assert seen == [(framework.Storage, "cpu")]
    checkpoint.seek(0)
    assert framework.load(checkpoint, map_location=lambda storage, location: None)["a"].values[3] == 3
    checkpoint.seek(0)
    doubled = framework.load(
        checkpoint, map_location=lambda storage, location: framework.Storage(storage.data * 2, "float32")
    )
    assert doubled["a"].values[3] == 6
    checkpoint.seek(0)
    with pytest.raises(TypeError, match="must return a Storage"):
        framework.load(checkpoint, map_location=lambda storage, location: 5)


def test_map_location_mistakes(framework, checkpoint):
    for location, error, words in [
        ("cuda", RuntimeError, "is_available"),
        ("moon", RuntimeError, "don't know how to restore"),
        (3, TypeError, "not callable"),
        ({"cpu": "cuda:0"}, RuntimeError, "map_location='cpu'"),
    ]:
        checkpoint.seek(0)
        with pytest.raises(error, match=words):
            framework.load(checkpoint, map_location=location)


def test_a_storage_saved_on_a_gpu_needs_map_location(framework):
    tensor = framework.tensor(np.arange(3))
    tensor.storage.device = "cuda:0"

    def describe(obj):
        record = framework.describe(obj)
        if isinstance(record, framework.files.TensorRecord):
            record.storage.device = "cuda:0"
        return record

    stream = io.BytesIO()
    framework.files.save(tensor, stream, describe=describe)
    stream.seek(0)
    with pytest.raises(RuntimeError, match="map_location='cpu'"):
        framework.load(stream)
    stream.seek(0)
    assert framework.load(stream, map_location="cpu").values.tolist() == [0, 1, 2]
    stream.seek(0)
    assert framework.load(stream, map_location=lambda storage, location: storage).values.tolist() == [0, 1, 2]


def test_arguments_that_do_not_go_together(framework, checkpoint):
    with pytest.raises(RuntimeError, match="pickle_module"):
        framework.load(checkpoint, pickle_module=pickle, weights_only=True)
    with pytest.raises(ValueError, match="file path"):
        framework.load(checkpoint, mmap=True)
    with pytest.raises(TypeError, match="speed"):
        framework.load(checkpoint, speed=3)
    with pytest.raises(RuntimeError, match="zip format"):
        framework.load(FOLDER / "legacy.pt", mmap=True)
    with pytest.raises(AttributeError, match="seek"):
        framework.load(3)
    checkpoint.seek(0)
    assert framework.load(checkpoint, pickle_module=pickle)["b"] == [1, "two", (3.0,)]


def test_not_files(framework, tmp_path):
    with pytest.raises(FileNotFoundError):
        framework.load(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        framework.load(tmp_path)
    with pytest.raises(EOFError, match="empty"):
        framework.load(io.BytesIO())
    with pytest.raises(TypeError, match="text mode"):
        framework.load(io.StringIO("text"))
    for content in (b"hello world", b"\x80\x02K\x01.", b"{}", bytes(100)):
        with pytest.raises(pickle.UnpicklingError, match="not a checkpoint"):
            framework.load(io.BytesIO(content))


# ---- damage ----


def test_a_cut_file_says_so(framework, checkpoint):
    content = checkpoint.getvalue()
    for length in (10, 100, len(content) // 2, len(content) - 1):
        with pytest.raises(RuntimeError, match="was not written or copied whole"):
            framework.load(io.BytesIO(content[:length]))


def test_a_flipped_bit_in_a_storage_is_found(framework, checkpoint):
    content = bytearray(checkpoint.getvalue())
    content[content.index(np.float32(50).tobytes())] ^= 1
    with pytest.raises(RuntimeError, match="checksum of record 'data/0'"):
        framework.load(io.BytesIO(bytes(content)))


@pytest.mark.parametrize("name", ["data.pkl", "version", "data/0"])
def test_a_missing_record_is_named(framework, checkpoint, name):
    with pytest.raises(RuntimeError, match=f"'{name}' is missing"):
        framework.load(_rewritten(checkpoint, drop=[name]))


def test_records_with_wrong_content(framework, checkpoint):
    for changes, error, words in [
        ({"data/0": b"abc"}, RuntimeError, "has 3 bytes"),
        ({"version": b"99"}, RuntimeError, "format version"),
        ({"version": b"x"}, RuntimeError, "format version"),
        ({"byteorder": b"middle"}, ValueError, "byteorder"),
        ({"data.pkl": b""}, EOFError, "ends at byte 0"),
        ({"data.pkl": b"\x80\x02"}, EOFError, "ends at byte 2"),
        ({"data.pkl": b"\x80\x63."}, pickle.UnpicklingError, "protocol 99"),
    ]:
        checkpoint.seek(0)
        with pytest.raises(error, match=words):
            framework.load(_rewritten(checkpoint, changes))


def test_what_is_not_needed_may_be_missing_and_compressed(framework, checkpoint):
    optional = [".format_version", ".storage_alignment", "byteorder", ".data/serialization_id"]
    stream = _rewritten(checkpoint, drop=optional, method=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(framework.load(stream)["a"].values, np.arange(100))


def test_the_other_byte_order(framework, checkpoint):
    swapped = np.arange(100, dtype=">f4").tobytes()
    stream = _rewritten(checkpoint, {"byteorder": b"big", "data/0": swapped})
    np.testing.assert_array_equal(framework.load(stream)["a"].values, np.arange(100))


def test_a_zip_bomb_is_refused_before_it_expands(framework, checkpoint):
    stream = _rewritten(checkpoint, {".format_version": bytes(80_000_000)}, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(RuntimeError, match="zip bomb"):
        framework.load(stream)


def test_other_archives(framework):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/constants.pkl", b"")
    stream.seek(0)
    with pytest.raises(RuntimeError, match="TorchScript"):
        framework.load(stream)


def test_a_bool_byte_that_is_neither_0_nor_1(framework):
    stream = _file(framework, framework.tensor(np.array([True, False, True])))
    tensor = framework.load(_rewritten(stream, {"data/0": b"\x02\x00\x01"}))
    assert tensor.values.view(np.uint8).tolist() == [1, 0, 1]


def test_a_cut_legacy_file_says_so(framework):
    content = (FOLDER / "legacy.pt").read_bytes()
    for length in (3, 20, 100, 500, len(content) - 4):
        with pytest.raises((pickle.UnpicklingError, EOFError, RuntimeError), match="load:"):
            framework.load(io.BytesIO(content[:length]))


@pytest.mark.parametrize("name", ["objects.pt", "legacy.pt", "trained.pt"])
def test_mutated_files_raise_or_load(framework, name):
    content = (FOLDER / name).read_bytes()
    rng = random.Random(name)
    failures = 0
    for _ in range(250):
        mutated = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(mutated))
            kind = rng.randrange(4)
            if kind == 0:
                mutated[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                mutated[at] = rng.choice([0, 255, 0x80, 0x7F, *b"(.RtQcq}]"])
            elif kind == 2:
                del mutated[at : at + rng.randrange(1, 20)]
            else:
                mutated[at:at] = rng.randbytes(rng.randrange(1, 20))
        try:
            framework.load(io.BytesIO(bytes(mutated)))
        except DAMAGE as error:
            assert len(str(error)) > 20
            failures += 1
    assert failures > 100


def test_mutated_pickles_raise_or_load(framework):
    """The checksum of the zip archive hides most mutations from the unpickler, so here it is made to fit."""
    with zipfile.ZipFile(FOLDER / "objects.pt") as archive:
        pickled = archive.read("objects/data.pkl")
    original = (FOLDER / "objects.pt").read_bytes()
    rng = random.Random(1)
    failures = 0
    for _ in range(300):
        mutated = bytearray(pickled)
        for _ in range(rng.choice([1, 1, 2, 4])):
            mutated[rng.randrange(len(mutated))] = rng.choice([rng.randrange(256), *b"(.RtQcq}]sub\x81\x85h"])
        try:
            framework.load(_rewritten(io.BytesIO(original), {"data.pkl": bytes(mutated)}))
        except (*DAMAGE, NotImplementedError) as error:
            assert "load:" in str(error)
            failures += 1
    assert failures > 100
