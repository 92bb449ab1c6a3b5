"""torch.distributed.fsdp: sharding over processes, of which there is one."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="wrap",
    places={
        "tallow.torch.distributed.fsdp._options": (
            "ShardingStrategy BackwardPrefetch StateDictType MixedPrecision CPUOffload "
            "FullStateDictConfig LocalStateDictConfig ShardedStateDictConfig StateDictConfig "
            "OptimStateDictConfig FullOptimStateDictConfig MixedPrecisionPolicy OffloadPolicy "
            "CPUOffloadPolicy"
        )
    },
    refuses={
        "sharding over processes is not supported": (
            "FullyShardedDataParallel FSDPModule fully_shard register_fsdp_forward_method "
            "FlatParameter"
        )
    },
    attributes={
        "FullyShardedDataParallel": (
            "state_dict_type set_state_dict_type optim_state_dict full_optim_state_dict "
            "optim_state_dict_to_load scatter_full_optim_state_dict shard_full_optim_state_dict "
            "summon_full_params rekey_optim_state_dict fsdp_modules"
        )
    },
)
