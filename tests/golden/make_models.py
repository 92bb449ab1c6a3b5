"""Make the tiny models of tests/golden/models and their logits, by transformers in f64.

Run it with torch, transformers, accelerate (for its GGUF loader), gguf and tokenizers installed:
    python tests/golden/make_models.py
Every parameter is drawn anew (matrices std 0.5, norms 1 ± 0.3, biases std 0.5) and representable
in f16 and bf16 alike, so that all files hold the same numbers. Each GGUF file is also read back
by transformers' own GGUF loader, which has to give the same logits.
"""

from __future__ import annotations

import copy
import itertools
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.overrides import TorchFunctionMode
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

ROOT = Path(__file__).parent / "models"
LENGTH = 16
TOLERANCE = 1e-4  # relative and absolute, in tests/models
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SMALL = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def rope(theta: float = 10000.0, **more) -> dict:
    return {"rope_type": "default", "rope_theta": theta, **more}


LLAMA3 = rope(
    500000.0,
    rope_type="llama3",
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)
# What other values of the config do to the same weights: Hugging Face folders only.
VARIANTS = {
    "llama": {"linear": {"rope_parameters": rope(rope_type="linear", factor=3.0)}},
    "mistral": {"no_window": {"sliding_window": None}},
    "qwen2": {
        "window": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    },
    "qwen3": {
        "yarn": {
            "rope_parameters": rope(
                rope_type="yarn", factor=4.0, original_max_position_embeddings=16
            )
        },
    },
}
CASES = {
    # 288 ids: 256 bytes, three control tokens, the rest unused. It carries a tokenizer.
    "llama": (
        LlamaForCausalLM,
        LlamaConfig(
            **{**SMALL, "vocab_size": 288, "intermediate_size": 64},
            tie_word_embeddings=True,
            rope_parameters=rope(),
        ),
    ),
    "llama3": (
        LlamaForCausalLM,
        LlamaConfig(**SMALL, tie_word_embeddings=True, rope_parameters=LLAMA3),
    ),
    "llama_bias": (
        LlamaForCausalLM,
        LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True, rope_parameters=rope()),
    ),
    "mistral": (
        MistralForCausalLM,
        MistralConfig(**{**SMALL, "hidden_size": 32}, head_dim=16, sliding_window=6),
    ),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SMALL, rope_parameters=rope(1000000.0))),
    "qwen3": (
        Qwen3ForCausalLM,
        Qwen3Config(
            **{**SMALL, "hidden_size": 32},
            head_dim=32,
            tie_word_embeddings=True,
            rope_parameters=rope(1000000.0),
        ),
    ),
}
# GGUF architecture of a case (those that llama.cpp writes), and the block formats to make.
GGUF = {"llama": "llama", "llama3": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
FORMATS = {"q4_0": gguf.GGMLQuantizationType.Q4_0, "q8_0": gguf.GGMLQuantizationType.Q8_0}
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def redraw(model, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=source)
        if name.endswith("bias") or p.ndim > 1:
            value = 0.5 * noise
        else:
            value = 1 + 0.3 * noise
        value = value.to(torch.bfloat16).to(torch.float16).to(torch.float32)
        assert torch.equal(value, value.to(torch.bfloat16).float())
        p.data.copy_(value)


class InDouble(TorchFunctionMode):
    """f64 where a model asks for f32: norms, rotary angles and softmax always do."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def double(value):
            return torch.float64 if value is torch.float32 else value

        if func is torch.Tensor.float:
            func = torch.Tensor.double
        named = {name: double(value) for name, value in (kwargs or {}).items()}
        return func(*map(double, args), **named)


def logits(model, ids) -> torch.Tensor:
    """What the model gives in f64, as f32."""
    with torch.no_grad(), InDouble():
        result = copy.deepcopy(model).double()(ids).logits
    assert result.dtype == torch.float64
    return result.to(torch.float32).contiguous()


def rounding(model, ids, expected: torch.Tensor) -> float:
    """How far the model in f32 is from f64, in units of the tests' tolerance."""
    with torch.no_grad():
        error = (model(ids).logits - expected).abs()
    return (error / (TOLERANCE + TOLERANCE * expected.abs())).max().item()


def with_config(cls, config, changes: dict, state) -> torch.nn.Module:
    values = {**config.to_dict(), **changes}
    values.pop("layer_types", None)
    changed = type(config)(**values)
    changed._attn_implementation = "eager"
    model = cls(changed).eval()
    model.load_state_dict(state)
    return model


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of rotated halves to rotated neighbours, as the llama architecture of GGUF has them."""
    rows = weight.shape[0] // heads
    split = weight.reshape(heads, 2, rows // 2, *weight.shape[1:])
    return split.swapaxes(1, 2).reshape(weight.shape)


def gguf_name(name: str) -> str:
    stem, kind = name.rsplit(".", 1)
    if stem.startswith("model.layers."):
        _, _, number, rest = stem.split(".", 3)
        return f"blk.{number}.{NAMES[rest]}.{kind}"
    return f"{NAMES[stem]}.{kind}"


def write_gguf(path: Path, case: str, config, state, format: str) -> dict[str, torch.Tensor]:
    """Write the model; returns the weights that the file holds, dequantised."""
    arch = GGUF[case]
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(head_dim)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_vocab_size(config.vocab_size)
    add_tokenizer(writer, config.vocab_size)
    if config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(config, head_dim))
    held = {}
    for name, p in state.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data, heads = p.numpy(), 0
        if arch == "llama" and name.split(".")[-2] in ("q_proj", "k_proj"):
            queries = ".q_proj" in name
            heads = config.num_attention_heads if queries else config.num_key_value_heads
            data = permuted(data, heads)
        if data.ndim == 1:
            writer.add_tensor(gguf_name(name), data)
        elif format == "f16":
            writer.add_tensor(gguf_name(name), data.astype(np.float16))
        else:
            kind = FORMATS[format]
            packed = gguf.quants.quantize(data, kind)
            writer.add_tensor(gguf_name(name), packed, raw_dtype=kind)
            data = gguf.quants.dequantize(packed, kind)
            if heads:
                data = data.reshape(heads, -1, 2, data.shape[1]).swapaxes(1, 2)
            p = torch.from_numpy(np.ascontiguousarray(data).reshape(p.shape))
        held[name] = p
    if config.tie_word_embeddings:
        held["lm_head.weight"] = held["model.embed_tokens.weight"]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def llama3_factors(config, size: int) -> np.ndarray:
    """What llama.cpp stores: the plain frequencies over the scaled ones, which the oracle gives."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    base = config.rope_parameters["rope_theta"]
    plain = 1.0 / base ** (np.arange(0, size, 2, dtype=np.float64) / size)
    return (plain / scaled.numpy().astype(np.float64)).astype(np.float32)


def vocabulary(size: int) -> list[str]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    if size < len(letters) + len(SPECIAL):
        return [*SPECIAL, *letters][:size]
    return [*SPECIAL, *letters, *(f"<unused{i}>" for i in range(size - len(letters) - 3))]


def add_tokenizer(writer, size: int) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary(size))
    control, normal, unused = 3, 1, 5
    kinds = [control] * 3 + [normal] * (size - 3)
    kinds[259:] = [unused] * len(kinds[259:])
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"] if size > 256 else [])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def write_tokenizer(folder: Path, size: int) -> None:
    ids = {token: i for i, token in enumerate(vocabulary(size))}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def write_folder(folder: Path, model, state, tied: bool) -> None:
    model.config.save_pretrained(folder)
    half = {k: v.to(torch.bfloat16).contiguous() for k, v in state.items()}
    if tied:
        half.pop("lm_head.weight", None)
    if folder.name != "qwen2":
        save_file(half, folder / "model.safetensors", {"format": "pt"})
        return
    # One family in two shards, with norms and biases in f32.
    names = sorted(half)
    for name in names:
        half[name] = state[name].contiguous() if state[name].ndim == 1 else half[name]
    shards = {
        "model-00001-of-00002.safetensors": names[::2],
        "model-00002-of-00002.safetensors": names[1::2],
    }
    for file, part in shards.items():
        save_file({name: half[name] for name in part}, folder / file, {"format": "pt"})
    index = {
        "metadata": {"total_size": sum(t.nbytes for t in half.values())},
        "weight_map": {name: file for file, part in shards.items() for name in part},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def main() -> None:
    torch.set_num_threads(1)
    for seed, (case, (cls, config)) in enumerate(CASES.items()):
        folder = ROOT / case
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        config._attn_implementation = "eager"
        model = cls(config).eval()
        redraw(model, 100 + seed)
        model.tie_weights()
        state = {k: v.detach().clone() for k, v in model.state_dict().items()}
        write_folder(folder, model, state, config.tie_word_embeddings)
        if case == "llama":
            write_tokenizer(folder, config.vocab_size)
        forms = {"hf": model}
        for name, changes in VARIANTS.get(case, {}).items():
            forms[f"variant.{name}"] = variant = with_config(cls, config, changes, state)
            variant.config.to_json_file(folder / f"config.{name}.json")
        for format in ("f16", *FORMATS) if case in GGUF else ():
            held = write_gguf(folder / f"{case}.{format}.gguf", case, config, state, format)
            # GGUF knows no window for the llama architecture.
            changes = {"sliding_window": None} if case == "mistral" else {}
            forms[format] = with_config(cls, config, changes, held)
        golden = goldens(forms, config.vocab_size, seed)
        for format in forms.keys() & {"f16", *FORMATS}:
            path = folder / f"{case}.{format}.gguf"
            check_oracle(path, forms[format].config, golden[format], golden["ids"])
        save_file(golden, folder / "golden.safetensors")
        sizes = {f.name: f.stat().st_size // 1024 for f in sorted(folder.iterdir())}
        print(case, f"logit std {golden['hf'].std():.2f}", sizes, flush=True)


def goldens(forms: dict, vocabulary_size: int, seed: int) -> dict[str, torch.Tensor]:
    """Ids, and the logits of each form for them. Some ids make these networks amplify the rounding
    of f32 beyond what the tests allow, for any order of additions: the first ids are taken that
    leave transformers itself within half of it."""
    for attempt in itertools.count():
        source = torch.Generator().manual_seed(seed + 100 * attempt)
        ids = torch.randint(0, vocabulary_size, (2, LENGTH), generator=source)
        found = {name: logits(model, ids) for name, model in forms.items()}
        worst = max(rounding(model, ids, found[name]) for name, model in forms.items())
        print(f"ids {seed + 100 * attempt}: transformers in f32 at {worst:.2f} of the tolerance")
        if worst < 0.5:
            return {"ids": ids, **found}
    raise AssertionError


def check_oracle(path: Path, config, expected: torch.Tensor, ids: torch.Tensor) -> None:
    """Let transformers read the GGUF file; the config is given, for it does not read all of it."""
    if isinstance(config, MistralConfig):
        config = LlamaConfig(**{k: v for k, v in config.to_dict().items() if k != "model_type"})
    loaded = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, config=config, dtype=torch.float32
    ).eval()
    error = (logits(loaded, ids) - expected).abs().max().item()
    assert error < 1e-3, f"{path}: transformers reads other logits: off by {error}"


if __name__ == "__main__":
    main()
