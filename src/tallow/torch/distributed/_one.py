"""Collectives of a group of one process."""

from __future__ import annotations

import os
from typing import Any

from tallow.device import Device
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor
from tallow.torch._names import UnsupportedError


class Backend(str):
    """Names of PyTorch's ways of communication."""

    __slots__ = ()
    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl"


class ReduceOp:
    """What a reduction does with the values of all processes: with one value, nothing."""

    SUM, AVG, PRODUCT, MIN, MAX = "SUM", "AVG", "PRODUCT", "MIN", "MAX"
    BAND, BOR, BXOR, PREMUL_SUM = "BAND", "BOR", "BXOR", "PREMUL_SUM"


class Work:
    """A collective that is done already."""

    def wait(self, timeout: Any = None) -> bool:
        """It is done."""
        return True

    def is_completed(self) -> bool:
        """It is done."""
        return True

    def is_success(self) -> bool:
        """It went well."""
        return True


class ProcessGroup:
    """A group of this process alone."""

    def rank(self) -> int:
        """0."""
        return 0

    def size(self) -> int:
        """1."""
        return 1


class group:  # noqa: N801  (PyTorch's name)
    """The group of all processes, once it is made."""

    WORLD: ProcessGroup | None = None


GroupMember = group


class _State:
    backend = "gloo"


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Make the group of one process; a larger `world_size` is refused."""
    text = os.environ.get("WORLD_SIZE", "1")
    size = world_size if world_size > 0 else int(text) if text.isdigit() else 1
    if size != 1:
        raise UnsupportedError(
            f"init_process_group: expected a group of one process, got world_size={size}"
        )
    expect(rank in (-1, 0), init_process_group, "rank 0", rank, ArgumentError)
    kind = (backend or "gloo").partition(",")[0].partition(":")[2] or backend or "gloo"
    if kind == "nccl":
        raise UnsupportedError("init_process_group: expected gloo, got nccl: there is no CUDA")
    expect(group.WORLD is None, init_process_group, "no group yet", "one", ArgumentError)
    group.WORLD, _State.backend = ProcessGroup(), kind


def destroy_process_group(group: Any = None) -> None:
    """Drop the group."""
    _group("destroy_process_group")
    _World.WORLD = None


_World = group


def is_initialized() -> bool:
    """Whether there is a group."""
    return _World.WORLD is not None


def _group(where: str) -> None:
    if _World.WORLD is None:
        raise ArgumentError(f"{where}: expected init_process_group before it, got no group")


def get_rank(group: Any = None) -> int:
    """0."""
    _group("get_rank")
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    _group("get_world_size")
    return 1


def get_backend(group: Any = None) -> str:
    """What was asked for."""
    _group("get_backend")
    return _State.backend


def get_default_backend_for_device(device: Device | str) -> str:
    """The way of communication for a device."""
    name = str(device).partition(":")[0]
    known = {"cpu": "gloo", "cuda": "nccl", "xpu": "xccl"}
    expect(name in known, get_default_backend_for_device, f"one of {[*known]}", name, ArgumentError)
    return known[name]


def get_process_group_ranks(group: Any = None) -> list[int]:
    """[0]."""
    return [0]


def get_group_rank(group: Any, global_rank: int) -> int:
    """The rank in a group."""
    return _peer(global_rank, "get_group_rank")


def get_global_rank(group: Any, group_rank: int) -> int:
    """The rank among all."""
    return _peer(group_rank, "get_global_rank")


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The environment's LOCAL_RANK, else 0."""
    return int(os.environ.get("LOCAL_RANK", fallback_rank or 0))


def new_group(ranks: Any = None, *_: Any, **__: Any) -> ProcessGroup:
    """A group of this process."""
    _group("new_group")
    expect(ranks is None or list(ranks) == [0], new_group, "ranks [0]", ranks, ArgumentError)
    return ProcessGroup()


def _peer(rank: int | None, where: str) -> int:
    expect(rank in (None, 0), where, "rank 0: there is one process", rank, ArgumentError)
    return 0


