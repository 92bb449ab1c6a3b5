"""torch.distributed for one process: a group of one, whose collectives change nothing."""

from __future__ import annotations

from tallow.torch._names import namespace

_ONE = "one process is all there is"
_STATIC = (
    "all_reduce all_gather all_gather_into_tensor all_gather_object all_to_all all_to_all_single "
    "barrier broadcast broadcast_object_list destroy_process_group gather gather_object "
    "get_backend "
    "get_rank get_world_size init_process_group is_initialized monitored_barrier new_group reduce "
    "reduce_scatter reduce_scatter_tensor scatter scatter_object_list send recv isend irecv "
    "ReduceOp ProcessGroup Work group GroupMember Backend all_gather_coalesced "
    "all_reduce_coalesced "
    "get_process_group_ranks get_group_rank get_global_rank get_node_local_rank "
    "get_default_backend_for_device"
)

__getattr__, __dir__ = namespace(
    __name__,
    modules=(
        "algorithms autograd checkpoint device_mesh fsdp nn optim rpc tensor _tensor "
        "_functional_collectives"
    ),
    places={
        "tallow.torch.distributed._one": _STATIC,
        "tallow.torch.distributed.device_mesh": "DeviceMesh init_device_mesh",
    },
    answers={
        "is_available": True,
        "is_nccl_available": False,
        "is_gloo_available": True,
        "is_mpi_available": False,
        "is_ucc_available": False,
        "is_xccl_available": False,
        "is_torchelastic_launched": False,
        "set_debug_level_from_env": None,
    },
    refuses={
        _ONE: "batch_isend_irecv P2POp TCPStore FileStore HashStore PrefixStore Store split_group"
    },
)
