"""Tensor's attributes and methods: those that are operations come from the declarations, the rest stands here."""

from __future__ import annotations

import weakref

import numpy as np

from ..autograd import reverse
from ..ir import dtypes
from ..ir.dtypes import decode
from ..ir.shapes import dim_index
from ..ir.special import BACKWARD_PART
from ..ops.declare import PUBLIC
from ..ops.devices import device_of
from ..ops.shape import channels_last_strides
from ..trace import walk as walking
from ..trace.bundle import Gradients, grad_of, release
from ..trace.flush import array_of, element, realise
from ..trace.handle import Storage, Tensor, is_leaf_handle, layout_of, placed, requires_grad, tls
from ..trace.walk import place
from . import printing


def attach(f, name: str | None = None):
    setattr(Tensor, name or f.__name__, f)
    return f


def attribute(f):
    """A read-only attribute of Tensor."""
    setattr(Tensor, f.__name__, property(f))
    return f


for _name, _f in PUBLIC["Tensor"].items():
    setattr(Tensor, _name, _f)


# --- what it is --------------------------------------------------------------------------------------------------------------


@attribute
def shape(self):
    """The size of each dim, as torch.Size."""
    v = self._val
    return v.lay.shape if v is not None else self._lay.shape


@attribute
def dtype(self):
    """The dtype of the elements."""
    return layout_of(self).dtype


@attribute
def device(self):
    """The device that it is on."""
    return device_of(layout_of(self).device)


@attribute
def ndim(self):
    """The number of dims."""
    return layout_of(self).ndim


@attribute
def itemsize(self):
    """Bytes of one element."""
    return layout_of(self).dtype.itemsize


@attribute
def nbytes(self):
    """Bytes of all elements."""
    return layout_of(self).nbytes


@attach
def size(self, dim=None):
    """The shape, or the size of one dim."""
    lay = layout_of(self)
    if dim is None:
        return lay.shape
    return lay.shape[_existing(dim, lay.ndim)]


def _existing(dim, n: int) -> int:
    if n == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return dim_index(dim, n)


@attach
def stride(self, dim=None):
    """The distance in elements between neighbours along each dim, or along one."""
    lay = layout_of(self)
    return lay.strides if dim is None else lay.strides[_existing(dim, lay.ndim)]


@attach
def dim(self) -> int:
    """The number of dims."""
    return layout_of(self).ndim


@attach
def numel(self) -> int:
    """The number of elements."""
    return layout_of(self).numel


@attach
def __len__(self) -> int:
    lay = layout_of(self)
    if not lay.ndim:
        raise TypeError("len() of a 0-d tensor")
    return lay.shape[0]


@attach
def storage_offset(self) -> int:
    """Where in the storage it begins, in elements."""
    return 0 if self._st is None else self._off


@attach
def __hash__(self) -> int:
    return id(self)


# --- values ------------------------------------------------------------------------------------------------------------------


def values(t: Tensor) -> np.ndarray:
    """The elements as NumPy computes with them (half types as float32)."""
    a = array_of(t)
    d = t._lay.dtype
    return decode(a, d) if d.half else a


@attach
def item(self):
    """The one element as a Python number; RuntimeError where there are more."""
    lay = layout_of(self)
    if lay.numel != 1:
        raise RuntimeError(
            f"a Tensor with {lay.numel} elements cannot be converted to Scalar: item() takes one element, this has shape {list(lay.shape)}"
        )
    return element(self)


@attach
def tolist(self):
    """The elements as nested lists of Python numbers."""
    return values(self).tolist()


@attach
def __bool__(self) -> bool:
    n = layout_of(self).numel
    if n == 0:
        raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
    if n > 1:
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous: use .any() or .all()")
    return bool(item(self))


