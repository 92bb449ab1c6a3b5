"""What both DeBERTas share: attention to content and relative position, and their heads.

Sources: arXiv 2006.03654 and 2111.09543.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tallow.dtype import f32
from tallow.factories import arange, tensor
from tallow.lazy_dataclasses import dataclass
from tallow.models import losses
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.bert import (
    BertAttention,
    BertEmbeddings,
    BertLayer,
    Dense,
    DensePredictions,
    Predictions,
)
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.relative import relative_shift
from tallow.models.blocks.text_calls import MaskedLM
from tallow.models.blocks.text_encoder import BertEncoder, TextConfig
from tallow.models.blocks.text_heads import TextScores
from tallow.models.configs import choice, custom, size
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Linear, Module, ModuleList
from tallow.nn import functional as F
from tallow.ops import attention, where
from tallow.overrides import is_watched
from tallow.tensor import Tensor

LEAST = -3.4028234663852886e38  # hides a key; a row of it alone is even


def _position_terms(fields: Fields, name: str, default: Any) -> tuple[str, ...]:
    value = fields.get(name)
    value = value.lower().split("|") if isinstance(value, str) else value or default
    names = [str(each).strip() for each in value] if isinstance(value, (list, tuple)) else [""]
    if set(names) - {"c2p", "p2c"} or len(set(names)) != len(names):
        raise fields.error(name, "c2p, p2c or both", value)
    return tuple(names)


def _width(fields: Fields, name: str, default: Any) -> int:
    return fields.integer(name, fields.integer("hidden_size", default))


class DebertaConfig(TextConfig):
    """The fields of both DeBERTas."""

    without_effect = frozenset({"cls_dropout", "pos_dropout", "z_steps"})

    type_vocab_size: int = size(0, low=0)
    layer_norm_eps: float = 1e-7
    relative_attention: bool = False
    max_relative_positions: int = size(-1, low=-(1 << 20))
    position_biased_input: bool = True
    pos_att_type: tuple[str, ...] = custom((), _position_terms)
    pooler_hidden_act: str = "gelu"
    legacy: bool = True
    embedding_size: int = custom(768, _width)
    pooler_hidden_size: int = custom(768, _width)
    talking_head: bool = choice(False)

    def check(self, fields: Fields) -> None:
        """The poolers' width is the layers'."""
        super().check(fields)
        if self.pooler_hidden_size != self.hidden_size:
            wanted = f"hidden_size {self.hidden_size}"
            raise fields.error("pooler_hidden_size", wanted, self.pooler_hidden_size)
        if self.pooler_hidden_act not in ACTIVATIONS:
            raise fields.error("pooler_hidden_act", "an activation", self.pooler_hidden_act)

    @property
    def max_distance(self) -> int:
        """The distance from which positions are not told apart."""
        if self.max_relative_positions < 1:
            return self.max_position_embeddings
        return self.max_relative_positions

    @property
    def scale(self) -> float:
        """Of all terms of the scores."""
        head = self.hidden_size // self.num_attention_heads
        return float((head * (1 + len(self.pos_att_type))) ** -0.5)


class Embeddings(BertEmbeddings):
    """Embeddings that may be narrower than the layers, zero where the mask hides."""

    def __init__(self, cfg: DebertaConfig) -> None:
        narrow, width, eps = cfg.embedding_size, cfg.hidden_size, cfg.layer_norm_eps
        positions = cfg.max_position_embeddings if cfg.position_biased_input else 0
        super().__init__(
            cfg.vocab_size, positions, cfg.type_vocab_size, narrow, eps, padding=cfg.pad_token_id
        )
        self.embed_proj = None if narrow == width else Linear(narrow, width, bias=False)
        self.LayerNorm = LayerNorm(width, eps)

    def added(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
    ) -> Tensor:
        """The sum, projected, before it is normalised."""
        x = super().added(input_ids, token_type_ids, position_ids, inputs_embeds)
        return x if self.embed_proj is None else self.embed_proj(x)


class Distances:
    """Which row of a table of `2 * span` stands for a distance of query and key.

    With `buckets`, those beyond half of them share rows by logarithm up to `max_distance`.
    """

    def __init__(self, span: int, max_distance: int, buckets: int = 0) -> None:
        self.limit = max_distance
        middle = buckets // 2
        places = []
        for away in range(max_distance + 1):
            place = away
            if buckets and away > middle:
                far = math.log(away / middle) / math.log((max_distance - 1) / middle)
                place = math.ceil(far * (middle - 1) - 1e-7) + middle
            places.append(place)
        last = 2 * span - 1
        behind = [max(span - place, 0) for place in reversed(places[1:])]
        self.rows = behind + [min(span + place, last) for place in places]
        self.table = tensor(self.rows)

    def of(self, n: int) -> tuple[int, int, Tensor | None]:
        """The first row that `n` positions need, their number, and the row of each distance.

        Distances go from `1 - n` to `n - 1`; None stands for consecutive rows.
        """
        far = min(n - 1, self.limit)
        first, last = self.rows[self.limit - far], self.rows[self.limit + far]
        if is_watched():  # all rows, whatever the length
            first, last = self.rows[0], self.rows[-1]
        elif last - first == 2 * n - 2:
            return first, 2 * n - 1, None
        places = arange(1 - n, n).clamp(-self.limit, self.limit) + self.limit
        return first, last - first + 1, self.table.to(places.device)[places] - first


@dataclass(frozen=True)
class RelativeContext:
    """What all layers attend with: what is kept, and the relative rows by distance."""

    kept: Tensor | None  # (batch, n, 1, 1) of 0 and 1
    pairs: Tensor | None  # (batch, 1, n, n), true where both are kept
    near: Tensor | None = None  # (rows, size)
    index: Tensor | None = None  # (2 n - 1,), the row of each distance; None: in order

    def by_distance(self, rows: Tensor, heads: int) -> Tensor:
        """Projected rows `(rows, size)` → `(heads, 2 n - 1, head size)`."""
        if self.index is not None:
            rows = rows[self.index]
        return rows.reshape(rows.shape[0], heads, -1).transpose(0, 1)


class Disentangled(Module):
    """Attention by content and relative position; sub-classes project."""

    def __init__(self, cfg: DebertaConfig) -> None:
        self.heads, self.scale = cfg.num_attention_heads, cfg.scale

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        seen: RelativeContext,
        position_key: Tensor | None,
        position_query: Tensor | None,
    ) -> Tensor:
        """Attention of `(batch, n, heads, head size)`, with the projected relative rows.

        `position_key` is for queries' content to position, `position_query` for position to keys.
        """
        b, n, heads, width = q.shape
        if seen.kept is not None:  # a hidden query takes all keys evenly, and teaches none
            q = q * seen.kept
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        bias: Tensor | float = 0.0
        if position_key is not None:
            rows = seen.by_distance(position_key * self.scale, heads).flip(1)
            bias = relative_shift(q @ rows.transpose(1, 2))
        if position_query is not None:
            rows = seen.by_distance(position_query * self.scale, heads)
            term = relative_shift(k @ rows.transpose(1, 2)).transpose(2, 3)
            bias = term if position_key is None else term + bias
        if seen.pairs is not None:
            bias = where(seen.pairs, bias, LEAST)
        mask = bias if isinstance(bias, Tensor) else None
        out = attention(q, k, v, mask=mask, scale=self.scale)
        return out.transpose(1, 2).reshape(b, n, heads * width)


class DebertaEncoder(Module):
    """Layers around a kind of attention, and the table of relative positions."""

    def __init__(
        self,
        cfg: DebertaConfig,
        attention: Callable[[], Disentangled],
        span: int,
        buckets: int = 0,
    ) -> None:
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        hidden, act = cfg.intermediate_size, cfg.hidden_act
        self.layer = ModuleList(
            [
                BertLayer(width, 1, hidden, act, eps, BertAttention(attention(), width, eps))
                for _ in range(cfg.num_hidden_layers)
            ]
        )
        relative = cfg.relative_attention
        self.rel_embeddings = Embedding(2 * span, width) if relative else None
        self.distances = Distances(span, cfg.max_distance, buckets) if relative else None

    def forward(self, x: Tensor, mask: Tensor | None) -> list[Tensor]:
        """What goes in and what each layer gives, `(batch, length, size)` each."""
        seen = self.seen(x.shape[1], mask)
        states = [x]
        for i, layer in enumerate(self.layer):
            out = layer(states[-1], seen)
            states.append(self.first(x, out, mask) if i == 0 else out)
        return states

    def first(self, x: Tensor, out: Tensor, mask: Tensor | None) -> Tensor:
        """What becomes of the first layer's output."""
        return out

    def relative(self, rows: Tensor) -> Tensor:
        """The relative rows as attention takes them."""
        return rows

    def seen(self, n: int, mask: Tensor | None) -> RelativeContext:
        """The mask and rows of all layers."""
        kept = pairs = None
        if mask is not None:
            true = mask.ne(0)
            kept = true.reshape(-1, n, 1, 1).to(f32)
            pairs = true.reshape(-1, 1, n, 1).bitwise_and(true.reshape(-1, 1, 1, n))
        if self.rel_embeddings is None or self.distances is None:
            return RelativeContext(kept, pairs)
        first, count, index = self.distances.of(n)
        return RelativeContext(
            kept, pairs, self.relative(self.rel_embeddings.rows(first, count)), index
        )


