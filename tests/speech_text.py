"""A tiny Whisper with a vocabulary of bytes and OpenAI's special tokens, made by a test."""

from __future__ import annotations

import json

import tallow as tl
from tallow.models.families.whisper import WhisperConfig, WhisperForConditionalGeneration
from tallow.models.whisper_files import _ALPHABET
from tallow.models.whisper_vocab import LANGUAGES

WINDOW = 200  # frames: two seconds
SPECIAL = (
    "endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe", "startoflm",
    "startofprev", "nospeech", "notimestamps",
)  # fmt: skip


def vocabulary(languages=True):
    """Tokens by name: bytes, then special ones, then 101 times."""
    ids = {_ALPHABET[byte]: byte for byte in range(256)}
    names = [*SPECIAL] if languages else [s for s in SPECIAL if s not in LANGUAGES or s == "en"]
    names += [f"{at * 0.02:.2f}" for at in range(WINDOW // 2 + 1)]
    return ids | {f"<|{name}|>": 256 + at for at, name in enumerate(names)}


def make_whisper(folder, *, seed=0, std=0.5, **values):
    """A folder of Hugging Face's; weights are drawn, and configs hold `values` beside."""
    ids = vocabulary()
    sizes = {
        "vocab_size": len(ids), "num_mel_bins": 80, "d_model": 32, "encoder_layers": 1,
        "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_layers": 2,
        "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "max_source_positions": WINDOW // 2,
        "max_target_positions": 64, "pad_token_id": ids["<|endoftext|>"],
        "decoder_start_token_id": ids["<|startoftranscript|>"],
    }  # fmt: skip
    tl.manual_seed(seed)
    model = WhisperForConditionalGeneration(WhisperConfig(**sizes)).eval().requires_grad_(False)
    for name, value in model.named_parameters():
        value.copy_(tl.randn(*value.shape) * (std if value.ndim > 1 else 0.1))
        if name.endswith("norm.weight"):
            value.add_(1)
    model.config_values = {
        **sizes, "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"],
        "suppress_tokens": [0, 1], "alignment_heads": [[0, 1], [1, 0]], **values,
    }  # fmt: skip
    model.save_pretrained(folder)
    special = [name for name in ids if name.startswith("<|") and len(name) > 2]
    added = [
        {"id": ids[name], "content": name, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for name in special
    ]  # fmt: skip
    plain = {name: at for name, at in ids.items() if at < 256}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
              "use_regex": True}  # fmt: skip
    content = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": bytes_, "post_processor": None, "decoder": bytes_,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "vocab": plain, "merges": []},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return folder
