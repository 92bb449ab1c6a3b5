"""The names that a PyTorch pickle may use, each with a function of ours that stands for it.

The list is that of `torch.load(weights_only=True)` (torch/_weights_only_unpickler.py of 2.13)
without the tensor classes of PyTorch before 0.4 and the sparse ones, and what checkpoints hold
beside weights: numbers and arrays of numpy, options of argparse, paths, `defaultdict`. A name off
the list is refused; classes that the caller names become inert `Record`s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from tallow.formats.torch_pickle import python_types, tensors
from tallow.formats.torch_pickle.machine import Machine
from tallow.formats.torch_pickle.values import DTYPE_ALIASES, DTYPES, STORAGES, Global, Record


def _record(name: str) -> Global:
    def make(m: Machine, args: tuple[Any, ...]) -> Record:
        m.spend(140)
        return Record(name, args)

    return Global(name, call=make, new=make)


def script_class(name: str) -> Global:
    """A class of a TorchScript archive: its code stays unread, its attributes are a record."""
    return _record(name)


# Options of a training script: names and values, without behaviour worth having.
_RECORDS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
)

_INERT = (
    "torch.Tensor",
    "numpy.ndarray",
    "builtins.object",
    "builtins.int",
    "builtins.float",
    "builtins.str",
    "builtins.bool",
    *(f"torch.{side}_{kind}" for side in ("per_tensor", "per_channel") for kind in ("affine",)),
    "torch.per_tensor_symmetric",
    "torch.per_channel_symmetric",
    "torch.per_channel_affine_float_qparams",
    "torch.storage.TypedStorage",
    *(f"torch.{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8)),
    *(f"torch.bits{layout}" for layout in ("8", "16", "1x8", "2x4", "4x2")),
)


def names_for(records: Collection[str] = ()) -> Mapping[str, Any]:
    """The allow-list; the classes `records` (full names) are added as inert records."""
    table = _names()
    return {**{name: _record(name) for name in records}, **table} if records else table


@cache
def _names() -> dict[str, Any]:
    table: dict[str, Any] = {
        name: Global(name, call=call)
        for name, call in (*python_types.CALLS.items(), *tensors.CALLS.items())
    }
    table |= {name: _record(name) for name in _RECORDS}
    for name in ("torch.nn.parameter.Parameter", "torch.nn.Parameter"):
        table[name] = Global(name, call=tensors.parameter, new=tensors.parameter)
    for name in ("collections.OrderedDict", "collections.Counter", "collections.defaultdict"):
        table[name] = Global(name, call=python_types.CALLS[name], new=python_types.CALLS[name])
    for kind in STORAGES:
        for module in ("torch", "torch.cuda", "torch.storage"):
            table[f"{module}.{kind}"] = Global(f"torch.{kind}")
    for name in DTYPES:
        table[f"torch.{name}"] = tensors.dtype_value(name)
    for alias, name in DTYPE_ALIASES.items():
        table[f"torch.{alias}"] = table[f"torch.{name}"]
    for name in _INERT:
        table[name] = Global(name)
    return table
