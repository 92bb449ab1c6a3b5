"""GPT-2: a pre-norm decoder with learned positions, which may see an encoder (OpenAI, 2019)."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.decoder_heads import Answers, EachScores, LastScores, Scores
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import (
    as_mask,
    attention_of_rows,
    merge_heads,
    split_heads,
)
from tallow.models.configs import MAX_WIDTH, Config, activation, custom, layers, size, token, unread
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key
from tallow.models.outputs import AnswerOutput, BaseOutput, LogitsOutput
from tallow.models.states import Cross, KeyValue, SelfAndCross, State
from tallow.models.text_decoder import (
    CrossAttention,
    DecoderInputs,
    LayerInputs,
    TextDecoder,
    TextStack,
    run_layers,
)
from tallow.nn import LayerNorm, Linear, Module, ModuleList, param, tie
from tallow.nn.init import normal, zeros
from tallow.ops import linear
from tallow.tensor import Tensor
from tallow.weights import NameMap
from tallow.weights.arrange import WeightConverter, transpose

_SUMMARY = "type use_proj activation proj_to_labels first_dropout last_dropout"


def _inner(fields: Fields, name: str, _: int) -> int:
    width = fields.integer("n_embd" if "n_embd" in fields else "hidden_size", 768)
    return fields.integer(name, 4 * width, high=MAX_WIDTH)


class GPT2Config(Config):
    """Of Hugging Face's `GPT2Config`."""

    # Kept in f32, an attention needs no other order of its steps; summaries are of two heads.
    without_effect = frozenset(
        {"n_ctx", "is_decoder", "reorder_and_upcast_attn", "predict_special_tokens"}
        | {f"summary_{name}" for name in _SUMMARY.split()}
    )

    vocab_size: int = size(50257, high=2**31 - 1)
    n_positions: int = size(1024, "max_position_embeddings")
    n_embd: int = size(768, "hidden_size")
    n_layer: int = layers(12, "num_hidden_layers")
    n_head: int = size(12, "num_attention_heads")
    n_inner: int = custom(0, _inner)
    activation_function: str = activation("gelu_new")
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    add_cross_attention: bool = False
    cross_attention_hidden_size: int | None = None
    pad_token_id: int | None = token()
    tie_word_embeddings: bool = True
    transposed: bool = unread(True)  # whether products have their weights as `(in, out)`

    @property
    def hidden_size(self) -> int:
        """The width."""
        return self.n_embd

    @property
    def num_attention_heads(self) -> int:
        """The number of heads."""
        return self.n_head

    @property
    def num_hidden_layers(self) -> int:
        """The number of layers."""
        return self.n_layer

    @property
    def max_position_embeddings(self) -> int:
        """The number of positions."""
        return self.n_positions

    def check(self, fields: Fields) -> None:
        """Heads share the width; a context, where there is one, has that width."""
        if self.n_embd % self.n_head:
            raise fields.error("n_head", f"a divisor of n_embd {self.n_embd}", self.n_head)
        width = self.cross_attention_hidden_size
        if width not in (None, self.n_embd):
            wanted = f"n_embd {self.n_embd}, or null"
            raise fields.error("cross_attention_hidden_size", wanted, width)

    def scale(self, index: int) -> float:
        """What the products of queries and keys of a layer are multiplied by."""
        whole = (self.n_embd // self.n_head) ** -0.5 if self.scale_attn_weights else 1.0
        return whole / (index + 1) if self.scale_attn_by_inverse_layer_idx else whole


_LAYER = "transformer.h.{}."


def _turned(cfg: GPT2Config) -> tuple[WeightConverter, ...]:
    """Files have weights as `(out, in)`."""
    if not cfg.transposed:
        return ()
    stems = {"attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj"}
    stems |= {"ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
    return tuple(
        transpose(f"blk.{{}}.{theirs}.weight", f"{_LAYER}{ours}.weight")
        for theirs, ours in stems.items()
    )


GGUF = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "transformer.wte",
            "position_embd": "transformer.wpe",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
            "blk.{}.attn_norm": _LAYER + "ln_1",
            "blk.{}.attn_qkv": _LAYER + "attn.c_attn",
            "blk.{}.attn_output": _LAYER + "attn.c_proj",
            "blk.{}.ffn_norm": _LAYER + "ln_2",
            "blk.{}.ffn_up": _LAYER + "mlp.c_fc",
            "blk.{}.ffn_down": _LAYER + "mlp.c_proj",
        }
    ),
    keys=(
        Key("block_count", "n_layer"),
        Key("context_length", "n_positions"),
        Key("embedding_length", "n_embd"),
        Key("feed_forward_length", "n_inner"),
        Key("attention.head_count", "n_head"),
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32"),
    ),
    rules=_turned,
    attributes={"transposed": False},
)


