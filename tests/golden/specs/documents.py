"""Goldens of document models: ViT-like encoders, TrOCR, Donut, LayoutLMv3."""

import torch
import transformers

from specs import Spec, images, texts

VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": [24, 32],
    "patch_size": 8,
    "num_labels": 5,
}
BEIT = {**VIT, "layer_scale_init_value": 0.3}
HIDDEN = {"output_hidden_states": True}
SQUARE = {"image_size": 32}
RESIZE = {"interpolate_pos_encoding": True}
POOLED = ("last_hidden_state", "pooler_output", "hidden_states")
# Positions are the size of the patches, not of a matrix that they go through.
STDS = {"*position_bias_table": 1.0, "*self.query.weight": 0.25, "*self.key.weight": 0.25}


def vit(model, config, values, outputs, image=(24, 32), **more) -> Spec:
    return Spec(model, config, values, images(image), outputs, stds=STDS, **more)


# The switches of the published TrOCRs, after the table of their configs.
TROCR = {
    "vocab_size": 72,
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 40,
    "cross_attention_hidden_size": 64,
}
SMALL = {
    **TROCR,
    "activation_function": "relu",
    "scale_embedding": True,
    "tie_word_embeddings": False,
}
BASE = {**TROCR, "activation_function": "gelu"}
LARGE = {
    **SMALL,
    "use_learned_position_embeddings": False,
    "layernorm_embedding": False,
}
ENCODER = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
PLAIN = {**ENCODER, "qkv_bias": False}
# Tables of words that are scaled, or give scores, are drawn small.
# Queries and keys of that many positions would see one of them alone; positions are drawn large, so
# that texts do not repeat one word.
WORDS = {
    "*embed_tokens.weight": 0.2,
    "*q_proj.weight": 0.25,
    "*k_proj.weight": 0.25,
    "enc_to_dec*weight": 0.25,
    "*embed_positions.weight": 1.0,
}


def context(inputs, length=5, size=64):
    """Token ids, and what an encoder gave, of which a mask hides some."""

    def make(config, source):
        found = inputs(config, source)
        rows = found["input_ids"].shape[0]
        seen = torch.ones(rows, length, dtype=torch.long)
        seen[1:, length - 2 :] = 0
        hidden = torch.randn(rows, length, size, generator=source)
        return {**found, "encoder_hidden_states": hidden, "encoder_attention_mask": seen}

    return make


def lines(size=32, length=6):
    """Images, and the beginnings of their texts behind the start token."""

    def make(config, source):
        low, high = 3, config.decoder.vocab_size
        ids = torch.randint(low, high, (2, length), generator=source)
        ids[:, 0] = 2
        return {**images(size)(config, source), "decoder_input_ids": ids}

    return make


# Of the whole text, and after the beginnings that the inputs have.
ENDS = list(range(2, 72, 9))  # several, so that rows end at different lengths
GENERATE = {
    "greedy": {"max_new_tokens": 12, "no_repeat_ngram_size": 1, "eos_token_id": ENDS},
    "beam": {
        "num_beams": 3,
        "max_length": 20,
        "early_stopping": True,
        "no_repeat_ngram_size": 2,
        "eos_token_id": ENDS,
    },
    "penalty": {"num_beams": 4, "max_new_tokens": 9, "length_penalty": 2.0},
    "several": {
        "num_beams": 4,
        "num_return_sequences": 2,
        "max_length": 14,
        "no_repeat_ngram_size": 1,
    },
}
IDS = {"eos_token_id": 2, "pad_token_id": 1, "decoder_start_token_id": 2}


def encoder_decoder(encoder, decoder, size=32, stds=WORDS) -> Spec:
    """A VisionEncoderDecoderModel of two (config class, values)."""
    parts = {
        name: {**getattr(transformers, kind)(**given).to_dict()}
        for name, (kind, given) in (("encoder", encoder), ("decoder", decoder))
    }
    return Spec(
        "VisionEncoderDecoderModel",
        "VisionEncoderDecoderConfig",
        parts,
        lines(size),
        ("logits", "encoder_last_hidden_state"),
        stds=stds,
        generate={
            **{name: {**IDS, **options} for name, options in GENERATE.items()},
            **{
                f"{name}_start": {**IDS, **o, "decoder_input_ids": None}
                for name, o in GENERATE.items()
            },
        },
    )


