"""torch.save and torch.load: serialization's records to tensors and back."""

from __future__ import annotations

import importlib
import pickle
import sys
from typing import Any

from .. import serialization
from ..ir.dtypes import BY_NAME
from ..ir.dtypes import dtype as dtype_class
from ..ir.shapes import Size, layout, size
from ..ops.calling import meta_tensor
from ..ops.devices import device
from ..ops.generators import Generator
from ..ops.packed import Packed
from ..ops.sparse_compressed import CompressedTensor, compressed
from ..ops.sparse_tensor import SparseTensor, sparse_coo_tensor
from ..serialization import records
from ..trace.flush import realise
from ..trace.handle import Storage, Tensor, is_leaf_handle, layout_of, placed, requires_grad
from ..trace.walk import place
from .methods import LAYOUTS, Layout

DEFAULT_PROTOCOL = 2


def describe(obj: Any):
    """The record of a framework object, None for anything else."""
    if isinstance(obj, SparseTensor):
        parts = obj._indices(), obj._values().detach()
        return records.SparseRecord("sparse_coo", parts, tuple(obj.shape), obj.is_coalesced())
    if isinstance(obj, CompressedTensor):
        return records.SparseRecord(obj._kind, (obj._starts, obj._others, obj.values().detach()), tuple(obj.shape))
    if isinstance(obj, Packed):
        raise NotImplementedError("save: nested tensors cannot be saved; save .values() and .offsets()")
    if isinstance(obj, Tensor):
        return _describe_tensor(obj)
    if isinstance(obj, Layout):
        return records.LayoutRecord(obj.name)
    if isinstance(obj, dtype_class):
        return records.DtypeRecord(obj.name)
    if isinstance(obj, device):
        return records.DeviceRecord(obj.type, obj.index)
    if isinstance(obj, Size):
        return records.SizeRecord(tuple(obj))
    if isinstance(obj, Generator):
        state = _describe_tensor(obj.get_state())
        return records.GeneratorRecord("cpu", obj.initial_seed(), None, state)
    return None


def _describe_tensor(t: Tensor):
    lay = layout_of(t)
    kind = type(t)
    state = {k: v for k, v in vars(t).items() if k not in ("_grad", "_hooks", "_after_hooks", "_retains")} or None
    if lay.device == "meta":
        record: Any = records.MetaTensorRecord(lay.dtype.name, tuple(lay.shape), lay.strides, requires_grad(t))
    else:
        if requires_grad(t) and not is_leaf_handle(t):
            t = t.detach().requires_grad_(True) if kind is Tensor else t
        st = place(t)
        mem = realise(t)
        storage = records.StorageRecord(mem, lay.dtype.name, "cpu", st)
        record = records.TensorRecord(storage, lay.dtype.name, t._off, tuple(lay.shape), lay.strides, requires_grad(t))
    if kind.__name__ == "Parameter":
        record.requires_grad = False
        return records.ParameterRecord(record, requires_grad(t), state)
    if kind is not Tensor and isinstance(record, records.TensorRecord):
        record.tensor_type = kind
    if isinstance(record, records.TensorRecord):
        record.state = state
    return record


def build(record: Any):
    """The framework object of a record."""
    if isinstance(record, records.StorageRecord):
        return _build_storage(record)
    if isinstance(record, records.TensorRecord):
        return _build_tensor(record)
    if isinstance(record, records.MetaTensorRecord):
        t = meta_tensor(layout(size(record.shape), tuple(record.strides), BY_NAME[record.dtype_name], "meta"))
        return t.requires_grad_(True) if record.requires_grad else t
    if isinstance(record, records.ParameterRecord):
        parameter_class: Any = _public("torch.nn.parameter", "Parameter")
        parameter = parameter_class(record.data, record.requires_grad)
        if record.state:
            for k, v in dict(record.state).items():
                setattr(parameter, k, v)
        return parameter
    if isinstance(record, records.RetypedRecord):
        t = record.tensor
        return Tensor._make_subclass(record.tensor_type, t, requires_grad(t))
    if isinstance(record, records.DtypeRecord):
        return BY_NAME[record.name]
    if isinstance(record, records.DeviceRecord):
        return device(record.type, record.index)
    if isinstance(record, records.SizeRecord):
        return size(record.shape)
    if isinstance(record, records.LayoutRecord):
        return LAYOUTS[record.name]
    if isinstance(record, records.SparseRecord) and record.layout == "sparse_coo":
        return sparse_coo_tensor(*record.parts, record.shape, is_coalesced=record.coalesced, check_invariants=True)
    if isinstance(record, records.SparseRecord):
        return compressed(record.layout, *record.parts, record.shape)
    if isinstance(record, records.GeneratorRecord):
        return Generator().set_state(record.state)
    raise NotImplementedError(f"load: tenfold has no object for {type(record).__name__}")


