"""What fuzzing found that no corpus of refused files can hold."""

import json

import pytest

from hostile.corpora import gguf as parts
from tallow.errors import FormatError
from tallow.formats.gguf import open_gguf
from tallow.formats.gguf_types import GGML_TYPES
from tallow.weights import open_weights


@pytest.mark.parametrize("kind", GGML_TYPES, ids=lambda kind: GGML_TYPES[kind].name)
def test_every_type_that_is_read_can_be_taken(kind):
    """q2_0 was in the table of sizes and missing in that of dtypes: a DTypeError came out."""
    row = GGML_TYPES[kind]
    raw = parts.gguf((parts.ARCH,), (parts.info("w", (row.block,), kind),), bytes(row.size))
    with open_gguf(raw) as file:
        tensor = file.tensor("w")
    assert (tensor.dtype.name, tensor.shape, tensor.nbytes) == (row.name, (row.block,), row.size)


@pytest.mark.parametrize("shard", ["a.safetensors", "pytorch_model.bin"])
def test_an_index_in_memory(shard):
    """Content decides what is opened, so the error is the content's: not an `ArgumentError`."""
    with pytest.raises(FormatError, match="no folder"):
        open_weights(json.dumps({"weight_map": {"w": shard}}).encode())
