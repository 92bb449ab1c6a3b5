"""LayoutLMv3: words with boxes and a picture's patches in one encoder (arXiv 2204.08387)."""

from __future__ import annotations

from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, ones, tensor
from tallow.factories import zeros as filled
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.bert import BertLayer, CountedEmbeddings, FirstClassifier, Layers
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.relative import buckets
from tallow.models.blocks.text_encoder import TextConfig, TextEncoder
from tallow.models.blocks.vision import patches
from tallow.models.configs import choice, size
from tallow.models.fields import Fields
from tallow.models.outputs import AnswerOutput, BaseOutput, LogitsOutput
from tallow.nn import Conv2d, LayerNorm, Linear, Module, param
from tallow.nn.init import zeros
from tallow.ops import cat, stack
from tallow.tensor import Tensor

HIDDEN = -1e30  # added to scores of what a mask hides
FULL = 1000  # coordinates of boxes are thousandths of a page


class LayoutLMv3Config(TextConfig):
    """Of Hugging Face's `LayoutLMv3Config`."""

    vocab_size: int = size(50265, high=2**31 - 1)
    layer_norm_eps: float = 1e-5
    pad_token_id: int = size(1, low=0)
    type_vocab_size: int = size(2)
    max_2d_position_embeddings: int = size(1024)
    coordinate_size: int = size(128)
    shape_size: int = size(128)
    has_relative_attention_bias: bool = True
    rel_pos_bins: int = size(32, low=4, high=4096)
    max_rel_pos: int = size(128, low=2, high=1 << 16)
    has_spatial_attention_bias: bool = True
    rel_2d_pos_bins: int = size(64, low=4, high=4096)
    max_rel_2d_pos: int = size(256, low=2, high=1 << 16)
    text_embed: bool = choice(True)
    visual_embed: bool = True
    input_size: int = size(224)
    num_channels: int = size(3)
    patch_size: int = size(16)

    # Of layers that LayoutLMv2 had.
    without_effect = frozenset({"second_input_size"})

    def check(self, fields: Fields) -> None:
        """What is known of a box fills the width."""
        super().check(fields)
        width = 4 * self.coordinate_size + 2 * self.shape_size
        if width != self.hidden_size:
            wanted = f"{width}, four coordinate_size and two shape_size"
            raise fields.error("hidden_size", wanted, self.hidden_size)
        for bins, far in (
            ("rel_pos_bins", "max_rel_pos"),
            ("rel_2d_pos_bins", "max_rel_2d_pos"),
        ):
            least = getattr(self, bins) // 4
            if getattr(self, far) <= least:
                raise fields.error(
                    far, f"more than {least}, a quarter of {bins}", getattr(self, far)
                )
        if not self.side:
            raise fields.error("input_size", f"at least {self.patch_size}", self.input_size)

    @property
    def side(self) -> int:
        """Patches along the side of the picture."""
        return self.input_size // self.patch_size


class Embeddings(CountedEmbeddings):
    """Words, counted positions, types, and boxes: their edges, heights and widths."""

    def __init__(self, cfg: LayoutLMv3Config) -> None:
        super().__init__(
            cfg.vocab_size,
            cfg.max_position_embeddings,
            cfg.type_vocab_size,
            cfg.hidden_size,
            cfg.layer_norm_eps,
            padding=cfg.pad_token_id,
        )
        count, edge, extent = cfg.max_2d_position_embeddings, cfg.coordinate_size, cfg.shape_size
        self.x_position_embeddings = Embedding(count, edge)
        self.y_position_embeddings = Embedding(count, edge)
        self.h_position_embeddings = Embedding(count, extent)
        self.w_position_embeddings = Embedding(count, extent)

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        bbox: Tensor | None = None,
    ) -> Tensor:
        """`(batch, length)` of ids, or their embeddings, with boxes → `(batch, length, size)`."""
        x = self.added(input_ids, token_type_ids, position_ids, inputs_embeds)
        return self.LayerNorm(x if bbox is None else x + self.places(bbox))

    def places(self, bbox: Tensor) -> Tensor:
        """What boxes `(batch, length, 4)` add, `(batch, length, size)`."""
        x0, y0, x1, y1 = (bbox[..., i] for i in range(4))
        across, down = self.x_position_embeddings, self.y_position_embeddings
        height = self.h_position_embeddings((y1 - y0).clamp(0, 1023))
        width = self.w_position_embeddings((x1 - x0).clamp(0, 1023))
        return cat([across(x0), down(y0), across(x1), down(y1), height, width], -1)


