"""Goldens of decoder-only language models."""

from __future__ import annotations

from specs import Spec, embedded, texts

TINY = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 48,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ENDS = {"eos_token_id": [2, 9, 33], "pad_token_id": 0}
SEARCHES = {
    "greedy": {**ENDS, "max_new_tokens": 20, "do_sample": False},
    "beams": {**ENDS, "max_new_tokens": 16, "num_beams": 3, "num_return_sequences": 2,
              "do_sample": False},
}  # fmt: skip
LABELS = {"num_labels": 3, "pad_token_id": 0}
HIDDEN = {"output_hidden_states": True}


def decoder(name: str, prefix: str, **values) -> dict[str, Spec]:
    """With a head and without, and what it generates."""
    model, config, every = f"{prefix}ForCausalLM", f"{prefix}Config", {**TINY, **values}
    return {
        name: Spec(model, config, every, texts(), ("logits", "hidden_states"), options=HIDDEN),
        f"{name}_model": Spec(
            f"{prefix}Model", config, every, texts(), ("last_hidden_state",), options=HIDDEN
        ),
        f"{name}_generate": Spec(
            model, config, every, texts(pad=None), ("logits",), generate=SEARCHES
        ),
        f"{name}_classification": Spec(
            f"{prefix}ForSequenceClassification",
            config,
            {**every, **LABELS},
            texts(batch=3),
            ("logits",),
        ),
        f"{name}_tokens": Spec(
            f"{prefix}ForTokenClassification",
            config,
            {**every, "num_labels": 5},
            texts(),
            ("logits", "hidden_states"),
            options=HIDDEN,
        ),
        f"{name}_answers": Spec(
            f"{prefix}ForQuestionAnswering",
            config,
            every,
            texts(),
            ("start_logits", "end_logits"),
        ),
    }


SPECS = {
    **decoder("llama", "Llama", tie_word_embeddings=True),
    "llama_classification_left": Spec(
        "LlamaForSequenceClassification",
        "LlamaConfig",
        {**TINY, **LABELS, "num_labels": 1},
        texts(batch=3, left=True),
        ("logits",),
    ),
    "llama_classification_embedded": Spec(
        "LlamaForSequenceClassification",
        "LlamaConfig",
        {**TINY, **LABELS},
        embedded(texts(pad=None)),
        ("logits",),
    ),
    "llama_embedded": Spec(
        "LlamaForCausalLM", "LlamaConfig", TINY, embedded(texts(), 48), ("logits",)
    ),
    **decoder("gemma", "Gemma", head_dim=16),
    **decoder("mistral", "Mistral", head_dim=16, sliding_window=5),
    **decoder("qwen2", "Qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1),
    **decoder("qwen3", "Qwen3", head_dim=16, tie_word_embeddings=True),
}
del SPECS["gemma_answers"]  # there is no such class
