"""A small decoder with cross attention, as BART's, from bricks, and searches to try it with."""

from __future__ import annotations

from types import SimpleNamespace

import tallow as tl
from tallow.models.blocks import Attention
from tallow.models.generation import EncoderDecoderModel
from tallow.models.states import Cross, KeyValue, SelfAndCross, State
from tallow.nn import Embedding, LayerNorm, Linear, Module, ModuleList

SIZE, HEADS, LAYERS, VOCABULARY, CONTEXT = 16, 4, 2, 48, 40
ENDS = {"eos_token_id": 2, "pad_token_id": 1, "decoder_start_token_id": 3}
SEARCHES = {
    "greedy": {**ENDS, "max_length": 16, "repetition_penalty": 1.5},
    "beams": {**ENDS, "num_beams": 4, "max_length": 20, "repetition_penalty": 1.5},
    "as trocr": {
        **ENDS,
        "num_beams": 4,
        "max_length": 24,
        "early_stopping": True,
        "no_repeat_ngram_size": 3,
        "length_penalty": 2.0,
        "num_return_sequences": 2,
    },
    "forced": {**ENDS, "num_beams": 2, "max_length": 9, "forced_bos_token_id": 7,
               "forced_eos_token_id": 2, "suppress_tokens": [5, 6], "begin_suppress_tokens": [30]},
}  # fmt: skip
PROMPTS = {"greedy": [[9, 8], [7, 6], [5, 4]], "beams": [[3, 8, 20], [3, 6, 21], [3, 4, 22]]}


class Layer(Module):
    def __init__(self) -> None:
        options = {"bias": True, "out_name": "out_proj"}
        self.self_attn = Attention(SIZE, HEADS, causal=True, **options)
        self.self_attn_layer_norm = LayerNorm(SIZE)
        self.encoder_attn = Attention(SIZE, HEADS, **options)
        self.encoder_attn_layer_norm = LayerNorm(SIZE)
        self.fc1, self.fc2 = Linear(SIZE, 24), Linear(24, SIZE)
        self.final_layer_norm = LayerNorm(SIZE)

    def forward(self, x, state):
        x = self.self_attn_layer_norm(x + self.self_attn(x, state=state.self_attn))
        x = self.encoder_attn_layer_norm(x + self.encoder_attn(x, state=state.cross_attn))
        return self.final_layer_norm(x + self.fc2(tl.gelu(self.fc1(x))))


class CrossDecoder(EncoderDecoderModel):
    """Its encoder gives the context as it is."""

    main_input = "context"
    context, vocab_size = CONTEXT, VOCABULARY

    def __init__(self) -> None:
        self.config = SimpleNamespace()
        self.embed_tokens = Embedding(VOCABULARY, SIZE)
        self.embed_positions = Embedding(CONTEXT + 2, SIZE)
        self.layernorm_embedding = LayerNorm(SIZE)
        self.layers = ModuleList([Layer() for _ in range(LAYERS)])

    def make_state(self, batch=1, capacity=256, dtype=tl.f32):
        sizes = (HEADS, SIZE // HEADS)
        layers = [SelfAndCross(KeyValue(*sizes), Cross()) for _ in range(LAYERS)]
        return State(layers, batch, context=CONTEXT, capacity=capacity, dtype=dtype)

    def encode(self, *, context, context_mask=None):
        return context, context_mask

    def attend_to(self, state, context, mask=None):
        for layer, held in zip(self.layers, state.layers, strict=True):
            layer.encoder_attn.fill(held.cross_attn, context, mask)

    def decode(self, ids, state, *, embeds=None):
        x = self.embed_tokens(ids) if embeds is None else embeds
        x = self.layernorm_embedding(x + self.embed_positions(state.positions(x.shape[1]) + 2))
        for layer, held in zip(self.layers, state.layers, strict=True):
            x = layer(x, held)
        return x

    def head(self, hidden):
        return hidden @ self.embed_tokens.weight.T
