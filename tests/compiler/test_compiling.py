"""`torch.compile`, `torch.compiler` and `torch.jit`: PyTorch's calls. What is replayed, and what not: test_replay.py."""

import copy
import pickle

import pytest

import tenfold as torch
from tenfold import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.calls = 0

    def forward(self, x, scale=1.0):
        self.calls += 1
        return self.layer(x) * scale

    def named(self):
        return "a method"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"fullgraph": True},
        {"dynamic": True},
        {"dynamic": False, "backend": "inductor"},
        {"backend": "eager"},
        {"mode": "reduce-overhead"},
        {"mode": "max-autotune", "fullgraph": True},
        {"options": {"trace.enabled": True}},
        {"disable": True},
    ],
)
def test_arguments_of_compile(arguments):
    def f(x):
        """Adds one."""
        return x + 1

    for g in (torch.compile(f, **arguments), torch.compile(**arguments)(f), torch.compiler.compile(f, **arguments)):
        assert (g is f) is arguments.get("disable", False)
        assert g.__name__ == "f" and g.__doc__ == "Adds one." and getattr(g, "__wrapped__", f) is f
        for k in range(3):
            assert g(torch.full((2,), float(k))).tolist() == [k + 1, k + 1]


def test_decorators():
    @torch.compile
    def f(x):
        return x * 2

    @torch.compile(mode="default", dynamic=True)
    def g(x):
        return x * 3

    x = torch.ones(2)
    assert f(x).tolist() == [2, 2] and g(x).tolist() == [3, 3]
    assert f.__name__ == "f"


def test_a_module_has_its_attributes():
    net = Net()
    compiled = torch.compile(net)
    x = torch.randn(4, 3)
    assert torch.equal(compiled(x, scale=2.0), net(x, scale=2.0))
    assert compiled._orig_mod is net
    assert compiled.layer is net.layer and compiled.named() == "a method"
    assert compiled.calls == 2
    compiled.calls = 0
    compiled.extra = 5
    assert net.calls == 0 and net.extra == 5
    del compiled.extra
    assert not hasattr(net, "extra")
    assert [id(p) for p in compiled.parameters()] == [id(p) for p in net.parameters()]
    assert repr(compiled) == "OptimizedModule(\n  (_orig_mod): " + repr(net).replace("\n", "\n  ") + "\n)"
    assert "named" in dir(compiled) and isinstance(compiled, nn.Module)
    with pytest.raises(AttributeError, match="nothing"):
        compiled.nothing


def test_state_dict_and_modes_are_pytorchs():
    net = Net()
    compiled = torch.compile(net)
    assert list(compiled.state_dict()) == ["_orig_mod.layer.weight", "_orig_mod.layer.bias"]
    other = torch.compile(Net())
    other.load_state_dict(compiled.state_dict())
    assert torch.equal(other.layer.weight, net.layer.weight)
    compiled.eval()
    assert not net.training and not net.layer.training and not compiled.training
    compiled.train()
    assert net.training


def test_a_compiled_module_trains():
    torch.manual_seed(0)
    net = torch.compile(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
    assert len(net) == 3 and isinstance(net[1], nn.ReLU) and len(list(net)) == 3
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.randn(8, 3)
    losses = []
    for _ in range(6):
        opt.zero_grad()
        loss = (net(x) - 1).pow(2).mean()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_hooks_copies_and_pickles():
    compiled = torch.compile(nn.Linear(2, 2))
    seen = []
    compiled.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    compiled(torch.ones(1, 2))
    assert seen == [(1, 2)]
    for again in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(torch.compile(compiled._orig_mod)))):
        assert torch.equal(again.weight, compiled.weight)
        assert again.weight is not compiled.weight


def test_a_module_that_is_disabled_is_itself():
    net = Net()
    assert torch.compile(net, disable=True) is net
    net.compile(mode="default")
    assert net(torch.ones(1, 3)).shape == (1, 2)


