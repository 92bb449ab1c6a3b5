"""Goldens of encoder-decoders of text beside BART: Marian, Pegasus, M2M-100, T5 and its kin."""

from __future__ import annotations

import torch

from specs import Spec, texts
from specs.documents import WORDS
from specs.text_decoders import BART, ENDS, HIDDEN, SEQ2SEQ, translated

SMALL = {**BART, "decoder_layers": 2, "encoder_ffn_dim": 64}
SEARCHED = {**ENDS, "pad_token_id": 1, "no_repeat_ngram_size": 2, "decoder_start_token_id": 2}
# Penalties, forced and forbidden tokens, each beside rows that end early.
GENERATED = {
    "greedy": {**SEARCHED, "max_new_tokens": 14, "forced_bos_token_id": 9, "min_length": 4,
               "bad_words_ids": [[5], [7, 8]], "decoder_input_ids": None},
    "beams": {**SEARCHED, "max_length": 16, "num_beams": 4, "num_return_sequences": 2,
              "length_penalty": 0.3, "early_stopping": True, "forced_eos_token_id": 2,
              "decoder_input_ids": None},
    "patient": {**SEARCHED, "max_new_tokens": 10, "num_beams": 3, "length_penalty": 2.0,
                "early_stopping": "never", "min_new_tokens": 3, "decoder_input_ids": None},
    "continued": {**SEARCHED, "max_new_tokens": 9, "num_beams": 2, "repetition_penalty": 1.5},
}  # fmt: skip


def written(name, prefix, head, *, stds=WORDS, **values) -> Spec:
    """Encoder and decoder, their hidden states, and what they write."""
    return Spec(
        f"{prefix}{head}", f"{prefix}Config", {**SMALL, **values}, translated(),
        ("logits", *SEQ2SEQ), stds=stds, options=HIDDEN, generate=GENERATED,
    )  # fmt: skip


def bare(prefix, *, embeds=False, **values) -> Spec:
    """Encoder and decoder without a head."""
    inputs = embedded if embeds else translated()
    return Spec(
        f"{prefix}Model", f"{prefix}Config", {**SMALL, **values}, inputs,
        ("last_hidden_state", *SEQ2SEQ), stds=WORDS, options=HIDDEN,
    )  # fmt: skip


def embedded(config, source):
    """The inputs of both as embeddings."""
    found = translated()(config, source)
    ids, rest = found.pop("input_ids"), found.pop("decoder_input_ids")
    found["inputs_embeds"] = torch.randn(*ids.shape, config.d_model, generator=source)
    found["decoder_inputs_embeds"] = torch.randn(*rest.shape, config.d_model, generator=source)
    return found


T5 = {
    "vocab_size": 72,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 9,
    "decoder_start_token_id": 0,
}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
# Scores are not scaled, and words give them; the biases tell places apart.
T5_STDS = {
    "*.q.weight": 0.12,
    "*.k.weight": 0.25,
    "*relative_attention_bias.weight": 1.5,
    "shared.weight": 0.8,
}


def of_t5(prefix, head, outputs, inputs, **more) -> Spec:
    given = {**T5, **more.pop("values", {})}
    return Spec(f"{prefix}{head}", f"{prefix}Config", given, inputs, outputs, stds=T5_STDS, **more)


def t5_texts(end=0):
    """Two texts, and what is made of the first one's beginning."""

    def make(config, source):
        found = translated(pad=0, end=end)(config, source)
        found["decoder_input_ids"][:, 0] = 0
        return found

    return make


def without_decoder(end=0):
    def make(config, source):
        found = t5_texts(end)(config, source)
        del found["decoder_input_ids"]
        return found

    return make


T5_GENERATED = {
    name: {**options, "pad_token_id": 0, "decoder_start_token_id": 0}
    for name, options in GENERATED.items()
}
GENERATION = "ForConditionalGeneration"
# Transformers' cache has as many layers as the encoder.
WRITTEN = {"options": HIDDEN, "generate": T5_GENERATED, "values": {"num_decoder_layers": 2}}
MARIAN = {"activation_function": "swish", "pad_token_id": 1, "eos_token_id": 2}
SPECS = {
    "marian": bare(
        "Marian", **MARIAN, share_encoder_decoder_embeddings=False, decoder_vocab_size=80
    ),
    "marian_generation": written("marian", "Marian", "MTModel", **MARIAN, scale_embedding=True),
    "pegasus_generation": written("pegasus", "Pegasus", "ForConditionalGeneration"),
    "m2m_100": bare("M2M100", embeds=True),
    "m2m_100_generation": written("m2m_100", "M2M100", "ForConditionalGeneration"),
    "t5": of_t5("T5", "Model", ("last_hidden_state", *SEQ2SEQ), t5_texts(), options=HIDDEN),
    "t5_generation": of_t5("T5", GENERATION, ("logits", *SEQ2SEQ), t5_texts(), **WRITTEN),
    "t5_gated": of_t5("T5", GENERATION, ("logits",), t5_texts(), values=GATED),
    "t5_encoder": of_t5(
        "T5", "EncoderModel", ("last_hidden_state", "hidden_states"), texts(left=True),
        options=HIDDEN,
    ),
    "t5_classification": of_t5(
        "T5", "ForSequenceClassification", ("logits",), without_decoder(1),
        values={"num_labels": 3},
    ),
    "t5_tokens": of_t5(
        "T5", "ForTokenClassification", ("logits",), texts(), values={"num_labels": 3}
    ),
    "t5_answers": of_t5(
        "T5", "ForQuestionAnswering", ("start_logits", "end_logits"), t5_texts(),
        values={"num_labels": 2},
    ),
    "mt5_generation": of_t5("MT5", GENERATION, ("logits", *SEQ2SEQ), t5_texts(), **WRITTEN),
    "umt5_generation": of_t5("UMT5", GENERATION, ("logits", *SEQ2SEQ), t5_texts(), **WRITTEN),
}  # fmt: skip
