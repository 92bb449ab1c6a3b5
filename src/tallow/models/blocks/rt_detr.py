"""RT-DETR's config, and the decoder whose layers move the boxes of queries chosen before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import f32
from tallow.factories import arange, full_like, ones_like
from tallow.models.blocks.deformable import DeformableAttention
from tallow.models.blocks.detr import (
    EncoderLayer,
    MlpHead,
    inverse_sigmoid,
    post_norm,
)
from tallow.models.configs import activation, choice, custom, layers, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import HiddenStates, Output
from tallow.models.parts import Part, part
from tallow.models.rt_detr_losses import RTDetrLossConfig
from tallow.nn import LayerNorm, Module, ModuleList
from tallow.ops import cat, stack, where
from tallow.tensor import Tensor

LARGEST = 3.4028234663852886e38  # of f32: what reaches 1 through a sigmoid


def _backbone(fields: Fields, name: str, default: Any) -> Part:
    if fields.get(name) is not None:
        return part(fields.scope(name), "backbone")
    values = {"model_type": "rt_detr_resnet", "out_indices": [2, 3, 4]}
    return part(Fields(values, f"{fields.source}: {name}"), "backbone")


class RTDetrConfig(RTDetrLossConfig):
    """Of Hugging Face's `RTDetrConfig`."""

    backbone_config: Part = custom(None, _backbone)
    backbone: str | None = choice(None)
    freeze_backbone_batch_norms: bool = True
    layer_norm_eps: float = 1e-5
    batch_norm_eps: float = 1e-5
    encoder_hidden_dim: int = size(256)
    encoder_in_channels: tuple[int, ...] = sizes(512, 1024, 2048)
    encoder_layers: int = layers(1)
    encoder_ffn_dim: int = size(1024)
    encoder_attention_heads: int = size(8, "num_attention_heads")
    encode_proj_layers: tuple[int, ...] = sizes(2, low=0)
    positional_encoding_temperature: float = 10000.0
    encoder_activation_function: str = activation("gelu")
    activation_function: str = activation("silu")
    eval_size: Any = custom(None, lambda fields, name, default: fields.get(name))
    normalize_before: bool = choice(False)
    hidden_expansion: float = ratio(1.0)
    d_model: int = size(256, "hidden_size")
    num_queries: int = size(300)
    decoder_in_channels: tuple[int, ...] = sizes(256, 256, 256)
    decoder_ffn_dim: int = size(1024)
    num_feature_levels: int = size(3, high=64)
    decoder_n_points: int = size(4, high=1024)
    decoder_layers: int = layers(6)
    decoder_attention_heads: int = size(8)
    decoder_activation_function: str = activation("relu")
    num_denoising: int = size(100, low=0, high=1 << 16)
    learn_initial_query: bool = choice(False)  # transformers cannot do it either

    without_effect = frozenset(
        {
            "use_timm_backbone", "use_pretrained_backbone", "backbone_kwargs", "feat_strides",
            "anchor_image_size", "disable_custom_kernels", "with_box_refine", "eos_coefficient",
            "initializer_bias_prior_prob", "tie_word_embeddings",
        }
    )  # fmt: skip

    @property
    def offset_scale(self) -> float:
        """How far attention looks, in parts of a box."""
        return 0.5

    def check(self, fields: Fields) -> None:
        """Refuse sizes that do not fit each other."""
        maps, levels = len(self.encoder_in_channels), self.num_feature_levels
        inner = self.encoder_hidden_dim
        fits = (
            ("encoder_attention_heads", inner % self.encoder_attention_heads, inner),
            ("decoder_attention_heads", self.d_model % self.decoder_attention_heads, self.d_model),
        )
        for name, rest, width in fits:
            if rest:
                raise fields.error(name, f"a divisor of {width}", getattr(self, name))
        if inner % 4:
            raise fields.error("encoder_hidden_dim", "a multiple of 4", inner)
        if any(index >= maps for index in self.encode_proj_layers):
            wanted = f"numbers of {maps} maps"
            raise fields.error("encode_proj_layers", wanted, list(self.encode_proj_layers))
        if self.decoder_in_channels != (inner,) * maps:
            wanted = f"{inner} for each of {maps} maps"
            raise fields.error("decoder_in_channels", wanted, list(self.decoder_in_channels))
        if levels < maps:
            raise fields.error("num_feature_levels", f"at least {maps}", levels)


class RTDetrV2Config(RTDetrConfig):
    """Of Hugging Face's `RTDetrV2Config`."""

    decoder_n_levels: int = size(3, high=64)
    decoder_offset_scale: float = 0.5
    decoder_method: str = choice("default")

    @property
    def offset_scale(self) -> float:
        """How far attention looks, in parts of a box."""
        return self.decoder_offset_scale

    def check(self, fields: Fields) -> None:
        """Attention looks at all levels."""
        super().check(fields)
        if self.decoder_n_levels != self.num_feature_levels:
            wanted = f"{self.num_feature_levels}, as num_feature_levels has"
            raise fields.error("decoder_n_levels", wanted, self.decoder_n_levels)


