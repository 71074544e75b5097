"""What is outside of the function: globals, closures, other functions, classes."""

import builtins

import pytest
from replaying import check, registering

import tenfold as torch
from tenfold import nn

FLAG = True
COMES = ()
SCALE = 2.0
TABLE = {"a": 1.0, "b": [1, 2]}
LIST = [1.0, 2.0]
F = nn.functional
PROGRAMS = []
program = registering(PROGRAMS)


@program
def a_changed_global(compile):
    global SCALE, FLAG

    @compile
    def f(x):
        return x * SCALE if FLAG else -x

    x = torch.arange(3.0)
    try:
        for SCALE in (2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 2.0, -0.0, 0.0):  # noqa: B007
            yield f(x)
        for FLAG in (True, False, False, False, True):  # noqa: B007
            yield f(x)
    finally:
        SCALE, FLAG = 2.0, True


@program
def the_kind_of_a_global_number(compile):
    global SCALE

    @compile
    def f(x):
        return x * SCALE, isinstance(SCALE, int)

    x = torch.arange(3)
    try:
        for SCALE in (1, 1, 1, 1.0, 1.0, 1.0, True, True, True, 1):  # noqa: B007
            yield f(x)
    finally:
        SCALE = 2.0


@program
def a_global_that_comes_and_goes(compile):
    @compile
    def f(x):
        return x + len(COMES) if x.ndim == 1 else x

    x = torch.arange(3.0)
    for value in ((1,), (1,), (1,), (1, 2), (1, 2)):
        globals()["COMES"] = value
        yield f(x)
    del globals()["COMES"]
    with pytest.raises(NameError):
        f(x)
    globals()["len"] = lambda x: 7  # hides the built-in one
    globals()["COMES"] = (1,)
    yield f(x)
    yield f(x)
    del globals()["len"], globals()["COMES"]
    yield f(torch.zeros(2, 2))


@program
def containers_outside(compile):
    @compile
    def f(x):
        y = x
        for v in LIST:
            y = y * v
        for v in TABLE["b"]:
            y = y + v
        return y + TABLE["a"]

    x = torch.arange(3.0)
    for change in (None, None, None, lambda: LIST.append(5.0), None, None, LIST.pop, None, lambda: LIST.reverse(), None, None,
                   lambda: TABLE.update(a=3.0), None, None, lambda: TABLE["b"].append(4), None, None,
                   lambda: TABLE["b"].__setitem__(0, 1.5), None):  # fmt: skip
        if change is not None:
            change()
        yield f(x)
    LIST[:] = [1.0, 2.0]
    TABLE.update(a=1.0, b=[1, 2])


@program
def closures(compile):
    k, parts = 1.0, [1.0]

    @compile
    def f(x):
        return x * k + sum(parts)

    x = torch.arange(3.0)
    for k in (1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0):  # noqa: B007
        yield f(x)
    parts.append(2.0)
    yield f(x)
    yield f(x)
    yield f(x)


@program
def other_closures_of_the_same_code(compile):
    def make(k):
        return compile(lambda x: x + k)

    fs = [make(k) for k in range(3)]
    for _ in range(3):
        for f in fs:
            yield f(torch.zeros(2))


@program
def replaced_functions(compile):
    def g(x):
        return x + 1

    class Box:
        h = staticmethod(g)

    @compile
    def f(x):
        return Box.h(g(x))

    x = torch.zeros(2)
    for _ in range(3):
        yield f(x)
    Box.h = staticmethod(lambda x: x * 10 + 1)
    for _ in range(3):
        yield f(x)

    def g(x):
        return x + 2

    for _ in range(3):
        yield f(x)
    g.__defaults__ = None
    g.__code__ = (lambda x: x + 5).__code__
    for _ in range(3):
        yield f(x)


