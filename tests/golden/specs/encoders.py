"""Goldens of text encoders."""

from specs import Inputs, Spec, choices, embedded, texts

TINY = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
}
POOLED = ("last_hidden_state", "pooler_output", "hidden_states")
PLAIN = ("last_hidden_state", "hidden_states")
HEADS = {
    "masked_lm": ("ForMaskedLM", ("logits",), {}),
    "classification": ("ForSequenceClassification", ("logits",), {"num_labels": 3}),
    "tokens": ("ForTokenClassification", ("logits",), {"num_labels": 5}),
    "answers": ("ForQuestionAnswering", ("start_logits", "end_logits"), {}),
    "choices": ("ForMultipleChoice", ("logits",), {}),
}


def with_heads(
    name: str,
    prefix: str,
    values: dict,
    inputs: Inputs,
    heads: dict = HEADS,
    outputs: tuple[str, ...] = POOLED,
    **more: object,
) -> dict[str, Spec]:
    """The model without a head, and each head."""
    config = f"{prefix}Config"
    hidden = {"output_hidden_states": True}
    specs = {name: Spec(f"{prefix}Model", config, values, inputs, outputs, options=hidden, **more)}
    for head, (ending, names, own) in heads.items():
        given = choices(inputs) if head == "choices" else inputs
        specs[f"{name}_{head}"] = Spec(
            f"{prefix}{ending}", config, {**values, **own}, given, names, **more
        )
    return specs


def base(prefix: str, values: dict, inputs: Inputs, outputs: tuple[str, ...] = POOLED, **more):
    """Another case of the model without a head."""
    names = tuple(name for name in outputs if name != "hidden_states")
    return Spec(f"{prefix}Model", f"{prefix}Config", values, inputs, names, **more)


ROBERTA = {**TINY, "layer_norm_eps": 1e-5, "type_vocab_size": 1}
DISTILBERT = {
    "vocab_size": 96,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 64,
    "max_position_embeddings": 24,
}
MPNET = {**TINY, "layer_norm_eps": 1e-5}
# Distances beyond the furthest that has a bucket of its own, and one layer to stay small.
LONG = {**MPNET, "max_position_embeddings": 160, "num_hidden_layers": 1}
ELECTRA = {**TINY, "embedding_size": 64}
SUMMARY = {"summary_type": "mean", "summary_activation": ""}
ALBERT = {**TINY, "embedding_size": 64, "num_hidden_groups": 2, "inner_group_num": 2}
RELATIVE = {
    **TINY,
    "relative_attention": True,
    "max_relative_positions": 8,  # fewer than positions
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
}
DEBERTA = {**RELATIVE, "max_relative_positions": -1, "pos_att_type": "c2p|p2c"}
DEBERTA_V2 = {  # as of v3
    **RELATIVE,
    "max_relative_positions": -1,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}
CONVOLVED = {  # as of v2
    **RELATIVE,
    "type_vocab_size": 2,
    "embedding_size": 64,
    "position_biased_input": True,
    "conv_kernel_size": 3,
    "conv_groups": 2,
    "conv_act": "gelu",
}
MODERN = {
    **TINY,
    "num_hidden_layers": 3,
    "global_attn_every_n_layers": 2,
    "local_attention": 8,
    "pad_token_id": 0,
}
MODERN_BIASED = {
    **MODERN,
    "num_hidden_layers": 2,
    "norm_bias": True,
    "attention_bias": True,
    "mlp_bias": True,
    "hidden_activation": "silu",
    "classifier_pooling": "mean",
    "classifier_bias": True,
    "classifier_activation": "relu",
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
    },
    "num_labels": 3,
}
NOMIC = {**TINY, "rope_parameters": {"rope_type": "default", "rope_theta": 30.0}}
ROTARY = {head: HEADS[head] for head in ("masked_lm", "classification", "tokens")}
# Restated in own_encoders.py from what the authors document, as transformers has neither.
NEW = {
    **TINY,
    "hidden_act": "gelu",
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "rope",
    "rope_theta": 40.0,
    "layer_norm_type": "layer_norm",
}
NTK = {"type": "ntk", "factor": 3.0}
JINA = {
    **TINY,
    "hidden_act": "gelu",
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "alibi",
    "feed_forward_type": "geglu",
}
POST_NORM = {"AutoModel": "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"}


