"""Goldens of decoders of text beside the plain ones: of BERT's kind, GPT-2, behind encoders."""

from __future__ import annotations

import torch
import transformers

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
SWIN = {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 2, "image_size": 32}
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


BART = {
    "vocab_size": 72,
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_layers": 3,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 40,
    "forced_eos_token_id": None,
}
SEQ2SEQ = ("encoder_last_hidden_state", "decoder_hidden_states", "encoder_hidden_states")
TRANSLATED = {
    "greedy": {**ENDS, "pad_token_id": 1, "decoder_start_token_id": 2, "max_new_tokens": 14,
               "no_repeat_ngram_size": 2, "decoder_input_ids": None},
    "beams": {**ENDS, "pad_token_id": 1, "decoder_start_token_id": 2, "max_length": 16,
              "num_beams": 3, "num_return_sequences": 2, "forced_bos_token_id": 7,
              "no_repeat_ngram_size": 2, "decoder_input_ids": None},
    "continued": {**ENDS, "pad_token_id": 1, "decoder_start_token_id": 2, "max_new_tokens": 9,
                  "num_beams": 2, "no_repeat_ngram_size": 2},
}  # fmt: skip


def translated(pad=1, end=0):
    """Two texts, and the beginning of what is made of them; `end` is put behind each text."""

    def make(config, source):
        found = texts(pad=pad, low=4)(config, source)
        if end:
            for row, count in enumerate(found["attention_mask"].sum(1).tolist()):
                found["input_ids"][row, count - 1] = end
        ids = torch.randint(4, config.vocab_size, (2, 5), generator=source)
        ids[:, 0] = 2
        return {**found, "decoder_input_ids": ids}

    return make


def without(inputs, name):
    def make(config, source):
        found = inputs(config, source)
        del found[name]
        return found

    return make


def whole(name, prefix, **values) -> dict[str, Spec]:
    """Encoder and decoder, with their heads."""
    config, given = f"{prefix}Config", {**BART, **values}
    return {
        name: Spec(
            f"{prefix}Model", config, given, without(translated(), "decoder_input_ids"),
            ("last_hidden_state", *SEQ2SEQ), stds=WORDS, options=HIDDEN,
        ),
        f"{name}_generation": Spec(
            f"{prefix}ForConditionalGeneration", config, given, translated(),
            ("logits", *SEQ2SEQ), stds=WORDS, options=HIDDEN, generate=TRANSLATED,
        ),
        f"{name}_classification": Spec(
            f"{prefix}ForSequenceClassification", config, {**given, "num_labels": 4},
            without(translated(end=2), "decoder_input_ids"), ("logits",), stds=WORDS,
        ),
    }  # fmt: skip


ENCODING = {key: value for key, value in BERT.items() if key != "is_decoder"}
WIDE = {**ENCODING, "hidden_size": 64}


def composed(encoder, decoder, stds=QUERIES) -> Spec:
    """An EncoderDecoderModel of two (config class, values)."""
    parts = {
        name: getattr(transformers, kind)(**given).to_dict()
        for name, (kind, given) in (("encoder", encoder), ("decoder", decoder))
    }
    return Spec(
        "EncoderDecoderModel",
        "EncoderDecoderConfig",
        parts,
        lambda config, source: translated(pad=0)(config.encoder, source),
        ("logits", *SEQ2SEQ),
        stds=stds,
        options=HIDDEN,
        generate=TRANSLATED,
    )


SPECS = {
    "encoder-decoder": composed(
        ("BertConfig", ENCODING),
        ("BertConfig", {**BERT, **CROSSING}),
    ),
    "encoder-decoder_roberta": composed(
        ("XLMRobertaConfig", WIDE),
        ("RobertaConfig", {**BERT, **CROSSING}),
        {**QUERIES, "enc_to_dec*weight": 0.25},
    ),
    "encoder-decoder_gpt2": composed(
        ("ElectraConfig", {**ENCODING, **NARROW}),
        ("GPT2Config", {**GPT2, **CROSSING, "n_embd": 48}),
        {**QUERIES, "enc_to_dec*weight": 0.25},
    ),
    **whole("mbart", "MBart", scale_embedding=True),
    **whole("bart", "Bart", tie_word_embeddings=False, activation_function="relu"),
    "bart_decoder": Spec(
        "BartForCausalLM",
        "BartConfig",
        {**BART, "decoder_layers": 2},
        context(texts(pad=1), size=32),
        ("logits",),
        stds=WORDS,
    ),
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
    "vision-encoder-decoder_swin": encoder_decoder(
        ("SwinConfig", SWIN),
        ("GPT2Config", {**GPT2, **CROSSING, "n_layer": 1, "n_embd": 48}),
        stds={**WORDS, **QUERIES, "*relative_position_bias_table": 1.0},
    ),
    "vision-encoder-decoder_gpt2": behind_vit("GPT2Config", {**GPT2, "n_embd": 48}),
}
for each in ("xlm_roberta_lm_context", "camembert_lm_context", "camembert_lm_generate"):
    del SPECS[each]  # RoBERTa's class is theirs
