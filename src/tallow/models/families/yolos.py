"""YOLOS: a ViT whose last tokens become boxes (arXiv 2106.00666)."""

from __future__ import annotations

from tallow.errors import ArgumentError, expect
from tallow.models.base import Model
from tallow.models.blocks.bert import Pooler
from tallow.models.blocks.detector_outputs import DetectionOutput
from tallow.models.blocks.detr import BoxHead, MlpHead
from tallow.models.blocks.vision import PatchEmbeddings
from tallow.models.blocks.vit import VIT_RULES, VitConfig, VitLayer
from tallow.models.configs import size, sizes
from tallow.models.detection_losses import SOFTMAX, Labels, MatchingConfig, detection
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Module, ModuleList, param
from tallow.nn.init import zeros
from tallow.ops import cat, interpolate
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

Grid = tuple[int, int]


class YolosConfig(VitConfig, MatchingConfig):
    """Of Hugging Face's `YolosConfig`."""

    image_size: tuple[int, ...] = sizes(512, 864, length=2)
    num_detection_tokens: int = size(100)
    use_mid_position_embeddings: bool = True
    auxiliary_loss: bool = False

    without_effect = VitConfig.without_effect

    def check(self, fields: Fields) -> None:
        """Patches are square."""
        super().check(fields)
        if self.patch_size[0] != self.patch_size[1]:
            raise fields.error("patch_size", "a square", list(self.patch_size))


def resized_positions(table: Tensor, old: Grid, new: Grid, last: int) -> Tensor:
    """Positions of `(..., 1 + patches + last, size)` for another grid, by cubic interpolation."""
    if old == new:
        return table
    inner = table[:, 1:-last].transpose(1, 2).unflatten(2, old)
    inner = interpolate(inner, size=new, mode="bicubic", align_corners=False)
    return cat((table[:, :1], inner.flatten(2).transpose(1, 2), table[:, -last:]), 1)


class Embeddings(Module):
    """A first token, the patches, the tokens of detections, and positions of all."""

    def __init__(self, cfg: YolosConfig) -> None:
        width, self.last, self.grid = cfg.hidden_size, cfg.num_detection_tokens, cfg.grid
        count = cfg.grid[0] * cfg.grid[1] + 1 + self.last
        self.cls_token = param(1, 1, width, init=zeros)
        self.detection_tokens = param(1, self.last, width, init=zeros)
        self.position_embeddings = param(1, count, width, init=zeros)
        self.patch_embeddings = PatchEmbeddings(cfg.num_channels, width, *cfg.patch_size)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Grid]:
        """`(batch, channels, height, width)` → `(batch, tokens, size)`, rows and columns."""
        x, grid = self.patch_embeddings(pixel_values)
        ends = [each.expand(len(x), -1, -1) for each in (self.cls_token, self.detection_tokens)]
        places = resized_positions(self.position_embeddings, self.grid, grid, self.last)
        return cat((ends[0], x, ends[1]), 1) + places, grid


class Encoder(Module):
    """ViT's layers; positions are added between them, too, where the config says so."""

    def __init__(self, cfg: YolosConfig) -> None:
        self.layer = ModuleList(
            [
                VitLayer(
                    cfg.hidden_size,
                    cfg.num_attention_heads,
                    cfg.intermediate_size,
                    cfg.hidden_act,
                    cfg.layer_norm_eps,
                    bias=cfg.qkv_bias,
                )
                for _ in range(cfg.num_hidden_layers)
            ]
        )
        self.last, self.grid = cfg.num_detection_tokens, cfg.grid
        count, between = cfg.grid[0] * cfg.grid[1] + 1 + self.last, max(len(self.layer) - 1, 0)
        shape = (between, 1, count, cfg.hidden_size)
        used = cfg.use_mid_position_embeddings
        self.mid_position_embeddings = param(*shape, init=zeros) if used else None

    def forward(self, x: Tensor, grid: Grid) -> list[Tensor]:
        """What goes in and what each layer gives, `(batch, tokens, size)` each."""
        states, table = [x], self.mid_position_embeddings
        places = (
            None if table is None else resized_positions(table[:, 0], self.grid, grid, self.last)
        )
        for index, layer in enumerate(self.layer):
            x = layer(x)
            states.append(x)
            if places is not None and index < len(places):
                x = x + places[index]
        return states


class YolosModel(Model):
    """Embeddings, layers, a last norm, and a pooler where the file has one."""

    config_class = YolosConfig
    base_model_prefix = "vit"
    optional_parts = ("pooler",)
    ignorable = (r"pooler\..*",)
    rules = (
        rename("encoder.interpolation.mid_position_embeddings", "encoder.mid_position_embeddings"),
        *VIT_RULES,
    )

    def __init__(self, cfg: YolosConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = Encoder(cfg)
        self.layernorm = LayerNorm(cfg.hidden_size, cfg.layer_norm_eps)
        self.pooler = Pooler(cfg.hidden_size) if pooled else None

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, channels, height, width)` → `(batch, tokens, size)`, and pooled.

        Images may have any size that holds a patch.
        """
        states = self.encoder(*self.embeddings(pixel_values))
        last = self.layernorm(states[-1])
        pooled = None if self.pooler is None else self.pooler(last)
        return BaseOutput(last, pooled, tuple(states) if output_hidden_states else None)


class YolosForObjectDetection(Model):
    """Labels, the last of which is none, and boxes of the last tokens."""

    config_class = YolosConfig
    base_model_prefix = "vit"

    def __init__(self, cfg: YolosConfig) -> None:
        self.config = cfg
        width = cfg.hidden_size
        self.vit = YolosModel(cfg, pooled=False)
        self.class_labels_classifier = MlpHead(width, width, width, cfg.num_labels + 1)
        self.bbox_predictor = BoxHead(width)

    def forward(
        self,
        pixel_values: Tensor,
        labels: Labels | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> DetectionOutput:
        """Pixels `(batch, channels, height, width)`; with labels, the loss of the last layer."""
        given: BaseOutput = self.vit(pixel_values, output_hidden_states=output_hidden_states)
        found = given.last_hidden_state
        x = found[:, -self.config.num_detection_tokens :]
        logits, boxes = self.class_labels_classifier(x), self.bbox_predictor(x)
        loss, losses = None, None
        if labels is not None:
            wanted = "auxiliary_loss false where labels are given"
            expect(not self.config.auxiliary_loss, type(self), wanted, "true", ArgumentError)
            loss, losses = detection([(logits, boxes)], labels, self.config, SOFTMAX)
        return DetectionOutput(
            loss=loss,
            loss_dict=losses,
            logits=logits,
            pred_boxes=boxes,
            last_hidden_state=found,
            hidden_states=given.hidden_states,
        )
