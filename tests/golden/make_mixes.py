"""Record which dtype llama-quantize gives each tensor, for every file type: tests/golden/mixes.

    python tests/golden/make_mixes.py --llama-quantize path/to/llama-quantize

llama-quantize looks at names, row lengths and hyperparameters only, so the models here have the
real ones of SmolLM2-135M and made-up ones of other kinds, with two rows of zeros in each matrix.
Nothing but `--dry-run` is asked of it.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

OUT = Path(__file__).parent / "mixes"
FILE_TYPES = [
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S",
    "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4_MOE", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M",
    "IQ3_S", "IQ3_XS", "IQ3_XXS", "Q2_K", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS",
    "TQ2_0", "TQ1_0", "IQ1_M", "IQ1_S", "Q2_0", "Q1_0",
]  # fmt: skip
ROW = re.compile(r"\[ *\d+/ *\d+\] +(\S+) +- \[.*?\], type = +(\w+), size = .*?(?:\((\w+)\))?$")

ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
DENSE = ("ffn_gate", "ffn_up", "ffn_down")


def model(
    architecture: str, layers: int, width: int, inner: int, heads: int, kv_heads: int, *,
    tied: bool = False, parts: tuple[str, ...] = (*ATTENTION, *DENSE), experts: int = 0,
    extra: tuple[tuple[str, tuple[int, ...]], ...] = (),
) -> dict:  # fmt: skip
    """Hyperparameters and the names and shapes (two rows each) of a model."""
    metadata = {
        "block_count": layers,
        "context_length": 2048,
        "embedding_length": width,
        "feed_forward_length": inner,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        "vocab_size": 32,
    }
    if experts:
        metadata |= {"expert_count": experts, "expert_used_count": 2}
    tensors = {"token_embd.weight": (2, width), "output_norm.weight": (width,)}
    if not tied:
        tensors["output.weight"] = (2, width)
    tensors |= dict(extra)
    for i in range(layers):
        tensors[f"blk.{i}.attn_norm.weight"] = (width,)
        tensors[f"blk.{i}.ffn_norm.weight"] = (width,)
        for part in parts:
            columns = inner if "ffn_down" in part else width
            shape = (experts, 2, columns) if part.endswith("_exps") else (2, columns)
            tensors[f"blk.{i}.{part}.weight"] = shape
    keys = {f"{architecture}.{key}": value for key, value in metadata.items()}
    return {"metadata": {"general.architecture": architecture, **keys}, "tensors": tensors}


EXPERTS = ("ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
SHARED = ("ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp", "ffn_gate_inp_shexp")
MODELS = {
    "smollm2": model("llama", 30, 576, 1536, 9, 3, tied=True),
    "llama70b": model("llama", 80, 1024, 2048, 16, 2),
    "llama65b": model("llama", 80, 256, 512, 4, 4),
    "mixtral": model("llama", 32, 512, 1024, 8, 2, parts=(*ATTENTION, *EXPERTS), experts=8),
    "qwen2moe": model(
        "qwen2moe", 24, 256, 768, 8, 8, parts=(*ATTENTION, *EXPERTS, *SHARED), experts=60
    ),
    "qwen72b": model("qwen2", 80, 256, 512, 8, 1, parts=("attn_qkv", "attn_output", *DENSE)),
    "falcon": model("falcon", 32, 256, 512, 4, 1, parts=("attn_qkv", "attn_output", *DENSE[1:])),
    "ragged": model("llama", 4, 100, 96, 4, 4, extra=(("rope_freqs.weight", (16,)),)),
}
VARIANTS = {
    "plain": (),
    "imatrix": ("--imatrix", "IMATRIX"),
    "pure": ("--pure",),
    "chosen": (
        "--output-tensor-type", "q5_k", "--token-embedding-type", "q4_0",
        "--tensor-type", r"blk\.[01]\.ffn_down=q8_0", "--tensor-type", "attn_v=iq4_xs",
    ),
    "blocks": ("--tensor-type", r"blk\.=mxfp4"),
}  # fmt: skip
VARIANTS_OF = {"smollm2": VARIANTS, "mixtral": VARIANTS}


def write(path: Path, made: dict) -> None:
    writer = GGUFWriter(path, made["metadata"]["general.architecture"])
    for key, value in made["metadata"].items():
        if key != "general.architecture":
            add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
            add(key, value)
    for name, shape in made["tensors"].items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_imatrix(path: Path) -> None:
    """One entry: that there is a matrix is all that matters in a dry run."""
    name = b"blk.0.attn_q.weight"
    entry = struct.pack("<i", len(name)) + name + struct.pack("<ii", 1, 1) + struct.pack("<f", 1)
    path.write_bytes(struct.pack("<i", 1) + entry + struct.pack("<ii", 1, 0))


def ask(program: str, options: tuple[str, ...], path: Path, kind: str) -> dict[str, str] | None:
    call = [program, "--dry-run", *options, str(path), kind]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if "no tensor type fallback" in said:  # Q1_0, where rows are no multiple of 128
        return None
    assert done.returncode == 0, said
    found = {}
    for line in said.splitlines():
        row = ROW.search(line)
        if row:
            found[row[1]] = row[3] or row[2]
    return {name: dtype.lower() for name, dtype in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-quantize", required=True)
    program = parser.parse_args().llama_quantize
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        imatrix = Path(folder, "imatrix.dat")
        write_imatrix(imatrix)
        for name, made in MODELS.items():
            path = Path(folder, f"{name}.gguf")
            write(path, made)
            plain = {key: VARIANTS[key] for key in ("plain", "imatrix")}
            asked: dict[str, dict[str, str]] = {}
            letters: dict[str, str] = {}
            for variant, options in VARIANTS_OF.get(name, plain).items():
                filled = tuple(str(imatrix) if o == "IMATRIX" else o for o in options)
                asked[variant] = {}
                for kind in FILE_TYPES:
                    types = ask(program, filled, path, kind)
                    if types is None:
                        continue
                    assert set(types) == set(made["tensors"]), (name, kind)
                    for dtype in types.values():
                        letters.setdefault(dtype, chr(ord("A") + len(letters)))
                    row = "".join(letters[types[tensor]] for tensor in made["tensors"])
                    asked[variant][kind.lower()] = row
            record = {
                "metadata": made["metadata"],
                "tensors": {key: list(shape) for key, shape in made["tensors"].items()},
                "letters": {letter: dtype for dtype, letter in letters.items()},
                "types": asked,
            }
            lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
            (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
            print(name, len(made["tensors"]), "tensors")


if __name__ == "__main__":
    main()
