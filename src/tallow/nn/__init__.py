"""Modules and layers: declare parameters, fill them, call them."""

from tallow.nn import init
from tallow.nn.layers import Embedding, LayerNorm, Linear, RMSNorm
from tallow.nn.module import Module, ModuleList, Param, param, seed, tie

__all__ = [
    "Embedding",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleList",
    "Param",
    "RMSNorm",
    "init",
    "param",
    "seed",
    "tie",
]
