"""Every family that has a GGUF layout: its golden through a file, ours and llama.cpp's reading."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.gguf_families import NAMES, LlamaCpp, written
from models.golden_families import Case
from tallow.errors import ModelError
from tallow.models import FAMILIES, build
from tallow.models.table import GGUF_ARCHITECTURES
from tallow.weights import open_weights

# What files of an architecture have no key for; the goldens of these differ by it.
LOST = {"mistral": "sliding window", "qwen2": "sliding window", "bloom_post": "sums_normed",
        "mpt_clipped": "query_scale", "gpt_oss": "rope_scaling: truncate"}  # fmt: skip
# Variants that llama.cpp has no place for.
REFUSED = {
    "baichuan": "expected 32 layers with rotation",  # test_gguf_baichuan.py has so many
    "baichuan_alibi": "expected 40 layers with biases",
    "bitnet": "hidden_act: expected silu",
    "falcon_alibi": "no such bias",
    "gemma3n_text": "4 streams",
    "gpt_neox_serial": "expected output.weight",
    "internlm2_biases": "no such bias",
    "llama4_text": "chunks of 8192",
    "minicpm3_direct": "scale_emb: expected 12",
    "nemotron_h": "expected moe or mlp",
}
WRITTEN = [name for name in NAMES if name not in REFUSED]
LOST |= dict.fromkeys(("qwen2_moe_windows", "qwen3_moe_dense"), "sliding window")
# Ranks and widths of Gemma 3n are numbers of llama.cpp's code: test_gguf_gemma3n.py has a model.
OF_OTHER_SIZES = ("gemma3n_text_usual",)
# Layers without experts are none for llama.cpp.
WITH_DENSE_LAYERS = ("qwen2_moe_windows", "qwen3_moe_dense")
# ggml looks GELU up in a table of f16, so that logits of random models are off by as much.
BY_TABLE = dict.fromkeys(
    ("gemma", "gpt2", "gpt_neox", "bloom", "falcon", "mpt", "gpt_bigcode", "phi", "starcoder2"),
    0.03,
)
WITHOUT_TOKENIZER = "no tokenizer.json: a model of ids alone"


def test_every_architecture_has_a_golden():
    with_layout = {row.name for row in FAMILIES.values() if row.gguf is not None}
    told = {family for row in GGUF_ARCHITECTURES.values() for family, _, _ in row.choices}
    assert told <= with_layout
    tested = {open_weights(Case(name).folder).config["model_type"] for name in NAMES}
    assert with_layout - tested <= {"t5", "mt5", "umt5"}  # of test_gguf_t5.py


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_gives_what_the_folder_gives(name, tmp_path):
    case = Case(name)
    path, losses = written(case.folder, tmp_path / "model.gguf")
    told = [each for each in losses if each != WITHOUT_TOKENIZER]
    family = next((each for each in LOST if name.startswith(each)), None)
    if family is not None and told:
        assert all(each.startswith(LOST[family]) for each in told)
        pytest.skip(f"files of {family} do not keep: {told}")
    assert not told
    model = build(open_weights(path), activations="float")
    case.check(case.run(model))


@pytest.mark.needs_llama_cpp
@pytest.mark.parametrize("name", WRITTEN)
def test_llama_cpp_gives_the_same(name, tmp_path):
    case = Case(name)
    path, _ = written(case.folder, tmp_path / "model.gguf")
    if name in WITH_DENSE_LAYERS:
        pytest.skip("llama.cpp wants experts in all layers of this family")
    if name in OF_OTHER_SIZES:
        pytest.skip("llama.cpp has other sizes of this family in its code")
    theirs = LlamaCpp(path)
    ids = [int(token) for token in case.inputs["input_ids"].tolist()[0]]
    model = build(open_weights(path), activations="float")
    ours = model(tl.tensor([ids])).logits[0].numpy()
    slack = next((BY_TABLE[each] for each in BY_TABLE if name.startswith(each)), 2e-3)
    np.testing.assert_allclose(ours, theirs.logits(ids), rtol=1e-3, atol=slack)
    count = min(64, model.context - len(ids))
    chosen = theirs.greedy(ids, count)
    if slack in BY_TABLE.values():
        # Another token may win where two are as close as the table is coarse.
        rows = model(tl.tensor([[*ids, *chosen]])).logits[0].numpy()[len(ids) - 1 : -1]
        picked = rows[np.arange(count), chosen]
        assert (rows.max(1) - picked).max() < 2 * slack
        return
    options = {"max_new_tokens": count, "do_sample": False, "eos_token_id": None}
    found = model.generate(tl.tensor([ids]), **options).tolist()[0]
    assert found[-count:] == chosen


@pytest.mark.parametrize("name", REFUSED)
def test_what_llama_cpp_has_no_place_for_is_refused(name, tmp_path):
    with pytest.raises(ModelError, match=REFUSED[name]):
        written(Case(name).folder, tmp_path / "model.gguf")
