"""Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict."""

from collections import OrderedDict

import pytest

import tenfold as torch
from tenfold import nn


def test_sequential():
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    row = nn.Sequential(a, b)
    assert (len(row), row[0], row[-1], list(row)) == (2, a, b, [a, b])
    assert row(torch.tensor([-1.0])).item() == 0
    assert row.append(c) is row
    assert row[1:].__class__ is nn.Sequential
    assert list(row[1:]) == [b, c]
    assert row.pop(0) is a
    assert list(row._modules) == ["0", "1"]
    row.insert(1, a)
    assert list(row) == [b, a, c]
    row[1] = nn.Identity()
    assert repr(row[1]) == "Identity()"
    del row[0:2]
    assert list(row) == [c]
    assert row[0] is vars(row)["0"]
    assert not hasattr(row, "1")
    assert len(row * 3) == 3
    row *= 2
    assert len(row) == 2
    assert len(row + nn.Sequential(a)) == 3
    named = nn.Sequential(OrderedDict(first=a, second=b))
    assert named.second is b
    assert repr(named) == "Sequential(\n  (first): ReLU()\n  (second): Tanh()\n)"


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda s: s[1], IndexError, "index 1 is out of range"),
        (lambda s: s["0"], TypeError, "cannot be interpreted as an integer"),
        (lambda s: s + 3, ValueError, "only objects of Sequential class"),
        (lambda s: s * 0, ValueError, "Non-positive multiplication factor"),
        (lambda s: s * 1.5, TypeError, "unsupported operand"),
        (lambda s: s.insert(3, nn.ReLU()), IndexError, "Index out of range"),
        (lambda s: s.append(3), TypeError, "is not a Module subclass"),
    ],
)
def test_misuse_of_sequential(act, error, message):
    with pytest.raises(error, match=message):
        act(nn.Sequential(nn.ReLU()))


def test_module_list():
    rows = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    rows.append(nn.ReLU())
    assert repr(rows) == (
        "ModuleList(\n  (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)\n  (3): ReLU()\n)"
    )
    first = rows[0]
    rows.insert(0, nn.Tanh())
    assert rows[1] is first
    assert rows.pop(1) is first
    assert [type(m).__name__ for m in rows[::2]] == ["Tanh", "Linear"]
    rows += [nn.ReLU()]
    assert len(rows) == 5
    assert len(rows + rows) == 10
    assert repr(nn.ModuleList()) == "ModuleList()"
    with pytest.raises(IndexError, match="index 7 is out of range"):
        rows[7]
    with pytest.raises(TypeError, match="should be called with an iterable"):
        rows.extend(nn.ReLU())
    with pytest.raises(NotImplementedError):
        rows(1)


def test_module_dict():
    table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    table["c"] = nn.Sigmoid()
    assert (list(table), len(table), "a" in table) == (["a", "b", "c"], 3, True)
    assert isinstance(table.pop("a"), nn.ReLU)
    table.update([["d", nn.ReLU()]])
    assert list(table.keys()) == ["b", "c", "d"]
    assert table.d is table["d"]
    del table["d"]
    assert not hasattr(table, "d")
    table.clear()
    assert repr(table) == "ModuleDict()"
    for wrong, error in ((3, TypeError), ([1], TypeError), ([(1, 2, 3)], ValueError), ([("q", 3)], TypeError)):
        with pytest.raises(error):
            table.update(wrong)
    with pytest.raises(KeyError, match="already exists"):
        table["keys"] = nn.ReLU()


def test_parameter_list():
    row = nn.ParameterList([torch.ones(2), nn.Parameter(torch.ones(2, 2)), 3])
    assert isinstance(row[0], nn.Parameter)
    assert list(row.state_dict()) == ["0", "1"]
    assert repr(row) == (
        "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2]\n"
        "    (1): Parameter containing: [torch.float32 of size 2x2]\n    (2): Object of type: int\n)"
    )
    row.append("x").extend([4])
    assert (len(row), row[-1], row[3:][0]) == (5, 4, "x")
    row[0] = torch.zeros(3)
    assert row[0].shape == (3,)
    with pytest.raises(IndexError):
        row[9]
    with pytest.raises(RuntimeError, match="should not be called"):
        row()


def test_parameter_dict():
    table = nn.ParameterDict({"b": torch.ones(2), "a": 3})
    assert list(table) == ["a", "b"]
    assert isinstance(table["b"], nn.Parameter)
    assert repr(table) == (
        "ParameterDict(\n    (a): Object of type: int\n    (b): Parameter containing: [torch.FloatTensor of size 2]\n)"
    )
    table["c"] = torch.zeros(1)
    assert [n for n, _ in table.named_parameters()] == ["b", "c"]
    assert table.popitem()[0] == "c"
    assert not hasattr(table, "c")
    assert table.setdefault("d", 5) == 5
    assert table.get("e", 7) == 7
    assert list(reversed(table)) == ["d", "b", "a"]
    assert list(table | {"z": torch.ones(1)}) == ["a", "b", "d", "z"]
    assert list(table.copy().items())[0] == ("a", 3)
    assert table.pop("d") == 5
    assert list(table.fromkeys(["x", "y"], torch.ones(1)).keys()) == ["x", "y"]
    with pytest.raises(KeyError):
        del table["nothing"]
    with pytest.raises(TypeError, match="not a string"):
        table[3]
    table.clear()
    assert len(table) == 0