@program
def defaults_and_keywords(compile):
    def f(x, k=2.0, *rest, sign=1, **more):
        return (x * k + len(rest)) * sign + sum(more.values())

    g = compile(f)
    x = torch.arange(2.0)
    for _ in range(3):
        yield g(x)
        yield g(x, 3.0)
        yield g(x, 3.0, 1, 2)
        yield g(x, sign=-1)
        yield g(x, sign=-1, a=4)
        yield g(x, sign=-1, b=4.5)
        yield g(k=1, x=x)
    f.__defaults__ = (5.0,)
    yield g(x)
    f.__kwdefaults__["sign"] = 3
    yield g(x)
    yield g(x)


@program
def attributes_of_functions_and_classes(compile):
    class Counter:
        n = 0

    def plain(x):
        plain.n += 1
        Counter.n += 2
        return x + plain.n * Counter.n

    @compile
    def f(x):
        return plain(x)

    @compile
    def g(x):
        return x * g.k

    @compile
    def h(x):
        return x * type(box).n + box.__class__.n

    plain.n, g.k, box = 0, 1.0, Counter()
    x = torch.ones(2)
    for _ in range(3):
        yield f(x), plain.n, Counter.n
    for _ in range(3):
        yield g(x)
    g.k = 2.0
    for _ in range(3):
        yield g(x)
    for _ in range(3):
        yield h(x)
    Counter.n = 100
    yield h(x)
    yield h(x)


@program
def changed_builtins(compile):
    @compile
    def f(x):
        return x * divmod(5, 3)[1]

    x = torch.ones(2)
    for _ in range(3):
        yield f(x)
    real = builtins.divmod
    builtins.divmod = lambda a, b: (7, 7)
    try:
        for _ in range(3):
            yield f(x)
    finally:
        builtins.divmod = real


@program
def seeds_of_generators(compile):
    g = torch.Generator().manual_seed(3)

    @compile
    def f(x):
        return x + torch.rand(2, generator=g) * g.initial_seed()

    @compile
    def again(x):
        g.manual_seed(1)
        return x + torch.rand(2, generator=g)

    for k in range(4):
        yield f(torch.zeros(2))
        yield again(torch.zeros(2))
        g.manual_seed(k)


@program
def keys_of_dicts(compile):
    @compile
    def f(batch):
        return sum(v * (1 if k is True else 2 if type(k) is int else 3) for k, v in batch.items())

    x = torch.ones(2)
    for _ in range(3):
        yield f({1: x})
        yield f({True: x})
        yield f({1.0: x})
        yield f({x: x})


@program
def borrowed_attributes(compile):
    class Box:
        def __init__(self):
            self.k = 1.0

    box = Box()

    @compile
    def f(x):
        return x * box.k

    x = torch.ones(2)
    for _ in range(3):
        yield f(x)
    box.__dict__ = {"k": 5.0}
    yield f(x)
    yield f(x)
    yield f(x)
    box.k = 7.0
    yield f(x)


@program
def slots_and_descriptors(compile):
    class Slots:
        __slots__ = ("k",)

    class Field:
        def __get__(self, obj, kind):
            return obj.table[0]

    class Holder:
        k = Field()

        def __init__(self):
            self.table = [1.0]

    slots, holder = Slots(), Holder()
    slots.k = 1.0

    @compile
    def f(x):
        return x * slots.k

    @compile
    def g(x):
        return x * holder.k

    x = torch.ones(2)
    for k in (1.0, 1.0, 1.0, 2.0, 2.0, 2.0):
        slots.k = holder.table[0] = k
        yield f(x)
        yield g(x)


@program
def a_lazy_module(compile):
    net = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    f = compile(net)
    for _ in range(4):
        yield f(torch.ones(2, 5))


@program
def a_patched_module_of_functions(compile):
    @compile
    def f(x):
        return F.relu(x) + torch.sin(x)

    x = torch.tensor([-1.0, 2.0])
    for _ in range(3):
        yield f(x)
    relu, F.relu = F.relu, lambda x: x * 100
    try:
        for _ in range(3):
            yield f(x)
    finally:
        F.relu = relu
    yield f(x)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_it_sees_the_same(program, deterministic):
    check(program)
