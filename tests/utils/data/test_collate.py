import collections
import types

import numpy as np
import pytest

import tenfold
from tenfold.utils.data import default_collate, default_convert
from tenfold.utils.data._utils.collate import collate

Pair = collections.namedtuple("Pair", "a b")


class Row(list):
    """A list that cannot be made from a list."""

    def __init__(self, first, second):
        super().__init__([first, second])


def plain(value):
    """Tensors as ("tensor", dtype, shape, values), to compare nested results."""
    if isinstance(value, tenfold.Tensor):
        return ("tensor", str(value.dtype).split(".")[1], tuple(value.shape), value.tolist())
    if isinstance(value, collections.abc.Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | collections.deque):
        return [plain(entry) for entry in value]
    return value


@pytest.mark.parametrize(
    ("batch", "dtype", "values"),
    [
        ([1, 2], "int64", [1, 2]),
        ([True, False], "bool", [True, False]),
        ([1.5, 2], "float64", [1.5, 2.0]),
        ([1, 2.5], "float32", [1.0, 2.5]),
        ([np.float32(1), np.float32(2)], "float32", [1.0, 2.0]),
        ([np.float64(1)], "float64", [1.0]),
        ([np.int32(1)], "int32", [1]),
        ([np.bool_(True)], "bool", [True]),
        ([np.array(3.0, dtype=np.float32)], "float32", [3.0]),
    ],
)
def test_numbers(batch, dtype, values):
    assert plain(default_collate(batch)) == ("tensor", dtype, (len(batch),), values)


@pytest.mark.parametrize("batch", [["a", "b"], [b"a", b"b"], ("a", "b")])
def test_strings_stay(batch):
    assert default_collate(batch) is batch


def test_arrays_and_tensors_are_stacked():
    arrays = default_collate([np.zeros(2), np.ones(2)])
    assert plain(arrays) == ("tensor", "float64", (2, 2), [[0.0, 0.0], [1.0, 1.0]])
    mixed = default_collate([np.zeros(2), np.ones(2, dtype=np.float32)])
    assert mixed.dtype == tenfold.float64
    fortran = default_collate([np.asfortranarray(np.arange(6.0).reshape(2, 3))] * 2)
    assert fortran.stride() == (6, 3, 1)
    tensors = default_collate([tenfold.zeros(2), tenfold.ones(2)])
    assert plain(tensors) == ("tensor", "float32", (2, 2), [[0.0, 0.0], [1.0, 1.0]])


def test_the_batch_of_an_array_is_a_copy():
    array = np.zeros(2)
    batch = default_collate([array])
    array[0] = 5
    assert batch.tolist() == [[0.0, 0.0]]


def test_sequences():
    ones, twos = [tenfold.tensor([1, 3]), tenfold.tensor([2, 4])]
    expected = [plain(ones), plain(twos)]
    for batch in ([[1, 2], [3, 4]], [(1, 2), (3, 4)], [range(1, 3), range(3, 5)], [Row(1, 2), Row(3, 4)]):
        assert plain(default_collate(batch)) == expected
    assert type(default_collate([(1, 2), (3, 4)])) is list
    assert type(default_collate([Row(1, 2), Row(3, 4)])) is Row
    assert type(default_collate([collections.deque([1])])) is collections.deque
    pair = default_collate([Pair(1, 2), Pair(3, 4)])
    assert type(pair) is Pair
    assert plain(pair) == expected


def test_mappings():
    assert plain(default_collate([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])) == {
        "a": ("tensor", "int64", (2,), [1, 2]),
        "b": ["x", "y"],
    }
    factory = default_collate([collections.defaultdict(list, a=1)])
    assert factory.default_factory is list
    assert type(default_collate([types.MappingProxyType({"a": 1})])) is types.MappingProxyType
    with pytest.raises(KeyError):
        default_collate([{"a": 1}, {"b": 1}])


@pytest.mark.parametrize("sample", [None, 1j, {1, 2}, object(), np.array(["a"]), np.array([None])])
def test_other_types_are_refused(sample):
    with pytest.raises(TypeError, match="default_collate"):
        default_collate([sample])


def test_unequal_sizes_are_refused():
    with pytest.raises(RuntimeError, match=r"\[1, 2\]"):
        default_collate([[1, 2], [3]])
    with pytest.raises(RuntimeError, match="stack"):
        default_collate([tenfold.zeros(2), tenfold.zeros(3)])


def test_own_types_by_the_map():
    def total(batch, *, collate_fn_map=None):
        return sum(batch)

    assert collate([{"a": 1}, {"a": 2}], collate_fn_map={int: total}) == {"a": 3}
    assert collate([True, True], collate_fn_map={int: total}) == 2


def test_convert():
    text = np.array("abc")
    converted = default_convert([1, 2.5, "a", None, np.zeros(2), np.float32(1), text, b"x", {"k": np.ones(1)}])
    assert plain(converted[4]) == ("tensor", "float64", (2,), [0.0, 0.0])
    assert plain(converted[5]) == ("tensor", "float32", (), 1.0)
    assert converted[6] is text
    assert plain(converted[8]) == {"k": ("tensor", "float64", (1,), [1.0])}
    assert converted[:4] == [1, 2.5, "a", None]
    assert type(default_convert((1, 2))) is list
    assert type(default_convert(Pair(1, 2))) is Pair
    assert type(default_convert(Row(1, 2))) is Row
