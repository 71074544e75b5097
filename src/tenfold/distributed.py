"""Process groups of one process: every collective operation is done, and none needs another process.

A program written for many processes runs as it is with WORLD_SIZE=1. More than one process is not implemented yet, and
asking for it says so."""

from __future__ import annotations

import enum
import os
from typing import Any

import tenfold as torch

__all__ = [
    "GroupMember",
    "ProcessGroup",
    "ReduceOp",
    "Work",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "all_to_all",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "gather",
    "get_backend",
    "get_default_backend_for_device",
    "get_rank",
    "get_world_size",
    "group",
    "init_process_group",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "new_group",
    "reduce",
    "reduce_scatter",
    "scatter",
]


class ReduceOp(enum.Enum):
    """How the processes' tensors become one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class Work:
    """An operation that was started with async_op=True: it is done already."""

    def wait(self, timeout=None) -> bool:
        """True: it is done."""
        return True

    def is_completed(self) -> bool:
        """True: it is done."""
        return True

    def is_success(self) -> bool:
        """True: it is done."""
        return True


class ProcessGroup:
    """A group with this process alone."""

    def __init__(self, backend: str):
        self.backend = backend

    def rank(self) -> int:
        """0."""
        return 0

    def size(self) -> int:
        """1."""
        return 1

    def name(self) -> str:
        """The backend that was asked for."""
        return self.backend


class _Group:
    """Where the default group stands: `group.WORLD`."""

    WORLD: ProcessGroup | None = None


group = GroupMember = _Group
_BACKENDS = ("gloo", "mpi", "cpu:gloo")


def is_available() -> bool:
    """True: a group of one process can be made."""
    return True


def is_initialized() -> bool:
    """Whether there is a default group."""
    return group.WORLD is not None


def is_gloo_available() -> bool:
    """True: groups may be asked for by that name."""
    return True


def is_mpi_available() -> bool:
    """False: there is no MPI backend yet."""
    return False


def is_nccl_available() -> bool:
    """False: there is no GPU backend yet."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether torchrun started this process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def get_default_backend_for_device(device) -> str:
    """The backend for a device: "gloo" for the CPU."""
    kind = torch.device(device).type
    if kind != "cpu":
        raise ValueError(f"Default backend not registered for device : {device}")
    return "gloo"


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout=None,
    world_size: int = -1,
    rank: int = -1,
    store=None,
    group_name: str = "",
    pg_options=None,
    device_id=None,
) -> None:
    """Makes the default group.

    Args:
        backend: "gloo" (default).
        init_method: where processes meet; with one there is nobody to meet.
        world_size, rank: default: the environment's WORLD_SIZE and RANK.
    Raises: NotImplementedError for more than one process; ValueError where number or rank are not known."""
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    if backend is not None and backend not in _BACKENDS:
        raise RuntimeError(f"Distributed package doesn't have {backend.upper()} built in: give backend='gloo'")
    rank = _from_environment("RANK", rank)
    world_size = _from_environment("WORLD_SIZE", world_size)
    if world_size != 1:
        raise NotImplementedError(
            f"init_process_group: tenfold has groups of one process only, not of {world_size}; set WORLD_SIZE=1"
        )
    if rank != 0:
        raise ValueError(f"init_process_group: rank {rank} is outside 0..{world_size - 1}")
    group.WORLD = ProcessGroup(backend or "gloo")


def _from_environment(name: str, given: int) -> int:
    if given >= 0:
        return given
    if name not in os.environ:
        raise ValueError(
            f"Error initializing torch.distributed using env:// rendezvous: environment variable {name} expected, but not set"
        )
    return int(os.environ[name])


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Ends the default group (or one made by new_group)."""
    _member(None)
    if group is None or group is _Group.WORLD:
        _Group.WORLD = None


def new_group(ranks=None, timeout=None, backend: str | None = None, pg_options=None, **more) -> ProcessGroup:
    """A group of some of the processes: of this one."""
    world = _member(None)
    if ranks is not None and list(ranks) != [0]:
        raise ValueError(f"new_group: the ranks {list(ranks)} are not those of a world of one process: [0]")
    return ProcessGroup(backend or world.backend)


def _member(group: ProcessGroup | None) -> ProcessGroup:
    if _Group.WORLD is None:
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")
    return _Group.WORLD if group is None else group


def get_rank(group: ProcessGroup | None = None) -> int:
    """The number of this process: 0."""
    return _member(group).rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """The number of processes: 1."""
    return _member(group).size()


def get_backend(group: ProcessGroup | None = None) -> str:
    """The backend that was asked for."""
    return _member(group).backend


# --- collective operations --------------------------------------------------------------------------


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def _check_root(name: str, rank: int | None) -> None:
    if rank not in (None, 0):
        raise RuntimeError(f"{name}: invalid root rank: {rank}, in a world of one process")


def _check_list(name: str, what: str, items: list) -> None:
    if len(items) != 1:
        raise RuntimeError(f"{name}: invalid {what} (expected length 1, one for each process, got {len(items)})")


def barrier(group: ProcessGroup | None = None, async_op: bool = False, device_ids=None, timeout=None) -> Work | None:
    """Waits until all processes are here."""
    _member(group)
    return _done(async_op)


def all_reduce(tensor, op=ReduceOp.SUM, group: ProcessGroup | None = None, async_op: bool = False) -> Work | None:
    """Each process's tensor becomes the sum (product, ...) of all: of one, which it is already."""
    _member(group)
    return _done(async_op)


