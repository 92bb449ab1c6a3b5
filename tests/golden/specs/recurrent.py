"""Goldens of models whose layers carry a state of fixed size along the sequence."""

from __future__ import annotations

from specs import Spec, texts

ENDS = {"eos_token_id": [2, 9, 33], "pad_token_id": 0}
SEARCHES = {
    "greedy": {**ENDS, "max_new_tokens": 20, "do_sample": False},
    "beams": {**ENDS, "max_new_tokens": 12, "num_beams": 3, "num_return_sequences": 2,
              "do_sample": False},
}  # fmt: skip
GREEDY = {"greedy": SEARCHES["greedy"]}
HIDDEN = {"output_hidden_states": True}
MAMBA = {
    "vocab_size": 64,
    "hidden_size": 32,
    "state_size": 8,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
UNTIED = {"tie_word_embeddings": False}
MAMBA2 = {**MAMBA, "num_heads": 4, "head_dim": 16, "n_groups": 2, "chunk_size": 4}
MIXED = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 48,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
NEMOTRON = {
    **MIXED,
    "head_dim": 16,
    "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
    "ssm_state_size": 8,
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "n_groups": 2,
    "chunk_size": 4,
    "n_routed_experts": 6,
    "moe_intermediate_size": 16,
    "moe_shared_expert_intermediate_size": 24,
    "routed_scaling_factor": 1.5,
}
CONVOLUTIONS = {
    **MIXED,
    "num_hidden_layers": 3,
    "layer_types": ["conv", "full_attention", "conv"],
}
LFM2 = {**CONVOLUTIONS, "block_multiple_of": 32}
JAMBA = {
    **MIXED,
    "num_hidden_layers": 3,
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "num_experts": 1,
    "mamba_d_state": 8,
    "mamba_dt_rank": 4,
}
GRANITE = {
    **MIXED,
    "pad_token_id": None,
    "num_hidden_layers": 3,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "num_local_experts": 0,
    "shared_intermediate_size": 64,
    "mamba_n_heads": 4,
    "mamba_d_state": 8,
    "embedding_multiplier": 1.5,
    "residual_multiplier": 0.7,
    "attention_multiplier": 0.3,
    "logits_scaling": 2.0,
}
GRIFFIN = {
    **MIXED,
    "num_hidden_layers": 3,
    "lru_width": 48,
    "attention_window_size": 5,
    "rms_norm_eps": 1e-5,
}
# Its recurrence is taken in f32 by the reference, so that sums must not be large.
GRIFFIN_STDS = {
    "*norm.weight": 0.3, "*gate_weight": 0.3, "*conv_1d.weight": 0.5, "*recurrent_param": 1.0,
    "*_proj.weight": 0.2, "*linear_*.weight": 0.2, "*embed_tokens.weight": 0.2,
}  # fmt: skip
QWEN3_NEXT = {
    **MIXED,
    "num_hidden_layers": 3,
    "head_dim": 16,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
}
BAMBA = {
    **MIXED,
    "num_hidden_layers": 3,
    "attn_layer_indices": [1],
    "mamba_n_heads": 4,
    "mamba_n_groups": 2,
    "mamba_d_state": 8,
}
# Decays of exp(-dt exp(A_log)) that neither stay nor vanish.
STATES = {"*A_log": 0.5, "*dt_bias": 0.5, "*conv1d.weight": 0.6, "*.D": 0.5}

QWEN3_5 = {
    **MIXED, "pad_token_id": None, "num_hidden_layers": 3, "head_dim": 16,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "linear_num_key_heads": 2, "linear_num_value_heads": 6, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
        "mrope_section": [1, 1, 0],
    },
}  # fmt: skip


def recurrent(name: str, prefix: str, values, *, stds=STATES, searches=SEARCHES):
    """With a head and without, and what it generates."""
    model, config = f"{prefix}ForCausalLM", f"{prefix}Config"
    outputs = ("logits", "hidden_states")
    return {
        name: Spec(model, config, values, texts(), outputs, stds=stds, options=HIDDEN),
        f"{name}_model": Spec(
            f"{prefix}Model", config, values, texts(left=True), ("last_hidden_state",), stds=stds
        ),
        f"{name}_generate": Spec(
            model, config, values, texts(pad=None), ("logits",), stds=stds, generate=searches
        ),
    }


