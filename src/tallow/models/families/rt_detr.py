"""RT-DETR and RT-DETR v2: a hybrid encoder, and queries chosen from it (2304.08069, 2407.17140)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tallow.errors import ArgumentError, ModelError, expect
from tallow.lazy_dataclasses import replace
from tallow.models.base import Model
from tallow.models.blocks.denoising import Denoising, Group, denoising
from tallow.models.blocks.detr import (
    BoxHead,
    ConvEncoder,
    EncoderLayer,
    MlpHead,
    post_norm,
)
from tallow.models.blocks.frozen_norm import freeze_norms
from tallow.models.blocks.hybrid import HybridEncoder, Intra
from tallow.models.blocks.rt_detr import (
    Decoder,
    RTDetrConfig,
    RTDetrOutput,
    RTDetrV2Config,
    anchors,
    take,
)
from tallow.models.detection_losses import Labels, check_labels
from tallow.models.rt_detr_losses import rt_detection
from tallow.nn import BatchNorm2d, Conv2d, LayerNorm, Linear, Module, ModuleList, Sequential, tie
from tallow.ops import cat, stack
from tallow.tensor import Tensor


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
        fused, between = self.fuse(pixel_values, encoder_outputs)
        sources = self.sources(fused)
        shapes = [(x.shape[2], x.shape[3]) for x in sources]
        context = cat([x.flatten(2).transpose(1, 2) for x in sources], 1)
        memory, classes, boxes = self.propose(context, shapes)
        index = classes.max(-1)[0].topk(self.config.num_queries, 1)[1]
        best = take(boxes, index)
        group = None if labels is None else self.noisy(labels, pixel_values)
        x, start, mask = self.queries(take(memory, index).detach(), best, group)
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

    def fuse(self, pixel_values: Tensor, encoder_outputs: Any) -> tuple[list[Tensor], list[Tensor]]:
        """The fused maps, and what was between, which given ones do not tell."""
        if encoder_outputs is not None:
            return list(encoder_outputs[0]), []
        maps = self.backbone(pixel_values)
        return self.encoder(
            [proj(x) for proj, x in zip(self.encoder_input_proj, maps, strict=True)]
        )

    def sources(self, fused: list[Tensor]) -> list[Tensor]:
        """The maps that the decoder looks at: the fused ones, and smaller ones of the last."""
        more = len(self.decoder_input_proj) - len(fused)
        return [
            proj(x)
            for proj, x in zip(self.decoder_input_proj, fused + fused[-1:] * more, strict=True)
        ]

    def propose(
        self, context: Tensor, shapes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of every position `(batch, n, …)`: its state, its labels, its box before the sigmoid."""
        places, good = anchors(shapes)
        memory = self.enc_output(context * good.to(context.dtype))
        return memory, self.enc_score_head(memory), self.enc_bbox_head(memory) + places

    def queries(
        self, x: Tensor, boxes: Tensor, group: Group | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The decoder's queries, boxes and mask: the chosen ones, behind noisy ones in training."""
        if group is None:
            return x, boxes.detach(), None
        assert self.denoising_class_embed is not None, "there is noise"
        x = cat((self.denoising_class_embed(group.classes), x), 1)
        return x, cat((group.boxes, boxes), 1).detach(), group.mask

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
