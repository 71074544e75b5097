"""Runs a random program on a module, and writes down the statements that it came to."""

import contextlib
from dataclasses import dataclass, field

import numpy as np

from . import exactness

DTYPES = ("float32", "float64", "int64", "float32", "int32", "bool", "float64", "uint8", "float16", "bfloat16", "int8")
FLOATS = ("float64", "float32", "float16", "bfloat16")
MAX_ELEMENTS = 256
# Where PyTorch's message says one of these, the step is not compared: it refuses the write for reasons of its own
# implementation (a framework in which recorded values never change need not), or has met a fault of its own.
RELAXED = (
    "modified by an inplace operation",
    "a leaf Variable that requires grad",
    "single memory location",
    "is a view and is being modified inplace",
    "returns multiple views",
    "A view was created in no_grad mode",
    "INTERNAL ASSERT",
    "Autograd not support dtype",
)


class Skip(Exception):
    """The step has nothing to act on here."""


class Failed(Exception):
    """The module raised; `__cause__` says what."""


@dataclass
class Root:
    """What is known of one storage's values; all views of it share it."""

    grid: exactness.Grid
    is_leaf: bool = False
    several_views: bool = False


@dataclass
class Value:
    name: str
    tensor: object
    root: Root
    is_detached: bool = False

    @property
    def shape(self):
        return tuple(self.tensor.shape)

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def numel(self):
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self):
        return str(self.tensor.dtype).rpartition(".")[2]

    @property
    def is_float(self):
        return self.dtype in FLOATS

    @property
    def grid(self):
        return self.root.grid

    @property
    def exact(self):
        return self.root.grid.exact

    @property
    def needs_grad(self):
        return self.tensor.requires_grad

    def overlaps_itself(self):
        """Whether two elements may share one place in memory."""
        reach = 0
        for stride, size in sorted((s, n) for s, n in zip(self.tensor.stride(), self.shape, strict=True) if n > 1):
            if stride <= reach:
                return True
            reach += stride * (size - 1)
        return False


@dataclass(frozen=True)
class Dtype:
    """An argument that names a dtype."""

    name: str


@dataclass
class Outcome:
    """What a program did.

    steps: for each step `skip`, `ok`, `relaxed`, an error's type, or a value that it read. metadata: name, dtype,
    shape, strides, offset and requires_grad of each result. names, values, bounds: of the tensors that were alive at
    the end, bounds being (bits of the magnitude, whether exact). gradients: of the leaves. lines: the statements."""

    steps: list = field(default_factory=list)
    metadata: list = field(default_factory=list)
    names: list = field(default_factory=list)
    values: list = field(default_factory=list)
    gradients: list = field(default_factory=list)
    bounds: list = field(default_factory=list)
    lines: list = field(default_factory=list)


class Executor:
    """The state of a running program: its live values, and the digits of the present step's number."""

    def __init__(self, mod):
        self.mod = mod
        self.values, self.leaves, self.outcome = [], [], Outcome()
        self.digits, self.read, self.made = 0, None, 0
        self.indent = ""

    # --- choosing ---

    def pick(self, n):
        """A choice among n, from the step's number."""
        self.digits, choice = divmod(self.digits, n)
        return choice

    def choose(self, options):
        options = list(options)
        if not options:
            raise Skip
        return options[self.pick(len(options))]

    def value(self, accept=lambda v: True):
        """One of the live values that are accepted, the newest being the first choice."""
        return self.choose(v for v in reversed(self.values) if accept(v))

    def dim(self, v, insert=False):
        """A dim of v, counted from either end."""
        n = v.ndim + insert
        if not n:
            raise Skip
        return self.pick(2 * n) - n

    # --- acting ---

    def call(self, name, *args, **kwargs):
        """mod.name(*args, **kwargs)"""
        text = f"torch.{name}({shown(args, kwargs)})"
        return self.act(text, lambda *a, **k: getattr(self.mod, name)(*a, **k), args, kwargs)

    def method(self, v, name, *args, **kwargs):
        """v.name(*args, **kwargs)"""
        text = f"{v.name}.{name}({shown(args, kwargs)})"
        return self.act(text, lambda *a, **k: getattr(v.tensor, name)(*a, **k), args, kwargs)

    def act(self, text, f, args=(), kwargs=None, assigns=True):
        """Runs f on the module's own objects, and writes the statement down."""
        name = f"t{self.made}"
        self.outcome.lines.append(f"{self.indent}{name} = {text}" if assigns else self.indent + text)
        try:
            return f(*self.own(args), **{k: self.own(v) for k, v in (kwargs or {}).items()})
        except Exception as error:
            self.outcome.lines[-1] += f"  # {type(error).__name__}"
            raise Failed from error

    def own(self, x):
        """x with values and dtypes replaced by the module's objects."""
        if isinstance(x, Value):
            return x.tensor
        if isinstance(x, Dtype):
            return getattr(self.mod, x.name)
        if isinstance(x, (list, tuple)):
            return type(x)(self.own(i) for i in x)
        if isinstance(x, slice):
            return slice(self.own(x.start), self.own(x.stop), self.own(x.step))
        return x

    @contextlib.contextmanager
    def without_grad(self, wanted):
        """`with torch.no_grad():` if wanted."""
        if not wanted:
            yield
            return
        self.outcome.lines.append("with torch.no_grad():")
        self.indent = "    "
        try:
            with self.mod.no_grad():
                yield
        finally:
            self.indent = ""

    # --- keeping results ---

    def keep(self, tensor, root, **changes):
        """A new live value; the oldest is dropped when there are many, so that histories end too."""
        kept = Value(f"t{self.made}", tensor, root, **changes)
        self.made += 1
        if kept.numel > MAX_ELEMENTS:
            return kept
        self.values.append(kept)
        self.note(kept)
        if len(self.values) > 14:
            dropped = self.values.pop(0)
            self.outcome.lines.append(f"del {dropped.name}")
        return kept

    def view(self, tensor, of, **changes):
        """A live value that shares `of`'s storage."""
        return self.keep(tensor, of.root, is_detached=of.is_detached, **changes)

    def fresh(self, tensor, grid):
        """A live value with a storage of its own."""
        kept = self.keep(tensor, Root(grid))
        kept.root.grid = grid.rounded_to(kept.dtype)
        return kept

    def note(self, v):
        """Writes a value's metadata down, which asks for no computation."""
        t = v.tensor
        strides = [s for s, n in zip(t.stride(), v.shape, strict=True) if n > 1] if v.numel else []
        self.outcome.metadata.append(
            [v.name, v.dtype, list(v.shape), strides, int(t.storage_offset()) if v.numel else 0, bool(t.requires_grad)]
        )