def own(model: str, config: str, values: dict, *outputs: str, **inputs: int) -> Spec:
    """A case of own_encoders.py; choices where it is of these."""
    given = choices(texts(**inputs)) if model.endswith("MultipleChoice") else texts(**inputs)

    def make(values: dict):
        import own_encoders

        made = getattr(own_encoders, config)(**values)
        return made, getattr(own_encoders, model)(made)

    return Spec(model, make, values, given, outputs)


EURO = {**TINY, "num_key_value_heads": 2, "pad_token_id": 0}
EURO_BIASED = {
    **EURO,
    "attention_bias": True,
    "mlp_bias": True,
    "head_dim": 16,
    "hidden_act": "gelu",
    "classifier_pooling": "mean",
    "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 30.0},
    "num_labels": 3,
}
SINGLE = {head: row for head, row in HEADS.items() if head != "choices"}
NEW_HEAD = {"masked_lm_new": ("ForMaskedLM", ("logits",), {"legacy": False})}
TRAINED = {"training": ("ForPreTraining", ("logits",), {})}
BOTH = {
    "training": ("ForPreTraining", ("prediction_logits", "seq_relationship_logits"), {}),
}
FOLLOWING = {"following": ("ForNextSentencePrediction", ("logits",), {})}
ORDERED = {"training": ("ForPreTraining", ("prediction_logits", "sop_logits"), {})}
FEW = {head: HEADS[head] for head in ("masked_lm", "classification")}