def reduce(
    tensor, dst: int | None = None, op=ReduceOp.SUM, group=None, async_op: bool = False, group_dst: int | None = None
) -> Work | None:
    """The tensor of process dst becomes the sum (product, ...) of all."""
    _member(group)
    _check_root("reduce", dst)
    _check_root("reduce", group_dst)
    return _done(async_op)


def broadcast(
    tensor, src: int | None = None, group=None, async_op: bool = False, group_src: int | None = None
) -> Work | None:
    """All processes' tensors become that of process src."""
    _member(group)
    _check_root("broadcast", src)
    _check_root("broadcast", group_src)
    return _done(async_op)


def broadcast_object_list(
    object_list: list, src: int | None = None, group=None, device=None, group_src: int | None = None
) -> None:
    """All processes' lists become that of process src."""
    _member(group)
    _check_root("broadcast_object_list", src)
    _check_root("broadcast_object_list", group_src)


def all_gather(tensor_list: list, tensor, group=None, async_op: bool = False) -> Work | None:
    """Fills a list with the tensors of all processes."""
    _member(group)
    _check_list("all_gather", "output tensor list", tensor_list)
    _copy(tensor_list[0], tensor)
    return _done(async_op)


def all_gather_into_tensor(output_tensor, input_tensor, group=None, async_op: bool = False) -> Work | None:
    """Fills a tensor with the tensors of all processes, one after the other."""
    _member(group)
    _copy(output_tensor, input_tensor.reshape(output_tensor.shape))
    return _done(async_op)


def all_gather_object(object_list: list, obj: Any, group=None) -> None:
    """Fills a list with the objects of all processes."""
    _member(group)
    _check_list("all_gather_object", "object list", object_list)
    object_list[0] = obj


def gather(
    tensor,
    gather_list: list | None = None,
    dst: int | None = None,
    group=None,
    async_op: bool = False,
    group_dst: int | None = None,
):
    """Fills the list of process dst with the tensors of all processes."""
    _member(group)
    _check_root("gather", dst)
    _check_root("gather", group_dst)
    _check_list("gather", "output tensor list", gather_list or [])
    _copy(gather_list[0], tensor)
    return _done(async_op)


def scatter(
    tensor,
    scatter_list: list | None = None,
    src: int | None = None,
    group=None,
    async_op: bool = False,
    group_src: int | None = None,
):
    """Each process's tensor becomes its entry of the list of process src."""
    _member(group)
    _check_root("scatter", src)
    _check_root("scatter", group_src)
    _check_list("scatter", "input tensor list", scatter_list or [])
    _copy(tensor, scatter_list[0])
    return _done(async_op)


def reduce_scatter(output, input_list: list, op=ReduceOp.SUM, group=None, async_op: bool = False) -> Work | None:
    """Each process gets the sum (product, ...) of its entries of all lists."""
    _member(group)
    _check_list("reduce_scatter", "input tensor list", input_list)
    _copy(output, input_list[0])
    return _done(async_op)


def all_to_all(output_tensor_list: list, input_tensor_list: list, group=None, async_op: bool = False) -> Work | None:
    """Entry j of process i goes to entry i of process j."""
    _member(group)
    _check_list("all_to_all", "output tensor list", output_tensor_list)
    _check_list("all_to_all", "input tensor list", input_tensor_list)
    _copy(output_tensor_list[0], input_tensor_list[0])
    return _done(async_op)


def _copy(target, source) -> None:
    with torch.no_grad():
        target.copy_(source)
