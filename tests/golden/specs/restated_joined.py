"""Goldens of decoders with one matrix for queries, keys and values, restated in torch.

transformers has no class for them. The modules have the names of the published checkpoints.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from specs import Spec, texts
from specs.ocr_readers import Published
from specs.restated_decoders import Norm, rotated


def slopes(heads):
    """ALiBi's: a geometric series for a power of two, and every second one of the next."""
    below = 2 ** math.floor(math.log2(heads))
    first = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    more = [2 ** (-8 * (i + 1) / (2 * below)) for i in range(2 * below)]
    return torch.tensor(first + more[::2][: heads - below], dtype=torch.float64)


def attended(q, k, v, mask, falling=None):
    """Causal attention; scores of `falling` heads fall with the distance."""
    n = q.shape[-2]
    seen = torch.ones(n, n, dtype=torch.bool).tril()
    seen = seen if mask is None else seen & mask.bool()[:, None, None, :]
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if falling is not None:
        distance = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        scores = scores + falling.to(q.dtype)[:, None, None] * distance
    return scores.masked_fill(~seen, -1e30).softmax(-1) @ v


class BaichuanBlock(nn.Module):
    """A layer, from Baichuan's modeling_baichuan.py."""

    def __init__(self, c):
        super().__init__()
        self.c, size, width = c, c.hidden_size, c.intermediate_size
        self.self_attn, self.mlp = nn.Module(), nn.Module()
        self.self_attn.W_pack = nn.Linear(size, 3 * size, bias=False)
        self.self_attn.o_proj = nn.Linear(size, size, bias=False)
        self.mlp.gate_proj = nn.Linear(size, width, bias=False)
        self.mlp.up_proj = nn.Linear(size, width, bias=False)
        self.mlp.down_proj = nn.Linear(width, size, bias=False)
        self.input_layernorm = Norm(size, c.rms_norm_eps)
        self.post_attention_layernorm = Norm(size, c.rms_norm_eps)

    def forward(self, x, mask):
        c, (b, n, size) = self.c, x.shape
        rows = self.self_attn.W_pack(self.input_layernorm(x))
        rows = rows.view(b, n, 3, c.num_attention_heads, -1)
        q, k, v = (rows[:, :, i].transpose(1, 2) for i in range(3))
        falling = None
        if hasattr(c, "max_position_embeddings"):
            q, k = rotated(q, 10000.0), rotated(k, 10000.0)
        else:
            falling = slopes(c.num_attention_heads)
        out = attended(q, k, v, mask, falling).transpose(1, 2).reshape(b, n, size)
        x = x + self.self_attn.o_proj(out)
        y, part = self.post_attention_layernorm(x), self.mlp
        return x + part.down_proj(F.silu(part.gate_proj(y)) * part.up_proj(y))


class Baichuan(Published):
    """The whole model; the second version's head has rows of length 1."""

    architecture = "BaichuanForCausalLM"

    def __init__(self, c):
        super().__init__()
        self.c, self.model = c, nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size, c.pad_token_id)
        self.model.layers = nn.ModuleList(BaichuanBlock(c) for _ in range(c.num_hidden_layers))
        self.model.norm = Norm(c.hidden_size, c.rms_norm_eps)
        self.lm_head = nn.Linear(c.hidden_size, c.vocab_size, bias=False)

    def forward(self, input_ids, attention_mask=None):
        x = self.model.embed_tokens(input_ids)
        for layer in self.model.layers:
            x = layer(x, attention_mask)
        weight = self.lm_head.weight
        weight = F.normalize(weight) if hasattr(self.c, "z_loss_weight") else weight
        return {"logits": F.linear(self.model.norm(x), weight)}


class QWenBlock(nn.Module):
    """A layer, from Qwen's modeling_qwen.py; `w2` is the gate."""

    def __init__(self, c):
        super().__init__()
        self.c, size, width = c, c.hidden_size, c.intermediate_size // 2
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.c_attn = nn.Linear(size, 3 * size)
        self.attn.c_proj = nn.Linear(size, size, bias=False)
        self.mlp.w1 = nn.Linear(size, width, bias=False)
        self.mlp.w2 = nn.Linear(size, width, bias=False)
        self.mlp.c_proj = nn.Linear(width, size, bias=False)
        self.ln_1 = Norm(size, c.layer_norm_epsilon)
        self.ln_2 = Norm(size, c.layer_norm_epsilon)

    def forward(self, x, mask):
        c, (b, n, size) = self.c, x.shape
        parts = self.attn.c_attn(self.ln_1(x)).split(size, -1)
        q, k, v = (p.view(b, n, c.num_attention_heads, -1).transpose(1, 2) for p in parts)
        q, k = rotated(q, c.rotary_emb_base), rotated(k, c.rotary_emb_base)
        out = attended(q, k, v, mask).transpose(1, 2).reshape(b, n, size)
        x = x + self.attn.c_proj(out)
        y, part = self.ln_2(x), self.mlp
        return x + part.c_proj(part.w1(y) * F.silu(part.w2(y)))


class QWen(Published):
    """The whole model, within `seq_length` positions."""

    architecture = "QWenLMHeadModel"

    def __init__(self, c):
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(c.vocab_size, c.hidden_size)
        self.transformer.h = nn.ModuleList(QWenBlock(c) for _ in range(c.num_hidden_layers))
        self.transformer.ln_f = Norm(c.hidden_size, c.layer_norm_epsilon)
        self.lm_head = nn.Linear(c.hidden_size, c.vocab_size, bias=False)

    def forward(self, input_ids, attention_mask=None):
        x = self.transformer.wte(input_ids)
        for layer in self.transformer.h:
            x = layer(x, attention_mask)
        return {"logits": self.lm_head(self.transformer.ln_f(x))}


def tiny(kind, name):
    """What makes a model of `kind`, whose config says that it is of the family `name`."""

    def make(values):
        config = SimpleNamespace(**values)
        model = kind(config)
        model.given = {"model_type": name, **values}
        return config, model

    return make


BAICHUAN = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "rms_norm_eps": 1e-6, "hidden_act": "silu", "initializer_range": 0.02,
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    "_from_model_config": True,
}  # fmt: skip
ROTATED = {**BAICHUAN, "max_position_embeddings": 48, "model_max_length": 48, "z_loss_weight": 0}
BIASED = {**BAICHUAN, "hidden_size": 48, "num_attention_heads": 6, "model_max_length": 48}
QWEN = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "kv_channels": 8, "layer_norm_epsilon": 1e-5, "seq_length": 48,
    "max_position_embeddings": 64, "rotary_emb_base": 100.0, "rotary_pct": 1.0, "no_bias": True,
    "scale_attn_weights": True, "use_dynamic_ntk": True, "use_logn_attn": True,
    "use_flash_attn": "auto", "attn_dropout_prob": 0.0, "emb_dropout_prob": 0.0, "bf16": False,
    "fp16": False, "fp32": False, "onnx_safe": None, "tie_word_embeddings": False,
}  # fmt: skip
_BAICHUAN, _QWEN = tiny(Baichuan, "baichuan"), tiny(QWen, "qwen")
SPECS = {
    "baichuan": Spec("BaichuanForCausalLM", _BAICHUAN, ROTATED, texts(), ("logits",)),
    "baichuan_alibi": Spec("BaichuanForCausalLM", _BAICHUAN, BIASED, texts(), ("logits",)),
    "qwen": Spec("QWenLMHeadModel", _QWEN, QWEN, texts(), ("logits",)),
}
