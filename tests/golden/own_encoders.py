"""Encoders that transformers does not have, restated in torch from what their authors document.

GTE's `new` (arXiv 2407.19669; Alibaba-NLP/new-impl) and Jina BERT v2 (arXiv 2310.19923;
jinaai/jina-bert-implementation and jina-bert-v2-qk-post-norm). Names are their checkpoints'.
The order of computation follows the papers and published configs, in plain matrices, so that
nothing is shared with what is tested.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)


def hiding(mask):
    """0 where a key is kept, the lowest number elsewhere, (batch, 1, 1, length)."""
    lowest = torch.finfo(torch.float32).min
    return (1.0 - mask[:, None, None, :].to(torch.get_default_dtype())) * lowest


def attend(q, k, v, heads, bias):
    b, n, width = q.shape
    q, k, v = (t.view(b, n, heads, width // heads).permute(0, 2, 1, 3) for t in (q, k, v))
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(width // heads) + bias
    found = torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v)
    return found.permute(0, 2, 1, 3).reshape(b, n, width)


class Words(nn.Module):
    """Embeddings of words, types and, by table, positions."""

    def __init__(self, c, table: bool):
        super().__init__()
        self.word_embeddings = nn.Embedding(c.vocab_size, c.hidden_size, c.pad_token_id)
        if c.type_vocab_size:
            self.token_type_embeddings = nn.Embedding(c.type_vocab_size, c.hidden_size)
        if table:
            self.position_embeddings = nn.Embedding(c.max_position_embeddings, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, ids, types):
        x = self.word_embeddings(ids)
        if hasattr(self, "token_type_embeddings"):
            x = x + self.token_type_embeddings(torch.zeros_like(ids) if types is None else types)
        if hasattr(self, "position_embeddings"):
            x = x + self.position_embeddings(torch.arange(ids.shape[1]))
        return self.LayerNorm(x)


class FirstDense(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x):
        return self.dense(x[:, 0]).tanh()


class OfTokens:
    """A head of each position: `classifier` to labels."""

    def __init__(self, c):
        super().__init__(c)
        setattr(self, self.base_model_prefix, self.base(c))
        self.classifier = nn.Linear(c.hidden_size, c.num_labels)
        self.post_init()

    def forward(self, **inputs):
        found = getattr(self, self.base_model_prefix)(**inputs)
        return TokenClassifierOutput(logits=self.classifier(found.last_hidden_state))


class OfAnswers:
    """Two scores of each position, under `qa_outputs`."""

    def __init__(self, c):
        super().__init__(c)
        setattr(self, self.base_model_prefix, self.base(c))
        self.qa_outputs = nn.Linear(c.hidden_size, 2)
        self.post_init()

    def forward(self, **inputs):
        found = getattr(self, self.base_model_prefix)(**inputs).last_hidden_state
        start, end = self.qa_outputs(found).unbind(-1)
        return QuestionAnsweringModelOutput(start_logits=start, end_logits=end)


class NewConfig(PretrainedConfig):
    model_type = "new"

    def __init__(self, **values):
        own = {"rope_theta": 10000.0, "rope_scaling": None, "pad_token_id": 0}
        super().__init__(**{**own, **values})

    # transformers would turn both into `rope_parameters`
    def convert_rope_params_to_dict(self, **values):
        return values


class NewAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.qkv_proj = nn.Linear(c.hidden_size, 3 * c.hidden_size)
        self.o_proj = nn.Linear(c.hidden_size, c.hidden_size)
        self.c = c

    def rotated(self, x):
        c, n = self.c, x.shape[1]
        if c.position_embedding_type != "rope":
            return x
        head = c.hidden_size // c.num_attention_heads
        place = torch.arange(0, head, 2, dtype=torch.float64)
        freqs = c.rope_theta ** (-place / head)
        if c.rope_scaling is not None:
            factor, mixed = c.rope_scaling["factor"], c.rope_scaling.get("mixed_b")
            if mixed is None:
                freqs = (c.rope_theta * factor) ** (-place / head) / factor ** (2 / head)
            else:
                rate = math.log(factor) / (head / 2) ** mixed
                freqs = freqs / torch.exp(rate * (place / 2 + 1) ** mixed)
        angle = torch.outer(torch.arange(n, dtype=torch.float64), freqs)
        turn = torch.polar(torch.ones_like(angle), angle)[:, None]
        parts = x.view(*x.shape[:2], c.num_attention_heads, head)
        half = head // 2
        pairs = torch.complex(parts[..., :half].double(), parts[..., half:].double()) * turn
        return torch.cat([pairs.real, pairs.imag], -1).to(x.dtype).reshape(x.shape)

    def forward(self, x, bias):
        q, k, v = self.qkv_proj(x).chunk(3, -1)
        q, k = self.rotated(q), self.rotated(k)
        return self.o_proj(attend(q, k, v, self.c.num_attention_heads, bias))


class NewMlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.up_gate_proj = nn.Linear(c.hidden_size, 2 * c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size)
        self.act = ACT2FN[c.hidden_act]

    def forward(self, x):
        up, gate = self.up_gate_proj(x).chunk(2, -1)
        return self.down_proj(self.act(gate) * up)


class NewLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        norm = nn.LayerNorm if c.layer_norm_type == "layer_norm" else nn.RMSNorm
        self.attention, self.mlp = NewAttention(c), NewMlp(c)
        self.attn_ln = norm(c.hidden_size, c.layer_norm_eps)
        self.mlp_ln = norm(c.hidden_size, c.layer_norm_eps)

    def forward(self, x, bias):
        x = self.attn_ln(x + self.attention(x, bias))
        return self.mlp_ln(x + self.mlp(x))


class Encoder(nn.Module):
    def __init__(self, c, layer):
        super().__init__()
        self.layer = nn.ModuleList([layer(c) for _ in range(c.num_hidden_layers)])


class New(PreTrainedModel):
    config_class = NewConfig
    base_model_prefix = "new"
    _supports_attention_backend = True


class NewModel(New):
    def __init__(self, c, pooled=False):
        super().__init__(c)
        self.embeddings = Words(c, c.position_embedding_type == "absolute")
        self.encoder = Encoder(c, NewLayer)
        if pooled:
            self.pooler = FirstDense(c)
        self.post_init()

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        x, bias = self.embeddings(input_ids, token_type_ids), hiding(attention_mask)
        for layer in self.encoder.layer:
            x = layer(x, bias)
        pooled = self.pooler(x) if hasattr(self, "pooler") else None
        return BaseModelOutputWithPooling(last_hidden_state=x, pooler_output=pooled)


class NewLMHead(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.hidden_size)
        self.norm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.decoder = nn.Linear(c.hidden_size, c.vocab_size)
        self.act = ACT2FN[c.hidden_act]

    def forward(self, x):
        return self.decoder(self.norm(self.act(self.dense(x))))


class NewForMaskedLM(New):
    """Its decoder is not tied, as `save_pretrained` keeps it, whatever the config says."""

    def __init__(self, c):
        super().__init__(c)
        self.new, self.lm_head = NewModel(c), NewLMHead(c)
        self.post_init()

    def forward(self, **inputs):
        return MaskedLMOutput(logits=self.lm_head(self.new(**inputs).last_hidden_state))


class NewForSequenceClassification(New):
    def __init__(self, c):
        super().__init__(c)
        self.new = NewModel(c, pooled=True)
        self.classifier = nn.Linear(c.hidden_size, c.num_labels)
        self.post_init()

    def forward(self, **inputs):
        return SequenceClassifierOutput(logits=self.classifier(self.new(**inputs).pooler_output))


class NewForTokenClassification(OfTokens, New):
    base = NewModel


class NewForQuestionAnswering(OfAnswers, New):
    base = NewModel


class NewForMultipleChoice(New):
    def __init__(self, c):
        super().__init__(c)
        self.new = NewModel(c, pooled=True)
        self.classifier = nn.Linear(c.hidden_size, 1)
        self.post_init()

    def forward(self, **inputs):
        every = [
            self.classifier(self.new(**{key: value[:, i] for key, value in inputs.items()})[1])
            for i in range(inputs["input_ids"].shape[1])
        ]
        return MultipleChoiceModelOutput(logits=torch.cat(every, -1))


class JinaBertConfig(PretrainedConfig):
    model_type = "bert"

    def __init__(self, **values):
        super().__init__(**{"pad_token_id": 0, **values})


class Named(nn.Module):
    """Modules by name."""

    def __init__(self, parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


class JinaLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        size, hidden, eps = c.hidden_size, c.intermediate_size, c.layer_norm_eps
        self.c, self.post = c, "qk-post-norm" in str(getattr(c, "auto_map", ""))
        inner = {name: nn.Linear(size, size) for name in ("query", "key", "value")}
        if self.post:
            inner |= {f"layer_norm_{n}": nn.LayerNorm(size, eps) for n in "qk"}
        output = Named({"dense": nn.Linear(size, size), "LayerNorm": nn.LayerNorm(size, eps)})
        self.attention = Named({"self": Named(inner), "output": output})
        if c.feed_forward_type == "original":  # BERT's own
            self.intermediate = Named({"dense": nn.Linear(size, hidden)})
            parts = {"dense": nn.Linear(hidden, size), "LayerNorm": nn.LayerNorm(size, eps)}
            self.output, self.act = Named(parts), ACT2FN[c.hidden_act]
            return
        gates = nn.Linear(size, 2 * hidden, bias=False)
        if self.post:
            self.mlp = Named({"up_gated_layer": gates, "down_layer": nn.Linear(hidden, size)})
            self.layer_norm_1 = nn.LayerNorm(size, eps)
            self.layer_norm_2 = nn.LayerNorm(size, eps)
        else:
            parts = {"gated_layers": gates, "wo": nn.Linear(hidden, size)}
            self.mlp = Named({**parts, "layernorm": nn.LayerNorm(size, eps)})
        self.act = {"geglu": nn.GELU(), "reglu": nn.ReLU()}[c.feed_forward_type]

    def forward(self, x, bias):
        own, out = self.attention.get_submodule("self"), self.attention.output
        q, k, v = own.query(x), own.key(x), own.value(x)
        if self.post:
            q, k = own.layer_norm_q(q), own.layer_norm_k(k)
        seen = attend(q, k, v, self.c.num_attention_heads, bias)
        y = out.LayerNorm(out.dense(seen) + x)
        if self.c.feed_forward_type == "original":
            return self.output.LayerNorm(
                self.output.dense(self.act(self.intermediate.dense(y))) + y
            )
        if self.post:
            y = self.layer_norm_1(y + x)
            up, gate = self.mlp.up_gated_layer(y).chunk(2, -1)
            return self.layer_norm_2(self.mlp.down_layer(up * self.act(gate)) + y)
        gate, up = self.mlp.gated_layers(y).chunk(2, -1)
        return self.mlp.layernorm(self.mlp.wo(self.act(gate) * up) + y)


def alibi(heads: int, n: int):
    """-slope * |i - j|, as ALiBi's authors choose slopes for any number of heads."""

    def geometric(count):
        return [2 ** (-8 * (i + 1) / count) for i in range(count)]

    near = 2 ** math.floor(math.log2(heads))
    slopes = geometric(near) + geometric(2 * near)[0::2][: heads - near]
    place = torch.arange(n)
    away = (place[None, :] - place[:, None]).abs()
    return -torch.tensor(slopes, dtype=torch.get_default_dtype())[:, None, None] * away


