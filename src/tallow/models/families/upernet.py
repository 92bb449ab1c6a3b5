"""UPerNet: segmentation from a pyramid of any backbone's features (arXiv 1807.10221)."""

from __future__ import annotations

from tallow.models.blocks.image_heads import ImageHead
from tallow.models.blocks.uper import AUXILIARY, PlainHead, PyramidHead, pixel_loss
from tallow.models.blocks.vision import scaled
from tallow.models.configs import Config, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import LogitsOutput
from tallow.models.parts import Part, backbone
from tallow.tensor import Tensor

_STAGES = ["stage1", "stage2", "stage3", "stage4"]
_KEYS = "use_timm_backbone use_pretrained_backbone backbone_kwargs auxiliary_in_channels"


class UperNetConfig(Config):
    """Of Hugging Face's `UperNetConfig`."""

    backbone_config: Part = backbone(model_type="resnet", out_features=_STAGES)
    hidden_size: int = size(512)
    pool_scales: tuple[int, ...] = sizes(1, 2, 3, 6)
    use_auxiliary_head: bool = True
    auxiliary_loss_weight: float = 0.4
    auxiliary_in_channels: int | None = None
    auxiliary_channels: int = size(256)
    auxiliary_num_convs: int = size(1, low=0, high=64)
    auxiliary_concat_input: bool = False
    loss_ignore_index: int = 255

    without_effect = frozenset(_KEYS.split())

    def check(self, fields: Fields) -> None:
        """One label alone is no segmentation."""
        if self.num_labels < 2:
            raise fields.error("num_labels", "at least 2", self.num_labels)


class UperNetForSemanticSegmentation(ImageHead):
    """A score of each label at every pixel."""

    config_class = UperNetConfig

    def __init__(self, cfg: UperNetConfig) -> None:
        self.config = cfg
        self.backbone = cfg.backbone_config.make()
        channels = self.backbone.channels
        scales, count = cfg.pool_scales, cfg.num_labels
        self.decode_head = PyramidHead(channels, cfg.hidden_size, scales, count, "batch_norm")
        self.auxiliary_head = None
        if cfg.use_auxiliary_head:
            width = cfg.auxiliary_in_channels or channels[min(AUXILIARY, len(channels) - 1)]
            self.auxiliary_head = PlainHead(
                width, cfg.auxiliary_channels, cfg.auxiliary_num_convs, count, "batch_norm",
                concat=cfg.auxiliary_concat_input,
            )  # fmt: skip

    def answer(self, pixel_values: Tensor, labels: Tensor | None, hidden: bool) -> LogitsOutput:
        """Scores `(batch, labels, height, width)`."""
        found = self.backbone(pixel_values, output_hidden_states=hidden)
        logits = scaled(self.decode_head(found.feature_maps), pixel_values.shape[2:])
        loss = None
        if labels is not None:
            beside = None
            if self.auxiliary_head is not None:
                beside = scaled(self.auxiliary_head(found.feature_maps), logits.shape[2:])
            weight, ignored = self.config.auxiliary_loss_weight, self.config.loss_ignore_index
            loss = pixel_loss(logits, beside, labels, weight, ignored)
        return LogitsOutput(logits, loss, found.hidden_states)
