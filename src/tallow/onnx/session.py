"""ONNX Runtime's calls, so that `from tallow import onnx as onnxruntime` runs programs as they are.

Names and arguments are ONNX Runtime's (https://onnxruntime.ai/docs/api/python/api_summary.html);
what has no meaning here is accepted where results stay the same, and refused by name elsewhere.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tallow import _native
from tallow.autograd.mode import no_grad
from tallow.borrowing import to_numpy
from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.onnx.model import Model
from tallow.onnx.session_options import GraphOptimizationLevel, RunOptions, SessionOptions
from tallow.onnx.session_values import IOBinding, OrtValue
from tallow.onnx.signature import type_text
from tallow.onnx.values import as_numpy, of_array
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.formats.mapping import Source
    from tallow.formats.onnx import ValueInfo

PROVIDER: Final = "CPUExecutionProvider"
_NO_VERSION: Final = (1 << 63) - 1  # ONNX Runtime's, of a file without one


def get_available_providers() -> list[str]:
    """What sessions can run on: the CPU."""
    return [PROVIDER]


def get_all_providers() -> list[str]:
    """As `get_available_providers`: no other one is known."""
    return [PROVIDER]


def get_device() -> str:
    """`CPU`."""
    return "CPU"


@dataclass(frozen=True)
class NodeArg:
    """An input or output: its name, its type as `tensor(float)`, and its shape.

    A length is a number, a name, or None.
    """

    name: str
    type: str
    shape: list[int | str | None]


@dataclass(frozen=True)
class ModelMetadata:
    """What a file says of itself."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str]


class InferenceSession:
    """A model with ONNX Runtime's calls; `model` is the same as a module."""

    def __init__(
        self,
        path_or_bytes: Source,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        """Load a path, or the bytes of a file.

        Other providers than the CPU's are left out with a warning, as ONNX Runtime does where one
        is not installed.

        Raises:
            FormatError: the file is no ONNX model.
            ModelError: it has operators that Tallow has not.
        """
        from tallow import onnx

        unknown = options.keys() - {"disabled_optimizers", "enable_fallback"}
        expect(not unknown, "InferenceSession", "no other options", [*unknown], ArgumentError)
        self._options = sess_options if sess_options is not None else SessionOptions()
        good = isinstance(self._options, SessionOptions)
        expect(good, "InferenceSession", "SessionOptions of tallow.onnx", type(sess_options),
               ArgumentError)  # fmt: skip
        _look_at_providers(providers)
        level = self._options.graph_optimization_level
        plain = level is GraphOptimizationLevel.ORT_DISABLE_ALL
        self.model: Model = onnx.load(path_or_bytes, plans=not plain, rewrites=not plain)

    # --- what the model is ------------------------------------------------------------------------

    def get_inputs(self) -> list[NodeArg]:
        """What `run` needs."""
        return [_node_arg(each) for each in self.model.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """What `run` gives."""
        return [_node_arg(each) for each in self.model.outputs]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Inputs that have a value in the file."""
        return [_node_arg(each) for each in self.model.optional_inputs]

    def get_modelmeta(self) -> ModelMetadata:
        """What the file says of itself."""
        info = self.model.info
        version = _NO_VERSION if info.version is None else info.version
        return ModelMetadata(
            info.producer_name, info.graph_name, info.domain, info.description,
            info.graph_description, version, dict(self.model.metadata),
        )  # fmt: skip

    def get_providers(self) -> list[str]:
        """The CPU's."""
        return [PROVIDER]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """None are set."""
        return {PROVIDER: {}}

    def set_providers(
        self, providers: Sequence[Any] | None = None, provider_options: Sequence[Any] | None = None
    ) -> None:
        """Warn of those that are not there."""
        _look_at_providers(providers)

    def get_session_options(self) -> SessionOptions:
        """The options that it was made with."""
        return self._options

    def disable_fallback(self) -> None:
        """Nothing: there is no other provider to fall back to."""

    def enable_fallback(self) -> None:
        """Nothing: there is no other provider to fall back to."""

    # --- running ----------------------------------------------------------------------------------

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """The outputs as numpy arrays: those named, or all for None or an empty list.

        Takes numpy arrays, tensors, OrtValues, and lists of numbers. Arrays are the caller's own.

        Raises:
            ArgumentError, DTypeError, ShapeError: a name, dtype, rank or length does not fit; the
                text has all misfits by name.
        """
        feeds = {name: _fed(value) for name, value in input_feed.items()}
        shared = _storages([*feeds.values()])
        return [_own(value, shared) for value in self._run(output_names, feeds)]

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """As `run`, from OrtValues to OrtValues."""
        feeds = {name: _fed(value) for name, value in input_dict_ort_values.items()}
        return [OrtValue(value) for value in self._run(output_names, feeds)]

    def io_binding(self) -> IOBinding:
        """Inputs and outputs to be set by name, for `run_with_iobinding`."""
        return IOBinding(self)

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        """Run what an `io_binding` of this session holds."""
        iobinding._run()

    def _run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        names = [each.name for each in self.model._outputs]
        wanted = names if not output_names else list(output_names)
        lost = [name for name in wanted if name not in names]
        expect(not lost, "run", f"outputs of {names}", lost, ArgumentError)
        with no_grad(), _Threads(self._options.intra_op_num_threads):
            found = self.model._call("run", feeds, strict=False)
        if wanted is names:
            return found
        return [found[names.index(name)] for name in wanted]


def _fed(value: Any) -> Any:
    """A value as a graph computes with it, if it is an OrtValue or has arrays of numpy."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, OrtValue):
        return value._value
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return of_array(numpy.asarray(value))
    return [_fed(each) for each in value] if isinstance(value, list | tuple) else value


def _storages(values: list[Any]) -> set[int]:
    """The memory of tensors, of those in lists too."""
    found = {each._array.storage_id for each in values if isinstance(each, Tensor)}
    return found.union(*[_storages(each) for each in values if type(each) is list])


def _own(value: Any, shared: set[int]) -> Any:
    """A value as numpy arrays on memory that no input and no other output has."""
    if isinstance(value, Tensor):
        if value._array.storage_id in shared:
            value = value.clone()
        shared.add(value._array.storage_id)
        found = to_numpy(value)
        return found if found.flags.writeable else found.copy()
    if isinstance(value, list | tuple):
        return [_own(each, shared) for each in value]
    if isinstance(value, dict):
        return {key: _own(each, shared) for key, each in value.items()}
    return as_numpy(value).copy() if hasattr(value, "copy") else value


class _Threads:
    """So many threads for the calls of this thread; 0: as many as for all."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        if self._count:
            self._before = _native.set_thread_limit(self._count)

    def __exit__(self, *_: object) -> None:
        if self._count:
            _native.set_thread_limit(self._before)


def _node_arg(info: ValueInfo) -> NodeArg:
    return NodeArg(info.name, type_text(info.type), list(info.shape or ()))


def _look_at_providers(given: Sequence[Any] | None) -> None:
    names = [each if isinstance(each, str) else each[0] for each in given or ()]
    lost = [name for name in names if name != PROVIDER]
    if lost:
        said = ", ".join(map(repr, lost))
        text = f"InferenceSession: expected {PROVIDER}, got {said}: runs on the CPU"
        warnings.warn(text, stacklevel=3)