class DistanceBias(Module):
    """What scores of each head gain by the bucket of two positions' distance."""

    def __init__(self, heads: int, bins: int, max_distance: int) -> None:
        self.weight = param(heads, bins, init=zeros, dtype=f32, kinds="f")
        self.max_distance, self.buckets = max_distance, buckets(bins, max_distance)

    def forward(self, positions: Tensor) -> Tensor:
        """Integers `(batch or 1, n)` → `(batch or 1, heads, n, n)`."""
        b, n = positions.shape
        far = self.max_distance
        apart = positions.unsqueeze(-2) - positions.unsqueeze(-1)
        index = (apart.clamp(-far, far) + far).reshape(-1)
        table = self.weight.index_select(1, self.buckets.to(positions.device))
        return table.index_select(1, index).reshape(-1, b, n, n).transpose(0, 1)


class Encoder(Layers):
    """Layers that share biases by distances in the text and on the page."""

    def __init__(self, cfg: LayoutLMv3Config) -> None:
        heads, width = cfg.num_attention_heads, cfg.hidden_size
        super().__init__(
            [
                BertLayer(width, heads, cfg.intermediate_size, cfg.hidden_act, cfg.layer_norm_eps)
                for _ in range(cfg.num_hidden_layers)
            ]
        )
        plain = heads, cfg.rel_pos_bins, cfg.max_rel_pos
        flat = heads, cfg.rel_2d_pos_bins, cfg.max_rel_2d_pos
        spatial = cfg.has_spatial_attention_bias
        self.rel_pos_bias = DistanceBias(*plain) if cfg.has_relative_attention_bias else None
        self.rel_pos_x_bias = DistanceBias(*flat) if spatial else None
        self.rel_pos_y_bias = DistanceBias(*flat) if spatial else None
        self.scale = (width // heads) ** -0.5

    def bias(self, positions: Tensor, bbox: Tensor) -> Tensor | None:
        """Of all pairs; of the page only beside that of the text, as in the reference."""
        if self.rel_pos_bias is None:
            return None
        found: Tensor = self.rel_pos_bias(positions)
        if self.rel_pos_x_bias is not None and self.rel_pos_y_bias is not None:
            found = found + self.rel_pos_x_bias(bbox[..., 0]) + self.rel_pos_y_bias(bbox[..., 3])
        return found * self.scale


class PatchEmbed(Module):
    """Patches of a picture, under `proj`."""

    def __init__(self, channels: int, size: int, patch: int) -> None:
        self.proj = Conv2d(channels, size, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, patches, size)`."""
        return patches(self.proj, x)[0]


class LayoutLMv3Model(Model):
    """Words and patches through one encoder; either may be missing."""

    config_class = LayoutLMv3Config
    base_model_prefix = "layoutlmv3"
    ignorable = (r"embeddings\.position_ids", r"visual_bbox")
    rules = TextEncoder.rules

    def __init__(self, cfg: LayoutLMv3Config) -> None:
        self.config = cfg
        width, seen = cfg.hidden_size, cfg.visual_embed
        self.embeddings = Embeddings(cfg)
        self.patch_embed = PatchEmbed(cfg.num_channels, width, cfg.patch_size) if seen else None
        self.cls_token = param(1, 1, width, init=zeros) if seen else None
        self.pos_embed = param(1, cfg.side**2 + 1, width, init=zeros) if seen else None
        self.LayerNorm = LayerNorm(width, cfg.layer_norm_eps) if seen else None
        self.norm = LayerNorm(width, 1e-6) if seen else None
        self.encoder = Encoder(cfg)

    def look(self, pixel_values: Tensor) -> Tensor:
        """`(batch, channels, side, side)` → `(batch, 1 + patches, size)`."""
        cfg, side = self.config, self.config.input_size
        size = pixel_values.shape[2:]
        expect(cfg.visual_embed, "pixel_values", "none with visual_embed false", "a picture",
               ArgumentError)  # fmt: skip
        expect(size == (side, side), "pixel_values", f"{side}×{side} pixels", size)
        assert self.patch_embed is not None
        assert self.cls_token is not None
        assert self.norm is not None
        assert self.pos_embed is not None
        x = self.patch_embed(pixel_values)
        x = cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.norm(x)

    def page(self) -> Tensor:
        """The boxes of the class token and the patches, `(1, 1 + patches, 4)`."""
        side = self.config.side
        edges = arange(side + 1, dtype=i64) * FULL // side
        ends = edges[:-1], edges[1:]
        x0, x1 = (each.repeat(side) for each in ends)
        y0, y1 = (each.repeat_interleave(side) for each in ends)
        whole = tensor([[1, 1, FULL - 1, FULL - 1]], dtype=i64)
        return cat([whole, stack([x0, y0, x1, y1], -1)], 0).unsqueeze(0)

    def forward(
        self,
        input_ids: Tensor | None = None,
        bbox: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Ids `(batch, n)` with boxes `(batch, n, 4)`, and pictures → `(batch, n + m, size)`.

        Boxes are left, top, right, bottom in thousandths of the page.
        """
        parts: list[Tensor] = []
        places: list[Tensor] = []
        given = input_ids if inputs_embeds is None else inputs_embeds
        good = given is not None or pixel_values is not None
        expect(good, "forward", "input_ids, inputs_embeds or pixel_values", "none", ArgumentError)
        if given is not None:
            b, n = text_inputs(input_ids, inputs_embeds).shape[:2]
            boxes = filled(b, n, 4, dtype=i64) if bbox is None else bbox
            expect(boxes.shape == (b, n, 4), "bbox", f"shape {(b, n, 4)}", boxes.shape)
            x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds, boxes)
            parts, places = [x], [arange(n, dtype=i64)]
        if pixel_values is not None:
            x = self.look(pixel_values)
            parts, places = [*parts, x], [*places, arange(x.shape[1], dtype=i64)]
            page = self.page().expand(x.shape[0], -1, -1)
            boxes = page if given is None else cat([boxes, page], 1)
            if attention_mask is not None:
                seen = ones(*x.shape[:2], dtype=attention_mask.dtype)
                attention_mask = cat([attention_mask, seen], 1)
            assert self.LayerNorm is not None
            x = self.LayerNorm(cat(parts, 1))
        mask = self.encoder.bias(cat(places, 0).unsqueeze(0), boxes)
        if mask is None:
            mask = attention_mask
        elif attention_mask is not None:
            mask = mask + as_mask(attention_mask.eq(0)).to(f32) * HIDDEN
        states = self.encoder(x, mask)
        return BaseOutput(states[-1], None, tuple(states) if output_hidden_states else None)


class EachClassifier(FirstClassifier):
    """The same of every position."""

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, length, labels)`."""
        return self.out_proj(self.act(self.dense(x)))


class LayoutLMv3Head(Model):
    """A head on the model, which stands under `layoutlmv3`."""

    config_class, base_model_prefix = LayoutLMv3Config, "layoutlmv3"

    def __init__(self, cfg: LayoutLMv3Config) -> None:
        self.config = cfg
        self.layoutlmv3 = LayoutLMv3Model(cfg)


class LayoutLMv3ForTokenClassification(LayoutLMv3Head):
    """Scores of each word."""

    def __init__(self, cfg: LayoutLMv3Config) -> None:
        super().__init__(cfg)
        size, labels = cfg.hidden_size, cfg.num_labels
        # As in the reference, few labels have a matrix, ten and more have two.
        few = labels < 10
        self.classifier: Module = Linear(size, labels) if few else EachClassifier(size, labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        bbox: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Inputs of the model → scores `(batch, n, labels)`; the loss with labels `(batch, n)`."""
        given = input_ids if inputs_embeds is None else inputs_embeds
        expect(given is not None, "forward", "input_ids or inputs_embeds", "none", ArgumentError)
        assert given is not None
        found = self.layoutlmv3(
            input_ids, bbox, attention_mask, token_type_ids, position_ids, inputs_embeds,
            pixel_values, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        logits = self.classifier(found.last_hidden_state[:, : given.shape[1]])
        loss = None if labels is None else losses.classes(logits, labels)
        return LogitsOutput(logits, loss, found.hidden_states)


class LayoutLMv3ForSequenceClassification(LayoutLMv3Head):
    """Scores of a page."""

    def __init__(self, cfg: LayoutLMv3Config) -> None:
        super().__init__(cfg)
        self.classifier = FirstClassifier(cfg.hidden_size, cfg.num_labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        bbox: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Inputs of the model → scores `(batch, labels)`; the loss with labels."""
        found = self.layoutlmv3(
            input_ids, bbox, attention_mask, token_type_ids, position_ids, inputs_embeds,
            pixel_values, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        logits = self.classifier(found.last_hidden_state)
        loss = None if labels is None else losses.sequence(logits, labels, self.config)
        return LogitsOutput(logits, loss, found.hidden_states)


class LayoutLMv3ForQuestionAnswering(LayoutLMv3Head):
    """Scores of each position as start and end of the answer."""

    def __init__(self, cfg: LayoutLMv3Config) -> None:
        super().__init__(cfg)
        self.qa_outputs = EachClassifier(cfg.hidden_size, cfg.num_labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        bbox: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> AnswerOutput:
        """Inputs of the model → scores of starts and ends, `(batch, n + m)` each."""
        found = self.layoutlmv3(
            input_ids, bbox, attention_mask, token_type_ids, position_ids, inputs_embeds,
            pixel_values, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        both = self.qa_outputs(found.last_hidden_state)
        starts, ends = both[..., 0], both[..., 1]
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = losses.answer(starts, ends, start_positions, end_positions)
        return AnswerOutput(starts, ends, loss, found.hidden_states)
