"""Conditional DETR: queries that look at the picture by content and place (arXiv 2108.06152)."""

from __future__ import annotations

import math
from typing import Any

from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.detector import Decoder, DetectorModel, ObjectDetection
from tallow.models.blocks.detector_config import ORIGINAL, DetectorConfig
from tallow.models.blocks.detr import MlpHead, Residual, SinePositions, inverse_sigmoid, post_norm
from tallow.models.blocks.heads import attend
from tallow.models.configs import size
from tallow.models.detection_losses import SIGMOID
from tallow.models.outputs import HiddenStates
from tallow.nn import LayerNorm, Linear, Module
from tallow.ops import cat, stack
from tallow.tensor import Tensor
from tallow.weights.arrange import rename


class ConditionalDetrConfig(DetectorConfig):
    """Of Hugging Face's `ConditionalDetrConfig`."""

    num_queries: int = size(300)
    class_cost: float = 2.0

    without_effect = DetectorConfig.without_effect | {"cls_loss_coefficient"}


class Out(Module):
    """What an attention of the checkpoint holds itself: the projection of its output."""

    def __init__(self, size: int) -> None:
        self.out_proj = Linear(size, size)


class ConditionalLayer(Module):
    """A decoder layer whose content and places have projections of their own.

    In cross-attention both stand side by side in each head; the first layer also adds them.
    """

    def __init__(self, size: int, heads: int, hidden: int, act: str, *, first: bool) -> None:
        for name in ("qcontent", "qpos", "kcontent", "kpos", "v"):
            setattr(self, f"sa_{name}_proj", Linear(size, size))
        for name in ("qcontent", "kcontent", "kpos", "v", "qpos_sine"):
            setattr(self, f"ca_{name}_proj", Linear(size, size))
        self.ca_qpos_proj = Linear(size, size) if first else None
        self.self_attn, self.encoder_attn = Out(size), Out(size)
        self.self_attn_layer_norm = LayerNorm(size)
        self.encoder_attn_layer_norm = LayerNorm(size)
        self.fc1 = Linear(size, hidden)
        self.fc2 = Linear(hidden, size)
        self.final_layer_norm = LayerNorm(size)
        self.heads, self.act = heads, ACTIVATIONS[act]

    def beside(self, content: Tensor, place: Tensor) -> Tensor:
        """Content and place of each head behind each other, `(batch, n, 2 * size)`."""
        b, n, width = content.shape
        shape = (b, n, self.heads, width // self.heads)
        place = place.expand(b, n, width).reshape(shape)
        return cat((content.reshape(shape), place), 3).reshape(b, n, 2 * width)

    def forward(
        self,
        x: Tensor,
        queries: Tensor,
        sine: Tensor,
        context: Tensor,
        positions: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `sine` places the queries on the picture."""
        q = self.sa_qcontent_proj(x) + self.sa_qpos_proj(queries)
        k = self.sa_kcontent_proj(x) + self.sa_kpos_proj(queries)
        found = attend(q, k, self.sa_v_proj(x), self.heads)
        x = self.self_attn_layer_norm(x + self.self_attn.out_proj(found))
        q, k = self.ca_qcontent_proj(x), self.ca_kcontent_proj(context)
        place = self.ca_kpos_proj(positions)
        if self.ca_qpos_proj is not None:
            q, k = q + self.ca_qpos_proj(queries), k + place
        q, k = self.beside(q, self.ca_qpos_sine_proj(sine)), self.beside(k, place)
        found = attend(q, k, self.ca_v_proj(context), self.heads, mask=mask)
        x = self.encoder_attn_layer_norm(x + self.encoder_attn.out_proj(found))
        inner = linear_then(self.fc1, x, self.act)
        return self.final_layer_norm(linear_then(self.fc2, inner, residual=x))


class ConditionalDecoder(Decoder):
    """Layers over queries, whose points on the picture their states scale."""

    def __init__(self, layers: list[Module], size: int, *, each: bool) -> None:
        super().__init__(layers, size, each=each)
        self.query_scale = MlpHead(size, size, size)
        self.ref_point_head = MlpHead(size, size, 2)
        self.sinusoids = SinePositions(size // 2).sinusoids

    def points(self, queries: Tensor) -> Tensor:
        """Where queries look first, `(1, queries, 2)` of x and y in parts of the picture."""
        return self.ref_point_head(queries).sigmoid()

    def forward(
        self, x: Tensor, queries: Tensor, context: Tensor, positions: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, HiddenStates, Tensor | None]:
        """As of `Decoder`."""
        states, between = [x], []
        points = self.points(queries) * (2 * math.pi)
        sine = cat((self.sinusoids(points[..., 1]), self.sinusoids(points[..., 0])), 2)
        for index, layer in enumerate(self.layers):
            scaled = sine * self.query_scale(x) if index else sine
            x = layer(x, queries, scaled, context, positions, mask)
            states.append(x)
            if self.each:
                x = self.layernorm(x)
                between.append(x)
        x = self.layernorm(x)
        return x, (*states[:-1], x), stack(between) if between else None


class ConditionalDetrModel(DetectorModel):
    """Backbone, DETR's encoder, and the conditional decoder."""

    config_class = ConditionalDetrConfig
    rules = (rename("backbone.position_embedding.*", "position_embedding.*"), *ORIGINAL)

    def residual(self) -> Residual:
        """Behind each."""
        return post_norm

    def make_decoder(self, cfg: Any) -> Module:
        """Its layers differ in the first."""
        width, heads, hidden = cfg.d_model, cfg.decoder_attention_heads, cfg.decoder_ffn_dim
        made: list[Module] = [
            ConditionalLayer(width, heads, hidden, cfg.activation_function, first=not index)
            for index in range(cfg.decoder_layers)
        ]
        return ConditionalDecoder(made, width, each=cfg.auxiliary_loss)


class ConditionalDetrForObjectDetection(ObjectDetection):
    """Labels by sigmoids, and boxes around the points of the queries."""

    config_class, base_class = ConditionalDetrConfig, ConditionalDetrModel
    nothing, kind = 0, SIGMOID

    def boxes(self, x: Tensor) -> Tensor:
        """The head's, moved to each query's point."""
        start = inverse_sigmoid(self.model.decoder.points(self.model.queries()))
        return self.bbox_predictor(x, start)