class JinaBert(PreTrainedModel):
    config_class = JinaBertConfig
    base_model_prefix = "bert"
    _supports_attention_backend = True


class JinaBertModel(JinaBert):
    def __init__(self, c):
        super().__init__(c)
        self.embeddings = Words(c, c.position_embedding_type == "absolute")
        self.encoder = Encoder(c, JinaLayer)
        self.pooler = FirstDense(c)
        self.post_init()

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        x, bias = self.embeddings(input_ids, token_type_ids), hiding(attention_mask)
        if self.config.position_embedding_type == "alibi":
            bias = bias + alibi(self.config.num_attention_heads, input_ids.shape[1])
        for layer in self.encoder.layer:
            x = layer(x, bias)
        return BaseModelOutputWithPooling(last_hidden_state=x, pooler_output=self.pooler(x))


class JinaBertForSequenceClassification(JinaBert):
    def __init__(self, c):
        super().__init__(c)
        self.bert = JinaBertModel(c)
        self.classifier = nn.Linear(c.hidden_size, c.num_labels)
        self.post_init()

    def forward(self, **inputs):
        return SequenceClassifierOutput(logits=self.classifier(self.bert(**inputs).pooler_output))


class JinaBertForTokenClassification(OfTokens, JinaBert):
    base = JinaBertModel


class JinaBertForQuestionAnswering(OfAnswers, JinaBert):
    base = JinaBertModel


class JinaBertForMaskedLM(JinaBert):
    """BERT's head: a dense layer, an activation and a norm before the words' own table."""

    _tied_weights_keys: ClassVar = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"
    }

    def __init__(self, c):
        super().__init__(c)
        size, self.bert, self.act = c.hidden_size, JinaBertModel(c), ACT2FN[c.hidden_act]
        norm = nn.LayerNorm(size, c.layer_norm_eps)
        head = Named({"transform": Named({"dense": nn.Linear(size, size), "LayerNorm": norm})})
        head.decoder = nn.Linear(size, c.vocab_size, bias=False)
        head.bias = nn.Parameter(torch.zeros(c.vocab_size))
        self.cls = Named({"predictions": head})
        self.post_init()

    def get_output_embeddings(self):
        return self.cls.predictions.decoder

    def get_input_embeddings(self):
        return self.bert.embeddings.word_embeddings

    def forward(self, **inputs):
        head = self.cls.predictions
        x = self.act(head.transform.dense(self.bert(**inputs).last_hidden_state))
        return MaskedLMOutput(logits=head.decoder(head.transform.LayerNorm(x)) + head.bias)
