"""What the quantisers are measured on: matrices that any numpy draws alike, importances, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

# RandomState's stream is frozen for good, unlike that of a Generator.
SHAPE = (32, 1024)
MINILM = (
    "embeddings.word_embeddings.weight",
    "encoder.layer.0.attention.self.query.weight",
    "encoder.layer.5.output.dense.weight",
)
TENSORS = (
    "blk.0.ffn_down.weight",
    "blk.15.attn_q.weight",
    "blk.29.ffn_up.weight",
    "token_embd.weight",
)


def matrices() -> Iterator[tuple[str, np.ndarray]]:
    """(name, f32 matrix): Gaussian, heavy-tailed as weights are, and rows far apart in size."""
    rng = np.random.RandomState(4)
    gauss = rng.standard_normal(SHAPE)
    yield "gauss", gauss.astype(np.float32)
    tails = rng.standard_normal(SHAPE) / np.sqrt(rng.chisquare(5, SHAPE) / 5)
    yield "tails", (0.02 * tails).astype(np.float32)
    sizes = 10.0 ** rng.uniform(-2, 2, (SHAPE[0], 1))
    yield "sizes", (sizes * rng.standard_normal(SHAPE) + 0.3 * sizes).astype(np.float32)


def weights(path: str) -> Iterator[tuple[str, np.ndarray]]:
    """(name, f32 matrix) of a few of SmolLM2's tensors, 64 rows of 768 of each."""
    from gguf import GGUFReader, quants

    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    for name in TENSORS:
        found = tensors[name]
        rows = quants.dequantize(found.data, found.tensor_type).reshape(-1, 768)
        yield name, np.ascontiguousarray(rows[:: len(rows) // 64][:64], np.float32)


def minilm(folder: str) -> Iterator[tuple[str, np.ndarray]]:
    """(name, f32 matrix) of a few of MiniLM's tensors, 64 rows of 768 of each."""
    from safetensors import safe_open

    with safe_open(str(Path(folder, "model.safetensors")), "numpy") as file:
        for name in MINILM:
            rows = file.get_tensor(name).astype(np.float32).reshape(-1, 768)
            yield name, np.ascontiguousarray(rows[:: len(rows) // 64][:64])


def importances(k: int) -> np.ndarray:
    """Mean squares of activations spread as they are in a model, f32 (k)."""
    return np.exp(1.2 * np.random.RandomState(9).standard_normal(k)).astype(np.float32)


def rmse(got: np.ndarray, wanted: np.ndarray, importance: np.ndarray | None = None) -> float:
    """The root mean square of the error, weighted by column."""
    square = (got.astype(np.float64) - wanted) ** 2
    if importance is None:
        return float(np.sqrt(square.mean()))
    return float(np.sqrt((square * importance).mean() / importance.mean(dtype=np.float64)))
