"""DeiT: ViT with a second token, which learned from a teacher (arXiv 2012.12877)."""

from __future__ import annotations

from typing import Any

from tallow.models.base import Model
from tallow.models.blocks.vit import VitClassification, VitConfig, VitModel
from tallow.models.outputs import HiddenStates, Output
from tallow.nn import Linear
from tallow.tensor import Tensor


class DeiTConfig(VitConfig):
    """Of Hugging Face's `DeiTConfig`."""


class DeiTModel(VitModel):
    """The encoder; two tokens stand before the patches."""

    config_class = DeiTConfig
    base_model_prefix = "deit"
    tokens = ("cls_token", "distillation_token")


class DeiTForImageClassification(VitClassification):
    """Scores from the class token."""

    config_class, base_class, base_model_prefix = DeiTConfig, DeiTModel, "deit"


class TeacherOutput(Output):
    """`logits` are the mean of those of both tokens, `(batch, labels)` each."""

    logits: Tensor
    cls_logits: Tensor
    distillation_logits: Tensor
    hidden_states: HiddenStates | None = None


class DeiTForImageClassificationWithTeacher(Model):
    """Scores from both tokens; for inference only, as in the reference."""

    config_class, base_model_prefix = DeiTConfig, "deit"

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.deit = DeiTModel(cfg, pooled=False)
        self.cls_classifier = Linear(cfg.hidden_size, cfg.num_labels)
        self.distillation_classifier = Linear(cfg.hidden_size, cfg.num_labels)

    def forward(
        self,
        pixel_values: Tensor,
        interpolate_pos_encoding: bool = False,
        *,
        output_hidden_states: bool = False,
    ) -> TeacherOutput:
        """`(batch, channels, height, width)` → scores `(batch, labels)`."""
        found = self.deit(
            pixel_values, None, interpolate_pos_encoding, output_hidden_states=output_hidden_states
        )
        own = self.cls_classifier(found.last_hidden_state[:, 0])
        taught = self.distillation_classifier(found.last_hidden_state[:, 1])
        return TeacherOutput((own + taught) / 2, own, taught, found.hidden_states)