def _done(asynchronous: bool) -> Work | None:
    return Work() if asynchronous else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait for the others, of whom there are none."""
    _group("barrier")
    return _done(async_op)


def monitored_barrier(*_: Any, **__: Any) -> None:
    """Wait for the others, of whom there are none."""
    _group("monitored_barrier")


def all_reduce(
    tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """`tensor` stays: it is the sum, mean, least and greatest of one."""
    _group("all_reduce")
    return _done(async_op)


def all_reduce_coalesced(
    tensors: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """All stay."""
    _group("all_reduce_coalesced")
    return _done(async_op)


def reduce(
    tensor: Tensor, dst: int | None = None, op: Any = ReduceOp.SUM, group: Any = None,
    async_op: bool = False, group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """`tensor` stays."""
    _group("reduce")
    _peer(dst, "reduce")
    return _done(async_op)


def broadcast(
    tensor: Tensor, src: int | None = None, group: Any = None, async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """`tensor` stays."""
    _group("broadcast")
    _peer(src, "broadcast")
    return _done(async_op)


def broadcast_object_list(object_list: Any, src: int | None = None, *_: Any, **__: Any) -> None:
    """The objects stay."""
    _group("broadcast_object_list")
    _peer(src, "broadcast_object_list")


def _one(tensors: Any, where: str) -> Any:
    expect(len(tensors) == 1, where, "a list of one tensor", len(tensors), ArgumentError)
    return tensors[0]


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write `tensor` into the one entry of the list."""
    _group("all_gather")
    _one(tensor_list, "all_gather").copy_(tensor)
    return _done(async_op)


def all_gather_coalesced(
    output: list[list[Tensor]], inputs: list[Tensor], group: Any = None, async_op: bool = False
) -> Work | None:
    """Write each tensor into the entry of the one list."""
    for target, x in zip(_one(output, "all_gather_coalesced"), inputs, strict=True):
        target.copy_(x)
    return _done(async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write the input into the output."""
    _group("all_gather_into_tensor")
    output_tensor.copy_(input_tensor.reshape(output_tensor.shape))
    return _done(async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Put `obj` into the one entry."""
    _group("all_gather_object")
    _one(object_list, "all_gather_object")
    object_list[0] = obj


def gather(
    tensor: Tensor, gather_list: list[Tensor] | None = None, dst: int | None = None,
    group: Any = None, async_op: bool = False, group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """Write `tensor` into the one entry of the list."""
    _group("gather")
    _peer(dst, "gather")
    _one(gather_list or [], "gather").copy_(tensor)
    return _done(async_op)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    *_: Any,
    **__: Any,
) -> None:
    """Put `obj` into the one entry."""
    _group("gather_object")
    _one(object_gather_list or [], "gather_object")
    (object_gather_list or [])[0] = obj


def scatter(
    tensor: Tensor, scatter_list: list[Tensor] | None = None, src: int | None = None,
    group: Any = None, async_op: bool = False, group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """Write the one entry of the list into `tensor`."""
    _group("scatter")
    _peer(src, "scatter")
    tensor.copy_(_one(scatter_list or [], "scatter"))
    return _done(async_op)


def scatter_object_list(
    scatter_object_output_list: list[Any], scatter_object_input_list: list[Any] | None = None,
    src: int | None = None, *_: Any, **__: Any,
) -> None:  # fmt: skip
    """Hand over the one entry."""
    _group("scatter_object_list")
    scatter_object_output_list[0] = _one(scatter_object_input_list or [], "scatter_object_list")


def reduce_scatter(
    output: Tensor, input_list: list[Tensor], op: Any = ReduceOp.SUM, group: Any = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """Write the one entry of the list into `output`."""
    _group("reduce_scatter")
    output.copy_(_one(input_list, "reduce_scatter"))
    return _done(async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write the input into the output."""
    _group("reduce_scatter_tensor")
    output.copy_(input.reshape(output.shape))
    return _done(async_op)


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: list[Tensor], group: Any = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """Write the one input into the one output."""
    _group("all_to_all")
    _one(output_tensor_list, "all_to_all").copy_(_one(input_tensor_list, "all_to_all"))
    return _done(async_op)


def all_to_all_single(
    output: Tensor, input: Tensor, output_split_sizes: Any = None, input_split_sizes: Any = None,
    group: Any = None, async_op: bool = False,
) -> Work | None:  # fmt: skip
    """Write the input into the output."""
    _group("all_to_all_single")
    output.copy_(input)
    return _done(async_op)


def _nobody(where: str) -> Any:
    def call(tensor: Tensor, *_: Any, **__: Any) -> Any:
        """There is no other process."""
        raise UnsupportedError(f"{where}: expected another process, got a group of one")

    call.__name__ = where
    return call


send, recv, isend, irecv = (_nobody(name) for name in ("send", "recv", "isend", "irecv"))
