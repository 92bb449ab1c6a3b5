"""How RWKV stands in GGUF files: what llama.cpp's converter makes of its tensors."""

from __future__ import annotations

from math import isclose

from tallow.errors import ModelError
from tallow.models.gguf_layout import Key
from tallow.weights.arrange import TensorMap

# llama.cpp's norm of heads adds this to a variance, whatever a config says.
GROUP_EPS = 64e-5
KEYS = (
    Key("block_count", "num_hidden_layers"),
    Key("embedding_length", "hidden_size"),
    Key("feed_forward_length", "intermediate_size"),
)
# A row of a checkpoint's (1, 1, size).
ROW = TensorMap(
    lambda x: x.reshape(1, 1, x.shape[-1]),
    lambda x: x.flatten(),
    lambda shape: (1, 1, shape[-1]),
    lambda shape: (shape[-1],),
)
# Matrices one behind the other, each with its axes exchanged.
TURNED = TensorMap(
    lambda x: x.transpose(1, 2).contiguous(),
    lambda x: x.transpose(1, 2).contiguous(),
    lambda shape: (shape[0], shape[2], shape[1]),
    lambda shape: (shape[0], shape[2], shape[1]),
    values=True,
)
# In f32, as llama.cpp multiplies by it.
IN_F32 = TensorMap(lambda x: x, lambda x: x, values=True)


def shares(count: int) -> TensorMap:
    """How much of a step back goes into each of `count` parts, `(count, 1, size)`; in f32, too."""
    return TensorMap(
        lambda x: x.reshape(count, 1, x.shape[-1]),
        lambda x: x.reshape(count, 1, 1, x.shape[-1]),
        lambda shape: (count, 1, shape[-1]),
        lambda shape: (count, 1, 1, shape[-1]),
        values=True,
    )


def has_eps(eps: float) -> bool:
    """Whether that is what llama.cpp's norm of heads adds."""
    return isclose(eps, GROUP_EPS, rel_tol=1e-3)


def check_eps(eps: float, wanted: str) -> None:
    """Refuse a config for a file whose norm of heads adds something else; `wanted` says what."""
    if not has_eps(eps):
        raise ModelError(f"config: expected {wanted} in an RWKV for GGUF, found another")
