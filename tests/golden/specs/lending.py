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
         "vocab_size_per_layer_input": 64, "activation_sparsity_pattern": [0.95] * 5},
        texts(),
        ("logits",),
    ),
}  # fmt: skip
