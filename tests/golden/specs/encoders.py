"""Goldens of text encoders."""

from specs import Spec, texts

BERT = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
}
HEADS = {
    "masked_lm": ("ForMaskedLM", ("logits",), {}),
    "classification": ("ForSequenceClassification", ("logits",), {"num_labels": 3}),
    "tokens": ("ForTokenClassification", ("logits",), {"num_labels": 5}),
    "answers": ("ForQuestionAnswering", ("start_logits", "end_logits"), {}),
}


def with_heads(name, prefix, values, inputs, heads=HEADS, base="Model") -> dict[str, Spec]:
    """The model without a head, and each head."""
    config = f"{prefix}Config"
    outputs = ("last_hidden_state", "pooler_output")
    specs = {name: Spec(f"{prefix}{base}", config, values, inputs, outputs)}
    for head, (ending, names, more) in heads.items():
        specs[f"{name}_{head}"] = Spec(
            f"{prefix}{ending}", config, {**values, **more}, inputs, names
        )
    return specs


SPECS = with_heads("bert", "Bert", BERT, texts(types=2))
