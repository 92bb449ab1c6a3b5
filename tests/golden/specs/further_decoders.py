"""Goldens of further decoders with heads on texts without padding, and what they generate."""

from __future__ import annotations

from specs import Spec, texts
from specs.decoders import HIDDEN, SEARCHES, TINY
from specs.moe import STDS


def decoder(name: str, prefix: str, stds=None, model="", **values) -> dict[str, Spec]:
    """One of a family, whose `model` may be that of another."""
    return {
        name: Spec(
            f"{model or prefix}ForCausalLM", f"{prefix}Config", {**TINY, **values}, texts(pad=None),
            ("logits", "hidden_states"), stds or {}, options=HIDDEN,
            generate={"greedy": SEARCHES["greedy"]},
        )
    }  # fmt: skip


LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 8,
    "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.5, 2.0, 2.5, 3.0],
}  # fmt: skip
LATENT = {
    "kv_lora_rank": 16, "q_lora_rank": 12, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8,
    "v_head_dim": 10, "num_key_value_heads": 4,
}  # fmt: skip
ROUTED = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}

SPECS = {
    **decoder("minicpm3", "MiniCPM3", **LATENT, rope_parameters=LONGROPE),
    **decoder(
        "minicpm3_direct", "MiniCPM3",
        **{**LATENT, "q_lora_rank": None, "v_head_dim": None}, scale_emb=2, scale_depth=None,
        dim_model_base=None, tie_word_embeddings=False,
    ),
    **decoder(
        "internlm3", "InternLM3", model="Llama", attention_bias=True, mlp_bias=True, head_dim=16
    ),
    **decoder("seed_oss", "SeedOss", head_dim=16),
    **decoder("arcee", "Arcee"),
    **decoder(
        "apertus", "Apertus", rope_parameters={
            "rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
        }, pad_token_id=0,
    ),
    **decoder(
        "granite_swa", "GraniteSWA", num_hidden_layers=3, sliding_window=5,
        layer_rope_theta=[0, 100.0, 100.0], embedding_multiplier=1.5, attention_multiplier=0.3,
        residual_multiplier=0.6, logits_scaling=1.3,
    ),
    **decoder(
        "dots1", "Dots1", STDS, **ROUTED, head_dim=16, num_key_value_heads=4, n_routed_experts=8,
        n_shared_experts=2, first_k_dense_replace=1, n_group=4, topk_group=2, norm_topk_prob=True,
        routed_scaling_factor=1.5,
    ),
    **decoder(
        "exaone_moe", "ExaoneMoe", STDS, **ROUTED, head_dim=16, num_experts=6, sliding_window=5,
        num_hidden_layers=3, sliding_window_pattern=3, pad_token_id=0,
    ),
    **decoder(
        "hunyuan_v1_moe", "HunYuanMoEV1", {"*.mlp.gate.wg.weight": 0.3}, head_dim=16,
        intermediate_size=32, num_experts=6, moe_topk=2,
    ),
    **decoder(
        "minimax_m2", "MiniMaxM2", STDS, head_dim=16, intermediate_size=32, num_experts_per_tok=2,
        num_local_experts=6, rotary_dim=8,
    ),
}  # fmt: skip