def _build_storage(record) -> Storage:
    if record.data is None:
        st = Storage(None, record.size)
        st.meta = True
    else:
        data = record.data
        st = Storage(data)
        st.exported = not data.flags.owndata and data.base is not None
    st.name = record.dtype_name
    return st


def _build_tensor(record) -> Tensor:
    if record.conj or record.neg:
        raise NotImplementedError(
            "load: a tensor that is a lazy conjugate or negative view is not supported; save it with .resolve_conj().resolve_neg()"
        )
    st = record.storage.handle
    d = BY_NAME[record.dtype_name]
    lay = layout(size(record.shape), tuple(record.strides), d, "meta" if st.meta else "cpu")
    st.shared = True
    t = placed(st, lay, record.offset)
    return t.requires_grad_(True) if record.requires_grad else t


_HOMES = {
    ("torch", "Tensor"): Tensor,
    ("torch._tensor", "Tensor"): Tensor,
    ("torch._C", "Generator"): Generator,
    ("torch", "Size"): Size,
}


# where PyTorch's compiled functions say that they are, and what they are called where people find them
_COMPILED = {
    "torch._C._nn": ("torch.nn.functional", ""),
    "torch._C._fft": ("torch.fft", "fft_"),
    "torch._C._linalg": ("torch.linalg", "linalg_"),
    "torch._C._special": ("torch.special", "special_"),
    "torch.functional": ("torch", ""),
}


def resolve(module: str, name: str):
    """tenfold's object for PyTorch's name, or None."""
    found = _HOMES.get((module, name))
    if found is not None:
        return found
    if (module, name) == ("torch._C", "_VariableFunctionsClass"):  # torch.relu is written as its attribute
        return sys.modules["tenfold"]
    if module in _COMPILED:
        module, prefix = _COMPILED[module]
        name = name.removeprefix(prefix)
    return _public(module, name)


def _public(module: str, name: str):
    """tenfold's object of that name, in the module or, where tenfold has no such file, in the package that it is of."""
    for home_name in (module, module.rpartition(".")[0]):
        if home_name != "torch" and not home_name.startswith("torch."):
            return None
        own = "tenfold" + home_name[len("torch") :]
        try:
            home = sys.modules.get(own) or importlib.import_module(own)
        except ImportError:
            continue
        for part in name.split("."):
            home = getattr(home, part, None)
        return home
    return None


def global_name(obj: Any) -> tuple[str, str] | None:
    """PyTorch's (module, name) for a class or function of tenfold, None for others."""
    module = getattr(obj, "__module__", "") or ""
    name = getattr(obj, "__qualname__", None)
    if not module.startswith("tenfold.") or name is None:
        return None
    if module.startswith("tenfold._core."):
        for public in ("nn.functional", "", "fft", "linalg", "special", "nn.utils.rnn"):
            home = sys.modules.get(f"tenfold.{public}".rstrip("."))
            for known in (name, *vars(home)) if home is not None else ():
                if getattr(home, known, None) is obj:
                    return f"torch.{public}".rstrip("."), known
    if module.startswith("tenfold.nn."):
        modules = sys.modules.get("tenfold.nn.modules")
        for home in vars(modules).values() if modules is not None else ():
            if getattr(home, "__name__", "").startswith("tenfold.nn.modules.") and getattr(home, name, None) is obj:
                return "torch" + home.__name__[len("tenfold") :], name
    return "torch" + module[len("tenfold") :], name


def save(
    obj,
    f,
    pickle_module=pickle,
    pickle_protocol=DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization=True,
    _disable_byteorder_record=False,
):
    """Writes an object with its tensors to a file that PyTorch and tenfold load. A file that was there is replaced only
    once the new one is whole.

    Args:
        f: a path, or an object with `write`.
        pickle_protocol: of the pickle inside. Default 2."""
    if pickle_module is not pickle:
        raise NotImplementedError(
            f"save: a pickle_module other than Python's own is not supported, got {getattr(pickle_module, '__name__', pickle_module)}"
        )
    serialization.save(
        obj,
        f,
        describe=describe,
        global_name=global_name,
        pickle_protocol=pickle_protocol,
        legacy=not _use_new_zipfile_serialization,
    )


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Reads what `save` of PyTorch or tenfold wrote.

    Args:
        f: a path, or an object with `read` and `seek`.
        map_location: a device, a function or a dict; only the CPU can be mapped to.
        weights_only: True (the default) takes nothing but tensors, plain containers and what `add_safe_globals` allows;
            False runs whatever the file says, so only for files that you trust.
    Raises: pickle.UnpicklingError, RuntimeError, EOFError for files that are refused or corrupt; FileNotFoundError."""
    return serialization.load(
        f, build=build, resolve=resolve, map_location=map_location, weights_only=weights_only, mmap=mmap, pickle_module=pickle_module,
        **pickle_load_args,
    )  # fmt: skip
