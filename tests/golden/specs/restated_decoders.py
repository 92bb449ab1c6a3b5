"""Goldens of decoders that transformers has no class for, restated in torch.

The modules have the names of the published checkpoints; llama.cpp reads their GGUF files
(tests/models/test_gguf_families.py) and gives the same.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from specs import Spec, texts
from specs.ocr_readers import Published


class Norm(nn.Module):
    """Root mean square norm."""

    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return self.weight * x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()


def rotated(x, theta):
    """`(batch, heads, n, size)` with its halves turned by their positions."""
    size, n = x.shape[-1], x.shape[-2]
    angles = torch.arange(n)[:, None] * theta ** (-torch.arange(0, size, 2) / size)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., : size // 2], x[..., size // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def attended(q, k, v, mask):
    """Causal attention of all queries to keys, of which several may share one."""
    k, v = (each.repeat_interleave(q.shape[1] // k.shape[1], 1) for each in (k, v))
    n = q.shape[-2]
    seen = torch.ones(n, n, dtype=torch.bool).tril()
    seen = seen if mask is None else seen & mask.bool()[:, None, None, :]
    scores = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).masked_fill(~seen, -1e30)
    return scores.softmax(-1) @ v


class Block(nn.Module):
    """InternLM 2's layer, from its modeling_internlm2.py."""

    def __init__(self, c):
        super().__init__()
        self.c, size, width = c, c.hidden_size, c.intermediate_size
        rows = (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim
        self.attention, self.feed_forward = nn.Module(), nn.Module()
        self.attention.wqkv = nn.Linear(size, rows, bias=c.bias)
        self.attention.wo = nn.Linear(c.num_attention_heads * c.head_dim, size, bias=c.bias)
        self.feed_forward.w1 = nn.Linear(size, width, bias=False)
        self.feed_forward.w3 = nn.Linear(size, width, bias=False)
        self.feed_forward.w2 = nn.Linear(width, size, bias=False)
        self.attention_norm = Norm(size, c.rms_norm_eps)
        self.ffn_norm = Norm(size, c.rms_norm_eps)

    def forward(self, x, mask):
        c, (b, n, _) = self.c, x.shape
        each = c.num_attention_heads // c.num_key_value_heads
        rows = self.attention.wqkv(self.attention_norm(x))
        rows = rows.view(b, n, c.num_key_value_heads, each + 2, c.head_dim)
        q = rows[..., :each, :].reshape(b, n, -1, c.head_dim).transpose(1, 2)
        k, v = (rows[..., each + i, :].transpose(1, 2) for i in (0, 1))
        q, k = rotated(q, c.rope_theta), rotated(k, c.rope_theta)
        out = attended(q, k, v, mask).transpose(1, 2).reshape(b, n, -1)
        x = x + self.attention.wo(out)
        part, y = self.feed_forward, self.ffn_norm(x)
        return x + part.w2(F.silu(part.w1(y)) * part.w3(y))


class InternLM2(Published):
    """The whole model."""

    architecture = "InternLM2ForCausalLM"

    def __init__(self, c):
        super().__init__()
        self.model = nn.Module()
        self.model.tok_embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Block(c) for _ in range(c.num_hidden_layers))
        self.model.norm = Norm(c.hidden_size, c.rms_norm_eps)
        self.output = nn.Linear(c.hidden_size, c.vocab_size, bias=False)

    def forward(self, input_ids, attention_mask=None):
        x = self.model.tok_embeddings(input_ids)
        for layer in self.model.layers:
            x = layer(x, attention_mask)
        return {"logits": self.output(self.model.norm(x))}