DONUT = {
    "embed_dim": 32,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 3,
    "patch_size": 4,
    "image_size": [40, 32],
    "mlp_ratio": 2.0,
    "num_labels": 4,
}
MBART = {
    "vocab_size": 72,
    "d_model": 32,
    "encoder_layers": 2,  # the reference counts the cache by it
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 40,
    "scale_embedding": True,
}

LAYOUT = {
    "vocab_size": 72,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
    "max_2d_position_embeddings": 256,
    "coordinate_size": 8,
    "shape_size": 16,
    "rel_pos_bins": 8,
    "max_rel_pos": 9,
    "rel_2d_pos_bins": 16,
    "max_rel_2d_pos": 200,
    "input_size": 24,
    "patch_size": 8,
}
QUERIES = {"*query.weight": 0.2, "*key.weight": 0.2}


def pages(size=24, **options):
    """Words with boxes, and the picture of a page where it has a size."""

    def make(config, source):
        found = texts(**options)(config, source)
        corners = torch.randint(0, 256, (*found["input_ids"].shape, 2, 2), generator=source)
        corners = corners.sort(-2).values
        found["bbox"] = corners.flatten(-2)
        return {**found, **(images(size)(config, source) if size else {})}

    return make


def layout(ending, inputs, outputs, **values) -> Spec:
    return Spec(
        f"LayoutLMv3{ending}",
        "LayoutLMv3Config",
        {**LAYOUT, **values},
        inputs,
        outputs,
        stds=QUERIES,
        options=HIDDEN if "hidden_states" in outputs else {},
    )


ROBERTA = {
    "vocab_size": 72,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "is_decoder": True,
    "add_cross_attention": True,
}