class Conv1D(Module):
    """A linear layer whose weight is `(in, out)`, as files have it."""

    fan_in_fan_out = True  # PEFT's word for it

    def __init__(self, out: int, size: int) -> None:
        self.weight = param(size, out, init=normal(0.02), kinds="f")
        self.bias = param(out, init=zeros)

    def settle(self) -> None:
        """Lay the loaded weight out as products of few rows read it fastest, `(out, in)`."""
        weight = self.weight
        weight.data = weight.data.transpose(0, 1).contiguous().transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., in)` → `(..., out)`."""
        return linear(x, self.weight.transpose(0, 1), self.bias)


def product(cfg: GPT2Config, out: int, size: int) -> Module:
    """A linear layer whose weight lies as the config says."""
    return Conv1D(out, size) if cfg.transposed else Linear(size, out)


class GPT2Attention(Module):
    """Attention of fused projections: of one input, or of a query and a context."""

    def __init__(self, cfg: GPT2Config, index: int, *, crossing: bool) -> None:
        width = cfg.n_embd
        self.c_attn = product(cfg, (2 if crossing else 3) * width, width)
        self.q_attn = product(cfg, width, width) if crossing else None
        self.c_proj = product(cfg, width, width)
        self.width, self.heads, self.scale = width, cfg.n_head, cfg.scale(index)

    def _split(self, x: Tensor) -> list[Tensor]:
        return [split_heads(each, self.heads) for each in self.c_attn(x).split(self.width, -1)]

    def fill(self, state: Cross, context: Tensor, mask: Tensor | None) -> None:
        """Let `state` hold keys and values of `context`, and its mask."""
        k, v = self._split(context)
        state.fill(k, v, mask)

    def forward(
        self,
        x: Tensor,
        *,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        state: KeyValue | Cross | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        start: Tensor | None = None
        if self.q_attn is None:
            q, k, v = self._split(x)
            if isinstance(state, KeyValue):
                k, v, start = state.update(k, v)
        else:
            q = split_heads(self.q_attn(x), self.heads)
            if isinstance(state, Cross):
                k, v, mask = state.held()
            else:
                assert context is not None, "there is a context, or a state with one"
                k, v = self._split(context)
        mask = None if mask is None else as_mask(mask)
        causal = self.q_attn is None
        found = attention_of_rows(q, k, v, start=start, mask=mask, causal=causal, scale=self.scale)
        return self.c_proj(merge_heads(found))


class GPT2Mlp(Module):
    """Two layers with an activation between."""

    def __init__(self, cfg: GPT2Config) -> None:
        self.c_fc = product(cfg, cfg.n_inner, cfg.n_embd)
        self.c_proj = product(cfg, cfg.n_embd, cfg.n_inner)
        self.act = ACTIVATIONS[cfg.activation_function]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.c_proj(linear_then(self.c_fc, x, self.act))


class Block(Module):
    """Attention, to a context too where there is one, and feed-forward, each behind a norm."""

    def __init__(self, cfg: GPT2Config, index: int) -> None:
        width, eps, crossing = cfg.n_embd, cfg.layer_norm_epsilon, cfg.add_cross_attention
        self.ln_1 = LayerNorm(width, eps)
        self.attn = GPT2Attention(cfg, index, crossing=False)
        self.ln_2 = LayerNorm(width, eps)
        self.crossattention = GPT2Attention(cfg, index, crossing=True) if crossing else None
        self.ln_cross_attn = LayerNorm(width, eps) if crossing else None
        self.mlp = GPT2Mlp(cfg)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        state: SelfAndCross | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        own, cross = (None, None) if state is None else state
        x = x + self.attn(self.ln_1(x), mask=mask, state=own)
        there = context is not None or (cross is not None and cross.filled)
        if there and self.crossattention is not None and self.ln_cross_attn is not None:
            h = self.ln_cross_attn(x)
            x = x + self.crossattention(h, context=context, mask=context_mask, state=cross)
        return x + self.mlp(self.ln_2(x))


class GPT2Model(TextStack):
    """Words and positions, layers, a norm."""

    config_class = GPT2Config
    base_model_prefix = "transformer"
    ignorable = (r"h\.\d+\.(attn|crossattention)\.(masked_)?bias",)

    def __init__(self, cfg: GPT2Config) -> None:
        self.config = cfg
        self.wte = Embedding(cfg.vocab_size, cfg.n_embd)
        self.wpe = Embedding(cfg.n_positions, cfg.n_embd)
        self.h = ModuleList([Block(cfg, i) for i in range(cfg.n_layer)])
        self.ln_f = LayerNorm(cfg.n_embd, cfg.layer_norm_epsilon)

    def forward(
        self,
        input_ids: Tensor | None = None,
        state: State | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Token ids `(batch, n)`, or their embeddings, → hidden states `(batch, n, size)`."""
        seen: list[Tensor] | None = [] if output_hidden_states else None
        x = self.hidden(
            input_ids, attention_mask, encoder_hidden_states, encoder_attention_mask, state,
            inputs_embeds, places=position_ids, types=token_type_ids, seen=seen,
        )  # fmt: skip
        return BaseOutput(x, hidden_states=None if seen is None else tuple(seen))

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer; types are looked up among the words."""
        ids, embeds, positions, places, types = inputs
        x: Tensor = self.wte(ids) if embeds is None else embeds
        x = x + self.wpe(positions if places is None else places)
        return x if types is None else x + self.wte(types)

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Hidden states `(batch, n, size)`."""
        return run_layers(self.h, x, inputs, self.ln_f)

    def layers(self) -> int:
        """The number of layers."""
        return len(self.h)

    def cross_attentions(self) -> Sequence[CrossAttention]:
        """Those of the layers."""
        found = [layer.crossattention for layer in self.h]
        return [each for each in found if each is not None]


class GPT2LMHeadModel(TextDecoder):
    """A decoder, which may stand behind an encoder, and the scores of the next token."""

    config_class, base_model_prefix = GPT2Config, "transformer"

    def __init__(self, cfg: GPT2Config) -> None:
        self.config = cfg
        self.transformer = GPT2Model(cfg)
        self.lm_head = Linear(cfg.n_embd, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", self.transformer.wte, "weight")

    def forward(
        self,
        input_ids: Tensor | None = None,
        state: State | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, or their embeddings, → logits `(batch, n, vocab_size)`.

        Where it has `add_cross_attention`, `encoder_hidden_states` `(batch, m, size)` are attended
        to where `encoder_attention_mask` `(batch, m)` is not 0. With a `state`, the input continues
        what it holds, and the encoder's output is needed at the first call alone.

        Raises:
            ContextError: more positions than there are.
        """
        return self.answer(
            input_ids, attention_mask, encoder_hidden_states, encoder_attention_mask, state,
            inputs_embeds, labels, places=position_ids, types=token_type_ids,
            keep=logits_to_keep, hidden=output_hidden_states,
        )  # fmt: skip

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer."""
        return self.transformer.embed(inputs)

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Hidden states `(batch, n, size)`."""
        return self.transformer.run(x, inputs)

    def layers(self) -> int:
        """The number of layers."""
        return self.transformer.layers()

    def cross_attentions(self) -> Sequence[CrossAttention]:
        """Those of the layers."""
        return self.transformer.cross_attentions()


class _Call(Scores):
    def forward(
        self,
        input_ids: Tensor | None = None,
        state: State | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, or their embeddings → scores, and the loss of labels."""
        found = self.base(
            input_ids, state, attention_mask, token_type_ids, position_ids, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        return self.answer(found, input_ids, labels)


class GPT2ForSequenceClassification(_Call, LastScores):
    """Scores of a text, `(batch, labels)`, from its last token that is no padding."""

    config_class, base_class, base_model_prefix = GPT2Config, GPT2Model, "transformer"


class GPT2ForTokenClassification(_Call, EachScores):
    """Scores of each position, `(batch, n, labels)`."""

    config_class, base_class, base_model_prefix = GPT2Config, GPT2Model, "transformer"
    head_name = "classifier"


class GPT2ForQuestionAnswering(Answers):
    """Scores of each position as start and end of the answer."""

    config_class, base_class, base_model_prefix = GPT2Config, GPT2Model, "transformer"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> AnswerOutput:
        """Token ids `(batch, n)`, or their embeddings → scores of starts and ends, `(batch, n)`."""
        found = self.base(
            input_ids, None, attention_mask, token_type_ids, position_ids, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        return self.answer(found, start_positions, end_positions)
