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


def variant(prefix: str, text: str = "", **values) -> Spec:
    """Logits alone."""
    model, config = f"{prefix}ForCausalLM", f"{prefix}{text}Config"
    return Spec(model, config, {**TINY, **values}, texts(), ("logits",))


FACTORS = {"short_factor": [1.0, 1.1, 1.3], "long_factor": [1.5, 2.0, 3.0]}
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75, **FACTORS}

SPECS = {
    **pair(
        "gemma2", "Gemma2", head_dim=16, sliding_window=5, query_pre_attn_scalar=9,
        attn_logit_softcapping=3.0, final_logit_softcapping=5.0,
    ),
    **pair(
        "gemma3_text", "Gemma3", "Text", head_dim=16, sliding_window=5, num_hidden_layers=3,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0},
        },
    ),
    **pair("phi3", "Phi3", sliding_window=5, pad_token_id=0),
    "phi3_long": variant(
        "Phi3", rope_parameters=LONG, original_max_position_embeddings=8, pad_token_id=0
    ),
    "phi3_short": variant(
        "Phi3", rope_parameters=LONG, original_max_position_embeddings=24, pad_token_id=0
    ),
}  # fmt: skip
