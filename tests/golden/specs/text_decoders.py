"""Goldens of decoders of text beside the plain ones: of BERT's kind, GPT-2, behind encoders."""

from __future__ import annotations

from specs import Spec, embedded, texts
from specs.documents import ENCODER, QUERIES, WORDS, context, encoder_decoder

BERT = {
    "vocab_size": 72,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "is_decoder": True,
}
CROSSING = {"add_cross_attention": True}
GPT2 = {
    "vocab_size": 72,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 40,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
NARROW = {"embedding_size": 16}
HIDDEN = {"output_hidden_states": True}
VIT = ("ViTConfig", ENCODER)
# Several ends, so that rows end at different lengths.
ENDS = {"eos_token_id": list(range(2, 72, 9)), "pad_token_id": 0, "do_sample": False}
SEARCHES = {
    "greedy": {**ENDS, "max_new_tokens": 14, "no_repeat_ngram_size": 2},
    "beams": {**ENDS, "max_new_tokens": 12, "num_beams": 3, "num_return_sequences": 2,
              "no_repeat_ngram_size": 2},
}  # fmt: skip


def alone(model, config, values, *, pad=0, types=2, stds=QUERIES) -> dict[str, Spec]:
    """A decoder alone, what it generates, and behind a context."""
    return {
        "": Spec(
            model, config, values, texts(pad=pad, types=types), ("logits", "hidden_states"),
            stds=stds, options=HIDDEN,
        ),
        "_generate": Spec(
            model, config, values, texts(pad=None, length=9), ("logits",), stds=stds,
            generate=SEARCHES,
        ),
        "_context": Spec(
            model, config, {**values, **CROSSING}, context(texts(pad=pad), size=32), ("logits",),
            stds=stds,
        ),
    }  # fmt: skip


def named(name, specs) -> dict[str, Spec]:
    return {f"{name}{ending}": spec for ending, spec in specs.items()}


def behind_vit(kind, values) -> Spec:
    return encoder_decoder(VIT, (kind, {**values, **CROSSING}), stds={**WORDS, **QUERIES})


SPECS = {
    **named("bert_lm", alone("BertLMHeadModel", "BertConfig", BERT)),
    "bert_lm_embedded": Spec(
        "BertLMHeadModel", "BertConfig", BERT, embedded(texts(), 40), ("logits",), stds=QUERIES
    ),
    **named("roberta_lm", alone("RobertaForCausalLM", "RobertaConfig", BERT, pad=1)),
    **named("xlm_roberta_lm", alone("XLMRobertaForCausalLM", "XLMRobertaConfig", BERT, pad=1)),
    **named("camembert_lm", alone("CamembertForCausalLM", "CamembertConfig", BERT, pad=1)),
    **named("electra_lm", alone("ElectraForCausalLM", "ElectraConfig", {**BERT, **NARROW})),
    **named("gpt2", alone("GPT2LMHeadModel", "GPT2Config", GPT2, types=72)),
    "gpt2_model": Spec(
        "GPT2Model",
        "GPT2Config",
        {
            **GPT2,
            "n_inner": 48,
            "activation_function": "relu",
            "scale_attn_by_inverse_layer_idx": True,
            "scale_attn_weights": False,
        },
        texts(),
        ("last_hidden_state", "hidden_states"),
        stds={"*attn.weight": 0.2},
        options=HIDDEN,
    ),
    "gpt2_classification": Spec(
        "GPT2ForSequenceClassification",
        "GPT2Config",
        {**GPT2, "num_labels": 3, "pad_token_id": 0},
        texts(batch=3, types=72),
        ("logits",),
        stds=QUERIES,
    ),
    "gpt2_tokens": Spec(
        "GPT2ForTokenClassification", "GPT2Config", {**GPT2, "num_labels": 5}, texts(), ("logits",)
    ),
    "gpt2_answers": Spec(
        "GPT2ForQuestionAnswering", "GPT2Config", GPT2, texts(), ("start_logits", "end_logits")
    ),
    "vision-encoder-decoder_bert": behind_vit("BertConfig", BERT),
    "vision-encoder-decoder_xlm_roberta": behind_vit("XLMRobertaConfig", BERT),
    "vision-encoder-decoder_camembert": behind_vit("CamembertConfig", BERT),
    "vision-encoder-decoder_electra": behind_vit("ElectraConfig", {**BERT, **NARROW}),
    "vision-encoder-decoder_gpt2": behind_vit("GPT2Config", {**GPT2, "n_embd": 48}),
}
for each in ("xlm_roberta_lm_context", "camembert_lm_context", "camembert_lm_generate"):
    del SPECS[each]  # RoBERTa's class is theirs
