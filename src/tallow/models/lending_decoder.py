"""Decoders of Gemma 3n and 4: layers that borrow keys and values, and words for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from tallow.dtype import DType, f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Rope
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.gemma import GemmaConfig
from tallow.models.blocks.heads import Mask
from tallow.models.blocks.lent import Lent
from tallow.models.blocks.positions import last_positions
from tallow.models.config import every, read_windows
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.rope_fields import read_rope_of
from tallow.models.states import KeyValue, Ring, State
from tallow.nn import Linear, Module, RMSNorm
from tallow.nn.hooks import is_watched
from tallow.ops import where
from tallow.tensor import Tensor


@dataclass(frozen=True)
class LendingConfig(GemmaConfig):
    """What configs of Gemma 3n and 4 have in common.

    The last `num_kv_shared_layers` attend to what the last layer of their kind (with a window or
    without) before them made. `hidden_size_per_layer_input` is how many numbers each layer is given
    of a word (0: none), by a table of `vocab_size_per_layer_input` words (0: all of them). `widths`
    are those of the feed-forward networks.
    """

    theta: ClassVar[float] = 1_000_000.0
    local_theta: ClassVar[float] = 10_000.0
    period: ClassVar[int] = 5  # each so many layers one attends to all

    num_kv_shared_layers: int = 0
    hidden_size_per_layer_input: int = 256
    vocab_size_per_layer_input: int = 0
    widths: tuple[int, ...] = ()

    @property
    def lenders(self) -> int:
        """How many layers have keys and values of their own: the first ones."""
        return self.num_hidden_layers - self.num_kv_shared_layers

    def lender(self, layer: int) -> int:
        """The layer whose keys and values this one attends to."""
        if layer < self.lenders:
            return layer
        alike = (i for i in range(self.lenders) if bool(self.window(i)) == bool(self.window(layer)))
        return max(alike)

    def head_size(self, layer: int) -> int:
        """The size of a layer's heads."""
        return self.head_dim

    def key_heads(self, layer: int) -> int:
        """The number of a layer's heads of keys and values."""
        return self.num_key_value_heads

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Layers with a window rotate by a base of their own."""
        fields = fields.with_defaults(**cls.defaults)
        whole = read_rope_of(fields, "full_attention", cls.theta, share=1.0)
        local = read_rope_of(fields, "sliding_attention", cls.local_theta)
        words = fields.integer("vocab_size")
        rows = fields.integer("vocab_size_per_layer_input", words)
        cfg = super().read(fields.with_value("rope_parameters", None))
        layers = cfg.num_hidden_layers
        windows = read_windows(fields, layers, 512, kinds=every(cls.period, layers))
        capped = fields.get("final_logit_softcapping") is not None
        cfg = replace(
            cfg,
            query_scale=1.0,
            rope_theta=whole[0],
            rope_scaling=whole[1],
            local_rope=local,
            sliding_windows=windows,
            logit_softcap=fields.number("final_logit_softcapping") if capped else 0.0,
            num_kv_shared_layers=fields.integer("num_kv_shared_layers", 0, low=0, high=layers),
            hidden_size_per_layer_input=fields.integer(
                "hidden_size_per_layer_input", 256, low=0, high=1 << 16
            ),
            vocab_size_per_layer_input=0 if rows == words else rows,
            widths=(cfg.intermediate_size,) * layers,
        )
        kinds = {bool(cfg.window(i)) for i in range(cfg.lenders)}
        if any(bool(cfg.window(i)) not in kinds for i in range(layers)):
            wanted = "a layer of each kind that makes keys and values"
            raise fields.error("num_kv_shared_layers", wanted, cfg.num_kv_shared_layers)
        return cfg


class LendingDecoder(DecoderModel):
    """The decoder without a head; layers take and give `Lent` keys and values.

    A layer is called with `positions`, `mask`, `state`, `lent` and `more`, what it is given of
    words `(batch, n, size per layer)`, and gives hidden states and what it attended to.
    """

    config: LendingConfig
    # Checkpoints hold matrices of borrowing layers, which nothing asks for.
    ignorable = (r"layers\.\d+\.self_attn\.(k_proj|v_proj|k_norm|v_norm)\..*",)

    def __init__(self, cfg: LendingConfig) -> None:
        super().__init__(cfg)
        width, layers = cfg.hidden_size_per_layer_input, cfg.num_hidden_layers
        if not width:
            return
        rows = cfg.vocab_size_per_layer_input or cfg.vocab_size
        padding = cfg.pad_token_id
        self.embed_tokens_per_layer = Embedding(rows, layers * width, padding)
        self.per_layer_model_projection = Linear(cfg.hidden_size, layers * width, bias=False)
        self.per_layer_projection_norm = RMSNorm(width, cfg.rms_norm_eps)

    def forward_static(
        self,
        ids: Tensor | None,
        *,
        embeds: Tensor | None = None,
        positions: Tensor | None = None,
        mask: Mask | None = None,
        states: Sequence[KeyValue | None] | None = None,
        seen: list[Tensor] | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, length)` of token ids, or their `embeds`, → `(batch, length, size)`.

        As of `Decoder`; `states` are those of layers with keys and values of their own. Where only
        the `last` positions are asked for, layers that borrow compute no others.
        """
        cfg, layers = self.config, self.every_layer
        if positions is None:
            given = ids if embeds is None else embeds
            assert given is not None
            positions = arange(given.shape[1], dtype=i64).unsqueeze(0)
        x = self.embed(ids, embeds, positions)
        more, x = self.words_per_layer(ids, x), self.spread(x)
        tables: dict[int, Tensor] = {}
        lent: dict[int, Lent] = {}
        spares = last > 0 and seen is None and not any(map(is_watched, layers.modules()))
        for i, layer in enumerate(layers):
            if spares and i == cfg.lenders:
                x, positions, tables = last_positions(x, last), last_positions(positions, last), {}
                more = None if more is None else last_positions(more, last)
            if seen is not None:
                seen.append(self.shown(x))
            rope = self.ropes[i]
            assert rope is not None
            if id(rope) not in tables:
                tables[id(rope)] = rope.table(positions)
            x, lent[i] = layer(
                x,
                positions=tables[id(rope)],
                mask=mask,
                state=None if states is None or i >= cfg.lenders else states[i],
                lent=lent.get(cfg.lender(i)),
                more=None if more is None else more[:, :, i],
            )
        return self.finished(last_positions(x, last), seen)

    def words_per_layer(self, ids: Tensor | None, x: Tensor) -> Tensor | None:
        """What layers are given of words: `(batch, n, layers, size per layer)`.

        It is made of embeddings `x`, and of the ids by a table that they all have.
        """
        width, layers = self.config.hidden_size_per_layer_input, self.config.num_hidden_layers
        if not width:
            return None
        made = self.per_layer_model_projection(x) * self.config.hidden_size**-0.5
        made = self.per_layer_projection_norm(made.unflatten(-1, (layers, width)))
        if ids is None:
            return self.without_ids(made)
        rows = self.config.vocab_size_per_layer_input
        known = where(ids < rows, ids, 0) if rows else ids  # others than words are the first
        own = self.embed_tokens_per_layer(known).unflatten(-1, (layers, width))
        return (made + own * width**0.5) * 0.5**0.5

    def without_ids(self, made: Tensor) -> Tensor:
        """What layers are given where there are embeddings alone, of which `made` was made."""
        wanted = "input_ids, as layers look words up again"
        expect(False, "forward", wanted, "inputs_embeds", ArgumentError)
        return made

    def spread(self, x: Tensor) -> Tensor:
        """What the first layer is given, of embeddings `(batch, n, size)`."""
        return x

    def shown(self, x: Tensor) -> Tensor:
        """What goes into a layer as `hidden_states` have it."""
        return x

    def finished(self, x: Tensor, seen: list[Tensor] | None) -> Tensor:
        """What the last layer gives, behind the norm."""
        x = self.last_norm(x)
        if seen is not None:
            seen.append(x)
        return x

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """As of `DecoderModel`: keys and values of the layers that make some."""
        cfg = self.config
        made = []
        for i in range(cfg.lenders):
            sizes, window = (cfg.key_heads(i), cfg.head_size(i)), cfg.window(i)
            made.append(Ring(*sizes, window=window) if window else KeyValue(*sizes))
        return self.state_class(made, batch, context=cfg.context, capacity=capacity, dtype=dtype)

    @classmethod
    def make_layer(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """The layer at `index`."""
        raise NotImplementedError

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """The norm behind the layers."""
        return RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
