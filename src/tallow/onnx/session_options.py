"""Options of sessions and runs: ONNX Runtime's names, each honoured, without effect, or refused."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from tallow.errors import ArgumentError, DTypeError, expect


class GraphOptimizationLevel(IntEnum):
    """How much a graph is optimised: not at all, or as Tallow does."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(IntEnum):
    """Nodes run one after the other; each uses all threads."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(IntEnum):
    """Nodes run in the order of the file."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


class _Options:
    """Attributes of known names; another name, or another type of value, is refused."""

    _DEFAULTS: ClassVar[dict[str, Any]] = {}
    _REFUSED: ClassVar[dict[str, str]] = {}  # attributes that must keep their default, and why

    def __init__(self) -> None:
        self.__dict__.update(self._DEFAULTS)
        self.__dict__["_entries"] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        where = type(self).__name__
        if name not in self._DEFAULTS:
            known = ", ".join(self._DEFAULTS)
            raise AttributeError(f"{where}: expected one of {known}, got {name!r}")
        default = self._DEFAULTS[name]
        kind = type(default)
        good = isinstance(value, bool | int) if kind in (bool, int) else isinstance(value, kind)
        expect(good, where, f"{name} of type {kind.__name__}", repr(value), DTypeError)
        if kind in (bool, int):
            value = kind(value)
        why = self._REFUSED.get(name)
        if why and value != default:
            raise ArgumentError(f"{where}: expected {name} of {default!r}, got {value!r}: {why}")
        self.__dict__[name] = value

    def _entry(self, key: str) -> str:
        found = self.__dict__["_entries"].get(key)
        expect(found is not None, type(self).__name__, "an entry that was added", repr(key),
               ArgumentError)  # fmt: skip
        return str(found)


class SessionOptions(_Options):
    """Options of a session.

    `intra_op_num_threads` is honoured (0: as `tallow.set_num_threads` says), and
    `graph_optimization_level` as far as ORT_DISABLE_ALL runs node by node, without plans. Memory,
    logging and order have no effect on results and are accepted; what would write files is refused.
    """

    intra_op_num_threads: int
    inter_op_num_threads: int
    graph_optimization_level: GraphOptimizationLevel
    execution_mode: ExecutionMode
    execution_order: ExecutionOrder
    enable_cpu_mem_arena: bool
    enable_mem_pattern: bool
    enable_mem_reuse: bool
    enable_profiling: bool
    log_severity_level: int
    log_verbosity_level: int
    logid: str
    optimized_model_filepath: str
    profile_file_prefix: str
    use_deterministic_compute: bool
    use_per_session_threads: bool

    _DEFAULTS: ClassVar[dict[str, Any]] = {
        "intra_op_num_threads": 0,
        "inter_op_num_threads": 0,
        "graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_ALL,
        "execution_mode": ExecutionMode.ORT_SEQUENTIAL,
        "execution_order": ExecutionOrder.DEFAULT,
        "enable_cpu_mem_arena": True,
        "enable_mem_pattern": True,
        "enable_mem_reuse": True,
        "enable_profiling": False,
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "optimized_model_filepath": "",
        "profile_file_prefix": "onnxruntime_profile_",
        "use_deterministic_compute": False,
        "use_per_session_threads": True,
    }
    _REFUSED: ClassVar[dict[str, str]] = {
        "enable_profiling": "tallow.profile measures calls",
        "optimized_model_filepath": "plans are not written as ONNX",
    }

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keep an entry; none has an effect."""
        self.__dict__["_entries"][key] = value

    def get_session_config_entry(self, key: str) -> str:
        """An entry that was added."""
        return self._entry(key)

    def register_custom_ops_library(self, path: str) -> None:
        """Refused: `tallow.onnx.operator` registers an operator that is written in Python."""
        raise ArgumentError(
            f"SessionOptions: expected operators registered by tallow.onnx.operator, got {path!r}"
        )


class RunOptions(_Options):
    """Options of a run; none has an effect on results."""

    log_severity_level: int
    log_verbosity_level: int
    logid: str
    only_execute_path_to_fetches: bool
    terminate: bool

    _DEFAULTS: ClassVar[dict[str, Any]] = {
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "only_execute_path_to_fetches": False,
        "terminate": False,
    }
    _REFUSED: ClassVar[dict[str, str]] = {"terminate": "a run that began comes to its end"}

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Keep an entry; none has an effect."""
        self.__dict__["_entries"][key] = value

    def get_run_config_entry(self, key: str) -> str:
        """An entry that was added."""
        return self._entry(key)
