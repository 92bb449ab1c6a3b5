"""`TALLOW_CHECK=nan`: name the layer of a model that first makes NaN or infinity."""

from __future__ import annotations

import math
import os
from functools import partial
from typing import Any

from tallow.errors import ArgumentError, NonFiniteError, expect
from tallow.nn import Module
from tallow.tensor import Tensor

VARIABLE = "TALLOW_CHECK"


def wanted() -> bool:
    """Whether the environment asks for the check.

    Raises:
        ArgumentError: it asks for something else.
    """
    asked = os.environ.get(VARIABLE, "")
    expect(asked in ("", "nan"), VARIABLE, "nan or nothing", repr(asked), ArgumentError)
    return asked == "nan"


def name_non_finite(model: Module) -> None:
    """Look at what goes into and comes out of each module, in the order of the calls.

    What is not finite before a module is called was made by the ops of the one that calls it.
    """
    for name, module in model.named_modules():
        outer = name.rpartition(".")[0] or type(model).__name__
        module.register_forward_pre_hook(partial(_refuse_inputs, outer))
        module.register_forward_hook(partial(_refuse_output, name or type(model).__name__))


def _refuse_inputs(outer: str, _: Module, args: tuple[Any, ...]) -> None:
    for value in args:
        _refuse(outer, value)


def _refuse_output(name: str, _: Module, args: tuple[Any, ...], output: Any) -> None:
    _refuse(name, output)


def _refuse(name: str, value: object) -> None:
    if not isinstance(value, Tensor) or value.dtype.kind != "f":
        return
    if not math.isfinite(value.sum().item()) and not value.isfinite().all().item():
        kind = "NaN" if value.isnan().any().item() else "infinity"
        raise NonFiniteError(f"{name}: the first layer that made {kind}; its inputs were finite")
