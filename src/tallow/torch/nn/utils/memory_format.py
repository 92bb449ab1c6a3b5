"""torch.nn.utils.memory_format: weights keep their order here."""

from __future__ import annotations

from typing import Any

from tallow.nn.module import Module


def convert_conv2d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """The module itself."""
    return module


convert_conv3d_weight_memory_format = convert_conv2d_weight_memory_format
