"""Module: attributes, tables, names, conversions, text, copies."""

import copy
import gc
import pickle
import weakref

import pytest

import tenfold as torch
from tenfold import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("seen", torch.zeros(1), persistent=False)
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.second(self.first(x)) * self.gain * self.scale


NAMES = ["gain", "first.weight", "first.bias", "second.1.weight", "second.1.bias"]


def test_registered_parts_are_plain_attributes_and_in_the_tables():
    net = Net()
    assert vars(net)["first"] is net._modules["first"]
    assert vars(net.first)["weight"] is net.first._parameters["weight"]
    assert vars(net)["scale"] is net._buffers["scale"]


def test_a_write_to_a_table_is_a_write_to_the_attribute():
    layer = nn.Linear(2, 2)
    other = nn.Parameter(torch.zeros(2, 2))
    layer._parameters["weight"] = other
    assert layer.weight is other
    del layer._parameters["weight"]
    assert not hasattr(layer, "weight")
    layer._parameters.update(weight=other)
    assert layer.weight is other
    assert layer._parameters.pop("weight") is other
    assert not hasattr(layer, "weight")
    layer._parameters["weight"] = other
    layer._parameters.clear()
    assert not hasattr(layer, "weight")
    assert not hasattr(layer, "bias")


def test_a_table_that_is_assigned_whole_takes_the_place_of_the_old_one():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    layer._parameters = {"weight": weight}
    assert layer.weight is weight
    assert not hasattr(layer, "bias")
    assert [n for n, _ in layer.named_parameters()] == ["weight"]


def test_assignment_moves_a_name_between_the_tables():
    layer = nn.Module()
    layer.x = 3
    layer.x = nn.Parameter(torch.ones(1))
    assert "x" in layer._parameters
    layer.x = None
    assert layer._parameters == {"x": None}
    del layer.x
    layer.x = nn.ReLU()
    assert list(layer._modules) == ["x"]
    layer.x = nn.Parameter(torch.ones(1))
    assert not layer._modules
    del layer.x
    layer.x = nn.Buffer(torch.ones(1))
    assert list(layer._buffers) == ["x"]
    assert not layer._parameters
    layer.x = torch.zeros(2)
    assert layer._buffers["x"].shape == (2,)
    assert layer.x is layer._buffers["x"]


def test_a_plain_tensor_is_a_plain_attribute():
    layer = nn.Module()
    layer.x = torch.ones(1)
    assert not layer._parameters
    assert not layer._buffers


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda m: setattr(m, "weight", torch.ones(2)), TypeError, "cannot assign .* as parameter 'weight'"),
        (lambda m: setattr(m, "weight", 5), TypeError, "cannot assign 'int' as parameter 'weight'"),
        (lambda m: m.missing, AttributeError, "'Linear' object has no attribute 'missing'"),
        (lambda m: delattr(m, "missing"), AttributeError, "missing"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "name can.*t contain"),
        (lambda m: m.register_parameter("", None), KeyError, "name can.*t be empty string"),
        (lambda m: m.register_parameter("in_features", None), KeyError, "already exists"),
        (lambda m: m.register_parameter(3, None), TypeError, "should be a string. Got int"),
        (lambda m: m.register_parameter("z", torch.ones(1)), TypeError, "object to parameter 'z'"),
        (lambda m: m.register_parameter("z", nn.Parameter(torch.ones(1)) * 2), TypeError, "object to parameter 'z'"),
        (lambda m: m.register_buffer("z", 3), TypeError, "object to buffer 'z'"),
        (lambda m: m.register_buffer("weight", None), KeyError, "already exists"),
        (lambda m: m.add_module("z", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.add_module("weight", m), KeyError, "already exists"),
        (lambda m: m.to(torch.int32), TypeError, "only accepts floating point or complex dtypes"),
        (lambda m: m.to("cpu", "cpu"), TypeError, "invalid combination of arguments"),
        (lambda m: m.train("yes"), ValueError, "training mode is expected to be boolean"),
        (lambda m: m.get_submodule("x.y"), AttributeError, "Linear has no attribute `x`"),
        (lambda m: m.get_submodule("weight"), AttributeError, "is not an nn.Module"),
        (lambda m: m.get_parameter("in_features"), AttributeError, "is not an nn.Parameter"),
        (lambda m: m.get_buffer("weight"), AttributeError, "is not a buffer"),
        (lambda m: m.set_submodule("", m), ValueError, "without a target name"),
        (lambda m: m.set_submodule("z", nn.ReLU(), strict=True), AttributeError, "has no attribute `z`"),
        (lambda m: nn.Module()(1), NotImplementedError, 'missing the required "forward"'),
        (lambda m: nn.Module(1), TypeError, "takes 1 positional argument but 2 were given"),
        (lambda m: nn.Module(a=1), TypeError, "unexpected keyword argument 'a'"),
    ],
)
def test_misuse(act, error, message):
    with pytest.raises(error, match=message):
        act(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: nn.ReLU(), "cannot assign module before"),
        (lambda: nn.Parameter(torch.ones(1)), "cannot assign parameters before"),
        (lambda: nn.Buffer(torch.ones(1)), "cannot assign buffer before"),
    ],
)
def test_parts_cannot_be_assigned_before_init(value, message):
    class Early(nn.Module):
        def __init__(self):
            self.part = value()

    with pytest.raises(AttributeError, match=message):
        Early()


def test_names_and_order():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert [n for n, _ in net.named_parameters(prefix="m", recurse=False)] == ["m.gain"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "second", "second.0", "second.1"]
    assert [n for n, _ in net.named_buffers()] == ["scale", "seen"]
    assert [n for n, _ in net.named_children()] == ["first", "second"]
    assert list(net.children()) == [net.first, net.second]
    assert net.get_submodule("second.1") is net.second[1]
    assert net.get_parameter("second.1.bias") is net.second[1].bias
    net.set_submodule("second.0", nn.Tanh())
    assert isinstance(net.second[0], nn.Tanh)