SPECS = {
    **recurrent("mamba", "Mamba", MAMBA),
    "mamba_biased": Spec(
        "MambaForCausalLM", "MambaConfig",
        {**MAMBA, "use_bias": True, "use_conv_bias": False, "conv_kernel": 3, "time_step_rank": 5,
         "tie_word_embeddings": False},
        texts(), ("logits",), stds=STATES,
    ),
    **recurrent("mamba2", "Mamba2", MAMBA2),
    "mamba2_limits": Spec(
        "Mamba2ForCausalLM", "Mamba2Config",
        {**MAMBA2, "n_groups": 1, "time_step_limit": (0.3, 0.8), "use_bias": True,
         "tie_word_embeddings": True},
        texts(), ("logits",), stds=STATES,
    ),
    **recurrent("falcon_mamba", "FalconMamba", {**MAMBA, **UNTIED, "mixer_rms_eps": 1e-5}),
    **recurrent("lfm2", "Lfm2", LFM2),
    "lfm2_moe": Spec(
        "Lfm2MoeForCausalLM", "Lfm2MoeConfig",
        {**CONVOLUTIONS, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
         "num_dense_layers": 1},
        texts(pad=None), ("logits", "hidden_states"),
        stds={**STATES, "*.feed_forward.gate.weight": 0.3}, options=HIDDEN, generate=SEARCHES,
    ),
    **recurrent("jamba", "Jamba", JAMBA),
    "granitemoehybrid_experts": Spec(
        "GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig",
        {**GRANITE, "num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 32},
        texts(), ("logits",), stds=STATES,
    ),
    **recurrent("bamba", "Bamba", BAMBA),
    "jamba_experts": Spec(
        "JambaForCausalLM", "JambaConfig",
        {**JAMBA, "num_experts": 4, "num_experts_per_tok": 2, "expert_layer_period": 2},
        texts(), ("logits",), stds=STATES,
    ),
    **recurrent("granitemoehybrid", "GraniteMoeHybrid", GRANITE),
    # The reference does not put its recurrent states in the order of beams.
    **recurrent("recurrent_gemma", "RecurrentGemma", GRIFFIN, stds=GRIFFIN_STDS, searches=GREEDY),
    "nemotron_h": Spec(
        "NemotronHForCausalLM", "NemotronHConfig", NEMOTRON, texts(), ("logits", "hidden_states"),
        stds=STATES, options=HIDDEN,
    ),
    "nemotron_h_generate": Spec(
        "NemotronHForCausalLM", "NemotronHConfig",
        {**NEMOTRON, "moe_latent_size": 16,
         "layers_block_type": ["linear_attention", "moe", "full_attention", "moe"]},
        texts(pad=None), ("logits",), stds=STATES, generate=GREEDY,
    ),
    "nemotron_h_dense": Spec(
        "NemotronHForCausalLM", "NemotronHConfig",
        {**NEMOTRON, "layers_block_type": ["linear_attention", "mlp", "full_attention"]},
        texts(pad=None), ("logits",), stds=STATES,
    ),
    **recurrent("qwen3_next", "Qwen3Next", {**QWEN3_NEXT, "pad_token_id": None}),
    "qwen3_5_text": Spec(
        "Qwen3_5ForCausalLM", "Qwen3_5TextConfig", QWEN3_5, texts(), ("logits", "hidden_states"),
        stds=STATES, options=HIDDEN,
    ),
    "qwen3_5_moe_text": Spec(
        "Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextConfig",
        {**QWEN3_5, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
         "shared_expert_intermediate_size": 16},
        texts(pad=None), ("logits",), stds=STATES, generate=SEARCHES,
    ),
    "qwen3_next_biased": Spec(
        "Qwen3NextForCausalLM", "Qwen3NextConfig",
        {**QWEN3_NEXT, "mlp_only_layers": [0], "linear_key_head_dim": 8,
         "linear_value_head_dim": 12, "attention_bias": True, "norm_topk_prob": False},
        texts(), ("logits",), stds=STATES,
    ),
    "granitemoehybrid_rope": Spec(
        "GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig",
        {**GRANITE, "position_embedding_type": "rope", "mamba_n_groups": 2},
        texts(), ("logits",), stds=STATES,
    ),
}  # fmt: skip
for name in (
    "falcon_mamba",
    "lfm2",
    "jamba",
    "granitemoehybrid",
):  # of left padding, attention says nothing that counts
    del SPECS[f"{name}_model"]