def test_what_does_not_exist_is_refused():
    def f(x):
        return x

    with pytest.raises(RuntimeError, match=r"Unrecognized mode=fast, should be one of: default"):
        torch.compile(f, mode="fast")
    with pytest.raises(RuntimeError, match=r"Invalid backend: 'nope'"):
        torch.compile(f, backend="nope")
    with pytest.raises(RuntimeError, match="Either mode or options"):
        torch.compile(f, mode="default", options={})
    with pytest.raises(NotImplementedError, match="FX graph"):
        torch.compile(f, backend=lambda graph, inputs: graph)
    with pytest.raises(AssertionError, match=r"callable function is expected.*int"):
        torch.compile(3)
    with pytest.raises(AssertionError, match="dynamic"):
        torch.compile(f, dynamic="yes")
    with pytest.raises(RuntimeError, match="Model can't be None"):
        torch.compile()(None)
    with pytest.raises(TypeError):
        torch.compile(f, nonsense=1)


def test_torch_compiler():
    c = torch.compiler

    def f(x):
        return x

    assert c.disable(f) is f and torch.compile(f) is f and c.disable(recursive=False)(f) is f
    assert c.allow_in_graph(f) is f and c.assume_constant_result(f) is f and c.nested_compile_region(f) is f
    assert not c.is_compiling() and not c.is_exporting() and not c.is_dynamo_compiling()
    assert c.list_backends() == ["cudagraphs", "inductor", "openxla", "tvm"]
    c.reset()
    c.cudagraph_mark_step_begin()
    with c.set_stance("force_eager"):
        assert f(1) == 1
    with pytest.raises(RuntimeError, match="faster"):
        c.set_stance("faster")
    c.set_default_backend("eager")
    assert c.get_default_backend() == "eager"
    c.set_default_backend(None)
    assert c.get_default_backend() == "inductor"
    for refused in (c.save_cache_artifacts, lambda: c.load_cache_artifacts(b"")):
        with pytest.raises(NotImplementedError, match="TENFOLD_CACHE"):
            refused()


def test_jit_returns_what_it_was_given():
    net = Net().eval()
    x = torch.ones(2, 3)

    @torch.jit.script
    def f(x):
        return x if x.sum() > 0 else -x

    assert f(-x).tolist() == x.tolist()
    assert torch.jit.script(net) is net
    assert torch.jit.trace(net, x) is net and torch.jit.trace(net, (x, 2.0)) is net
    assert torch.jit.trace(net, example_kwarg_inputs={"x": x}) is net
    assert net.calls == 3
    assert torch.jit.trace_module(net, {"forward": x}) is net
    assert torch.jit.freeze(net) is net and torch.jit.optimize_for_inference(net) is net
    assert torch.jit.wait(torch.jit.fork(f, x)).tolist() == x.tolist()
    assert not torch.jit.is_scripting() and not torch.jit.is_tracing()

    @torch.jit.ignore
    def g():
        return 1

    @torch.jit.ignore(drop=True)
    def h():
        return 2

    @torch.jit.unused
    def k():
        return 3

    assert (g(), h(), k(), torch.jit.annotate(int, 4)) == (1, 2, 3, 4)


def test_what_jit_lacks_is_named(tmp_path):
    with pytest.raises(NotImplementedError, match=r"jit\.save.*state_dict"):
        torch.jit.save(Net(), tmp_path / "x")
    with pytest.raises(NotImplementedError, match=r"jit\.load"):
        torch.jit.load(tmp_path / "x")
    with pytest.raises(AttributeError, match=r"jit\.ScriptModule"):
        torch.jit.ScriptModule
    with pytest.raises(TypeError, match="int"):
        torch.jit.script(3)
    with pytest.raises(RuntimeError, match="example_inputs"):
        torch.jit.trace(Net())
    with pytest.raises(RuntimeError, match="eval"):
        torch.jit.freeze(Net())


def test_dynamo():
    dynamo = torch._dynamo
    dynamo.config.suppress_errors = True
    dynamo.config.suppress_errors = False
    assert dynamo.OptimizedModule is torch.compiler.OptimizedModule and dynamo.reset is torch.compiler.reset
    assert issubclass(dynamo.exc.Unsupported, dynamo.exc.TorchDynamoException)
    assert issubclass(dynamo.exc.InvalidBackend, RuntimeError)

    def f(x):
        y = x + 1
        dynamo.graph_break()
        return y * 2

    g = dynamo.optimize("inductor")(f)
    x = torch.ones(2)
    dynamo.mark_dynamic(x, 0)
    for _ in range(3):
        assert g(x).tolist() == [4, 4]
    assert "graph_break, which is disabled" in g._compiled.reason
    with pytest.raises(dynamo.exc.Unsupported, match="graph_break"):
        dynamo.optimize(nopython=True)(f)(x)
