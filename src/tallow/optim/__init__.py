"""Optimisers, learning rate schedules, averages of weights."""

from tallow.optim import lr_scheduler, swa_utils
from tallow.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from tallow.optim.adaptive import Adadelta, Adagrad, RMSprop
from tallow.optim.ema import EMA, AveragedModel
from tallow.optim.layerwise import LAMB, Muon
from tallow.optim.lion import Lion
from tallow.optim.optimizer import Optimizer
from tallow.optim.sgd import SGD

__all__ = [
    "EMA",
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
