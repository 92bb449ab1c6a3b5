"""Options of sharding: they can be named and made; sharding itself is refused."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from tallow.lazy_dataclasses import dataclass


class ShardingStrategy(Enum):
    """What is sharded."""

    FULL_SHARD = auto()
    SHARD_GRAD_OP = auto()
    NO_SHARD = auto()
    HYBRID_SHARD = auto()
    _HYBRID_SHARD_ZERO2 = auto()


class BackwardPrefetch(Enum):
    """When the next parameters are gathered."""

    BACKWARD_PRE = auto()
    BACKWARD_POST = auto()


class StateDictType(Enum):
    """What a state of a sharded module holds."""

    FULL_STATE_DICT = auto()
    LOCAL_STATE_DICT = auto()
    SHARDED_STATE_DICT = auto()


@dataclass
class MixedPrecision:
    """The dtypes of parameters, reductions and buffers."""

    param_dtype: Any = None
    reduce_dtype: Any = None
    buffer_dtype: Any = None
    keep_low_precision_grads: bool = False
    cast_forward_inputs: bool = False
    cast_root_forward_inputs: bool = True


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """The dtypes of parameters, reductions and results."""

    param_dtype: Any = None
    reduce_dtype: Any = None
    output_dtype: Any = None
    cast_forward_inputs: bool = True


@dataclass
class CPUOffload:
    """Whether parameters wait in the host's memory."""

    offload_params: bool = False


@dataclass(frozen=True)
class OffloadPolicy:
    """Where shards wait."""


@dataclass(frozen=True)
class CPUOffloadPolicy(OffloadPolicy):
    """In the host's memory."""

    pin_memory: bool = True


@dataclass
class StateDictConfig:
    """How a state is made."""

    offload_to_cpu: bool = False


@dataclass
class FullStateDictConfig(StateDictConfig):
    """A whole state, on one process or on all."""

    rank0_only: bool = False


@dataclass
class LocalStateDictConfig(StateDictConfig):
    """A state of this process's shards."""


@dataclass
class ShardedStateDictConfig(StateDictConfig):
    """A state of shards that know their places."""


@dataclass
class OptimStateDictConfig:
    """How an optimiser's state is made."""

    offload_to_cpu: bool = True


@dataclass
class FullOptimStateDictConfig(OptimStateDictConfig):
    """A whole optimiser's state."""

    rank0_only: bool = False
