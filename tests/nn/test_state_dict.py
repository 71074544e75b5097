"""state_dict and load_state_dict: names, errors, versions, hooks, extra state."""

import copy

import pytest

import tenfold as torch
from tenfold import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("hidden", torch.ones(1), persistent=False)


KEYS = [
    "layer.weight",
    "layer.bias",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
]


def test_keys_metadata_and_sharing():
    net = Net()
    state = net.state_dict()
    assert list(state) == KEYS
    assert dict(state._metadata) == {"": {"version": 1}, "layer": {"version": 1}, "norm": {"version": 2}}
    assert not state["layer.weight"].requires_grad
    state["layer.weight"].fill_(7)
    assert net.layer.weight[0, 0].item() == 7
    assert net.state_dict(keep_vars=True)["layer.weight"] is net.layer.weight
    assert next(iter(net.state_dict(prefix="m."))) == "m.layer.weight"


def test_loading_copies_into_the_parameters():
    net, other = Net(), Net()
    weight = net.layer.weight
    assert repr(net.load_state_dict(other.state_dict())) == "<All keys matched successfully>"
    assert net.layer.weight is weight
    assert torch.equal(weight, other.layer.weight)
    other.layer.weight.data.fill_(3)
    assert weight[0, 0].item() != 3


def test_loading_by_assignment():
    net, other = Net(), Net()
    net.layer.weight.requires_grad_(False)
    net.load_state_dict(other.state_dict(), assign=True)
    assert isinstance(net.layer.weight, nn.Parameter)
    assert not net.layer.weight.requires_grad
    assert net.layer.bias.requires_grad
    other.layer.weight.data.fill_(3)
    assert net.layer.weight[0, 0].item() == 3


def test_strict_errors_list_everything():
    net = Net()
    state = net.state_dict()
    state["extra"] = torch.ones(1)
    state["layer.more"] = torch.ones(1)
    state["layer.weight"] = torch.ones(3, 3)
    state["layer.bias"] = 5
    del state["norm.weight"]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert text.startswith("Error(s) in loading state_dict for Net:\n\t")
    assert 'Missing key(s) in state_dict: "norm.weight". ' in text
    assert 'Unexpected key(s) in state_dict: "extra", "layer.more". ' in text
    assert "size mismatch for layer.weight: copying a param with shape torch.Size([3, 3]) from checkpoint" in text
    assert 'While copying the parameter named "layer.bias"' in text


def test_lenient_loading_reports_and_loads_the_rest():
    net = Net()
    found = net.load_state_dict({"layer.bias": torch.ones(3), "extra": torch.ones(1)}, strict=False)
    assert found.missing_keys == [key for key in KEYS if key not in ("layer.bias", "norm.num_batches_tracked")]
    assert found.unexpected_keys == ["extra"]
    assert net.layer.bias.tolist() == [1, 1, 1]


def test_not_a_mapping():
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like"):
        Net().load_state_dict(3)


def test_batch_norm_takes_files_from_before_it_counted_batches():
    net = Net()
    state = dict(net.state_dict())
    del state["norm.num_batches_tracked"]
    assert net.load_state_dict(state).missing_keys == []
    newer = net.state_dict()
    del newer["norm.num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        net.load_state_dict(newer)


def test_a_scalar_parameter_takes_a_value_of_shape_one():
    layer = nn.Module()
    layer.gain = nn.Parameter(torch.tensor(2.0))
    layer.load_state_dict({"gain": torch.tensor([5.0])})
    assert layer.gain.item() == 5


def test_hooks():
    net = Net()
    seen = []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append("before save"))
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update(note=torch.ones(1)))
    net._register_state_dict_hook(lambda m, state, prefix, meta: seen.append("after save"))
    net.register_load_state_dict_pre_hook(lambda m, state, *rest: state.pop("note"))
    net.layer.register_load_state_dict_post_hook(lambda m, keys: seen.append(type(m).__name__))
    state = net.state_dict()
    assert "note" in state
    net.load_state_dict(state)
    assert seen == ["before save", "after save", "Linear"]
    twin = copy.deepcopy(net)
    twin.load_state_dict(state)


def test_a_post_hook_must_not_return_another_dict():
    net = Net()
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: {})
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        net.state_dict()


def test_extra_state():
    class Counted(nn.Module):
        count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    counted, other = Counted(), Counted()
    other.count = 8
    assert list(other.state_dict()) == ["_extra_state"]
    counted.load_state_dict(other.state_dict())
    assert counted.count == 8
    with pytest.raises(RuntimeError, match=r'Missing key.*"_extra_state"'):
        counted.load_state_dict({})
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"_extra_state"'):
        nn.Module().load_state_dict({"_extra_state": 1})


def test_positional_arguments_are_an_old_form():
    with pytest.warns(FutureWarning, match="Positional args are being deprecated"):
        state = nn.Linear(1, 1).state_dict({}, "m.", True)
    assert list(state) == ["m.weight", "m.bias"]


def test_a_prefix_is_taken_off():
    from tenfold.nn.modules.utils import consume_prefix_in_state_dict_if_present

    state = Net().state_dict(prefix="module.")
    state._metadata["module"] = state._metadata.pop("module", {"version": 1})
    consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == KEYS
    Net().load_state_dict(state)
