"""DETR: a post-norm transformer from the features of a picture to boxes (arXiv 2005.12872)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tallow.errors import ModelError, expect
from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.detector import DetectorModel, ObjectDetection
from tallow.models.blocks.detector_config import ORIGINAL, DetectorConfig
from tallow.models.blocks.detector_outputs import DetectionOutput
from tallow.models.blocks.detr import Residual, post_norm
from tallow.models.blocks.heads import split_heads
from tallow.models.detection_losses import Labels
from tallow.models.outputs import BaseOutput
from tallow.nn import Conv2d, GroupNorm, Linear, Module
from tallow.ops import conv2d, interpolate
from tallow.tensor import Tensor
from tallow.weights.arrange import rename


class DetrConfig(DetectorConfig):
    """Of Hugging Face's `DetrConfig`."""


class DetrModel(DetectorModel):
    """Backbone, encoder and decoder, each layer normalised behind its sums."""

    config_class = DetrConfig
    rules = (rename("backbone.position_embedding.*", "position_embedding.*"), *ORIGINAL)

    def residual(self) -> Residual:
        """Behind each."""
        return post_norm


class DetrForObjectDetection(ObjectDetection):
    """Labels and boxes; also of files that segment."""

    config_class, base_class = DetrConfig, DetrModel
    rules = (rename("model.detr.*", "*"), *ObjectDetection.rules)
    ignorable = (r"model\.(mask_head|bbox_attention)\..*",)


class MaskHead(Module):
    """From attention maps and features, over maps of finer stages, to a mask of each query."""

    def __init__(self, size: int, heads: int, finer: Sequence[int], act: str) -> None:
        widths = (size + heads, size // 2, size // 4, size // 8, size // 16)
        for index, out in enumerate(widths, 1):
            given = widths[max(index - 2, 0)]
            setattr(self, f"lay{index}", Conv2d(given, out, 3, padding=1))
            setattr(self, f"gn{index}", GroupNorm(min(8, out), out))
        for index, (given, out) in enumerate(zip(finer, widths[1:4], strict=True), 1):
            setattr(self, f"adapter{index}", Conv2d(given, out, 1))
        self.out_lay = Conv2d(widths[-1], 1, 3, padding=1)
        self.size, self.act = size, ACTIVATIONS[act]

    def forward(self, features: Tensor, maps: Tensor, finer: Sequence[Tensor]) -> Tensor:
        """`(b, size, h, w)` and `(b, queries, heads, h, w)` → `(b, queries, height, width)`."""
        b, n = maps.shape[:2]
        # What all queries share goes through its part of the first kernel once.
        weight, bias = self.lay1.weight, self.lay1.bias
        shared = conv2d(features, weight[:, : self.size], bias, padding=1)
        own = conv2d(maps.flatten(0, 1), weight[:, self.size :], padding=1)
        x = (own.unflatten(0, (b, n)) + shared.unsqueeze(1)).flatten(0, 1)
        x = self.act(self.gn2(self.lay2(self.act(self.gn1(x)))))
        for index, beside in enumerate(finer, 1):
            beside = getattr(self, f"adapter{index}")(beside).unsqueeze(1)
            x = interpolate(x, size=tuple(beside.shape[3:])).unflatten(0, (b, n)) + beside
            layer, norm = getattr(self, f"lay{index + 2}"), getattr(self, f"gn{index + 2}")
            x = self.act(norm(layer(x.flatten(0, 1))))
        out: Tensor = self.out_lay(x)
        return out.reshape(b, n, *out.shape[2:])


class AttentionMap(Module):
    """Where each head of each query looks: shares of all positions of all heads together."""

    def __init__(self, size: int, heads: int) -> None:
        self.q_linear = Linear(size, size)
        self.k_linear = Linear(size, size)
        self.heads = heads

    def forward(self, x: Tensor, encoded: Tensor, mask: Tensor | None) -> Tensor:
        """`(b, queries, size)` and `(b, n, size)` → `(b, queries, heads, n)`."""
        q, k = (
            split_heads(self.q_linear(x), self.heads),
            split_heads(self.k_linear(encoded), self.heads),
        )
        scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
        if mask is not None:
            scores = scores.masked_fill(mask.logical_not(), -math.inf)
        scores = scores.transpose(1, 2)
        return scores.flatten(2).softmax(-1).reshape(scores.shape)


class DetrForSegmentation(Model):
    """Labels, boxes and masks."""

    config_class = DetrConfig
    base_model_prefix = "detr"

    def __init__(self, cfg: DetrConfig) -> None:
        self.config = cfg
        self.detr = DetrForObjectDetection(cfg)
        size, heads = cfg.d_model, cfg.encoder_attention_heads
        channels = self.detr.model.backbone.conv_encoder.model.channels
        good = len(channels) in (3, 4) and (size + heads) % 8 == 0 and size % 16 == 0
        wanted = "3 or 4 stages, d_model of 16s, with encoder_attention_heads of 8s"
        expect(good, "DetrForSegmentation", wanted, (channels, size, heads), ModelError)
        self.mask_head = MaskHead(size, heads, channels[2::-1], cfg.activation_function)
        self.bbox_attention = AttentionMap(size, heads)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | Sequence[Tensor] | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Labels | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> DetectionOutput:
        """As of `DetrForObjectDetection`; labels also have `masks` `(n, height, width)`."""
        found, maps, projected, mask = self.detr.model.run(
            pixel_values, pixel_mask, decoder_attention_mask, encoder_outputs, inputs_embeds,
            decoder_inputs_embeds, states=output_hidden_states,
        )  # fmt: skip
        seen = self.bbox_attention(found.last_hidden_state, found.encoder_last_hidden_state, mask)
        seen = seen.unflatten(3, tuple(projected.shape[2:]))
        return self.detr.finish(found, labels, self.mask_head(projected, seen, maps[2::-1]))
