"""A Llama of 1.5 billion random weights as an f16 GGUF file, to be quantised by llama-quantize.

Times of products depend on shapes and formats, not on values, so random weights stand for a model
that these machines cannot download. All layers have the same random values, at places of their own
in the file: nothing is read from a cache that a real model would read from memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

LAYERS, HIDDEN, FEED_FORWARD, HEADS, KV_HEADS = 30, 2048, 5632, 32, 8
SIZES = {
    "llama.block_count": LAYERS,
    "llama.context_length": 8192,
    "llama.embedding_length": HIDDEN,
    "llama.feed_forward_length": FEED_FORWARD,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.rope.dimension_count": HIDDEN // HEADS,
    "general.name": "Random 1.5B",
    "general.size_label": "1.5B",
    "general.file_type": 1,
}


def write(packaged: Path, target: Path) -> None:
    """Write it; vocabulary and the other metadata are those of the packaged model."""
    import tallow as tl
    from tallow.formats.gguf import open_gguf
    from tallow.formats.gguf_write import save_gguf

    metadata: dict[str, Any] = {**open_gguf(packaged).metadata, **SIZES}
    vocab = len(metadata["tokenizer.ggml.tokens"])
    tl.manual_seed(0)
    kv = HIDDEN // HEADS * KV_HEADS
    shapes = {
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (kv, HIDDEN),
        "attn_v": (kv, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_gate": (FEED_FORWARD, HIDDEN),
        "ffn_up": (FEED_FORWARD, HIDDEN),
        "ffn_down": (HIDDEN, FEED_FORWARD),
    }
    layer = {name: (tl.randn(*shape) * 0.02).to("f16") for name, shape in shapes.items()}
    norms = dict.fromkeys(("attn_norm", "ffn_norm"), tl.ones(HIDDEN))
    tensors = {
        "token_embd.weight": (tl.randn(vocab, HIDDEN) * 0.02).to("f16"),
        "output_norm.weight": tl.ones(HIDDEN),
    }
    for index in range(LAYERS):
        tensors |= {f"blk.{index}.{name}.weight": each for name, each in {**layer, **norms}.items()}
    save_gguf(tensors, target, metadata)