SPECS = {
    "vit": vit("ViTModel", "ViTConfig", VIT, POOLED, options=HIDDEN),
    "vit_classification": vit(
        "ViTForImageClassification",
        "ViTConfig",
        {**VIT, **SQUARE, "qkv_bias": False, "hidden_act": "gelu_new"},
        ("logits",),
        (40, 24),
        options=RESIZE,
    ),
    "deit": vit(
        "DeiTModel",
        "DeiTConfig",
        {**VIT, **SQUARE, "pooler_output_size": 16, "pooler_act": "relu"},
        POOLED,
        (40, 24),
        options={**HIDDEN, **RESIZE},
    ),
    "deit_classification": vit("DeiTForImageClassification", "DeiTConfig", VIT, ("logits",)),
    "deit_teacher": vit(
        "DeiTForImageClassificationWithTeacher",
        "DeiTConfig",
        VIT,
        ("logits", "cls_logits", "distillation_logits"),
    ),
    "beit": vit(
        "BeitModel",
        "BeitConfig",
        {**BEIT, "use_relative_position_bias": True, "use_shared_relative_position_bias": True},
        POOLED,
        (40, 24),
        options=HIDDEN,
    ),
    "beit_first": vit(
        "BeitModel",
        "BeitConfig",
        {
            **BEIT,
            **SQUARE,
            "use_mean_pooling": False,
            "use_absolute_position_embeddings": True,
            "layer_scale_init_value": 0.0,
        },
        POOLED,
        (40, 24),
        options=HIDDEN,
    ),
    "beit_classification": vit(
        "BeitForImageClassification",
        "BeitConfig",
        {**BEIT, "use_relative_position_bias": True, "use_mask_token": True},
        ("logits",),
    ),
    "beit_segmentation": vit(
        "BeitForSemanticSegmentation",
        "BeitConfig",
        {
            **BEIT,
            "num_hidden_layers": 4,
            "out_indices": [0, 2, 3, 4],
            "pool_scales": [1, 2],
            "auxiliary_channels": 8,
            "use_relative_position_bias": True,
            "num_labels": 3,
        },
        ("logits",),
        (40, 64),
    ),
    "beit_backbone": vit(
        "BeitBackbone",
        "BeitConfig",
        {
            **BEIT,
            **SQUARE,
            "out_indices": [0, 1, 2, 3],
            "num_hidden_layers": 3,
            "add_fpn": True,
            "use_mean_pooling": False,
            "use_absolute_position_embeddings": True,
        },
        ("feature_maps", "hidden_states"),
        (40, 24),
        options=HIDDEN,
    ),
    "trocr": Spec(
        "TrOCRForCausalLM", "TrOCRConfig", SMALL, context(texts(pad=1)), ("logits",), stds=WORDS
    ),
    "trocr_sinusoidal": Spec(
        "TrOCRForCausalLM", "TrOCRConfig", LARGE, context(texts(pad=1)), ("logits",), stds=WORDS
    ),
    "trocr_alone": Spec(
        "TrOCRForCausalLM",
        "TrOCRConfig",
        {**BASE, "cross_attention_hidden_size": None},
        texts(pad=1),
        ("logits", "hidden_states"),
        stds=WORDS,
        options=HIDDEN,
    ),
    "vision-encoder-decoder_small": encoder_decoder(
        ("DeiTConfig", ENCODER), ("TrOCRConfig", SMALL)
    ),
    "vision-encoder-decoder_base": encoder_decoder(("ViTConfig", PLAIN), ("TrOCRConfig", BASE)),
    "vision-encoder-decoder_large": encoder_decoder(("ViTConfig", PLAIN), ("TrOCRConfig", LARGE)),
    "vision-encoder-decoder_projected": encoder_decoder(
        ("BeitConfig", {**ENCODER, "use_relative_position_bias": True, "use_mean_pooling": False}),
        ("TrOCRConfig", {**BASE, "cross_attention_hidden_size": None}),
    ),
    "donut-swin": vit("DonutSwinModel", "DonutSwinConfig", DONUT, POOLED, (40, 32), options=HIDDEN),
    "donut-swin_classification": vit(
        "DonutSwinForImageClassification", "DonutSwinConfig", DONUT, ("logits",), (37, 50)
    ),
    "mbart_decoder": Spec(
        "MBartForCausalLM",
        "MBartConfig",
        MBART,
        context(texts(pad=1), size=32),
        ("logits",),
        stds=WORDS,
    ),
    "vision-encoder-decoder_donut": encoder_decoder(
        ("DonutSwinConfig", DONUT),
        ("MBartConfig", {**MBART, "d_model": 64, "is_decoder": True, "add_cross_attention": True}),
        (40, 32),
        # Nothing normalises what comes from its last stage.
        {**WORDS, "encoder.*reduction.weight": 0.05, "encoder.*.dense.weight": 0.1, **STDS},
    ),
    "layoutlmv3": layout("Model", pages(pad=None), ("last_hidden_state", "hidden_states")),
    "layoutlmv3_text": layout(
        "Model", pages(0, pad=1), ("last_hidden_state",), has_spatial_attention_bias=False
    ),
    "layoutlmv3_tokens": layout("ForTokenClassification", pages(pad=1), ("logits",), num_labels=11),
    "layoutlmv3_classification": layout(
        "ForSequenceClassification",
        pages(pad=1),
        ("logits",),
        num_labels=3,
        has_relative_attention_bias=False,
    ),
    "layoutlmv3_answers": layout(
        "ForQuestionAnswering", pages(pad=None), ("start_logits", "end_logits")
    ),
    "roberta_decoder": Spec(
        "RobertaForCausalLM",
        "RobertaConfig",
        ROBERTA,
        context(texts(pad=1), size=32),
        ("logits",),
        stds=QUERIES,
    ),
    "vision-encoder-decoder_roberta": encoder_decoder(
        ("ViTConfig", PLAIN), ("RobertaConfig", ROBERTA), stds={**WORDS, **QUERIES}
    ),
}
