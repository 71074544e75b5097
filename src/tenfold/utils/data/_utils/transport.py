"""A batch on its way between two processes: one pickle, and the bytes of its arrays beside it.

A tensor travels as the NumPy array of the part of its storage that it spans, with its strides, so that it arrives with
the same layout. Nothing is shared afterwards: what arrives belongs to the receiver.
"""

import io
import pickle
import struct
from multiprocessing.reduction import ForkingPickler

import numpy as np

import tenfold

PROTOCOL = 5
ALIGNMENT = 64
_LENGTH = struct.Struct("<Q")


def pack(value) -> list:
    """`value` as a list of byte strings: the sizes of the others, the pickle, the arrays."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _TensorPickler(stream, PROTOCOL, True, buffers.append).dump(value)
    parts = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    sizes = b"".join(_LENGTH.pack(part.nbytes) for part in parts)
    return [sizes, *parts]


def send(connection, packed: list) -> None:
    """Send what `pack` made."""
    sizes, *parts = packed
    connection.send_bytes(sizes)
    connection.send_bytes(_lay_out(parts))


def receive(connection):
    """The value that the other end has packed and sent."""
    sizes = [size for (size,) in _LENGTH.iter_unpack(connection.recv_bytes())]
    starts, total = _places(sizes)
    # NumPy's memory is writable, aligned, and not filled with zeros first.
    memory = memoryview(np.empty(total, dtype=np.uint8))  # pyright: ignore[reportArgumentType]
    connection.recv_bytes_into(memory)
    parts = [memory[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return pickle.loads(parts[0], buffers=parts[1:])


def _places(sizes: list[int]) -> tuple[list[int], int]:
    """Where each part begins, aligned, and the size of all."""
    starts = []
    total = 0
    for size in sizes:
        starts.append(total)
        total += -(-size // ALIGNMENT) * ALIGNMENT
    return starts, max(total, ALIGNMENT)


def _lay_out(parts: list):
    starts, total = _places([part.nbytes for part in parts])
    memory = np.empty(total, dtype=np.uint8)
    for start, part in zip(starts, parts, strict=True):
        memory[start : start + part.nbytes] = part
    return memory.data


class _TensorPickler(ForkingPickler):
    """Multiprocessing's pickler, with tensors as NumPy arrays."""

    def reducer_override(self, obj):
        if not isinstance(obj, tenfold.Tensor) or type(obj) not in (tenfold.Tensor, tenfold.nn.Parameter):
            return NotImplemented
        if obj.layout != tenfold.strided or obj.device.type != "cpu":
            return NotImplemented
        return _reduce_tensor(obj)


def _reduce_tensor(tensor) -> tuple:
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError(
            "DataLoader: a tensor that a gradient flows through cannot leave its worker process (shape "
            f"{tuple(tensor.shape)}). Return tensor.detach() from the dataset or the collate_fn."
        )
    is_parameter = type(tensor) is tenfold.nn.Parameter
    plain = tensor.detach().resolve_conj().resolve_neg()
    layout = (tuple(plain.shape), tuple(plain.stride()))
    if not plain.is_contiguous() or plain.numel() == 0:
        plain = plain.as_strided((_span(plain),), (1,))
    view_as = None
    if plain.dtype == tenfold.bfloat16:
        view_as = plain.dtype
        plain = plain.view(tenfold.int16)
    return _rebuild_tensor, (plain.numpy(), view_as, layout, tensor.requires_grad, is_parameter)


def _span(tensor) -> int:
    """Number of elements between the first and the last that the tensor reads, both included."""
    if tensor.numel() == 0:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _rebuild_tensor(array, view_as, layout, requires_grad: bool, is_parameter: bool):
    tensor = tenfold.from_numpy(array)
    if view_as is not None:
        tensor = tensor.view(view_as)
    if (tuple(tensor.shape), tuple(tensor.stride())) != layout:
        tensor = tensor.as_strided(*layout)
    if is_parameter:
        return tenfold.nn.Parameter(tensor, requires_grad)
    return tensor.requires_grad_() if requires_grad else tensor
