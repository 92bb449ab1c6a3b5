"""transformers' wrapper of timm's models, whose tensors stand below `timm_model.`."""

from __future__ import annotations

from typing import Any, Self

from tallow.models.base import Model
from tallow.models.configs import Config
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.models.table import find_timm
from tallow.models.timm import TimmConfig
from tallow.tensor import Tensor


class TimmWrapperConfig(Config):
    """Of Hugging Face's `TimmWrapperConfig`: `wrapped` is that of the model of timm."""

    wrapped: Any = None
    do_pooling: bool = True

    without_effect = TimmConfig.without_effect

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read the config of the model that `architecture` names."""
        row = find_timm(fields.get("architecture"), f"{fields.source}: architecture")
        wrapped = row.config.read(fields)
        fields.pruned()
        pooling = fields.flag("do_pooling", True)
        return cls(wrapped=wrapped, id2label=wrapped.id2label, do_pooling=pooling)


class _Wrapper(Model):
    config_class = TimmWrapperConfig
    base_model_prefix = "timm_model"
    kind = "ForImageClassification"

    def __init__(self, cfg: TimmWrapperConfig) -> None:
        self.config = cfg
        row = find_timm(cfg.wrapped.architecture, "timm_wrapper")
        self.timm_model: Any = row.of(self.kind)(cfg.wrapped)  # type: ignore[call-arg]


class TimmWrapperForImageClassification(_Wrapper):
    """Scores."""

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> LogitsOutput:
        """`(batch, channels, height, width)` → scores `(batch, labels)`; the loss with labels."""
        return self.timm_model(pixel_values, labels)


class TimmWrapperModel(_Wrapper):
    """Features."""

    kind = "Model"

    def forward(self, pixel_values: Tensor, *, do_pooling: bool | None = None) -> BaseOutput:
        """`(batch, channels, height, width)` → the last features, and those pooled."""
        found: BaseOutput = self.timm_model(pixel_values)
        wanted = self.config.do_pooling if do_pooling is None else do_pooling
        return found if wanted else BaseOutput(found.last_hidden_state)