def test_a_shared_part_is_listed_once():
    a = nn.Linear(2, 2)
    net = nn.Sequential(a, a)
    assert len(list(net.parameters())) == 2
    assert [n for n, _ in net.named_modules()] == ["", "0"]
    assert [n for n, _ in net.named_modules(remove_duplicate=False)] == ["", "0", "1"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4


def test_the_list_of_parameters_follows_every_change():
    net = Net()
    assert len(list(net.parameters())) == 5
    net.second.append(nn.Linear(2, 2))
    assert len(list(net.parameters())) == 7
    net.first._parameters["bias"] = None
    assert len(list(net.parameters())) == 6
    old = net.first.weight
    net.first.weight = nn.Parameter(torch.zeros(4, 3))
    assert all(p is not old for p in net.parameters())
    del net.second[2]
    assert [n for n, _ in net.named_parameters()] == [n for n in NAMES if n != "first.bias"]
    assert len(list(net.parameters())) == 4


def test_parameters_obeys_a_class_that_walks_its_own_way():
    class Half(Net):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            yield from list(super().named_parameters(prefix, recurse, remove_duplicate))[:2]

    assert len(list(Half().parameters())) == 2


def test_modes_and_apply():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    seen = []
    assert net.apply(seen.append) is net
    assert seen == [net.first, net.second[0], net.second[1], net.second, net]
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad():
    net = Net()
    net(torch.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad.abs().sum().item() == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_conversion_keeps_the_parameters_objects():
    net = Net()
    before = list(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert [id(p) for p in net.parameters()] == [id(p) for p in before]
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    assert net.gain.grad.dtype == torch.float64
    assert net.scale.dtype == torch.float64
    assert net.scale is vars(net)["scale"]
    assert net.to(torch.ones(1)).gain.dtype == torch.float32
    assert net.half().gain.dtype == torch.float16
    assert net.to(dtype=torch.bfloat16).gain.dtype == torch.bfloat16
    assert net.float().gain.dtype == torch.float32


def test_integer_buffers_stay_integers():
    norm = nn.BatchNorm1d(2).double()
    assert norm.num_batches_tracked.dtype == torch.int64
    assert norm.running_mean.dtype == torch.float64


def test_text():
    class Bare(nn.Module):
        def extra_repr(self):
            return "a=1\nb=2"

    bare = Bare()
    assert repr(bare) == "Bare(\n  a=1\n  b=2\n)"
    bare.part = nn.ReLU()
    bare.none = nn.ReLU()
    bare.none = None
    assert repr(bare) == "Bare(\n  a=1\n  b=2\n  (part): ReLU()\n  (none): None\n)"
    assert repr(nn.Module()) == "Module()"
    assert "weight" in dir(nn.Linear(1, 1))
    assert "0" not in dir(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize("make", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_stand_on_their_own(make):
    net = Net()
    net.tied = net.first.weight
    twin = make(net)
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert twin.tied is twin.first.weight
    assert twin.first.weight is not net.first.weight
    assert torch.equal(twin.first.weight, net.first.weight)
    twin.first.weight = nn.Parameter(torch.zeros(4, 3))
    assert vars(twin.first)["weight"] is twin.first._parameters["weight"]
    assert not torch.equal(twin.first.weight, net.first.weight)
    assert twin._non_persistent_buffers_set == {"seen"}


def test_a_shallow_copy_shares_the_parts():
    layer = nn.Linear(2, 2)
    twin = copy.copy(layer)
    assert twin.weight is layer.weight
    assert twin._parameters == layer._parameters


def test_a_saved_module_holds_each_part_once():
    state = nn.Linear(2, 2).__getstate__()
    assert "weight" not in state
    assert type(state["_parameters"]) is dict
    assert list(state["_parameters"]) == ["weight", "bias"]


def test_a_class_with_its_own_setstate_still_finds_its_parts():
    class Old(nn.Linear):
        def __setstate__(self, state):
            self.__dict__.update(state)

    twin = copy.deepcopy(Old(2, 2))
    assert twin.weight.shape == (2, 2)
    twin.weight = nn.Parameter(torch.zeros(2, 2))
    assert twin.weight is twin._parameters["weight"]
    assert len(list(twin.parameters())) == 2


def test_a_copied_dict_writes_to_the_new_module():
    layer = nn.Linear(2, 2)
    twin = nn.Linear.__new__(nn.Linear)
    twin.__dict__.update(layer.__dict__)
    weight = layer.weight
    twin.weight = nn.Parameter(torch.zeros(2, 2))
    assert layer.weight is weight
    assert twin.weight is not weight


def test_a_module_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        gone = weakref.ref(nn.Linear(2, 2))
        assert gone() is None
    finally:
        gc.enable()


def test_getattr_of_a_subclass_sees_only_what_is_not_there():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.inner, name)

    wrapper = Wrapper(nn.Linear(2, 3))
    assert wrapper.out_features == 3
    assert wrapper.inner.weight is wrapper.weight
    with pytest.raises(AttributeError):
        _ = wrapper.nothing


def test_the_second_path_to_a_class():
    from tenfold.nn.modules.activation import MultiheadAttention
    from tenfold.nn.modules.linear import Linear
    from tenfold.nn.modules.module import Module

    assert (Linear, Module, MultiheadAttention) == (nn.Linear, nn.Module, nn.MultiheadAttention)
    assert nn.Linear.__module__ == "tenfold.nn.modules.linear"