@attach
def __repr__(self, *, tensor_contents=None) -> str:
    lay = layout_of(self)
    kind = "Parameter" if type(self).__name__ == "Parameter" else None
    if lay.device == "meta":
        return printing.format_tensor(
            None, lay.dtype.name, shape=lay.shape, device="meta", requires_grad=requires_grad(self),
            default_dtype_name=dtypes.get_default_dtype().name, is_parameter=kind is not None,
        )  # fmt: skip
    fn = self.grad_fn
    return printing.format_tensor(
        values(self), lay.dtype.name, default_dtype_name=dtypes.get_default_dtype().name, requires_grad=requires_grad(self),
        grad_fn_name=None if fn is None else fn.name(), is_parameter=kind is not None,
    )  # fmt: skip


@attach
def __format__(self, spec: str) -> str:
    """A plain 0-d tensor formats as its number, any other tensor as its text."""
    lay = layout_of(self)
    if lay.ndim == 0 and lay.device != "meta" and type(self) is Tensor:
        return format(item(self), spec)
    return object.__format__(self, spec)


@attach
def numpy(self, *, force: bool = False):
    """A NumPy array on the same memory; TypeError or RuntimeError where there can be none (force=True then copies)."""
    lay = layout_of(self)
    if not force:
        if requires_grad(self):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if lay.device == "meta":
        raise TypeError(
            "can't convert meta device type tensor to numpy: it has a shape only. Make it on 'cpu' to have values."
        )
    if lay.dtype is dtypes.bfloat16:
        if force:
            return values(self)
        raise TypeError("Got unsupported ScalarType BFloat16: NumPy has no bfloat16, convert with .float() first")
    place(self)
    array = array_of(self)
    self._st.exported = True
    return array


@attach
def __array__(self, dtype=None, copy=None):
    array = numpy(self)
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return np.array(array) if copy else array


# --- gradients -------------------------------------------------------------------------------------------------------------------


def _get_requires_grad(self) -> bool:
    """Whether gradients are recorded for it."""
    return requires_grad(self)


def _set_requires_grad(self, value: bool) -> None:
    requires_grad_(self, value)


Tensor.requires_grad = property(_get_requires_grad, _set_requires_grad)


@attach
def requires_grad_(self, requires_grad: bool = True):
    """Sets whether gradients are recorded for it, from here on; only floating-point leaves can be asked."""
    have = globals()["requires_grad"](self)
    if not self.is_leaf:
        if not requires_grad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        return self
    d = layout_of(self).dtype
    if requires_grad and not (d.is_floating_point or d.is_complex):
        raise RuntimeError(f"only Tensors of floating point dtype can require gradients, this one is {d}")
    if have == bool(requires_grad):
        return self
    place(self)
    if requires_grad:
        self._leaf = self
        self._det = False
        st = self._st
        v = st.val
        if st.hist is not None or (v is not None and v.rg):
            _own_leaf(self)
    else:
        self._leaf = None
        release(self)
    return self


def _own_leaf(t: Tensor) -> None:
    """A leaf on a storage whose value has a history (a detached tensor): the handle keeps it out."""
    t._det = False


@attribute
def is_leaf(self) -> bool:
    """Whether it was made by the user, not by a recorded operation."""
    return not requires_grad(self) or is_leaf_handle(self)


def _get_grad(self):
    """The gradient that backward left, or None."""
    if tls.walk.arriving is not None:
        tls.walk.arriving()
    g = getattr(self, "_grad", None)
    return grad_of(self) if type(g) is Gradients else g


def _set_grad(self, g) -> None:
    if tls.walk.arriving is not None:
        tls.walk.arriving()
    if g is not None:
        if not isinstance(g, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(g).__name__}")
        if g is self:
            raise RuntimeError("can't assign Variable as its own grad")
        a, b = layout_of(self), layout_of(g)
        if a.shape != b.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: {list(b.shape)} for a tensor of shape {list(a.shape)}"
            )
        if a.dtype is not b.dtype:
            raise RuntimeError(f"assigned grad has data of a different type: {b.dtype} for a tensor of {a.dtype}")
    old = getattr(self, "_grad", None)
    if type(old) is Gradients:
        if g is None:
            old.drop(self)
            return
        old.release()
    self._grad = g


Tensor.grad = property(_get_grad, _set_grad, lambda self: _set_grad(self, None))


