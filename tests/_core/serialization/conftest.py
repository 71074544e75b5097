"""A framework of a few lines on NumPy, to stand where the tensors will be: `describe`, `build` and `resolve` for it."""

import sys
import types
from collections import namedtuple

import numpy as np
import pytest

from tenfold._core import serialization as files


class Storage:
    def __init__(self, data, dtype_name, device="cpu"):
        self.data = data
        self.dtype_name = dtype_name
        self.device = device


class Tensor:
    def __init__(self, storage, dtype_name, offset, shape, strides, requires_grad=False):
        self.storage = storage
        self.dtype_name = dtype_name
        self.offset = offset
        self.shape = tuple(shape)
        self.strides = tuple(strides)
        self.requires_grad = requires_grad

    @property
    def values(self):
        data = self.storage.data
        bytes_per_step = [stride * data.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, bytes_per_step)


class Image(Tensor):
    pass


class Parameter(Tensor):
    def __init__(self, data, requires_grad=True):
        super().__init__(data.storage, data.dtype_name, data.offset, data.shape, data.strides, requires_grad)


class MetaTensor(Tensor):
    def __init__(self, dtype_name, shape, strides):
        super().__init__(None, dtype_name, 0, shape, strides)


class Size(tuple):
    pass


class Dtype:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"

    def __eq__(self, other):
        return isinstance(other, Dtype) and self.name == other.name

    def __hash__(self):
        return hash(self.name)


Device = namedtuple("Device", "type index")


class Linear:
    """A class that PyTorch calls torch.nn.modules.linear.Linear."""

    def __init__(self, weight):
        self.weight = weight


KNOWN = {
    ("torch", "Tensor"): Tensor,
    ("torch.nn.parameter", "Parameter"): Parameter,
    ("torch.nn.modules.linear", "Linear"): Linear,
    ("torch.images", "Image"): Image,
}
FIELDS = ("dtype_name", "offset", "shape", "strides", "requires_grad")


def tensor(array, requires_grad=False, dtype_name=None):
    """A tensor on the memory of a contiguous array."""
    array = np.ascontiguousarray(array)
    name = dtype_name or array.dtype.name
    strides = tuple(step // array.itemsize for step in array.strides)
    return Tensor(Storage(array.reshape(-1), name), name, 0, array.shape, strides, requires_grad)


def describe(obj):
    if isinstance(obj, MetaTensor):
        return files.MetaTensorRecord(obj.dtype_name, obj.shape, obj.strides)
    if isinstance(obj, Storage):
        return files.StorageRecord(obj.data, obj.dtype_name, key=obj)
    if isinstance(obj, Tensor):
        state = {name: value for name, value in vars(obj).items() if name not in (*FIELDS, "storage")}
        is_parameter = isinstance(obj, Parameter)
        fields = {name: getattr(obj, name) for name in FIELDS}
        record = files.TensorRecord(describe(obj.storage), **fields)
        if is_parameter:
            record.requires_grad = False
            return files.ParameterRecord(record, obj.requires_grad, state)
        record.state = state
        record.tensor_type = None if type(obj) is Tensor else type(obj)
        return record
    if isinstance(obj, Dtype):
        return files.DtypeRecord(obj.name)
    if isinstance(obj, Device):
        return files.DeviceRecord(obj.type, obj.index)
    if isinstance(obj, Size):
        return files.SizeRecord(tuple(obj))
    return None


def build(record):
    match record:
        case files.StorageRecord():
            return Storage(record.data, record.dtype_name, record.device)
        case files.TensorRecord():
            storage = record.storage.handle
            if record.storage.dtype_name != record.dtype_name:
                storage = Storage(storage.data.view(files.records.MEMORY_DTYPES[record.dtype_name]), record.dtype_name)
            return Tensor(storage, *(getattr(record, name) for name in FIELDS))
        case files.MetaTensorRecord():
            return MetaTensor(record.dtype_name, record.shape, record.strides)
        case files.ParameterRecord():
            result = Parameter(record.data, record.requires_grad)
            vars(result).update(record.state or {})
            return result
        case files.RetypedRecord():
            record.tensor.__class__ = record.tensor_type
            return record.tensor
        case files.DtypeRecord():
            return Dtype(record.name)
        case files.DeviceRecord():
            return Device(record.type, record.index)
        case files.SizeRecord():
            return Size(record.shape)
    raise AssertionError(record)


def resolve(module, name):
    return KNOWN.get((module, name))


def global_name(obj):
    return next((name for name, known in KNOWN.items() if known is obj), None)


def save(obj, f, **options):
    files.save(obj, f, describe=describe, global_name=global_name, **options)


def load(f, **options):
    return files.load(f, build=build, resolve=resolve, **options)


@pytest.fixture
def framework():
    files.clear_safe_globals()
    yield sys.modules[__name__] if __name__ in sys.modules else types.SimpleNamespace(**globals())
    files.clear_safe_globals()
