"""Goldens of decoder-only language models that are compositions of the shared parts."""

from __future__ import annotations

from specs import Spec, texts
from specs.decoders import HIDDEN, SEARCHES, TINY


def pair(name: str, prefix: str, text: str = "", **values) -> dict[str, Spec]:
    """With hidden states, and what it generates; `text` is what stands before `Config`."""
    model, config, every = f"{prefix}ForCausalLM", f"{prefix}{text}Config", {**TINY, **values}
    return {
        name: Spec(model, config, every, texts(), ("logits", "hidden_states"), options=HIDDEN),
        f"{name}_generate": Spec(
            model, config, every, texts(pad=None), ("logits",), generate=SEARCHES
        ),
    }


def variant(prefix: str, text: str = "", singles: bool = True, **values) -> Spec:
    """Logits alone; without `singles` where positions that are padded count, too."""
    model, config = f"{prefix}ForCausalLM", f"{prefix}{text}Config"
    return Spec(model, config, {**TINY, **values}, texts(), ("logits",), singles=singles)


LOCAL_FIRST = ["sliding_attention", "full_attention"]
FACTORS = {"short_factor": [1.0, 1.1, 1.3], "long_factor": [1.5, 2.0, 3.0]}
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75, **FACTORS}

SPECS = {
    **pair(
        "gemma2", "Gemma2", head_dim=16, sliding_window=5, query_pre_attn_scalar=16,
        attn_logit_softcapping=3.0, final_logit_softcapping=5.0,
    ),
    "gemma2_scaled": variant("Gemma2", head_dim=16, query_pre_attn_scalar=9),
    **pair(
        "gemma3_text", "Gemma3", "Text", head_dim=16, query_pre_attn_scalar=16, sliding_window=5,
        num_hidden_layers=3,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0},
        },
    ),
    **pair("phi3", "Phi3", pad_token_id=0),
    "phi3_local": variant("Phi3", sliding_window=5, pad_token_id=0),
    "phi3_long": variant(
        "Phi3", rope_parameters=LONG, original_max_position_embeddings=8, pad_token_id=0
    ),
    "phi3_short": variant(
        "Phi3", rope_parameters=LONG, original_max_position_embeddings=24, pad_token_id=0
    ),
    "exaone": Spec(
        "LlamaForCausalLM", "ExaoneConfig", {**TINY, "pad_token_id": 0}, texts(),
        ("logits", "hidden_states"), options=HIDDEN,
    ),
    "exaone_generate": Spec(
        "LlamaForCausalLM", "ExaoneConfig", {**TINY, "pad_token_id": 0}, texts(pad=None),
        ("logits",), generate=SEARCHES,
    ),
    **pair("olmo", "Olmo", clip_qkv=0.8, pad_token_id=0),
    **pair("olmo2", "Olmo2", pad_token_id=0),
    "olmo2_biased": variant("Olmo2", attention_bias=True, pad_token_id=0),
    **pair(
        "olmo3", "Olmo3", sliding_window=5, layer_types=LOCAL_FIRST, pad_token_id=0,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {
                "rope_type": "yarn", "factor": 4.0, "rope_theta": 100.0,
                "original_max_position_embeddings": 12,
            },
        },
    ),
    **pair(
        "granite", "Granite", embedding_multiplier=3.0, attention_multiplier=0.4,
        residual_multiplier=0.3, logits_scaling=2.0, tie_word_embeddings=True,
    ),
    **pair("cohere", "Cohere", logit_scale=0.5, pad_token_id=0),
    "cohere_biased": variant("Cohere", use_qk_norm=True, attention_bias=True, pad_token_id=0),
    **pair(
        "cohere2", "Cohere2", sliding_window=5, layer_types=LOCAL_FIRST, logit_scale=0.5,
        pad_token_id=0,
    ),
    **pair("glm", "Glm", head_dim=8, pad_token_id=0),
    **pair("glm4", "Glm4", head_dim=16, pad_token_id=0),
    **pair("smollm3", "SmolLM3", num_hidden_layers=4, pad_token_id=0),
    **pair(
        "smollm3_local", "SmolLM3", no_rope_layers=[1, 0], pad_token_id=0, use_sliding_window=True,
        sliding_window=5, rope_parameters={"rope_type": "default", "rope_theta": 100.0},
    ),
    **pair("starcoder2", "Starcoder2"),
    "starcoder2_local": variant("Starcoder2", sliding_window=5),
    **pair("stablelm", "StableLm", qk_layernorm=True, use_qkv_bias=True),
    "stablelm_parallel": variant(
        "StableLm", use_parallel_residual=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5},
    ),
    **pair("nemotron", "Nemotron"),
    **pair("helium", "Helium", head_dim=8, pad_token_id=0),
    **pair("exaone4", "Exaone4", sliding_window=None, layer_types=["full_attention"] * 2),
    **pair("exaone4_local", "Exaone4", sliding_window=5, layer_types=LOCAL_FIRST),
    "exaone4_dynamic": variant(
        "Exaone4", singles=False, sliding_window=None, layer_types=["full_attention"] * 2,
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 100.0},
        max_position_embeddings=8,
    ),
    **pair("ernie4_5", "Ernie4_5", head_dim=16, pad_token_id=0),
    "ernie4_5_biased": variant("Ernie4_5", head_dim=16, use_bias=True, pad_token_id=0),
    **pair(
        "hunyuan_v1_dense", "HunYuanDenseV1", head_dim=16, pad_token_id=0,
        rope_parameters={
            "rope_type": "dynamic", "alpha": 50.0, "factor": 1.0, "rope_theta": 100.0
        },
    ),
    **pair("ministral", "Ministral", head_dim=16, sliding_window=5, layer_types=LOCAL_FIRST),
    **pair("phi", "Phi"),
    "phi_scaled": variant("Phi", hidden_act="relu", qk_layernorm=True),
}  # fmt: skip