SPECS = {
    **with_heads("bert", "Bert", TINY, texts(types=2), {**HEADS, **BOTH, **FOLLOWING}),
    # Positions count from the left, so that a row alone stands elsewhere.
    "bert_left": base("Bert", TINY, texts(types=2, left=True), singles=False),
    "bert_embedded": base("Bert", TINY, embedded(texts(), 24)),
    **with_heads("roberta", "Roberta", ROBERTA, texts(pad=1)),
    "roberta_left": base("Roberta", ROBERTA, texts(pad=1, left=True), PLAIN),
    "roberta_embedded": base("Roberta", {**ROBERTA, "pad_token_id": 3}, embedded(texts(pad=3))),
    **with_heads("xlm_roberta", "XLMRoberta", ROBERTA, texts(pad=1), FEW),
    **with_heads("camembert", "Camembert", ROBERTA, texts(pad=1), {}),
    **with_heads("distilbert", "DistilBert", DISTILBERT, texts(), outputs=PLAIN),
    "distilbert_left": base("DistilBert", DISTILBERT, texts(left=True), PLAIN, singles=False),
    **with_heads("mpnet", "MPNet", MPNET, texts(pad=1)),
    "mpnet_left": base("MPNet", MPNET, texts(pad=1, left=True), PLAIN),
    "mpnet_long": base("MPNet", LONG, texts(pad=1, length=150), PLAIN),
    **with_heads("electra", "Electra", ELECTRA, texts(types=2), {**HEADS, **TRAINED}, PLAIN),
    "electra_choices_mean": Spec(
        "ElectraForMultipleChoice",
        "ElectraConfig",
        {**ELECTRA, **SUMMARY, "embedding_size": 32},
        choices(texts(types=2)),
        ("logits",),
    ),
    **with_heads("albert", "Albert", ALBERT, texts(types=2), {**HEADS, **ORDERED}),
    **with_heads("deberta", "Deberta", DEBERTA, texts(), {**SINGLE, **NEW_HEAD}, PLAIN),
    "deberta_far": base(
        "Deberta",
        {**RELATIVE, "type_vocab_size": 2, "embedding_size": 64, "position_biased_input": True},
        texts(length=20, types=2),
        PLAIN,
    ),
    "deberta_c2p": base("Deberta", {**DEBERTA, "pos_att_type": ["c2p"]}, texts(), PLAIN),
    "deberta_plain": base(
        "Deberta", {**DEBERTA, "relative_attention": False, "pos_att_type": None}, texts(), PLAIN
    ),
    **with_heads("deberta_v2", "DebertaV2", DEBERTA_V2, texts(), {**HEADS, **NEW_HEAD}, PLAIN),
    "deberta_v2_conv": base("DebertaV2", CONVOLVED, texts(length=20, types=2), PLAIN),
    "deberta_v2_p2c": base(
        "DebertaV2",
        {**DEBERTA_V2, "share_att_key": False, "pos_att_type": ["p2c"]},
        texts(left=True),
        PLAIN,
    ),
    **with_heads("modernbert", "ModernBert", MODERN, texts(), outputs=PLAIN),
    "modernbert_biased": Spec(
        "ModernBertForSequenceClassification",
        "ModernBertConfig",
        MODERN_BIASED,
        texts(),
        ("logits",),
    ),
    "modernbert_left": base("ModernBert", MODERN, embedded(texts(left=True), 24), PLAIN),
    "modernbert_choices_left": Spec(
        "ModernBertForMultipleChoice",
        "ModernBertConfig",
        MODERN,
        choices(texts(left=True)),
        ("logits",),
    ),
    **with_heads("nomic_bert", "NomicBert", NOMIC, texts(types=2), ROTARY, PLAIN),
    "nomic_bert_left": base("NomicBert", NOMIC, embedded(texts(left=True), 24), PLAIN),
    **with_heads(
        "jina_embeddings_v3",
        "JinaEmbeddingsV3",
        {**NOMIC, "type_vocab_size": 1},
        texts(pad=1),
        {**ROTARY, "answers": HEADS["answers"]},
    ),
    "new": own("NewModel", "NewConfig", {**NEW, "rope_scaling": NTK}, "last_hidden_state"),
    "new_mixed": own(
        "NewModel",
        "NewConfig",
        {**NEW, "rope_scaling": {**NTK, "mixed_b": 0.6}, "layer_norm_type": "rms_norm"},
        "last_hidden_state",
    ),
    "new_absolute": own(
        "NewModel",
        "NewConfig",
        {**NEW, "position_embedding_type": "absolute", "type_vocab_size": 0},
        "last_hidden_state",
    ),
    "new_masked_lm": own("NewForMaskedLM", "NewConfig", NEW, "logits"),
    "new_classification": own(
        "NewForSequenceClassification", "NewConfig", {**NEW, "num_labels": 3}, "logits"
    ),
    "new_tokens": own("NewForTokenClassification", "NewConfig", {**NEW, "num_labels": 5}, "logits"),
    "new_answers": own("NewForQuestionAnswering", "NewConfig", NEW, "start_logits", "end_logits"),
    "new_choices": own("NewForMultipleChoice", "NewConfig", NEW, "logits"),
    "jina_bert_masked_lm": own("JinaBertForMaskedLM", "JinaBertConfig", JINA, "logits", types=2),
    "jina_bert_tokens": own(
        "JinaBertForTokenClassification", "JinaBertConfig", {**JINA, "num_labels": 5}, "logits"
    ),
    "jina_bert_answers": own(
        "JinaBertForQuestionAnswering",
        "JinaBertConfig",
        {**JINA, "auto_map": POST_NORM},
        "start_logits",
        "end_logits",
    ),
    "jina_bert_original": own(
        "JinaBertModel",
        "JinaBertConfig",
        {**JINA, "feed_forward_type": "original", "position_embedding_type": "absolute"},
        *POOLED[:2],
        types=2,
    ),
    "jina_bert": own("JinaBertModel", "JinaBertConfig", JINA, *POOLED[:2], types=2),
    "jina_bert_post_norm": own(
        "JinaBertModel",
        "JinaBertConfig",
        {**JINA, "auto_map": POST_NORM, "num_attention_heads": 8, "feed_forward_type": "reglu"},
        *POOLED[:2],
    ),
    "jina_bert_classification": own(
        "JinaBertForSequenceClassification",
        "JinaBertConfig",
        {**JINA, "hidden_size": 48, "num_attention_heads": 6, "num_labels": 3},
        "logits",
    ),
    **with_heads("eurobert", "EuroBert", EURO, texts(), ROTARY, PLAIN),
    "eurobert_left": base("EuroBert", EURO, embedded(texts(left=True), 24), PLAIN),
    "eurobert_biased": Spec(
        "EuroBertForSequenceClassification", "EuroBertConfig", EURO_BIASED, texts(), ("logits",)
    ),
    "eurobert_bos": Spec(
        "EuroBertForSequenceClassification",
        "EuroBertConfig",
        {**EURO, "classifier_pooling": "bos", "num_labels": 3},
        texts(),
        ("logits",),
    ),
}