class GlmBlock(nn.Module):
    """ChatGLM's layer, from its modeling_chatglm.py."""

    def __init__(self, c):
        super().__init__()
        self.c, size = c, c.hidden_size
        rows = (c.num_attention_heads + 2 * c.multi_query_group_num) * c.kv_channels
        self.self_attention, self.mlp = nn.Module(), nn.Module()
        self.self_attention.query_key_value = nn.Linear(size, rows, c.add_qkv_bias)
        self.self_attention.dense = nn.Linear(c.num_attention_heads * c.kv_channels, size, False)
        self.mlp.dense_h_to_4h = nn.Linear(size, 2 * c.ffn_hidden_size, bias=False)
        self.mlp.dense_4h_to_h = nn.Linear(c.ffn_hidden_size, size, bias=False)
        self.input_layernorm = Norm(size, c.layernorm_epsilon)
        self.post_attention_layernorm = Norm(size, c.layernorm_epsilon)

    def forward(self, x, mask):
        c, (b, n, _) = self.c, x.shape
        heads, keys, size = c.num_attention_heads, c.multi_query_group_num, c.kv_channels
        rows = self.self_attention.query_key_value(self.input_layernorm(x))
        parts = rows.split([heads * size, keys * size, keys * size], -1)
        q, k, v = (each.view(b, n, -1, size).transpose(1, 2) for each in parts)
        q, k = (self.turned(each) for each in (q, k))
        out = attended(q, k, v, mask).transpose(1, 2).reshape(b, n, -1)
        x = x + self.self_attention.dense(out)
        gate, up = self.mlp.dense_h_to_4h(self.post_attention_layernorm(x)).chunk(2, -1)
        return x + self.mlp.dense_4h_to_h(F.silu(gate) * up)

    def turned(self, x):
        """Neighbours of the first half of a head are turned."""
        half, theta = self.c.kv_channels // 2, 10000 * self.c.rope_ratio
        turn, keep = x[..., :half], x[..., half:]
        halves = torch.cat([turn[..., ::2], turn[..., 1::2]], -1)
        a, b = rotated(halves, theta).chunk(2, -1)
        return torch.cat([torch.stack([a, b], -1).flatten(-2), keep], -1)


class ChatGLM(Published):
    """The whole model."""

    architecture = "ChatGLMForConditionalGeneration"

    def __init__(self, c):
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.embedding, self.transformer.encoder = nn.Module(), nn.Module()
        part, table = self.transformer.encoder, nn.Embedding(c.padded_vocab_size, c.hidden_size)
        self.transformer.embedding.word_embeddings = table
        part.layers = nn.ModuleList(GlmBlock(c) for _ in range(c.num_layers))
        part.final_layernorm = Norm(c.hidden_size, c.layernorm_epsilon)
        self.transformer.output_layer = nn.Linear(c.hidden_size, c.padded_vocab_size, bias=False)

    def forward(self, input_ids, attention_mask=None):
        x = self.transformer.embedding.word_embeddings(input_ids)
        for layer in self.transformer.encoder.layers:
            x = layer(x, attention_mask)
        return {
            "logits": self.transformer.output_layer(self.transformer.encoder.final_layernorm(x))
        }


def tiny_chatglm(values):
    config = SimpleNamespace(**values, vocab_size=values["padded_vocab_size"])
    model = ChatGLM(config)
    model.given = {"model_type": "chatglm", **values}
    return config, model


def tiny_internlm2(values):
    config = SimpleNamespace(**values)
    config.head_dim = config.hidden_size // config.num_attention_heads
    model = InternLM2(config)
    model.given = {"model_type": "internlm2", **values}
    return config, model


TINY = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 48,
    "rms_norm_eps": 1e-5, "rope_theta": 100.0, "bias": False, "hidden_act": "silu",
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip
BIASED = {**TINY, "bias": True, "num_key_value_heads": 4}
GLM = {
    "padded_vocab_size": 64, "hidden_size": 32, "ffn_hidden_size": 48, "num_layers": 2,
    "num_attention_heads": 4, "multi_query_attention": True, "multi_query_group_num": 2,
    "kv_channels": 8, "seq_length": 48, "layernorm_epsilon": 1e-5, "rope_ratio": 0.01,
    "add_qkv_bias": True, "add_bias_linear": False, "rmsnorm": True, "post_layer_norm": True,
    "apply_residual_connection_post_layernorm": False, "original_rope": True,
    "tie_word_embeddings": False, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip
SPECS = {
    "chatglm": Spec("ChatGLMForConditionalGeneration", tiny_chatglm, GLM, texts(), ("logits",)),
    "chatglm_plain": Spec(
        "ChatGLMForConditionalGeneration",
        tiny_chatglm,
        {**GLM, "multi_query_attention": False, "multi_query_group_num": 4, "add_qkv_bias": False},
        texts(),
        ("logits",),
    ),
    "internlm2": Spec("InternLM2ForCausalLM", tiny_internlm2, TINY, texts(), ("logits",)),
    "internlm2_biases": Spec("InternLM2ForCausalLM", tiny_internlm2, BIASED, texts(), ("logits",)),
}
