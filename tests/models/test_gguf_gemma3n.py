"""A Gemma 3n of the sizes that llama.cpp has in its code, through a GGUF file."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.gguf_families import LlamaCpp, written
from tallow.models import build
from tallow.models.families import gemma3n_text
from tallow.models.families.gemma3n_text import Config, Gemma3n
from tallow.models.fields import Fields
from tallow.weights import open_weights

VALUES = {
    "model_type": "gemma3n_text", "architectures": ["Gemma3nForCausalLM"], "vocab_size": 64,
    "vocab_size_per_layer_input": 60, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 25, "num_kv_shared_layers": 5, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 6, "max_position_embeddings": 64,
}  # fmt: skip


def far_above(x, bound):
    """Gates by the deviation of a sample, which llama.cpp takes; wide layers hide it."""
    mean = x.mean(-1, keepdim=True)
    spread = ((x - mean).square().sum(-1, keepdim=True) / (x.shape[-1] - 1)).sqrt()
    return tl.nn.functional.relu(x - (mean + spread * bound))


def from_table(x):
    """GELU as ggml's table has it, in f16, but for what rounding makes of its ends."""
    rounded = x.to(tl.f16).to(tl.f32)
    return tl.nn.functional.gelu(rounded, approximate="tanh").to(tl.f16).to(tl.f32)


@pytest.mark.needs_llama_cpp
def test_llama_cpp_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(gemma3n_text, "far_above", far_above)
    monkeypatch.setitem(gemma3n_text.ACTIVATIONS, gemma3n_text.ACT, from_table)
    model = Gemma3n(Config.read(Fields(VALUES, "test")))
    source = np.random.default_rng(4)
    for name, value in model.named_parameters():
        noise = source.standard_normal(value.shape).astype("f4")
        spread = 0.5 if "embed" in name else value.shape[-1] ** -0.5
        drawn = spread * noise if value.ndim > 1 else 1 + 0.3 * noise
        value.data.copy_(tl.tensor(drawn))
    model.config_values = VALUES
    model.save_pretrained(tmp_path / "folder")
    path, losses = written(tmp_path / "folder", tmp_path / "model.gguf")
    assert [each for each in losses if "tokenizer" not in each] == []
    theirs, ours = LlamaCpp(path), build(open_weights(path), activations="float")
    ids = source.integers(0, 64, 14).tolist()
    found = ours(tl.tensor([ids])).logits[0].numpy()
    folder = tl.models.load(tmp_path / "folder", activations="float")
    np.testing.assert_allclose(found, folder(tl.tensor([ids])).logits[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(found, theirs.logits(ids), rtol=1e-2, atol=0.02)
    chosen = theirs.greedy(ids, 40)
    options = {"max_new_tokens": 40, "do_sample": False, "eos_token_id": None}
    assert ours.generate(tl.tensor([ids]), **options).tolist()[0][-40:] == chosen
