"""Goldens of decoders with experts."""

from __future__ import annotations

from specs import Spec, texts
from specs.decoders import HIDDEN, SEARCHES, TINY

EXPERTS = {
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "intermediate_size": 32,
}
# Where softmax over experts would be all of one.
STDS = {"*.mlp.gate.weight": 0.3}


def decoder(name: str, prefix: str, heads: bool = False, stds=STDS, **values) -> dict[str, Spec]:
    """With a head, and what it generates."""
    model, config, every = f"{prefix}ForCausalLM", f"{prefix}Config", {**TINY, **values}
    found = {
        name: Spec(model, config, every, texts(), ("logits", "hidden_states"), stds,
                   options=HIDDEN),
        f"{name}_generate": Spec(
            model, config, every, texts(pad=None), ("logits",), stds,
            generate={"greedy": SEARCHES["greedy"]},
        ),
    }  # fmt: skip
    if heads:
        found[f"{name}_model"] = Spec(
            f"{prefix}Model", config, every, texts(), ("last_hidden_state",), stds, options=HIDDEN
        )
    return found


LATENT = {
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "num_key_value_heads": 4,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_shared_experts": 2,
}
YARN = {
    "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "mscale": 0.7,
    "mscale_all_dim": 0.8, "original_max_position_embeddings": 12,
}  # fmt: skip


def llama4(name: str, **values) -> dict[str, Spec]:
    """With what it generates; its config is called after the text."""
    every = {**TINY, "head_dim": 16, "intermediate_size": 32, "intermediate_size_mlp": 64, **values}
    stds = {"*.router.weight": 0.3}
    return {
        name: Spec(
            "Llama4ForCausalLM", "Llama4TextConfig", every, texts(pad=None),
            ("logits", "hidden_states"), stds, options=HIDDEN,
            generate={"greedy": SEARCHES["greedy"]},
        )
    }  # fmt: skip


SPECS = {
    **decoder(
        "olmoe", "Olmoe", num_key_value_heads=4, num_experts=6,
        num_experts_per_tok=2, intermediate_size=32, pad_token_id=0,
    ),
    **decoder(
        "granitemoe", "GraniteMoe", stds={"*.router.weight": 0.3}, num_local_experts=5,
        num_experts_per_tok=2, intermediate_size=32, embedding_multiplier=1.5,
        attention_multiplier=0.3, residual_multiplier=0.6, logits_scaling=1.3,
    ),
    **decoder("deepseek_v2", "DeepseekV2", **LATENT, q_lora_rank=None),
    "deepseek_v2_groups": Spec(
        "DeepseekV2ForCausalLM",
        "DeepseekV2Config",
        {**TINY, **LATENT, "q_lora_rank": 12, "topk_method": "group_limited_greedy", "n_group": 4,
         "topk_group": 2, "routed_scaling_factor": 1.5, "rope_parameters": YARN},
        texts(),
        ("logits",),
        STDS,
    ),
    **decoder(
        "deepseek_v3", "DeepseekV3", **LATENT, q_lora_rank=12, n_group=4, topk_group=2,
        rope_parameters={**YARN, "mscale": 0.8},  # which GGUF files can say
    ),
    **decoder(
        "glm4_moe", "Glm4Moe", head_dim=16, n_routed_experts=8, num_experts_per_tok=2,
        moe_intermediate_size=16, n_group=4, topk_group=2, routed_scaling_factor=1.5,
        use_qk_norm=True, num_mtp_layers=0,
    ),
    "glm4_moe_biased": Spec(
        "Glm4MoeForCausalLM",
        "Glm4MoeConfig",
        {**TINY, "head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2,
         "moe_intermediate_size": 16, "attention_bias": True, "first_k_dense_replace": 0,
         "num_mtp_layers": 0},
        texts(),
        ("logits",),
        STDS,
    ),
    **decoder(
        "ernie4_5_moe", "Ernie4_5_Moe", moe_num_experts=6, moe_k=2, moe_intermediate_size=16,
        moe_num_shared_experts=2,
    ),
    **llama4(
        "llama4_text", num_hidden_layers=4, attention_chunk_size=5, floor_scale=4,
        interleave_moe_layer_step=2, num_local_experts=4, num_experts_per_tok=2,
    ),
    **llama4("llama4_text_usual", num_hidden_layers=4, num_local_experts=4),
    **decoder(
        "phimoe", "Phimoe", stds={"*.mlp.router.weight": 0.3}, num_local_experts=5,
        num_experts_per_tok=2, intermediate_size=32, attention_bias=True, lm_head_bias=True,
        router_jitter_noise=0.3,
        rope_parameters={
            "rope_type": "longrope", "rope_theta": 100.0, "short_factor": [1.0, 1.1, 1.2, 1.3],
            "long_factor": [1.5, 2.0, 2.5, 3.0], "short_mscale": 1.2, "long_mscale": 1.2,
            "original_max_position_embeddings": 48,
        },
    ),
    **decoder("qwen2_moe", "Qwen2Moe", **EXPERTS, shared_expert_intermediate_size=32),
    **decoder(
        "qwen3_moe", "Qwen3Moe", heads=True, **EXPERTS, head_dim=16, norm_topk_prob=True,
        tie_word_embeddings=True,
    ),
    **decoder(
        "mixtral", "Mixtral", num_local_experts=5, num_experts_per_tok=2, intermediate_size=32,
        head_dim=16,
    ),
    **decoder(
        "gpt_oss", "GptOss", stds={"*.mlp.router.weight": 0.3}, num_local_experts=5,
        num_experts_per_tok=2, intermediate_size=32, head_dim=16, sliding_window=5,
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 150000.0, "factor": 4.0, "beta_fast": 32.0,
            "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 12,
        },
    ),
    "gpt_oss_truncated": Spec(  # as GGUF files have it
        "GptOssForCausalLM",
        "GptOssConfig",
        {**TINY, "num_local_experts": 5, "num_experts_per_tok": 2, "intermediate_size": 32,
         "head_dim": 16, "sliding_window": 5,
         "rope_parameters": {
             "rope_type": "yarn", "rope_theta": 150000.0, "factor": 4.0, "truncate": True,
             "original_max_position_embeddings": 12,
         }},
        texts(),
        ("logits",),
        {"*.mlp.router.weight": 0.3},
    ),
    "qwen3_moe_dense": Spec(
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        {**TINY, **EXPERTS, "head_dim": 16, "num_hidden_layers": 3, "mlp_only_layers": [0],
         "use_sliding_window": True, "sliding_window": 5, "norm_topk_prob": True},
        texts(),
        ("logits",),
        STDS,
    ),
    "qwen2_moe_windows": Spec(
        "Qwen2MoeForCausalLM",
        "Qwen2MoeConfig",
        {**TINY, **EXPERTS, "num_hidden_layers": 3, "max_window_layers": 2,
         "use_sliding_window": True, "sliding_window": 4,
         "shared_expert_intermediate_size": 64, "decoder_sparse_step": 2},
        texts(),
        ("logits",),
        STDS,
    ),
}  # fmt: skip
