"""Checkpoints that PyTorch 2.13 wrote (data/, made by record_checkpoints.py) load here."""

import collections
import pathlib
import pickle

import numpy as np
import pytest

import tenfold
from tenfold._core.serialization.constructors import Constructors
from tenfold._core.tensor import files

SPARSE = (("torch._utils", "_rebuild_sparse_tensor"), ("torch.serialization", "_get_layout"))
FOLDER = pathlib.Path(__file__).with_name("data")


@pytest.fixture(params=["objects.pt", "legacy.pt"])
def name(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["weights_only", "full"])
def loaded(request, name, framework):
    return framework.load(FOLDER / name, weights_only=request.param)


def test_views_share_the_storage_of_their_base(loaded):
    np.testing.assert_array_equal(loaded["base"].values, np.arange(12, dtype="f4").reshape(3, 4))
    np.testing.assert_array_equal(loaded["column"].values, [1, 5, 9])
    assert loaded["column"].storage is loaded["base"].storage is loaded["transposed"].storage
    assert loaded["transposed"].strides == (1, 4)
    assert loaded["expanded"].shape == (4,)
    assert loaded["expanded"].strides == (0,)
    loaded["base"].values[0, 1] = 100
    assert loaded["column"].values[0] == 100


def test_flags_and_parameters(loaded, framework):
    assert loaded["leaf"].requires_grad
    assert not loaded["base"].requires_grad
    assert type(loaded["parameter"]) is framework.Parameter
    assert loaded["parameter"].requires_grad
    assert loaded["same"] is loaded["parameter"]
    assert loaded["noted"].note == "kept"


def test_small_shapes(loaded, framework):
    assert loaded["empty"].shape == (0, 3)
    assert loaded["empty"].dtype_name == "int64"
    assert loaded["scalar"].shape == ()
    assert loaded["scalar"].values == 5
    meta = loaded["meta"]
    assert (type(meta), meta.dtype_name, meta.shape, meta.strides) == (framework.MetaTensor, "int32", (2, 3), (3, 1))


def test_plain_objects(loaded, framework):
    expected = [1, -2, 2**70, 2.5, True, None, "text", b"\x00\xff", 1j, (1, (2, ())), {3, 4}, bytearray(b"ab")]
    assert loaded["plain"] == expected
    assert [type(value) for value in loaded["plain"]] == [type(value) for value in expected]
    assert loaded["ordered"] == collections.OrderedDict([("b", 1), ("a", 2)])
    assert loaded["counter"] == collections.Counter("aab")
    assert loaded["size"] == (2, 3)
    assert type(loaded["size"]) is framework.Size
    assert loaded["dtype"] == framework.Dtype("bfloat16")
    assert loaded["device"] == framework.Device("cuda", 1)


def test_every_dtype(framework):
    tensors = framework.load(FOLDER / "objects.pt")["dtypes"]
    assert len(tensors) == 15
    for name, tensor in tensors.items():
        assert tensor.dtype_name == name
        one = 0x3F80 if name == "bfloat16" else 1
        assert tensor.values.tolist() == [0, one, one, 0]


def test_state_dicts_of_a_trained_model(framework):
    checkpoint = framework.load(FOLDER / "trained.pt")
    model = checkpoint["model"]
    assert type(model) is collections.OrderedDict
    assert list(model)[-1] == "1.num_batches_tracked"
    assert model["1.num_batches_tracked"].values == 1
    assert model._metadata["1"] == {"version": 2}
    assert checkpoint["optimizer"]["param_groups"][0]["lr"] == 0.5
    assert checkpoint["optimizer"]["state"][0]["exp_avg"].shape == (3, 2)
    assert checkpoint["epoch"] == 3


def test_a_file_without_checksums_loads(framework):
    assert framework.load(FOLDER / "no_checksums.pt").values.tolist() == [0, 1, 2]


def test_a_whole_module_loads_only_when_allowed(framework):
    with pytest.raises(pickle.UnpicklingError, match=r"Unsupported global.*torch\.nn\.modules\.linear\.Linear"):
        framework.load(FOLDER / "module.pt")
    assert framework.load(FOLDER / "module.pt", weights_only=False).in_features == 2
    with framework.files.safe_globals([framework.Linear]):
        linear = framework.load(FOLDER / "module.pt")
    assert linear._parameters["weight"].values.tolist() == [[0.5, 0.5]]


def test_numpy_objects_load_when_allowed(framework):
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        framework.load(FOLDER / "numpy.pt")
    content = framework.load(FOLDER / "numpy.pt", weights_only=False)
    assert content["scalar"] == 1.5
    np.testing.assert_array_equal(content["array"], np.arange(6).reshape(2, 3))
    core = np._core.multiarray
    kinds = [np.dtype, np.ndarray, type(np.dtype("f8")), type(np.dtype("i8"))]
    with framework.files.safe_globals(
        [core.scalar, (core._reconstruct, "numpy._core.multiarray._reconstruct"), *kinds]
    ):
        content = framework.load(FOLDER / "numpy.pt")
    np.testing.assert_array_equal(content["array"], np.arange(6).reshape(2, 3))


def test_a_conjugated_view_says_so(framework):
    records = []

    def build(record):
        records.append(record)
        return framework.build(record)

    framework.files.load(FOLDER / "conj.pt", build=build, resolve=framework.resolve)
    assert records[-1].conj
    assert not records[-1].neg


def test_what_tenfold_lacks_is_named(framework):
    constructors = Constructors(framework.build, framework.resolve)
    with pytest.raises(NotImplementedError, match="quantized tensors"):
        constructors.find("torch._utils", "_rebuild_qtensor")


def test_a_sparse_tensor():
    loaded = tenfold.load(FOLDER / "sparse.pt")
    assert loaded.layout is tenfold.sparse_coo
    assert loaded.is_coalesced()
    assert loaded.to_dense().tolist() == [[1, 0], [0, 1]]


def test_a_sparse_tensor_whose_parts_do_not_fit(framework):
    constructors = Constructors(files.build, files.resolve)
    make, layout = (constructors.find(*name) for name in SPARSE)
    indices, values = tenfold.tensor([[0, 5], [0, 1]]), tenfold.ones(2)
    for bad in (
        (layout("torch.sparse_coo"), (indices, values, (2, 2), False)),
        (layout("torch.sparse_csr"), (indices[0], indices[1], values, (2, 2))),
        (layout("torch.sparse_csr"), (indices[0], indices[1], (2, 2))),
        (layout("torch.sparse_coo"), (indices, "values", (2, 2), False)),
        (layout("torch.strided"), (indices, values, (2, 2), False)),
        ("torch.sparse_coo", (indices, values, (2, 2), False)),
    ):
        with pytest.raises(pickle.UnpicklingError, match="corrupt"):
            make(*bad)
    with pytest.raises(pickle.UnpicklingError, match="layout"):
        layout("torch.dense")


def test_mapped_storages_are_copied_when_written_to(framework):
    before = (FOLDER / "objects.pt").read_bytes()
    base = framework.load(FOLDER / "objects.pt", mmap=True)["base"]
    base.values[...] = 7
    assert base.values.sum() == 84
    assert (FOLDER / "objects.pt").read_bytes() == before
