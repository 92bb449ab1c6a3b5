"""Optimisers, learning rate schedules, averages of weights."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from tallow.optim import lr_scheduler
from tallow.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from tallow.optim.adaptive import Adadelta, Adagrad, RMSprop
from tallow.optim.layerwise import LAMB, Muon
from tallow.optim.lbfgs import LBFGS
from tallow.optim.lion import Lion
from tallow.optim.older import ASGD, Adafactor, Rprop
from tallow.optim.optimizer import Optimizer
from tallow.optim.sgd import SGD

if TYPE_CHECKING:
    from tallow.optim import swa_utils
    from tallow.optim.ema import EMA, AveragedModel

__all__ = [
    "ASGD",
    "Adafactor",
    "EMA",
    "LBFGS",
    "Rprop",
    "LAMB",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragedModel",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
    "swa_utils",
]

# Optimisers do not need the layers that averages of models do.
_LAZY = {"EMA": "ema", "AveragedModel": "ema", "swa_utils": None}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tallow.optim' has no attribute {name!r}")
    module = _import_module(f"tallow.optim.{_LAZY[name] or name}")
    return getattr(module, name) if _LAZY[name] else module
