"""Goldens of decoders whose last layers borrow keys and values: Gemma 3n and 4."""

from __future__ import annotations

from specs import Spec, texts
from specs.decoders import HIDDEN, SEARCHES, TINY

LOCAL, WHOLE = "sliding_attention", "full_attention"
SIZES = {
    **TINY, "intermediate_size": 48, "head_dim": 8, "sliding_window": 5,
    "hidden_size_per_layer_input": 8, "final_logit_softcapping": 5.0,
}  # fmt: skip
STREAMS = {**SIZES, "hidden_activation": "gelu_pytorch_tanh", "laurel_rank": 4}
SCALED = {"*.layer_scalar": 1.5, "*.router.proj.weight": 0.3}
ROTATIONS = {
    LOCAL: {"rope_type": "default", "rope_theta": 100.0},
    WHOLE: {"rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 5000.0},
}

SPECS = {
    "gemma3n_text": Spec(
        "Gemma3nForCausalLM",
        "Gemma3nTextConfig",
        {**STREAMS, "num_hidden_layers": 5, "num_kv_shared_layers": 3,
         "layer_types": [LOCAL, WHOLE, LOCAL, LOCAL, WHOLE], "vocab_size_per_layer_input": 60,
         "intermediate_size": [48, 32, 48, 64, 48], "altup_num_inputs": 3,
         "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.7, 0.0]},
        texts(pad=None),
        ("logits", "hidden_states"),
        singles=False,  # streams go before rows in hidden states
        options=HIDDEN,
        generate=SEARCHES,
    ),
    "gemma3n_text_usual": Spec(
        "Gemma3nForCausalLM",
        "Gemma3nTextConfig",
        {**STREAMS, "num_hidden_layers": 5, "num_kv_shared_layers": 0,
         "vocab_size_per_layer_input": 64, "activation_sparsity_pattern": [0.95] * 5,
         "final_logit_softcapping": 30.0},
        texts(),
        ("logits",),
    ),
    "gemma4_text": Spec(
        "Gemma4ForCausalLM",
        "Gemma4TextConfig",
        {**SIZES, "num_hidden_layers": 5, "num_kv_shared_layers": 2, "global_head_dim": 16,
         "layer_types": [LOCAL, LOCAL, WHOLE, LOCAL, WHOLE], "use_double_wide_mlp": True,
         "vocab_size_per_layer_input": 64, "rope_parameters": ROTATIONS},
        texts(),
        ("logits", "hidden_states"),
        SCALED,
        options=HIDDEN,
    ),
    "gemma4_text_experts": Spec(
        "Gemma4ForCausalLM",
        "Gemma4TextConfig",
        {**SIZES, "num_hidden_layers": 4, "global_head_dim": 16, "attention_k_eq_v": True,
         "num_global_key_value_heads": 1, "layer_types": [LOCAL, WHOLE] * 2,
         "hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 4,
         "top_k_experts": 2, "moe_intermediate_size": 32, "final_logit_softcapping": None},
        texts(pad=None),
        ("logits",),
        SCALED,
        generate=SEARCHES,
    ),
}  # fmt: skip