class DecoderLayer(EncoderLayer):
    """Self-attention of the queries, samples of the maps, feed-forward; each behind its sum."""

    def __init__(self, cfg: RTDetrConfig) -> None:
        width, heads = cfg.d_model, cfg.decoder_attention_heads
        act, eps = cfg.decoder_activation_function, cfg.layer_norm_eps
        super().__init__(width, heads, cfg.decoder_ffn_dim, act, post_norm, eps)
        self.encoder_attn = DeformableAttention(
            width, heads, cfg.num_feature_levels, cfg.decoder_n_points, cfg.offset_scale
        )
        self.encoder_attn_layer_norm = LayerNorm(width, eps)

    def forward(  # type: ignore[override]  # more to look at
        self,
        x: Tensor,
        positions: Tensor,
        context: Tensor,
        boxes: Tensor,
        shapes: Sequence[tuple[int, int]],
        mask: Tensor | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `mask` is as of `Group`."""
        found = self.self_attn(x, mask=mask, q_extra=positions, k_extra=positions)
        x = self.self_attn_layer_norm(x + found)
        found = self.encoder_attn(x + positions, context, boxes, shapes)
        x = self.encoder_attn_layer_norm(x + found)
        return self.final_layer_norm(x + self.feed_forward(x))


class RTDetrOutput(Output):
    """What the decoder's layers give, what it starts from, and a detector's labels and boxes.

    `intermediate_*` are `(batch, layers, queries, …)`, `encoder_last_hidden_state` the fused maps,
    `enc_outputs_*` of every position of them, `enc_topk_*` of the chosen ones. In training with
    labels the queries of `denoising_meta_values` stand before the model's own.
    """

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    last_hidden_state: Tensor | None = None
    intermediate_hidden_states: Tensor | None = None
    intermediate_logits: Tensor | None = None
    intermediate_reference_points: Tensor | None = None
    decoder_hidden_states: HiddenStates | None = None
    encoder_last_hidden_state: list[Tensor] | None = None
    encoder_hidden_states: HiddenStates | None = None
    init_reference_points: Tensor | None = None
    enc_topk_logits: Tensor | None = None
    enc_topk_bboxes: Tensor | None = None
    enc_outputs_class: Tensor | None = None
    enc_outputs_coord_logits: Tensor | None = None
    denoising_meta_values: dict[str, Any] | None = None


class Decoder(Module):
    """Layers over queries; with a head, `class_embed` and `bbox_embed`, they move their boxes."""

    def __init__(self, cfg: RTDetrConfig) -> None:
        self.layers = ModuleList([DecoderLayer(cfg) for _ in range(cfg.decoder_layers)])
        self.query_pos_head = MlpHead(4, 2 * cfg.d_model, cfg.d_model)
        self.class_embed: ModuleList | None = None
        self.bbox_embed: ModuleList | None = None

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        boxes: Tensor,
        shapes: Sequence[tuple[int, int]],
        mask: Tensor | None = None,
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """States, logits and boxes that each layer gives."""
        states: list[Tensor] = []
        logits: list[Tensor] = []
        moved: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            x = layer(x, self.query_pos_head(boxes), context, boxes, shapes, mask)
            states.append(x)
            if self.bbox_embed is not None and self.class_embed is not None:
                moved.append(self.bbox_embed[index](x, inverse_sigmoid(boxes)))
                boxes = moved[-1].detach()
                logits.append(self.class_embed[index](x))
            else:
                moved.append(boxes)
        return states, logits, moved


def anchors(shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """A box around each position of the maps before the sigmoid, `(1, n, 4)`, and which are good.

    They are 1/20 of the picture on the first map, twice that on each next one; those near an edge
    are not good.
    """
    found = []
    for level, (height, width) in enumerate(shapes):
        x = ((arange(width).to(f32) + 0.5) / width).unsqueeze(0).expand(height, width)
        y = ((arange(height).to(f32) + 0.5) / height).unsqueeze(1).expand(height, width)
        side = full_like(x, 0.05 * 2.0**level)
        found.append(stack((x, y, side, side), 2).reshape(1, height * width, 4))
    boxes = cat(found, 1)
    good = ((boxes > 0.01) & (boxes < 0.99)).all(-1, keepdim=True)
    return where(good, (boxes / (1 - boxes)).log(), ones_like(boxes) * LARGEST), good


def take(x: Tensor, index: Tensor) -> Tensor:
    """Positions `index` `(batch, k)` of `(batch, n, size)`."""
    return x.gather(1, index.unsqueeze(2).expand(*index.shape, x.shape[2]))