def shown(args, kwargs=None):
    """Arguments as a program would have them."""
    parts = [show(a) for a in args]
    return ", ".join(parts + [f"{k}={show(v)}" for k, v in (kwargs or {}).items()])


def show(x):
    if isinstance(x, Value):
        return x.name
    if isinstance(x, Dtype):
        return f"torch.{x.name}"
    if isinstance(x, list):
        return f"[{', '.join(map(show, x))}]"
    if isinstance(x, tuple):
        return f"({', '.join(map(show, x))}{',' if len(x) == 1 else ''})"
    if isinstance(x, slice):
        return f"slice({show(x.start)}, {show(x.stop)}, {show(x.step)})"
    return "..." if x is Ellipsis else repr(x)


def index_text(index):
    """An index as it stands between brackets."""
    parts = index if isinstance(index, tuple) else (index,)
    texts = []
    for p in parts:
        if isinstance(p, slice):
            numbers = ["" if x is None else str(x) for x in (p.start, p.stop, p.step)]
            texts.append(":".join(numbers[:2] if p.step is None else numbers))
        else:
            texts.append(show(p))
    if not texts:
        return "()"
    return ", ".join(texts) + ("," if isinstance(index, tuple) and len(parts) == 1 else "")


def array_of(mod, tensor):
    """A tensor's values as a NumPy array; the dtypes that NumPy lacks as float32."""
    tensor = tensor.detach()
    if str(tensor.dtype).endswith("bfloat16"):
        tensor = tensor.to(mod.float32)
    return np.array(tensor.numpy())


def run(program, mod, steps):
    """Runs the program on the module.

    Args:
        program: list of (step name, number).
        mod: a module with PyTorch's API.
        steps: name -> function of the executor.
    Returns: Outcome; its last two steps are the gradients of all that is alive, and reading everything.
    """
    ex = Executor(mod)
    for name, number in program:
        ex.outcome.steps.append(one_step(ex, steps[name], number))
    ex.outcome.steps.append(one_step(ex, final_backward, 0))
    ex.outcome.steps.append(one_step(ex, read_all, 0))
    return ex.outcome


def read_all(ex):
    """Takes the values of all that is alive, and the gradients of the leaves."""

    def values():
        for v in ex.values:
            ex.outcome.values.append(array_of(ex.mod, v.tensor))
            ex.outcome.names.append(v.name)
            ex.outcome.bounds.append([v.grid.high, v.exact])
        for leaf in ex.leaves:
            ex.outcome.gradients.append(None if leaf.tensor.grad is None else array_of(ex.mod, leaf.tensor.grad))

    ex.act(f"print({', '.join(v.name for v in ex.values)})", values, assigns=False)


def settled(program, mod, steps):
    """The program without the steps that PyTorch alone refuses (RELAXED), and what PyTorch does with it.

    A refused write may have been done in part, so the step is taken out and the rest is run anew. Where only the
    gradients at the end are refused, the last step but one says `relaxed`, and no gradient is compared."""
    while True:
        # PyTorch's gradients then read copies, which no write in place can spoil; its own
        # allow_mutation_on_saved_tensors overlooks writes through views that begin elsewhere
        with mod.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
            outcome = run(program, mod, steps)
        kept = [step for step, did in zip(program, outcome.steps, strict=False) if did != "relaxed"]
        if len(kept) == len(program):
            return program, outcome
        program = kept


def one_step(ex, step, number):
    ex.digits, ex.read = number, None
    try:
        step(ex)
    except Skip:
        return "skip"
    except Failed as failed:
        cause = failed.__cause__
        if any(text in str(cause) for text in RELAXED):
            return "relaxed"
        return type(cause).__name__
    return "ok" if ex.read is None else ["read", ex.read]


def cotangent(shape, salt):
    """Fixed small multiples of 1/4, so that a gradient tells a transposed or doubled one from the right one."""
    return np.random.default_rng(salt).integers(-6, 7, shape) / 4


def final_backward(ex):
    """The gradients of all live values that have one, weighed by cotangents."""
    outputs = [v for v in ex.values if v.needs_grad]
    if not outputs:
        raise Skip
    weights = [cotangent(v.shape, i) for i, v in enumerate(outputs)]
    names = ", ".join(v.name for v in outputs)
    text = f"torch.autograd.backward([{names}], [weight(t, i) for i, t in enumerate([{names}])])"
    own = [ex.mod.tensor(w, dtype=v.tensor.dtype) for w, v in zip(weights, outputs, strict=True)]
    ex.act(text, lambda: ex.mod.autograd.backward([v.tensor for v in outputs], own), assigns=False)