class DebertaEncoderModel(BertEncoder):
    """Embeddings and layers; sub-classes make the encoder."""

    base_model_prefix = "deberta"
    optional_parts = ()

    def __init__(self, cfg: DebertaConfig, *, pooled: bool = False) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = self.make_encoder(cfg)
        self.pooler = None

    def make_encoder(self, cfg: Any) -> Module:
        """The layers."""
        raise NotImplementedError

    def encoded(self, x: Tensor, mask: Tensor | None, hidden: bool) -> BaseOutput:
        """What layers make of the embeddings that the mask keeps."""
        if mask is not None:
            x = x * mask.unsqueeze(2).to(x.dtype)
        return super().encoded(x, mask, hidden)


class DebertaHead(Module):
    """A head's scores of every word, under `predictions` or `lm_head`."""

    def __init__(self, cfg: DebertaConfig, words: Embedding) -> None:
        size, act, eps = cfg.hidden_size, cfg.hidden_act, cfg.layer_norm_eps
        if cfg.legacy:
            tied = cfg.tie_word_embeddings
            self.predictions = Predictions(size, act, eps, words, tied=tied)
        else:
            self.lm_head = DensePredictions(size, act, eps, words, tied=True)


class DebertaMaskedLM(MaskedLM):
    """Scores of every word, by the head of transformers or, where not `legacy`, of the authors."""

    base_model_prefix = "deberta"
    ignorable = (r"mask_predictions\..*",)

    def __init__(self, cfg: DebertaConfig) -> None:
        super().__init__(cfg)
        head = DebertaHead(cfg, self.deberta.embeddings.word_embeddings)
        setattr(self, "cls" if cfg.legacy else "lm_predictions", head)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        legacy = self.config.legacy
        head: Module = self.cls.predictions if legacy else self.lm_predictions.lm_head
        return head(found.last_hidden_state)


class PooledScores(TextScores):
    """Scores from the first position, through a pooler beside the classifier."""

    pooled = False

    def __init__(self, cfg: DebertaConfig) -> None:
        super().__init__(cfg)
        self.pooler = Dense(cfg.hidden_size, cfg.hidden_size, cfg.pooler_hidden_act)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, labels)`."""
        return self.classifier(self.pooler(found.last_hidden_state[:, 0]))

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """As of other families; where the config does not say which, labels may be soft."""
        cfg = self.config
        if cfg.problem_type is not None or cfg.num_labels == 1:
            return super().loss(logits, labels, mask)
        if labels.ndim == 1 or labels.shape[-1] == 1:
            return losses.classes(logits, where(labels.ge(0), labels, -100))
        mean: Tensor = (F.log_softmax(logits, -1) * labels).sum(-1).mean()
        return -mean
