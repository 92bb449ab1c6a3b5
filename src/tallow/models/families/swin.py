"""Swin: a transformer in shifted windows whose stages halve the picture (arXiv 2103.14030)."""

from __future__ import annotations

from tallow.models.blocks.image_heads import Backbone
from tallow.models.blocks.swin import (
    SWIN_RULES,
    SwinBase,
    SwinClassification,
    SwinConfig,
    SwinEmbeddings,
    SwinEncoder,
    swin_encoder,
)
from tallow.nn import LayerNorm, ModuleDict
from tallow.tensor import Tensor
from tallow.weights.arrange import rename


class SwinV1Config(SwinConfig):
    """Of Hugging Face's `SwinConfig`."""


class SwinModel(SwinBase):
    """Embeddings, stages and a last norm; the pooled output is the mean."""

    config_class = SwinV1Config
    base_model_prefix = "swin"

    def make_encoder(self, cfg: SwinConfig) -> SwinEncoder:
        """Stages with learned biases."""
        return swin_encoder(cfg)


class SwinForImageClassification(SwinClassification):
    """Scores from the mean."""

    config_class, base_class, base_model_prefix = SwinV1Config, SwinModel, "swin"


class SwinBackbone(Backbone):
    """The chosen stages' features before merging, normalised."""

    config_class = SwinV1Config
    # Files have the parts with and without the model's prefix, mixed.
    rules = (
        rename("swin.embeddings.*", "embeddings.*"),
        rename("swin.encoder.*", "encoder.*"),
        *SWIN_RULES,
    )
    ignorable = (
        *SwinBase.ignorable,
        r"(swin\.)?layernorm\..*",
        r"classifier\..*",
    )

    def __init__(self, cfg: SwinConfig) -> None:
        self.config = cfg
        self.embeddings = SwinEmbeddings(cfg)
        self.encoder = swin_encoder(cfg)
        self.widths = (cfg.embed_dim, *cfg.widths)
        self.chosen = cfg.chosen(len(self.widths))
        self.hidden_states_norms = ModuleDict(
            {f"stage{i}" if i else "stem": LayerNorm(self.widths[i]) for i in self.chosen}
        )

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features, `(batch, size, rows, columns)`."""
        _, wide = self.encoder(self.embeddings(pixel_values), always=True)
        return [x.permute(0, 3, 1, 2) for x in wide]

    def maps(self, states: list[Tensor]) -> tuple[Tensor, ...]:
        """The chosen ones, normalised."""
        norms = self.hidden_states_norms.values()
        pairs = zip(norms, self.chosen, strict=True)
        return tuple(norm(states[i].permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, i in pairs)
