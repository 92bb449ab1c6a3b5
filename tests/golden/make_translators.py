"""Writes tests/golden/translators: tiny encoder-decoders with tokenizers, and what they write.

Run with transformers 5, torch and sentencepiece: python tests/golden/make_translators.py
Weights are drawn anew, so that texts are noise, but the same noise here and there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import transformers
from make_families import redraw
from specs import Spec

from text.tiny_tokenizers import pieces, write_folder

OUT = Path(__file__).with_name("translators")
TEXTS = [
    "The dog ate.", "A naïve ÉCOLE, 3.14!", "One two. Three four? Five!", "x", "12 o'clock, don't",
]  # fmt: skip
SIZES = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
    "max_position_embeddings": 48,
}  # fmt: skip
STDS = {
    "*embed*weight": 0.3, "shared.weight": 0.3, "*shared.weight": 0.3, "*q_proj.weight": 0.3,
    "*.q.weight": 0.1, "*relative_attention_bias.weight": 1.0,
}  # fmt: skip
WRITE = {"num_beams": 3, "max_new_tokens": 12, "no_repeat_ngram_size": 2, "length_penalty": 0.8}
PREFIXES = {
    "translation_en_to_de": {"prefix": "translate to German: ", "num_beams": 2},
    "translation_en_to_fr": {"prefix": "translate to French: "},
    "summarization": {"prefix": "summarize: ", "num_beams": 2, "min_length": 5},
}
T5 = {
    "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2,
    "decoder_start_token_id": 0, "task_specific_params": PREFIXES,
}  # fmt: skip
# Name: tokenizer, class, config, and translations as (source, target).
CASES = {
    "marian": ("marian", "MarianMTModel", "MarianConfig", SIZES, [(None, "de")]),
    "m2m_100": ("m2m_100", "M2M100ForConditionalGeneration", "M2M100Config", SIZES,
                [("en", "fr"), ("de", "zh")]),
    "mbart": ("mbart", "MBartForConditionalGeneration", "MBartConfig", SIZES, [("de_DE", "ro_RO")]),
    "mbart50": ("mbart50", "MBartForConditionalGeneration", "MBartConfig", SIZES,
                [("fr_XX", "uk_UA")]),
    "nllb": (None, "M2M100ForConditionalGeneration", "M2M100Config", SIZES,
             [("eng_Latn", "deu_Latn"), ("deu_Latn", "jpn_Jpan")]),
    "t5": ("t5", "T5ForConditionalGeneration", "T5Config", T5, [("en", "de"), ("en", "fr")]),
}  # fmt: skip


def nllb(folder: Path) -> None:
    """A tokenizer.json with NLLB's languages, which transformers leaves out of other files."""
    with tempfile.TemporaryDirectory() as beside:
        pieces(Path(beside), 200, model_type="bpe")
        config = json.dumps({"tokenizer_class": "NllbTokenizer"})
        (Path(beside) / "tokenizer_config.json").write_text(config)
        made = transformers.AutoTokenizer.from_pretrained(beside)
    model = json.loads(made.backend_tokenizer.to_str())["model"]
    merges = [tuple(row) for row in model["merges"]]
    tokenizer = transformers.NllbTokenizer(
        vocab=model["vocab"], merges=merges, src_lang="eng_Latn", model_max_length=40
    )
    tokenizer.save_pretrained(folder)


def translated(tokenizer, model, name, source, target) -> list[str]:
    """What transformers makes of each text by itself, as its pipelines do."""
    found = []
    for text in TEXTS:
        options = dict(WRITE)
        if name == "marian":
            inputs = tokenizer(f">>{target}<< {text}", return_tensors="pt")
        elif name == "t5":
            told = PREFIXES[f"translation_{source}_to_{target}"]
            inputs = tokenizer(told["prefix"] + text, return_tensors="pt")
        else:
            tokenizer.src_lang = source
            inputs = tokenizer(text, return_tensors="pt")
            code = f"__{target}__" if name == "m2m_100" else target
            options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(code)
        ids = model.generate(inputs.input_ids, **options)
        found.append(tokenizer.decode(ids[0], skip_special_tokens=True).strip())
    return found


def main() -> None:
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    for name, (kind, cls, config_cls, values, pairs) in CASES.items():
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if kind is None:
            nllb(folder)
        else:
            write_folder(kind, folder, size=200)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        ids = {
            "vocab_size": max(tokenizer.get_vocab().values()) + 1,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "forced_eos_token_id": None,
        }
        if name != "t5":
            ids["decoder_start_token_id"] = tokenizer.eos_token_id
        torch.manual_seed(0)
        config = getattr(transformers, config_cls)(**{**values, **ids})
        model = getattr(transformers, cls)(config).eval()
        spec = Spec(cls, config_cls, {}, lambda *_: {}, (), stds=STDS)
        redraw(model, spec, torch.Generator().manual_seed(sum(map(ord, name))))
        model.tie_weights()
        model.to(torch.bfloat16).save_pretrained(folder)
        # Read again: tables of positions were rounded, too.
        model = getattr(transformers, cls).from_pretrained(folder, dtype=torch.float32).eval()
        expected = [
            [source, target, translated(tokenizer, model, name, source, target)]
            for source, target in pairs
        ]
        if name == "t5":
            told = PREFIXES["summarization"]
            options = {**WRITE, "min_length": told["min_length"]}
            rows = [tokenizer(told["prefix"] + text, return_tensors="pt") for text in TEXTS]
            made = [model.generate(row.input_ids, **options)[0] for row in rows]
            texts = [tokenizer.decode(each, skip_special_tokens=True).strip() for each in made]
            expected.append(["summarization", None, texts])
        (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(name, size // 1024, "kB", expected[0][2][:2])


if __name__ == "__main__":
    main()
