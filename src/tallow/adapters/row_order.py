"""Rows of queries and keys as Hugging Face and as GGUF's architecture llama have them.

What a product gives at rows that a file has in another order, B gives in that order, too; A meets
inputs, which stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from tallow.adapters.contents import Contents
from tallow.conversion.names import halves, heads_of, neighbours
from tallow.tensor import Tensor

Order = Literal["hf", "gguf"]
_ROWS = ("B", "bias", "magnitude")  # tensors with a row for each of the product


def order_of(model: Any) -> Order:
    """Whose order the rows of a loaded model have."""
    from tallow.models.table import FAMILIES

    kind = type(model).__module__.rpartition(".")[2]
    row = FAMILIES.get(kind)
    layout = None if row is None else row.gguf
    reordered = layout is not None and layout.interleaved
    of_gguf = not model.config_values and getattr(model.config, "rope_interleaved", False)
    return "gguf" if reordered and of_gguf else "hf"


def reordered(contents: Contents, model: Any, given: Order, wanted: Order) -> Contents:
    """Contents whose rows are as `wanted` has them."""
    if given == wanted:
        return contents
    move: Callable[[Tensor, int], Tensor] = neighbours if wanted == "gguf" else halves
    for path, tensors in contents.low.items():
        heads = heads_of(f"{path}.", model.config)
        if heads is not None:
            for name in tensors.keys() & set(_ROWS):
                if tensors[name].shape[0] % (2 * heads) == 0:  # others do not fit anyway
                    tensors[name] = move(tensors[name].contiguous(), heads)
    for path, bias in contents.biases.items():
        heads = heads_of(f"{path}.", model.config)
        if heads is not None and bias.shape[0] % (2 * heads) == 0:
            contents.biases[path] = move(bias.contiguous(), heads)
    return contents
