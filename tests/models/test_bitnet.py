"""BitNet's packed checkpoints: as transformers reads them, whole and in blocks; what is amiss."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ModelError
from weights.checkpoints import write

SIZES = {
    "model_type": "bitnet", "vocab_size": 64, "hidden_size": 256, "intermediate_size": 512,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 48, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
    "hidden_act": "relu2", "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
IDS = [[3, 17, 60, 5, 9, 0], [1, 2, 3, 40, 50, 63]]
SHAPES = {
    "self_attn.q_proj": (256, 256), "self_attn.k_proj": (128, 256),
    "self_attn.v_proj": (128, 256), "self_attn.o_proj": (256, 256), "mlp.gate_proj": (512, 256),
    "mlp.up_proj": (512, 256), "mlp.down_proj": (256, 512),
}  # fmt: skip
NORMS = {
    "input_layernorm": 256, "post_attention_layernorm": 256, "self_attn.attn_sub_norm": 256,
    "mlp.ffn_sub_norm": 512,
}  # fmt: skip


def packed(codes: np.ndarray) -> np.ndarray:
    """Rows a quarter of the matrix apart in one byte."""
    rows = (codes + 1).astype(np.uint8).reshape(4, -1, codes.shape[1])
    return rows[0] | rows[1] << 2 | rows[2] << 4 | rows[3] << 6


def checkpoint(folder, kind: str) -> None:
    """A packed checkpoint whose scales are floats of 8 bits."""
    rng = np.random.default_rng(5)
    tensors = {"model.embed_tokens.weight": rng.standard_normal((64, 256))}
    tensors["model.norm.weight"] = rng.uniform(0.7, 1.3, 256)
    for i in range(2):
        for name, size in NORMS.items():
            tensors[f"model.layers.{i}.{name}.weight"] = rng.uniform(0.7, 1.3, size)
        for name, shape in SHAPES.items():
            stem = f"model.layers.{i}.{name}"
            tensors[f"{stem}.weight"] = packed(rng.integers(-1, 2, shape))
            step = 2.0 ** rng.integers(-3, 1) * (1 + rng.integers(0, 4) / 4)
            tensors[f"{stem}.weight_scale"] = np.array(
                [step if kind == "autobitlinear" else 1 / step]
            )
    quantization = {"quant_method": "bitnet", "linear_class": kind, "quantization_mode": "offline"}
    tensors = {n: x if x.dtype == np.uint8 else x.astype(np.float32) for n, x in tensors.items()}
    write(folder, tensors, quantization, **SIZES, architectures=["BitNetForCausalLM"])


def logits(folder, **options):
    model = tl.models.load(folder, activations="float", **options)
    return model(tl.tensor(IDS, dtype=tl.i64)).logits.numpy()


@pytest.mark.parametrize("kind", ["autobitlinear", "bitlinear"])
def test_blocks_give_what_floats_give(tmp_path, kind):
    checkpoint(tmp_path, kind)
    model = tl.models.load(tmp_path, activations="float")
    assert model.model.layers[0].mlp.up_proj.weight.dtype is tl.tq2_0
    found, want = logits(tmp_path), logits(tmp_path, dtype="f32")
    # The reciprocal of a scale is rounded to f16.
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4 if kind == "autobitlinear" else 0.05)


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, when it is imported
@pytest.mark.parametrize("kind", ["autobitlinear", "bitlinear"])
def test_transformers_gives_the_same(tmp_path, kind):
    import torch
    import transformers

    torch._dynamo.config.disable = True
    checkpoint(tmp_path, kind)
    model = transformers.BitNetForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        want = model(torch.tensor(IDS)).logits.numpy()
    off = np.abs(logits(tmp_path, dtype="f32") - want).max(-1) / want.std()
    # An activation between two steps may be rounded either way, which moves what comes behind.
    assert (off < 1e-4).sum() >= 6
    assert off.max() < 0.15


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ([1, 1], "expected one float"),
        ([0], "expected a scale that is not 0"),
        ([np.nan], "expected a scale that is not 0"),
        ([1e5], "expected a scale that f16 holds"),
        ([1e-6], "expected a scale that f16 holds"),
    ],
    ids=["two", "zero", "nan", "large", "small"],
)
def test_a_scale_that_is_none_is_told(tmp_path, scale, message):
    checkpoint(tmp_path, "autobitlinear")
    from safetensors.numpy import load_file, save_file

    tensors = load_file(tmp_path / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight_scale"] = np.array(scale, np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=rf"up_proj.weight_scale: {message}"):
        logits(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_rms_norm": True}, "use_rms_norm: expected false"),
        ({"linear_class": "linear"}, "linear_class: expected bitlinear or autobitlinear"),
        ({"modules_to_not_convert": ["model.layers.0"]}, "modules_to_not_convert: expected none"),
        ({"quantization_mode": "later"}, "quantization_mode: expected offline or online"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "told",
)
def test_what_a_config_may_not_say(tmp_path, change, message):
    checkpoint(tmp_path, "autobitlinear")
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    values["quantization_config"] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match=message):
        tl.models.load(tmp_path)
