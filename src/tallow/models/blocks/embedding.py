"""Look-ups whose results are f32, whatever the table's dtype."""

from __future__ import annotations

from tallow import nn
from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.tensor import Tensor


class Embedding(nn.Embedding):
    """`nn.Embedding` that gives f32: activations are f32 beside weights of any dtype."""

    def forward(self, ids: Tensor) -> Tensor:
        """`(...)` of ids → `(..., size)`."""
        found: Tensor = super().forward(ids)
        return found if found.dtype.itemsize >= 4 else found.to(f32)

    def rows(self, start: int, n: int) -> Tensor:
        """Rows `start` to `start + n`, `(n, size)`; a view where the table is f32."""
        if self.weight.dtype is f32 and self.padding_idx is None:
            return self.weight.narrow(0, start, n)
        return self(arange(start, start + n))  # of forward


def text_inputs(ids: Tensor | None, embeds: Tensor | None) -> Tensor:
    """The one of both that is not None: ids `(batch, length)`, or their vectors.

    Raises:
        ArgumentError: both are there, or none.
        ShapeError: it has other axes.
    """
    found = ids if embeds is None else embeds
    good = (ids is None) != (embeds is None) and found is not None
    expect(good, "forward", "input_ids or inputs_embeds", "both or none", ArgumentError)
    assert found is not None
    if embeds is None:
        expect(found.ndim == 2, "input_ids", "shape (batch, length)", tuple(found.shape))
    else:
        expect(found.ndim == 3, "inputs_embeds", "shape (batch, length, size)", tuple(found.shape))
    return found
