"""Goldens as llama.cpp's own converter writes them: read by us, they give what transformers gives.

The converter (`conversion/` and `gguf-py/`) lies in the source distribution of llama-cpp-python
(`vendor/llama.cpp`): `TALLOW_TEST_LLAMA_CPP` names that folder. It needs torch and transformers.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from importlib import import_module
from typing import Any

import pytest

from models.gguf_families import NAMES
from models.golden_families import Case
from tallow.models import load

pytestmark = [pytest.mark.needs_llama_cpp, pytest.mark.slow]

FOLDER = os.environ.get("TALLOW_TEST_LLAMA_CPP")
# What the converter cannot do, or writes otherwise than the golden is.
UNLIKE = {
    "baichuan": "it calls itself without end",
    "bitnet": "it knows the names of its published remote code",
    "bloom_post": "it does not tell the sums",
    "cohere2": "it takes every fourth layer for one without a window",
    "falcon": "it takes one key for all queries, and feed-forward of four widths",
    "gemma3_text": "it wants a tokenizer",
    "gemma3n_text": "it wants four inputs of AltUp",
    "gemma4_text": "it wants a tokenizer",
    "gpt_bigcode_heads": "it takes one key for all queries",
    "gpt_neox_serial": "files have no place for tied words",
    "granitemoehybrid_rope": "it takes hybrids for models without rotation",
    "hunyuan_v1_dense": "it wants the sizes of published models",
    "hunyuan_v1_moe": "it wants keys of published configs, a list for each layer",
    "internlm2_biases": "it knows none",
    "llama4_text": "chunks are 8192 tokens",
    "minicpm3_direct": "it knows no queries without latents",
    "minicpm3": "it takes values for as wide as hidden_size / heads",
    "mistral": "it does not tell the window",
    "mpt_clipped": "it does not tell the scale",
    "phi": "it takes a key for each query",
    "qwen2": "it does not tell the windows",
    "qwen2_moe_windows": "it knows no layers without experts",
    "qwen3_moe_dense": "it knows no layers without experts",
    "qwen": "it does not tell the growth of queries",
    "stablelm": "it loses norms of heads, and the base of rotation",
}
ALONE = ("llama4_text", "minicpm3", "mistral", "phi", "qwen", "qwen2", "gemma3n_text")
CONVERTED = [
    name
    for name in NAMES
    if not any(name == each or (each not in ALONE and name.startswith(each)) for each in UNLIKE)
    and not name.endswith("_generate")
]


def published(values: dict[str, Any]) -> dict[str, Any]:
    """A config with what published ones have, and transformers does not write."""
    kind, rope = values["model_type"], values.get("rope_parameters") or {}
    more: dict[str, Any] = {}
    if kind in ("gpt_neox", "cohere2"):
        more["rotary_pct"] = rope.get("partial_rotary_factor", 1.0)
        more["rotary_emb_base"] = rope.get("rope_theta", 10000)
    elif kind == "gpt2":
        more["n_ctx"] = values["n_positions"]
    elif kind == "deepseek_v3":
        more["scoring_func"] = "sigmoid"
    elif kind == "granitemoehybrid":
        names = {"full_attention": "attention", "linear_attention": "mamba"}
        more["layer_types"] = [names.get(each, each) for each in values["layer_types"]]
    elif kind == "mpt":
        more["architectures"] = ["MPTForCausalLM"]
    return {**values, **more}


@pytest.fixture(scope="module")
def convert():
    """A function that writes a folder's file."""
    if FOLDER is None:
        pytest.skip("TALLOW_TEST_LLAMA_CPP names no folder of llama.cpp's source")
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if _of_converter(name)}
    sys.path[:0] = [FOLDER, f"{FOLDER}/gguf-py"]
    import gguf
    import torch

    package = import_module("conversion")

    def write(folder, target):
        logging.disable(logging.WARNING)
        values = json.loads((folder / "config.json").read_text())
        name = package.get_model_architecture(values, package.ModelType.TEXT)
        kind = package.get_model_class(name)
        kind.set_vocab = lambda self: self.gguf_writer.add_tokenizer_model("no_vocab")
        kind.no_mtp = True  # no blocks for tokens further on
        with torch.inference_mode():
            kind(folder, gguf.LlamaFileType.ALL_F32, target, hparams=values).write()
        logging.disable(logging.NOTSET)

    yield write
    del sys.path[:2]
    for name in [name for name in sys.modules if _of_converter(name)]:
        del sys.modules[name]
    sys.modules.update(ours)


def _of_converter(name: str) -> bool:
    """Whether a module is of the converter's package, or of ours of the same name."""
    return name.partition(".")[0] == "conversion"


@pytest.mark.parametrize("name", CONVERTED)
def test_files_of_the_converter_give_what_transformers_gives(name, convert, tmp_path):
    case = Case(name)
    folder = tmp_path / "folder"
    shutil.copytree(case.folder, folder)
    (folder / "config.json").write_text(json.dumps(published(case.config)))
    convert(folder, tmp_path / "model.gguf")
    case.check(case.run(load(tmp_path / "model.gguf", activations="float")))
