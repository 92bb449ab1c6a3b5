"""Tiny models that read pictures, as folders: a golden's weights, a tokenizer, a processor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

FAMILIES = Path(__file__).parent.parent / "golden" / "families"
CHARS = " \nabcdefghijklmnopqrstuvwxyz0123456789.,!?:;'-_/()+=*<>"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'image' %}PLACE{% else %}{{ part.text }}"
    "{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}:"
    "{% for part in m.content %}{% if part.type == 'image' %}PLACE"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = {"<pad>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
PIXELS = {"image_mean": [0.5, 0.4, 0.6], "image_std": [0.3, 0.2, 0.25]}
# Golden, special tokens, what stands for a picture in the chat, the processor, the template.
QWEN = {"<|image_pad|>": 60, "<|vision_start|>": 61, "<|vision_end|>": 62, "<|video_pad|>": 63}
QWEN_PLACE = "<|vision_start|><|image_pad|><|vision_end|>"
QWEN_PIXELS = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 4,
    "size": {"shortest_edge": 128, "longest_edge": 1200},
    **PIXELS,
}
MODELS = {
    "qwen2_vl": ("qwen2_vl_generate", QWEN, QWEN_PLACE, QWEN_PIXELS, CHATML),
    "qwen3_vl": ("qwen3_vl_generate", QWEN, QWEN_PLACE, QWEN_PIXELS, CHATML),
    "qwen2_5_vl": ("qwen2_5_vl_generate", QWEN, QWEN_PLACE, QWEN_PIXELS, PARTS),
    "llava": (
        "llava_generate",
        {"<image>": 60},
        "<image>",
        {"image_processor_type": "CLIPImageProcessor", "size": 16, "crop_size": 16, **PIXELS},
        CHATML,
    ),
    "mistral3": (
        "mistral3_generate",
        {"[IMG]": 60, "[IMG_BREAK]": 61, "[IMG_END]": 62},
        "[IMG]",
        {
            "image_processor_type": "PixtralImageProcessor",
            "size": {"longest_edge": 24},
            "patch_size": 4,
            **PIXELS,
        },
        CHATML,
    ),
    "gemma3": (
        "gemma3_generate",
        {"<image_soft_token>": 60, "<start_of_image>": 61, "<end_of_image>": 62},
        "<start_of_image>",
        {
            "image_processor_type": "Gemma3ImageProcessor",
            "size": {"height": 16, "width": 16},
            "do_pan_and_scan": None,
            **PIXELS,
        },
        PARTS,
    ),
    "smolvlm": (
        "smolvlm_generate",
        {"<image>": 60, "<fake_token_around_image>": 61, "<global-img>": 62},
        "<image>",
        {
            "image_processor_type": "SmolVLMImageProcessor",
            "size": {"longest_edge": 32},
            "max_image_size": {"longest_edge": 16},
            **PIXELS,
        },
        PARTS,
    ),
}

# Whose prompts go in whole, so that they are shared as a whole alone.
WHOLE = {
    "paligemma": (
        "paligemma_generate",
        {"<image>": 60},
        "<image>",
        {"image_processor_type": "SiglipImageProcessor", "size": {"height": 16, "width": 16}},
        CHATML,
    ),
    "paligemma2": (
        "paligemma2_generate",
        {"<image>": 60},
        "<image>",
        {"image_processor_type": "SiglipImageProcessor", "size": {"height": 16, "width": 16}},
        CHATML,
    ),
}


def write(folder: Path, name: str, context: int = 400) -> Path:
    """The folder of a model of these, which takes `context` positions."""
    golden, tokens, place, processor, template = {**MODELS, **WHOLE}[name]
    shutil.copytree(FAMILIES / golden, folder, ignore=shutil.ignore_patterns("golden*"))
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = context
    if config["text_config"].get("sliding_window"):  # one that holds beginnings for a while
        config["text_config"]["sliding_window"] = 128
    (folder / "config.json").write_text(json.dumps(config))
    special = {**SPECIAL, **tokens}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(special)))
    names = {name: {"content": name, "special": True, "lstrip": False, "rstrip": False,
                    "single_word": False, "normalized": False} for name in special}  # fmt: skip
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<pad>",
        "chat_template": template.replace("PLACE", place),
        "added_tokens_decoder": {str(special[name]): names[name] for name in special},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def tokenizer(special: dict[str, int]) -> dict:
    """A tokenizer.json of single characters, ids 3 and on, beside the control tokens."""
    byte = {" ": "Ġ", "\n": "Ċ"}
    words = {byte.get(char, char): index for index, char in enumerate(CHARS, 3)}
    taken = set(special.values()) | set(words.values())
    words |= {f"unused{i}": i for i in range(64) if i not in taken}
    added = [
        {"id": index, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for name, index in special.items()
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True,
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False, "vocab": {**special, **words}, "merges": [],
        },
    }  # fmt: skip


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise, (height, width, 3) of u8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def asked(question: str, *pictures, before: str = "") -> list[dict]:
    """A conversation of one question behind pictures."""
    parts = [{"type": "image", "image": each} for each in pictures]
    start = [{"type": "text", "text": before}] if before else []
    return [{"role": "user", "content": [*start, *parts, {"type": "text", "text": question}]}]
