"""Makes the files that bench/load.py loads, each by the package that its format comes from.

    python bench/_load_files.py FOLDER MEGABYTES FORMAT...

`safetensors`, `pt` (torch.save), `npz` (numpy.savez, stored) and `gguf` hold the same float32
tensors: matrices of 4 MiB, a vector beside each. numpy puts most arrays at odd places, where they
cannot be used; `aligned.npz` is an npz as Tallow writes it. `llama.gguf` is a whole Llama model in
float16 that llama.cpp opens, of random numbers, with a vocabulary of made-up words.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SIDE = 1024  # rows and columns of a matrix
VOCAB = 32_000


def tensors(size: int) -> Iterator[tuple[str, np.ndarray]]:
    """About `size` bytes of named matrices and vectors; no two alike."""
    base = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    for layer in range(max(size // base.nbytes, 1)):
        yield f"layers.{layer}.weight", base + np.float32(layer)
        yield f"layers.{layer}.bias", base[layer % SIDE].copy()


def make_safetensors(path: Path, size: int) -> None:
    from safetensors.numpy import save_file

    save_file(dict(tensors(size)), path)


def make_pt(path: Path, size: int) -> None:
    import torch

    torch.save({name: torch.from_numpy(value) for name, value in tensors(size)}, path)


def make_npz(path: Path, size: int) -> None:
    np.savez(path, **dict(tensors(size)))


def make_aligned_npz(path: Path, size: int) -> None:
    """As Tallow writes it: the same format, each array at a multiple of 64 bytes."""
    import tallow as tl
    from tallow.formats.npy import save_npz

    save_npz({name: tl.from_numpy(value) for name, value in tensors(size)}, path)


def make_gguf(path: Path, size: int) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "bench")
    for name, value in tensors(size):
        writer.add_tensor(name, value)
    close(writer)


def make_llama(path: Path, size: int) -> None:
    """Layers of one width, as many as the size asks for; names and keys as llama.cpp expects."""
    from gguf import GGUFWriter

    width, hidden, heads, groups = 2048, 5632, 32, 4
    shapes = {
        "attn_q": (width, width),
        "attn_k": (width // heads * groups, width),
        "attn_v": (width // heads * groups, width),
        "attn_output": (width, width),
        "ffn_gate": (hidden, width),
        "ffn_up": (hidden, width),
        "ffn_down": (width, hidden),
    }
    a_layer = sum(rows * columns * 2 for rows, columns in shapes.values())
    layers = max((size - VOCAB * width * 2) // a_layer, 1)
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    add_words(writer)
    rng = np.random.default_rng(0)
    base = (rng.standard_normal(VOCAB * width, dtype=np.float32) / 64).astype(np.float16)
    writer.add_tensor("token_embd.weight", base.reshape(VOCAB, width))
    ones = np.ones(width, np.float32)
    writer.add_tensor("output_norm.weight", ones)
    for layer in range(layers):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", ones)
        for name, (rows, columns) in shapes.items():
            values = base[layer : layer + rows * columns].reshape(rows, columns)
            writer.add_tensor(f"blk.{layer}.{name}.weight", values)
    close(writer)


def add_words(writer: object) -> None:
    """A SentencePiece vocabulary as llama.cpp wants it: specials, the bytes, then made-up words."""
    specials = ["<unk>", "<s>", "</s>"]
    words = specials + [f"<0x{byte:02X}>" for byte in range(256)]
    words += [f"▁w{number}" for number in range(VOCAB - len(words))]
    unknown, control, byte, normal = 2, 3, 6, 1  # llama.cpp's token types
    kinds = [unknown, control, control] + [byte] * 256 + [normal] * (VOCAB - 259)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([-float(number) for number in range(VOCAB)])
    writer.add_token_types(kinds)


def close(writer: object) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


MAKERS = {
    "safetensors": make_safetensors,
    "pt": make_pt,
    "npz": make_npz,
    "aligned.npz": make_aligned_npz,
    "gguf": make_gguf,
    "llama.gguf": make_llama,
}


def main(folder: str, megabytes: str, *names: str) -> None:
    """Write what is missing; a name tells the size, so that another size is made anew."""
    for name in names:
        path = Path(folder, f"load-{megabytes}.{name}")
        if not path.exists():
            beside = path.with_name(f"making-{path.name}")
            MAKERS[name](beside, int(megabytes) * 1_000_000)
            beside.rename(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