@attach
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds to `.grad` of the leaves that it was computed from its gradient with respect to them.

    Args:
        gradient: what to weigh its elements by, of its shape. Default: 1 for a scalar.
        retain_graph: keep the history for another backward. Default: create_graph.
        create_graph: record the computation of the gradients. Default False.
        inputs: only these leaves get a gradient. Default: all."""
    reverse.backward(self, gradient, retain_graph, create_graph, inputs)


class GradFn:
    """What made a tensor: the operation's name, as PyTorch calls it."""

    def __init__(self, tensor_name: str):
        self._name = tensor_name

    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<{self._name} object at {hex(id(self))}>"


@attribute
def grad_fn(self):
    """What computed it, None for leaves."""
    if not requires_grad(self) or is_leaf_handle(self):
        return None
    return _fn_class(_fn_name(self))


_fn_classes: dict[str, type] = {}


def _fn_class(name: str):
    cls = _fn_classes.get(name)
    if cls is None:
        cls = _fn_classes[name] = type(name, (GradFn,), {})
    return cls(name)


def _fn_name(t: Tensor) -> str:
    if t._st is not None and t._how is not None:
        return f"{t._how}Backward0"
    v = t._val if t._st is None else t._st.val
    if v is not None and v.node is not None:
        op = v.node.op
        static = v.node.static
        if op is BACKWARD_PART:
            op = v.node.aux.names[v.k]
    else:
        hist = t._st.hist
        op = hist[2]
        static = None
        if op is BACKWARD_PART:
            graph = hist[0].graph
            op = graph.specs[graph.step_of[hist[1]]].op
    if op.name == "function":
        cls = static[0] if static else None
        return f"{cls.__name__ if cls else 'Function'}Backward"
    if op.name == "copy_slices":
        return "CopySlices"
    name = op.grad_names.get(layout_of(t).ndim, op.grad_name) if op.grad_names else op.grad_name
    return name if name == "NotImplemented" or name.rstrip("0123456789").endswith("Backward") else f"{name}Backward0"


def _get_data(self):
    """The tensor without history, on the same memory."""
    return walking.detach(self)


def _set_data(self, other) -> None:
    if not isinstance(other, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(other).__name__}")
    st = place(other)
    st.shared = True
    leaf = self._st is not None and self._leaf is self
    place(self)
    self._st, self._lay, self._off, self._val = st, other._lay, other._off, None
    self._leaf = self if leaf else None
    self._det = not leaf
    self._how = None


Tensor.data = property(_get_data, _set_data)


def make_subclass(cls, data: Tensor, requires_grad: bool = False):
    """A tensor of a subclass on the same storage, a leaf."""
    st = place(data)
    st.shared = st.shared or sys_refs(st)
    t = placed(st, data._lay, data._off, cls)
    if requires_grad:
        t._leaf = t
    else:
        t._det = True
    return t


def sys_refs(st: Storage) -> bool:
    return True


Tensor._make_subclass = staticmethod(make_subclass)


# --- where and how it lies -----------------------------------------------------------------------------------------------------------


