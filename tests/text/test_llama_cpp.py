"""Small vocabularies against llama.cpp itself: 3000 odd texts, with and without control tokens."""

from __future__ import annotations

import random

import pytest

import tallow as tl
from odd_texts import odd_texts
from tallow.formats.gguf import Typed, save_gguf
from tallow.text import Tokenizer
from tallow.text.vocab import byte_chars

pytestmark = pytest.mark.needs_llama_cpp

WIDTH = 64
TYPES = {"scores": "arr[f32]", "token_type": "arr[i32]"}
ODD = [
    *"abcXYZ 019\n\t\r.,;:'<>|/_-é漢字カ😀\u00a0\u200d\u0301\u2028▁\u3000",
    *("  ", "\n\n", " \n", " the", "I'll", "123456", "<|im_end|>", "<|endoftext|>", "</s>", "<s>"),
    *("<unk>", "<|im_start|>", "<think>", "<0x41>"),
]


def texts():
    draw = random.Random(11)
    mixed = ["".join(draw.choices(ODD, k=draw.randint(0, 14))) for _ in range(1500)]
    return mixed + odd_texts(1500, ("</s>", "<|im_end|>", "<think>", "<|fim_middle|>"))


def written(metadata, path):
    """A model of one layer of zeros with this vocabulary, for llama.cpp opens nothing less."""
    size = len(metadata["tokenizer.ggml.tokens"])
    shapes = {"token_embd": (size, WIDTH), "output_norm": (WIDTH,)}
    shapes |= {f"blk.0.{name}_norm": (WIDTH,) for name in ("attn", "ffn")}
    parts = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes |= {f"blk.0.{name}": (WIDTH, WIDTH) for name in parts}
    integers = {
        "context_length": 64, "embedding_length": WIDTH, "block_count": 1, "vocab_size": size,
        "feed_forward_length": WIDTH, "attention.head_count": 4, "rope.dimension_count": 16,
    }  # fmt: skip
    keys = {f"llama.{name}": Typed("u32", value) for name, value in integers.items()}
    keys["llama.attention.layer_norm_rms_epsilon"] = Typed("f32", 1e-5)
    for name, value in metadata.items():
        kind = TYPES.get(name.rpartition(".")[2])
        if kind is None and isinstance(value, int) and not isinstance(value, bool):
            kind = "u32"
        keys[name] = value if kind is None else Typed(kind, value)
    tensors = {f"{name}.weight": tl.zeros(*shape) for name, shape in shapes.items()}
    save_gguf(tensors, path, {"general.architecture": "llama", **keys})
    return path


def without_doubles(metadata):
    """llama.cpp refuses a vocabulary that has a text twice, and cuts texts at a NUL."""
    tokens = metadata["tokenizer.ggml.tokens"]
    first = {text: i for i, text in reversed(list(enumerate(tokens))) if "\0" not in text}
    kept = sorted(first.values())
    return {
        name: [value[i] for i in kept] if isinstance(value, list) and len(value) == len(tokens)
        else value
        for name, value in metadata.items()
    }  # fmt: skip


def kinds(metadata, **changed):
    found = list(metadata["tokenizer.ggml.token_type"])
    for text, kind in changed.items():
        found[metadata["tokenizer.ggml.tokens"].index(text)] = kind
    return found


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("bpe", {}),
        ("bpe", {"<think>": 3, "tokenizer.ggml.pre": "jina-v2-code"}),
        ("bpe", {"tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.add_bos_token": True}),
        ("spm", {}),
        ("spm", {"general.name": "Phi-3-mini"}),
        ("spm", {"general.name": "Phi-3-mini", "tokenizer.ggml.eos_token_id": 1, "</s>": 4}),
        ("spm", {"tokenizer.ggml.eos_token_id": 1, "</s>": 4}),
        ("spm", {"tokenizer.ggml.add_space_prefix": False}),
    ],
)
def test_ids_are_llama_cpp_s(base, changes, request, tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")

    metadata = without_doubles(request.getfixturevalue(f"{base}_metadata"))
    if "general.name" in changes:  # llama.cpp asks a Phi-3 vocabulary for this token
        for key, value in (("tokens", "<|endoftext|>"), ("scores", -1e4), ("token_type", 3)):
            metadata[f"tokenizer.ggml.{key}"] = [*metadata[f"tokenizer.ggml.{key}"], value]
    special = {name: changes[name] for name in changes if not name.startswith(("token", "gen"))}
    metadata |= {name: value for name, value in changes.items() if name not in special}
    metadata["tokenizer.ggml.token_type"] = kinds(metadata, **special)
    path = written(metadata, tmp_path / "vocab.gguf")
    theirs = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    ours = Tokenizer.from_gguf(metadata)
    for text in texts():
        for special_too in (False, True):
            for whole in (False, True):
                expected = theirs.tokenize(text.encode(), add_bos=whole, special=special_too)
                found = ours.encode(text, add_special=whole, parse_special=special_too)
                assert found == expected, (text, special_too, whole)
    vocab = llama_cpp.llama_model_get_vocab(theirs.model)
    ends = {i for i in range(ours.vocab_size) if llama_cpp.llama_vocab_is_eog(vocab, i)}
    assert ours.eos_ids == ends


def knowing(words, pre):
    """A vocabulary of bytes that has each of `words`, joined from the left, as a token."""
    chars = byte_chars()
    tokens, merges = [chars[byte] for byte in range(256)], []
    for word in words:
        spelled = [chars[byte] for byte in word.encode()]
        for end in range(2, len(spelled) + 1):
            whole = "".join(spelled[:end])
            if whole not in tokens:
                tokens.append(whole)
                merges.append(f"{whole[: -len(spelled[end - 1])]} {spelled[end - 1]}")
    keys = {"model": "gpt2", "pre": pre, "tokens": tokens, "token_type": [1] * len(tokens)}
    keys |= {"merges": merges, "bos_token_id": 0, "eos_token_id": 0}
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items()}


@pytest.mark.parametrize(
    ("pre", "theirs", "ours"),
    [
        ("kimi-k2", ["漢", "〇"], ["漢〇"]),
        ("kimi-k2", ["漢", "〡"], ["漢〡"]),
        ("kimi-k2", ["漢", "々"], ["漢々"]),
        ("kimi-k2", ["漢", "〻"], ["漢〻"]),
        ("kimi-k2", ["漢", "⺀"], ["漢⺀"]),
        ("kimi-k2", ["漢", "\U00030000"], ["漢\U00030000"]),
        ("kimi-k2", ["漢𠀀"], ["漢𠀀"]),
        ("superbpe", ["391٣٤"], ["39", "1٣٤"]),
        ("superbpe", ["12", "345"], ["12", "345"]),
    ],
)
def test_cuts_that_the_guide_says_differ(pre, theirs, ours, tmp_path):
    """Tallow's are those of transformers, as test_pretokenizers.py shows."""
    llama_cpp = pytest.importorskip("llama_cpp")

    metadata, text = knowing(sorted([*ours, *theirs], key=len, reverse=True), pre), "".join(ours)
    path = written(metadata, tmp_path / "vocab.gguf")
    other = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    tokenizer = Tokenizer.from_gguf(metadata)
    expected = other.tokenize(text.encode(), add_bos=False, special=False)
    assert [tokenizer.piece(i).decode() for i in expected] == theirs
    assert [tokenizer.piece(i).decode() for i in tokenizer.encode(text)] == ours
