"""Tiny quantised Llamas give the logits of their dequantised twins."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ModelError
from weights.checkpoints import (
    PACKERS,
    config,
    draw,
    e4m3,
    gptq,
    write,
    write_fp8,
)

SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 64}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5}
SIZES |= {"max_position_embeddings": 64, "rope_theta": 10000.0, "tie_word_embeddings": False}
SIZES |= {"hidden_act": "silu", "model_type": "llama"}
IDS = [[3, 17, 60, 5, 9, 0], [1, 2, 3, 40, 50, 63]]


def tiny_llama(rng):
    """The names and shapes of a tiny Llama: those of projections, and the others drawn."""
    heads = {"q_proj": (128, 128), "k_proj": (64, 128), "v_proj": (64, 128), "o_proj": (128, 128)}
    ffn = {"gate_proj": (256, 128), "up_proj": (256, 128), "down_proj": (128, 256)}
    plain = {"model.embed_tokens.weight": rng.standard_normal((64, 128)) * 0.5}
    plain |= {"lm_head.weight": rng.standard_normal((64, 128)) * 0.5}
    plain |= {"model.norm.weight": rng.uniform(0.7, 1.3, 128)}
    packed = {}
    for layer in range(2):
        base = f"model.layers.{layer}"
        packed |= {f"{base}.self_attn.{name}": shape for name, shape in heads.items()}
        packed |= {f"{base}.mlp.{name}": shape for name, shape in ffn.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            plain[f"{base}.{norm}.weight"] = rng.uniform(0.7, 1.3, 128)
    return packed, {name: array.astype(np.float32) for name, array in plain.items()}


def logits(folder, **options):
    model = tl.models.load(folder, activations="float", **options)
    return model(tl.tensor(IDS, dtype=tl.i64)).logits.numpy()


@pytest.mark.parametrize(
    ("method", "symmetric"),
    [("gptq", True), ("gptq", False), ("awq", False), ("compressed-tensors", True)],
)
def test_a_llama_gives_the_logits_of_its_dequantised_twin(tmp_path, method, symmetric):
    """Of weights with zero points the twin has s·q - s·z with the product in f16, as q4_1 does."""
    rng = np.random.default_rng(13)
    shapes, plain = tiny_llama(rng)
    packed, floats = dict(plain), dict(plain)
    for stem, (n, k) in shapes.items():
        ints = draw(rng, n, k, 64, symmetric=symmetric)
        ints.scales *= np.float16(0.5)
        packed |= {f"{stem}.{name}": part for name, part in PACKERS[method](ints).items()}
        weight = ints.weight
        if not symmetric:
            scale, zero = (
                part[ints.group_of].T.astype(float) for part in (ints.scales, ints.zeros)
            )
            weight = scale * ints.codes - (scale * zero).astype(np.float16)
            assert np.abs(weight - ints.weight).max() > 1e-6
        floats[f"{stem}.weight"] = weight.astype(np.float32)
    write(tmp_path / "packed", packed, config(method, 64), **SIZES)
    write(tmp_path / "floats", floats, None, **SIZES)
    expected = logits(tmp_path / "floats")
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits(tmp_path / "packed"), expected, rtol=1e-4, atol=1e-4)


def test_a_llama_in_act_order_needs_floats(tmp_path):
    rng = np.random.default_rng(17)
    shapes, plain = tiny_llama(rng)
    packed, floats = dict(plain), dict(plain)
    for stem, (n, k) in shapes.items():
        ints = draw(rng, n, k, 32, order=rng.permutation(np.arange(k) // 32))
        packed |= {f"{stem}.{name}": part for name, part in gptq(ints).items()}
        floats[f"{stem}.weight"] = ints.weight.astype(np.float32)
    write(tmp_path / "packed", packed, config("gptq", 32, desc_act=True), **SIZES)
    write(tmp_path / "floats", floats, None, **SIZES)
    with pytest.raises(
        ModelError, match=r"14 tensors do not fit Llama(.|\n)*layers.1.mlp.*desc_act"
    ):
        tl.models.load(tmp_path / "packed")
    expected = tl.models.load(tmp_path / "floats", dtype="f32")
    found = tl.models.load(tmp_path / "packed", dtype="f32")
    ids = tl.tensor(IDS, dtype=tl.i64)
    np.testing.assert_array_equal(found(ids).logits.numpy(), expected(ids).logits.numpy())


def test_a_llama_in_fp8(tmp_path):
    rng = np.random.default_rng(14)
    shapes, plain = tiny_llama(rng)
    packed, floats, names = dict(plain), dict(plain), []
    for stem, (n, k) in shapes.items():
        weight = e4m3(rng, (n, k))
        scales = rng.uniform(0.02, 0.05, (-(-n // 128), k // 128)).astype(np.float32)
        packed |= {f"{stem}.weight": weight.view(np.uint8), f"{stem}.weight_scale_inv": scales}
        names.append(f"{stem}.weight")
        spread = np.repeat(np.repeat(scales, 128, 0)[:n], 128, 1)
        floats[f"{stem}.weight"] = weight.astype(np.float32) * spread
    write_fp8(tmp_path / "packed", packed, names, {"weight_block_size": [128, 128]})
    values = json.loads((tmp_path / "packed" / "config.json").read_text())
    (tmp_path / "packed" / "config.json").write_text(json.dumps(values | SIZES))
    write(tmp_path / "floats", floats, None, **SIZES)
    expected = logits(tmp_path / "floats")
    np.testing.assert_allclose(logits(tmp_path / "packed"), expected, rtol=0, atol=1e-4)
