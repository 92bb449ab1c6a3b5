"""WavLM: wav2vec 2.0 with gated biases by distance (arXiv 2110.13900)."""

from __future__ import annotations

from tallow.factories import arange
from tallow.models.base import define_heads
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import split_heads
from tallow.models.blocks.relative import buckets, by_distance, hidden
from tallow.models.blocks.speech_encoder import SpeechConfig, SpeechModel
from tallow.models.blocks.speech_heads import (
    CTC,
    AudioFrameClassification,
    SequenceClassification,
    XVector,
)
from tallow.models.blocks.wav2vec2 import SpeechEncoder
from tallow.models.configs import choice, size
from tallow.models.fields import Fields
from tallow.nn import Linear, Module, param
from tallow.nn.init import ones_
from tallow.tensor import Tensor


class WavLMConfig(SpeechConfig):
    """Of Hugging Face's `WavLMConfig`."""

    num_buckets: int = size(320)
    max_bucket_distance: int = size(800)
    ctc_loss_reduction: str = choice("mean", "sum", "none")

    def check(self, fields: Fields) -> None:
        """Near distances have buckets, and far ones, too."""
        super().check(fields)
        if self.num_buckets < 4:
            raise fields.error("num_buckets", "4 or more", self.num_buckets)
        if self.max_bucket_distance <= self.num_buckets // 4:
            wanted = f"more than {self.num_buckets // 4}, a quarter of num_buckets"
            raise fields.error("max_bucket_distance", wanted, self.max_bucket_distance)


class GatedAttention(Attention):
    """Attention whose bias by distance is gated by what stands at the query.

    `table` is the number of buckets, and how far they reach; the first layer has it for all.
    """

    def __init__(self, size: int, heads: int, table: tuple[int, int] | None) -> None:
        super().__init__(size, heads, bias=True, out_name="out_proj")
        self.gru_rel_pos_const = param(1, heads, 1, 1, init=ones_)
        self.gru_rel_pos_linear = Linear(self.head_dim, 8)
        if table is not None:
            self.rel_attn_embed = Embedding(table[0], heads)

    def forward(  # type: ignore[override]  # nothing here has a context or a state
        self, x: Tensor, *, mask: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """`(batch, n, size)`, kept; `bias` `(heads, n, n)`."""
        if bias is None:
            return super().forward(x, mask=mask)
        seen = self.gru_rel_pos_linear(split_heads(x, self.heads))
        first, second = seen.unflatten(-1, (2, 4)).sum(-1).sigmoid().unbind(-1)
        gate = first * (second * self.gru_rel_pos_const.squeeze(-1) - 1) + 2
        return super().forward(x, mask=hidden(gate.unsqueeze(-1) * bias, mask))


class WavLMEncoder(SpeechEncoder):
    """The same, with the first layer's biases for all layers.

    `table` is the number of buckets, and how far they reach.
    """

    table: tuple[int, int]

    def bias(self, x: Tensor) -> Tensor | None:
        """`(heads, n, n)`."""
        if not self.layers:
            return None
        n, (count, furthest) = x.shape[1], self.table
        places = arange(1 - n, n).clamp(-furthest, furthest) + furthest
        rows: Tensor = self.layers[0].attention.rel_attn_embed(buckets(count, furthest)[places])
        return by_distance(rows.transpose(0, 1).contiguous(), n)


class WavLMModel(SpeechModel):
    """Frames, layers, adapter."""

    config_class, base_model_prefix = WavLMConfig, "wavlm"
    encoder_class = WavLMEncoder

    @property
    def table(self) -> tuple[int, int]:
        """The number of buckets, and how far they reach."""
        return self.config.num_buckets, self.config.max_bucket_distance

    def attention(self, index: int) -> Module:
        """The first has the table of all."""
        cfg = self.config
        table = self.table if index == 0 else None
        return GatedAttention(cfg.hidden_size, cfg.num_attention_heads, table)

    def make_encoder(self) -> SpeechEncoder:
        """Positions, layers and their biases."""
        made = super().make_encoder()
        assert isinstance(made, WavLMEncoder)
        made.table = self.table
        return made


define_heads(
    globals(), "WavLM", CTC, SequenceClassification, AudioFrameClassification, XVector,
    config_class=WavLMConfig, base_class=WavLMModel, base_model_prefix="wavlm",
)  # fmt: skip
