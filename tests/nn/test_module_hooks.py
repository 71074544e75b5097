"""Hooks around forward and backward, of one module and of all, and those that see registrations."""

import copy

import pytest

import tenfold as torch
from tenfold import nn
from tenfold.nn.modules import module as all_modules


class Double(nn.Module):
    def forward(self, x, factor=2):
        return x * factor


def test_forward_hooks_in_order_and_with_replacement():
    double = Double()
    calls = []
    double.register_forward_pre_hook(lambda m, args: calls.append("pre") or (args[0] + 1,))
    double.register_forward_pre_hook(lambda m, args: calls.append("first") or args[0], prepend=True)
    double.register_forward_hook(lambda m, args, out: calls.append("after") or out * 10)
    assert double(torch.ones(1)).item() == 40
    assert calls == ["first", "pre", "after"]


def test_hooks_with_keyword_arguments():
    double = Double()
    double.register_forward_pre_hook(lambda m, args, kwargs: (args, {"factor": 5}), with_kwargs=True)
    seen = []
    double.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True)
    assert double(torch.ones(1), factor=3).item() == 5
    assert seen == [{"factor": 5}]


def test_a_pre_hook_that_returns_something_else():
    double = Double()
    double.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple"):
        double(torch.ones(1))


def test_removing_hooks_gives_the_plain_call_back():
    double = Double()
    handle = double.register_forward_hook(lambda m, args, out: out + 1)
    assert double._looks_for_hooks
    with handle:
        assert double(torch.ones(1)).item() == 3
    assert not double._looks_for_hooks
    assert double(torch.ones(1)).item() == 2
    double.register_forward_hook(lambda m, args, out: out + 1)
    double._forward_hooks.clear()
    assert not double._looks_for_hooks


def test_hooks_written_into_the_table_count():
    double = Double()
    double._forward_hooks["mine"] = lambda m, args, out: out + 1
    assert double(torch.ones(1)).item() == 3


def test_always_called_hooks_run_after_an_exception():
    double = Double()
    seen = []
    double.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(TypeError):
        double(torch.ones(1), wrong=1)
    assert seen == [None]
    double(torch.ones(1))
    assert len(seen) == 2


def test_hooks_of_a_copy():
    double = Double()
    handle = double.register_forward_hook(lambda m, args, out: out + 1)
    twin = copy.deepcopy(double)
    handle.remove()
    assert double(torch.ones(1)).item() == 2
    assert twin(torch.ones(1)).item() == 3


def test_global_hooks():
    seen = []
    handles = [
        all_modules.register_module_forward_pre_hook(lambda m, args: seen.append("before")),
        all_modules.register_module_forward_hook(lambda m, args, out: seen.append("after")),
    ]
    try:
        Double()(torch.ones(1))
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["before", "after"]
    Double()(torch.ones(1))
    assert seen == ["before", "after"]
    assert not nn.Module._looks_for_hooks


def test_full_backward_hooks_see_and_replace_gradients():
    double = Double()
    seen = []
    double.register_full_backward_pre_hook(lambda m, out: seen.append(out[0].item()) or (out[0] * 3,))
    double.register_full_backward_hook(lambda m, into, out: seen.append((into[0].item(), out[0].item())))
    double.register_full_backward_hook(lambda m, into, out: (into[0] * 10,))
    x = torch.ones(1, requires_grad=True)
    result = double(x)
    assert type(result.grad_fn).__name__ == "BackwardHookFunctionBackward"
    result.backward()
    assert seen == [1.0, (6.0, 3.0)]
    assert x.grad.item() == 60


def test_full_backward_hooks_of_several_arguments_and_results():
    class Both(nn.Module):
        def forward(self, a, note, b):
            return a * 2, note, b * 3

    both = Both()
    seen = []
    both.register_full_backward_hook(lambda m, into, out: seen.append((into, out)))
    a = torch.ones(1, requires_grad=True)
    b = torch.ones(1, requires_grad=True)
    first, note, second = both(a, "text", b)
    assert note == "text"
    (first + second).backward()
    into, out = seen[0]
    assert into[1] is None
    assert [g.item() for g in (into[0], into[2])] == [2, 3]
    assert out[1] is None
    assert len(out) == 3


def test_a_wrong_number_of_gradients():
    double = Double()
    double.register_full_backward_hook(lambda m, into, out: (into[0], into[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        double(torch.ones(1, requires_grad=True)).backward()


def test_full_backward_hook_without_gradients_of_arguments():
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_full_backward_hook(lambda m, into, out: seen.append((into, out[0].item())))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        layer(torch.ones(2)).sum().backward()
    assert seen == [((None,), 1.0)]
    assert layer.weight.grad is not None


def test_the_two_kinds_of_backward_hooks_do_not_mix():
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        layer.register_backward_hook(lambda *a: None)


def test_registration_hooks():
    seen = []
    handles = [
        all_modules.register_module_parameter_registration_hook(lambda m, name, p: seen.append(name)),
        all_modules.register_module_buffer_registration_hook(lambda m, name, b: seen.append(name)),
        all_modules.register_module_module_registration_hook(lambda m, name, s: seen.append(name)),
    ]
    try:
        net = nn.Sequential(nn.Linear(1, 1))
        net.register_buffer("state", torch.ones(1))
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["weight", "bias", "0", "state"]