class Layout:
    """How elements are stored: torch.strided and others."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return (_layout_named, (self.name,))


def _layout_named(name: str) -> Layout:
    return LAYOUTS[name]


Layout.__name__ = Layout.__qualname__ = "layout"
Layout.__module__ = "torch"
LAYOUTS = {
    n: Layout(n)
    for n in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "jagged")
}
PUBLIC["torch"].update(LAYOUTS)
PUBLIC["torch"]["layout"] = Layout
for _flag, _answer in (
    ("is_sparse", False), ("is_sparse_csr", False), ("is_quantized", False), ("is_mkldnn", False), ("is_cuda", False), ("is_xpu", False),
    ("is_mps", False), ("is_nested", False), ("is_ipu", False), ("is_maia", False), ("is_vulkan", False), ("is_mtia", False),
):  # fmt: skip
    setattr(Tensor, _flag, property(lambda self, _answer=_answer: _answer))
Tensor.layout = property(lambda self: LAYOUTS["strided"], None, None, "torch.strided: the one kind there is.")
Tensor.is_cpu = property(lambda self: layout_of(self).device == "cpu", None, None, "Whether it is on the CPU.")
Tensor.is_meta = property(lambda self: layout_of(self).device == "meta", None, None, "Whether it has a shape only.")
Tensor.output_nr = property(lambda self: 0)
Tensor._version = property(lambda self: 0)
Tensor.names = property(lambda self: (None,) * layout_of(self).ndim)
Tensor.grad_dtype = property(lambda self: layout_of(self).dtype)


@attach
def is_contiguous(self, memory_format=None) -> bool:
    """Whether the elements lie in memory in order (of the format given)."""
    lay = layout_of(self)
    if memory_format is None or memory_format.kind == "contiguous":
        return lay.contig
    if memory_format.kind == "preserve":
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    want = 5 if memory_format.name.endswith("3d") else 4
    return lay.ndim == want and lay.strides == channels_last_strides(lay.shape)


@attach
def data_ptr(self) -> int:
    """The address of the first element."""
    place(self)
    mem = realise(self)
    self._st.pinned = True
    return mem.ctypes.data + self._off * mem.itemsize


@attach
def element_size(self) -> int:
    """Bytes of one element."""
    return layout_of(self).dtype.itemsize


Tensor.nelement = numel
Tensor.ndimension = dim


# --- hooks ---------------------------------------------------------------------------------------------------------------------------------


class HookHandle:
    """Takes a hook away again with `remove()`; also a context manager."""

    _next = 0

    def __init__(self, hooks: dict):
        self._hooks = hooks
        self.id = HookHandle._next
        HookHandle._next += 1

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


@attach
def register_hook(self, hook):
    """Calls hook(gradient) when backward has the gradient of this tensor; what it returns, if anything, replaces it."""
    if not requires_grad(self):
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    hooks = _hooks_of(self)
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    return handle


def _hooks_of(t: Tensor) -> dict:
    """The hooks of a tensor, made known to what backward will pass."""
    hooks = getattr(t, "_hooks", None)
    if hooks is not None:
        return hooks
    release(t)
    hooks = t._hooks = {}
    if not is_leaf_handle(t):
        know(t, hooks)
    return hooks


def know(t: Tensor, hooks) -> None:
    """Hooks on the value of a tensor that is no leaf: on the walk, or on what an earlier flush kept."""
    w = tls.walk
    if t._st is not None and t._st.val is None and t._st.hist is not None and t._val is None:
        history, number = t._st.hist[0], t._st.hist[1]
        if layout_of(t) is history.graph.lays[number]:
            history.hooks.setdefault(number, []).append(hooks)
            history.special = True
            return
    w.hooked.append((walking.resolve(t, w), hooks))


@attach
def register_post_accumulate_grad_hook(self, hook):
    """Calls hook(tensor) after backward has added to this leaf's `.grad`."""
    if not requires_grad(self):
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not is_leaf_handle(self):
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    hooks = getattr(self, "_after_hooks", None)
    if hooks is None:
        release(self)
        hooks = self._after_hooks = {}
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    return handle


@attach
def retain_grad(self) -> None:
    """backward will leave the gradient of this tensor in `.grad`, though it is no leaf."""
    if not requires_grad(self):
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if is_leaf_handle(self) or getattr(self, "_retains", False):
        return
    self._retains = True
    know(self, _Keep(self))


class _Keep:
    """A hook that leaves the gradient in `.grad`."""

    def __init__(self, t: Tensor):
        self.tensor = weakref.ref(t)

    def __call__(self, g):
        t = self.tensor()
        if t is not None:
            old = grad_of(t)
            t._grad = g if old is None else old + g
        return g


Tensor.retains_grad = property(
    lambda self: bool(getattr(self, "_retains", False)), None, None, "Whether backward leaves its gradient in `.grad`."
)


@attach
def detach_(self):
    """Takes away the history: it becomes a leaf that does not require grad."""
    place(self)
    if is_leaf_handle(self):
        self._leaf = None
    self._det = True
    return self
