"""torch.nested: tensors of rows of unequal length are not there."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "nested tensors are not supported (see nn.utils.rnn.pad_sequence)": (
            "nested_tensor as_nested_tensor nested_tensor_from_jagged narrow to_padded_tensor "
            "masked_select"
        )
    },
)
