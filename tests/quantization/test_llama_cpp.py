"""Files of `tallow quantize` and `tallow convert` beside llama.cpp's own, and loaded by it."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallow.cli import main
from tallow.formats.gguf import open_gguf
from tallow.quantization import FILE_TYPES, file_type

pytestmark = [pytest.mark.needs_llama_cpp, pytest.mark.slow]
# Names that llama.cpp has not, and one that it cannot make where rows are no multiple of 128.
OURS = ("mxfp4", "nvfp4", "q1_0")
EXACT = ("f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "mxfp4", "tq1_0", "tq2_0")
NEEDS_IMATRIX = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "q2_k_s")
# Types after which this small model still knows the answer.
SPEAKING = ("f32", "f16", "bf16", "q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0")
CHUNKS = ("--context", "128", "--chunks", "2")


@pytest.fixture(scope="module")
def llama_cpp():
    return pytest.importorskip("llama_cpp")


@pytest.fixture(scope="module")
def f32(smollm2_path, tmp_path_factory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("f32") / "f32.gguf"
    call = ["quantize", str(smollm2_path), str(out), "--type", "f32", "--allow-requantize"]
    assert main(call) == 0
    yield out
    out.unlink()


@pytest.fixture(scope="module")
def imatrix(f32) -> Path:
    text, out = f32.with_name("text.txt"), f32.with_name("imatrix.gguf")
    text.write_text(" ".join(f"The number after {i} is {i + 1}." for i in range(100)))
    assert main(["imatrix", str(f32), str(text), "-o", str(out), *CHUNKS]) == 0
    return out


def by_llama_cpp(llama_cpp, source: Path, out: Path, kind: str) -> None:
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = file_type(kind).code, 2
    names = str(source).encode(), str(out).encode()
    assert llama_cpp.llama_model_quantize(*names, ctypes.byref(parameters)) == 0


def continuation(llama_cpp, path: Path) -> str:
    model = llama_cpp.Llama(str(path), n_ctx=128, n_threads=2, verbose=False)
    try:
        return model("The capital of France is", max_tokens=8, temperature=0)["choices"][0]["text"]
    finally:
        model.close()


@pytest.mark.parametrize("kind", [k for k in FILE_TYPES if k not in (*OURS, *NEEDS_IMATRIX)])
def test_dtypes_and_blocks_are_llama_cpps(llama_cpp, f32, tmp_path, kind):
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    assert main(["quantize", str(f32), str(ours), "--type", kind]) == 0
    by_llama_cpp(llama_cpp, f32, theirs, kind)
    with open_gguf(ours) as a, open_gguf(theirs) as b:
        assert list(a.tensors) == list(b.tensors)
        for name, info in a.tensors.items():
            assert (info.dtype, info.shape) == (b.tensors[name].dtype, b.tensors[name].shape), name
            if info.dtype in EXACT or info.dtype == "f32":
                assert bytes(a.data(name)) == bytes(b.data(name)), name
        kinds = {info.dtype for info in a.tensors.values()}
    whole = [path.read_bytes() for path in (ours, theirs)]
    ours.unlink()
    theirs.unlink()
    if kinds <= {*EXACT, "f32"}:
        assert whole[0] == whole[1]


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_every_file_loads_and_runs_in_llama_cpp(llama_cpp, f32, imatrix, tmp_path, kind):
    out = tmp_path / "out.gguf"
    call = ["quantize", str(f32), str(out), "--type", kind, "--imatrix", str(imatrix)]
    assert main(call) == 0
    text = continuation(llama_cpp, out)
    out.unlink()
    assert text
    if FILE_TYPES[kind].base in SPEAKING:
        assert "Paris" in text


def test_a_folder_runs_in_llama_cpp(llama_cpp, f32, tmp_path):
    """A Hugging Face folder made from the model comes back as a file that says the same."""
    from tallow.text.vocab import NORMAL

    folder, out = tmp_path / "smollm2", tmp_path / "out.gguf"
    folder.mkdir()
    weights = folder / "model.safetensors"
    assert main(["convert", str(f32), str(weights), "--names", "hf", "--dtype", "f16"]) == 0
    metadata = open_gguf(f32).metadata
    tokens, kinds = (metadata[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type"))
    added = [
        {"id": i, "content": text, "special": True, "normalized": False, "single_word": False,
         "lstrip": False, "rstrip": False}
        for i, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind != NORMAL
    ]  # fmt: skip
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    bytes_["use_regex"] = True
    digits = {"type": "Digits", "individual_digits": True}
    model = {
        "type": "BPE",
        "vocab": {text: i for i, text in enumerate(tokens)},
        "merges": list(metadata["tokenizer.ggml.merges"]),
    }
    tokenizer = {
        "added_tokens": added,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, bytes_]},
        "decoder": bytes_,
        "model": model,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    ends = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(ends))
    sizes = {
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "max_position_embeddings": "context_length",
        "vocab_size": "vocab_size",
        "rope_theta": "rope.freq_base",
        "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    }
    config = {key: metadata[f"llama.{name}"] for key, name in sizes.items()}
    config |= {"model_type": "llama", "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["convert", str(folder), str(out)]) == 0
    assert main(["diff", str(out), str(f32), "--tolerance", "0.01"]) == 0
    assert continuation(llama_cpp, out) == continuation(llama_cpp, f32)
