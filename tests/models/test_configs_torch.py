"""What config.json says, family by family: the logits of transformers for the same files."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ConfigWarning
from tallow.models import load

pytestmark = pytest.mark.needs_torch

IDS = list(range(5, 15))
YARN = {"rope_theta": 10000.0, "rope_type": "yarn", "factor": 4.0}
FIRST = {**YARN, "original_max_position_embeddings": 16}
OURS = {
    "rope_interleaved": True, "qkv_bias": True, "output_bias": True, "rope_dimension": 8,
    "expert_count": 4, "sliding_windows": [3, 3], "embedding_length": 8,
}  # fmt: skip
HALF = ["full_attention", "sliding_attention"]
CASES = [
    ("llama", {"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}}),
    ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 5000.0}),
    ("llama", {"rope_parameters": FIRST}),
    ("llama", {"rope_parameters": YARN}),
    ("llama", {"rope_parameters": {**FIRST, "beta_fast": 8, "beta_slow": 2}}),
    ("llama", {"rope_parameters": {**FIRST, "attention_factor": 1.3}}),
    ("llama", {"rope_parameters": {**FIRST, "mscale": 0.7, "mscale_all_dim": 0.5}}),
    ("llama", {"rope_parameters": {**FIRST, "truncate": False}}),
    ("llama", {"head_dim": None, "rms_norm_eps": "absent"}),
    ("llama", {**OURS, "sliding_window": 3, "use_sliding_window": True}),
    ("llama", {"attention_multiplier": 2.0, "logits_scaling": 3.0}),
    ("mistral", {**OURS, "mlp_bias": True, "attention_bias": True}),
    ("mistral", {"sliding_window": None}),
    ("mistral", {"sliding_window": "absent"}),
    ("mistral", {"sliding_window": 3, "layer_types": HALF}),
    ("qwen2", {**OURS, "attention_bias": False, "mlp_bias": True}),
    ("qwen2", {"sliding_window": 3, "layer_types": "absent"}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 3, "layer_types": HALF}),
    ("qwen3", {**OURS, "mlp_bias": True}),
]


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_logits_are_those_of_transformers(family, changes, golden, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "model"
    ignored = shutil.ignore_patterns("*.gguf", "gold*")
    shutil.copytree(golden(family).folder, folder, ignore=ignored)
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    config = {name: value for name, value in config.items() if value != "absent"}
    (folder / "config.json").write_text(json.dumps(config))
    reference = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        expected = reference.eval()(torch.tensor([IDS])).logits.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)  # of keys of ours and of others
        found = load(folder)(tl.tensor([IDS])).logits.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
