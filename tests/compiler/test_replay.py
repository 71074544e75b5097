"""What is replayed, and why not: reasons, limits, and what a compiled function holds."""

import cProfile
import gc
import math
import random
import re
import threading
import weakref

import pytest
from replaying import Config, Net, counts, noise, reason

import tenfold as torch
from tenfold import nn
from tenfold.compiler.errors import Unsupported

LIST = [1.0, 2.0]


def test_the_second_call_of_a_kind_is_recorded_and_replayed():
    calls = []
    seen_by = []

    def f(x):
        seen_by.append(len(calls))
        return x * 2

    g = torch.compile(f)
    for _ in range(3):
        g(torch.ones(2))
    assert len(seen_by) == 3 and counts(g) == (0, 3)  # it changes what it reads

    g = torch.compile(Net().eval())
    for n in (2, 2, 2, 3, 3, 2, 3):
        g(torch.ones(n, 3))
    assert counts(g) == (5, 2)
    g.train()
    for _ in range(4):
        g(torch.ones(2, 3))
    g.eval()
    g(torch.ones(2, 3))
    assert counts(g) == (9, 3) and reason(g) is None


def test_nothing_is_recorded_anew_by_training(deterministic):
    net = torch.compile(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
    opt = torch.optim.AdamW(net.parameters())
    x = torch.randn(4, 3)
    for k in range(30):
        if k == 10:
            nodes = torch.debug.stats()["nodes"]
        opt.zero_grad()
        net(x).square().mean().backward()
        opt.step()
    assert torch.debug.stats()["nodes"] == nodes
    assert counts(net) == (29, 1)


def prints(x):
    print(x.shape)
    return x


def reads(x):
    return x * x.sum().item()


def tries(x):
    try:
        return x + 1
    except RuntimeError:
        return x


def imports(x):
    import math

    return x * math.pi


def draws(x):
    return x * random.random()


def differentiates(x):
    return x.detach().requires_grad_()


def uses_a_module(x):
    m = math
    return x * m.pi


def seeds(x):
    torch.manual_seed(0)
    return x + torch.rand(2)


def makes_a_class(x):
    class A:
        pass

    return x + len(A.__name__)


def counts_up(x):
    LIST.append(1.0)
    return x


@torch.compiler.disable
def kept_out(x):
    return x


def calls_what_is_kept_out(x):
    return kept_out(x) + 1


REASONS = {
    prints: "it calls print",
    reads: r"the value of a tensor is asked for at .*test_replay.py:\d+",
    tries: "tries: it has a try statement",
    imports: "imports: it imports math",
    draws: "it calls random of a Random",
    differentiates: "mentions .requires_grad_",
    uses_a_module: "it uses the module math as a value",
    seeds: "it calls manual_seed",
    makes_a_class: "it makes a class",
    calls_what_is_kept_out: "kept_out, which is disabled for compiling",
}


@pytest.mark.parametrize("f", REASONS, ids=lambda f: f.__name__)
def test_reasons(f, capsys):
    g = torch.compile(f)
    for _ in range(3):
        g(torch.ones(2))
    assert counts(g)[0] == 0
    assert re.search(REASONS[f], reason(g)), reason(g)
    whole = torch.compile(f, fullgraph=True)
    with pytest.raises(Unsupported, match=REASONS[f]):
        for _ in range(2):
            whole(torch.ones(2))


def test_effects_in_branches_that_are_not_taken_do_no_harm():
    def f(x, loud):
        if loud:
            print(x)
            noise()
        return x * 2

    g = torch.compile(f, fullgraph=True)
    for _ in range(3):
        g(torch.ones(1), False)
    assert counts(g) == (2, 1)
    with pytest.raises(Unsupported, match="it calls print"):
        g(torch.ones(1), True)
    profile = cProfile.Profile()
    g = torch.compile(f)
    profile.enable()  # there can be one profiler: it cannot be told what is called
    for _ in range(3):
        g(torch.ones(1), False)
    profile.disable()
    assert counts(g) == (0, 3)


def test_side_effects_are_a_reason_but_no_error():
    g = torch.compile(counts_up, fullgraph=True)
    for _ in range(4):
        g(torch.ones(2))
    assert counts(g)[0] == 0 and "it changes what it reads: a list" in reason(g)
    LIST[:] = [1.0, 2.0]


def test_there_is_a_limit():
    g = torch.compile(lambda x, k: x * k, recompile_limit=3)
    for k in range(6):
        assert g(torch.ones(1), k).item() == k
    assert "more than 3 kinds of calls" in reason(g) and counts(g) == (0, 6)
    for _ in range(3):
        g(torch.ones(1), 2)  # is known
        g(torch.ones(1), 5)
    assert counts(g) == (3, 9)
    torch.compiler.reset()
    for _ in range(3):
        g(torch.ones(1), 5)
    assert counts(g) == (5, 10)
    for k in range(500):
        g(torch.ones(1), k / 2)
    g(torch.ones(1), 5)  # it is not looked for any longer
    assert counts(g) == (5, 511)


def test_what_keeps_changing_is_called_as_it_is():
    box = Config(1)
    g = torch.compile(lambda x: x * box.depth)
    for k in range(20):
        box.depth = k
        assert g(torch.ones(1)).item() == k
    assert "what it reads keeps changing: depth changed" in reason(g) and counts(g) == (0, 20)


def test_stances():
    g = torch.compile(lambda x: x + 1)
    x = torch.ones(2)
    g(x), g(x), g(x)
    assert counts(g) == (2, 1)
    with torch.compiler.set_stance("force_eager"):
        g(x)
    assert counts(g) == (2, 2)
    g(x)
    with torch.compiler.set_stance("eager_on_recompile"):
        g(x), g(x[:1]), g(x[:1])
    assert counts(g) == (4, 4)
    with torch.compiler.set_stance("fail_on_recompile"):
        g(x)
        with pytest.raises(RuntimeError, match="fail_on_recompile"):
            g(x[:1])

    @torch.compiler.set_stance("force_eager")
    def f():
        return g(x)

    before = counts(g)
    g(x)
    f()
    assert counts(g) == (before[0] + 1, before[1] + 1)


def test_backends_that_run_python_do():
    ran = []

    def f(x):
        ran.append(1)
        return x

    g = torch.compile(f, backend="eager")
    for _ in range(3):
        g(torch.ones(1))
    assert len(ran) == 3 and counts(g) == (0, 3)


def test_arguments_are_not_kept():
    g = torch.compile(lambda x, y: {"a": x * 2, "b": y})
    died = []
    for _ in range(4):
        x, y = torch.ones(2), torch.ones(3)
        for t in (x, y):
            weakref.finalize(t, died.append, 1)
        g(x, y)
    del x, y, t
    torch.ones(1).item()
    gc.collect()
    assert len(died) == 8


def test_a_function_and_what_it_holds_can_die():
    net = Net().eval()
    gone = weakref.ref(net)
    f = torch.compile(net)
    for _ in range(3):
        f(torch.ones(2, 3))
    del f, net
    torch.ones(1).item()
    gc.collect()
    assert gone() is None


def test_threads():
    net = torch.compile(Net().eval().requires_grad_(False))
    x = torch.randn(2, 3)
    want = net(x).tolist()
    got = []

    def work():
        for _ in range(20):
            got.append(net(x).tolist())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 60 and all(torch.allclose(torch.tensor(y), torch.tensor(want)) for y in got)
