"""What passes know of kernels."""

from __future__ import annotations

import functools

from tallow import _native


@functools.cache
def is_elementwise(kernel: str) -> bool:
    """Whether it is a line of `ops/elementwise.def`, which takes operands of any strides."""
    return _native.elementwise_operands(kernel) is not None


def takes_strides(kernel: str, argument: int) -> bool:
    """Whether an operand may have any strides, with the same bits in the result."""
    if kernel == "copy" or is_elementwise(kernel):
        return True
    return kernel == "matmul" and argument > 0
