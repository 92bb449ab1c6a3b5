"""Learning rate schedules, as torch.optim.lr_scheduler has them."""

from tallow.optim.lr_scheduler.base import LRScheduler
from tallow.optim.lr_scheduler.compose import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from tallow.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from tallow.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
    WarmupCosineLR,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupCosineLR",
]
