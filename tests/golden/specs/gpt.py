"""Goldens of decoders after GPT-3 and of its time: fused projections, ALiBi, parallel parts."""

from __future__ import annotations

from dataclasses import replace

from specs import Spec, texts
from specs.decoders import HIDDEN, SEARCHES

BASE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 48,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHORT = {
    "vocab_size": 64,
    "n_positions": 48,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}


def decoder(name: str, prefix: str, values: dict, **variants: dict) -> dict[str, Spec]:
    """With a head, what it generates, and variants of its config."""
    model, config = f"{prefix}ForCausalLM", f"{prefix}Config"

    def spec(values, inputs, outputs=("logits",), **more):
        return Spec(model, config, values, inputs, outputs, **more)

    found = {
        name: spec(values, texts(), ("logits", "hidden_states"), options=HIDDEN),
        f"{name}_generate": spec(values, texts(pad=None), generate=SEARCHES),
    }
    for variant, changes in variants.items():
        found[f"{name}_{variant}"] = spec({**values, **changes}, texts())
    return found


def partial(share: float) -> dict:
    """Rotation of a share of each head."""
    return {**ROPE, "partial_rotary_factor": share}


SPECS: dict[str, Spec] = {
    **decoder(
        "gpt_neox", "GPTNeoX", {**BASE, "rope_parameters": partial(0.5)},
        serial={"use_parallel_residual": False, "attention_bias": False,
                "tie_word_embeddings": True},
    ),
    **decoder("gptj", "GPTJ", {**SHORT, "rotary_dim": 4}, whole={"rotary_dim": 8, "n_inner": 48}),
    **decoder("codegen", "CodeGen", {**SHORT, "rotary_dim": 4}),
    **decoder(
        "persimmon", "Persimmon", {**BASE, "rope_parameters": partial(0.5)},
        plain={"qk_layernorm": False},
    ),
    **decoder(
        "falcon", "Falcon",
        {k: v for k, v in BASE.items() if k != "intermediate_size"},
        new={"new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": 48},
        one_norm={"new_decoder_architecture": True, "num_kv_heads": 2,
                  "num_ln_in_parallel_attn": 1},
        alibi={"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    **decoder(
        "bloom", "Bloom",
        {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1,
         "eos_token_id": 2},
        post={"apply_residual_connection_post_layernorm": True, "n_head": 8},
    ),
    **decoder(
        "mpt", "Mpt",
        {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 48,
         "bos_token_id": 1, "eos_token_id": 2},
        clipped={"attn_config": {"clip_qkv": 2.0, "softmax_scale": 0.3}},
    ),
    **decoder(
        "gpt_neo", "GPTNeo",
        {"vocab_size": 64, "hidden_size": 32, "num_layers": 2, "num_heads": 4,
         "max_position_embeddings": 48, "window_size": 5, "bos_token_id": 1, "eos_token_id": 2,
         "attention_types": [[["global", "local"], 1]]},
    ),
    **decoder("gpt_bigcode", "GPTBigCode", SHORT, heads={"multi_query": False, "n_inner": 48}),
}  # fmt: skip
# By products of its own, transformers adds the bias twice: to scores and to the mask.
SPECS["falcon_alibi"] = replace(SPECS["falcon_alibi"], attention="sdpa")
