"""RT-DETR and RT-DETR v2: a hybrid encoder, and queries chosen from it (2304.08069, 2407.17140)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tallow.dtype import f32
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import arange, full_like, ones_like
from tallow.models.base import Model
from tallow.models.blocks.deformable import DeformableAttention
from tallow.models.blocks.denoising import Denoising, Group, denoising
from tallow.models.blocks.detr import (
    BoxHead,
    ConvEncoder,
    EncoderLayer,
    MlpHead,
    inverse_sigmoid,
    post_norm,
)
from tallow.models.blocks.frozen_norm import freeze_norms
from tallow.models.blocks.hybrid import HybridEncoder, Intra
from tallow.models.configs import activation, choice, custom, layers, ratio, size, sizes
from tallow.models.detection_losses import Labels, check_labels
from tallow.models.fields import Fields
from tallow.models.outputs import HiddenStates, Output
from tallow.models.parts import Part, part
from tallow.models.rt_detr_losses import RTDetrLossConfig, rt_detection
from tallow.nn import BatchNorm2d, Conv2d, LayerNorm, Linear, Module, ModuleList, Sequential, tie
from tallow.ops import cat, stack, where
from tallow.tensor import Tensor

LARGEST = 3.4028234663852886e38  # of f32: what reaches 1 through a sigmoid


def _backbone(fields: Fields, name: str, default: Any) -> Part:
    if fields.get(name) is not None:
        return part(fields.scope(name), "backbone")
    values = {"model_type": "rt_detr_resnet", "out_indices": [2, 3, 4]}
    return part(Fields(values, f"{fields.source}: {name}"), "backbone")


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


def hybrid_encoder(cfg: RTDetrConfig) -> HybridEncoder:
    """The encoder of a config; without layers, nothing happens within maps."""
    width, act = cfg.encoder_hidden_dim, cfg.encoder_activation_function

    def layer() -> Module:
        heads, hidden = cfg.encoder_attention_heads, cfg.encoder_ffn_dim
        return EncoderLayer(width, heads, hidden, act, post_norm, cfg.layer_norm_eps)

    within = cfg.encode_proj_layers if cfg.encoder_layers else ()
    intra = {
        index: Intra(
            [layer() for _ in range(cfg.encoder_layers)],
            cfg.positional_encoding_temperature,
            placed=cfg.eval_size is None,
        )
        for index in within
    }
    hidden, maps = int(width * cfg.hidden_expansion), len(cfg.encoder_in_channels)
    return HybridEncoder(width, hidden, cfg.activation_function, cfg.batch_norm_eps, maps, intra)


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
        out: Tensor = self.final_layer_norm(x + self.feed_forward(x))
        return out


@dataclass(frozen=True)
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


class RTDetrModel(Model):
    """Backbone, hybrid encoder, the choice of queries, and decoder."""

    config_class: ClassVar[Any] = RTDetrConfig
    base_model_prefix = "model"
    ignorable = (
        r"backbone\..*num_batches_tracked",
        r"(decoder\.)?(class|bbox)_embed\..*",
        r".*\.n_points_scale",
        r"anchors|valid_mask",
    )

    def __init__(self, cfg: RTDetrConfig) -> None:
        self.config = cfg
        inner, width, eps = cfg.encoder_hidden_dim, cfg.d_model, cfg.layer_norm_eps
        backbone = cfg.backbone_config.make()
        if cfg.freeze_backbone_batch_norms:
            freeze_norms(backbone)
        maps = len(cfg.encoder_in_channels)
        good = len(backbone.channels) == maps
        wanted = f"{maps} stages, as encoder_in_channels has"
        expect(good, "backbone_config", wanted, backbone.channels, ModelError)
        self.backbone = ConvEncoder(backbone)
        self.encoder_input_proj = ModuleList(
            [
                Sequential(Conv2d(n, inner, 1, bias=False), BatchNorm2d(inner))
                for n in backbone.channels
            ]
        )
        self.encoder = hybrid_encoder(cfg)
        noisy = Denoising(cfg.num_labels + 1, width, cfg.num_labels)
        self.denoising_class_embed = noisy if cfg.num_denoising else None
        self.enc_output = Sequential(Linear(width, width), LayerNorm(width, eps))
        self.enc_score_head = Linear(width, cfg.num_labels)
        self.enc_bbox_head = MlpHead(width, width, width, 4)
        inputs = [(n, 1, 1) for n in cfg.decoder_in_channels]
        inputs += [(width if i else inner, 3, 2) for i in range(cfg.num_feature_levels - maps)]
        self.decoder_input_proj = ModuleList(
            [
                Sequential(
                    Conv2d(n, width, kernel, stride, kernel // 2, bias=False),
                    BatchNorm2d(width, cfg.batch_norm_eps),
                )
                for n, kernel, stride in inputs
            ]
        )
        self.decoder = Decoder(cfg)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Labels | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> RTDetrOutput:
        """Pixels `(batch, channels, height, width)`; a mask has no effect, as in transformers.

        `encoder_outputs` spare backbone and encoder; the first of them are the fused maps.
        `labels`, as `rt_detr_losses` has them, add noisy queries in training.
        """
        wanted = "inputs_embeds to be None"
        expect(inputs_embeds is None, type(self), wanted, "a tensor", ArgumentError)
        between: list[Tensor] = []
        if encoder_outputs is None:
            maps = self.backbone(pixel_values)
            fused, between = self.encoder(
                [proj(x) for proj, x in zip(self.encoder_input_proj, maps, strict=True)]
            )
        else:
            fused = list(encoder_outputs[0])
        more = len(self.decoder_input_proj) - len(fused)
        sources = [
            proj(x)
            for proj, x in zip(self.decoder_input_proj, fused + fused[-1:] * more, strict=True)
        ]
        shapes = [(x.shape[2], x.shape[3]) for x in sources]
        context = cat([x.flatten(2).transpose(1, 2) for x in sources], 1)
        places, good = anchors(shapes)
        memory = self.enc_output(context * good.to(context.dtype))
        classes = self.enc_score_head(memory)
        boxes = self.enc_bbox_head(memory) + places
        index = classes.max(-1)[0].topk(self.config.num_queries, 1)[1]
        best = take(boxes, index)
        start, x, mask = best, take(memory, index).detach(), None
        group = None if labels is None else self.noisy(labels, pixel_values)
        if group is not None:
            assert self.denoising_class_embed is not None, "there is noise"
            start = cat((group.boxes, best), 1)
            x = cat((self.denoising_class_embed(group.classes), x), 1)
            mask = group.mask
        start = start.detach()
        states, logits, moved = self.decoder(x, context, start.sigmoid(), shapes, mask)
        seen = output_hidden_states and encoder_outputs is None
        return RTDetrOutput(
            last_hidden_state=states[-1],
            intermediate_hidden_states=stack(states, 1),
            intermediate_logits=stack(logits, 1) if logits else None,
            intermediate_reference_points=stack(moved, 1),
            decoder_hidden_states=(x, *states) if output_hidden_states else None,
            encoder_last_hidden_state=fused,
            encoder_hidden_states=tuple(between) if seen else None,
            init_reference_points=start,
            enc_topk_logits=take(classes, index),
            enc_topk_bboxes=best.sigmoid(),
            enc_outputs_class=classes,
            enc_outputs_coord_logits=boxes,
            denoising_meta_values=None if group is None else group.meta,
        )

    def noisy(self, labels: Labels, pixel_values: Tensor) -> Group | None:
        """The queries that a training adds; none in inference, or where the config has none."""
        cfg = self.config
        if not self.training or not cfg.num_denoising:
            return None
        check_labels(pixel_values, labels, cfg.num_labels)
        noise = cfg.label_noise_ratio, cfg.box_noise_scale
        return denoising(labels, cfg.num_labels, cfg.num_queries, cfg.num_denoising, *noise)


class RTDetrForObjectDetection(Model):
    """Labels by sigmoids, and boxes that every layer moves."""

    config_class: ClassVar[Any] = RTDetrConfig
    base_class: ClassVar[type[RTDetrModel]] = RTDetrModel
    base_model_prefix = "model"

    def __init__(self, cfg: RTDetrConfig) -> None:
        self.config = cfg
        self.model = self.base_class(cfg)
        self.class_embed, self.bbox_embed = self.heads(cfg)
        inner = self.model.decoder
        inner.class_embed, inner.bbox_embed = self.heads(cfg)
        # Files have them under the decoder, at the top, or under both names.
        for outer, held in (
            (self.class_embed, inner.class_embed),
            (self.bbox_embed, inner.bbox_embed),
        ):
            for module, other in zip(outer.modules(), held.modules(), strict=True):
                if isinstance(module, Linear):
                    tie(module, "weight", other, "weight")
                    tie(module, "bias", other, "bias")

    @staticmethod
    def heads(cfg: RTDetrConfig) -> tuple[ModuleList, ModuleList]:
        """Labels and boxes of each layer."""
        steps, width = range(cfg.decoder_layers), cfg.d_model
        return (
            ModuleList([Linear(width, cfg.num_labels) for _ in steps]),
            ModuleList([BoxHead(width) for _ in steps]),
        )

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Labels | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> RTDetrOutput:
        """As of the base model; with labels, as `rt_detr_losses` has them, the loss."""
        found: RTDetrOutput = self.model(
            pixel_values, pixel_mask, encoder_outputs, inputs_embeds, labels,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        logits, boxes = found.intermediate_logits, found.intermediate_reference_points
        assert logits is not None and boxes is not None, "the decoder has its heads"
        found = replace(found, logits=logits[:, -1], pred_boxes=boxes[:, -1])
        return found if labels is None else self.compared(found, labels)

    def compared(self, found: RTDetrOutput, labels: Labels) -> RTDetrOutput:
        """With the loss, and what it takes beside the last layer."""
        logits, boxes = found.intermediate_logits, found.intermediate_reference_points
        assert logits is not None and boxes is not None, "the decoder has its heads"
        assert found.enc_topk_logits is not None and found.enc_topk_bboxes is not None
        check_labels(logits, labels, self.config.num_labels)
        meta, noisy = found.denoising_meta_values, []
        layers = list(zip(logits.unbind(1), boxes.unbind(1), strict=True))
        if meta is not None:
            n = meta["dn_num_split"][0]
            noisy = [(x[:, :n], each[:, :n]) for x, each in layers]
            layers = [(x[:, n:], each[:, n:]) for x, each in layers]
        more = None
        if self.config.auxiliary_loss:
            layers = [layers[-1], *layers[:-1], (found.enc_topk_logits, found.enc_topk_bboxes)]
            more = [{"logits": x, "pred_boxes": each} for x, each in layers[1:]]
        else:
            layers, noisy = layers[-1:], []
        loss, losses = rt_detection(layers, noisy, meta, labels, self.config)
        return replace(found, loss=loss, loss_dict=losses, auxiliary_outputs=more)


class RTDetrV2Model(RTDetrModel):
    """As of RT-DETR; attention reaches as far as the config says."""

    config_class = RTDetrV2Config


class RTDetrV2ForObjectDetection(RTDetrForObjectDetection):
    """As of RT-DETR."""

    config_class, base_class = RTDetrV2Config, RTDetrV2Model
