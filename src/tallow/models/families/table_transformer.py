"""Table Transformer: DETR with norms before its layers, on tables (arXiv 2110.00061)."""

from __future__ import annotations

from tallow.models.blocks.detector import Decoder, DetectorModel, ObjectDetection
from tallow.models.blocks.detector_config import ORIGINAL, DetectorConfig
from tallow.models.blocks.detr import Residual, pre_norm
from tallow.nn import LayerNorm, Module
from tallow.weights.arrange import rename


class TableTransformerConfig(DetectorConfig):
    """Of Hugging Face's `TableTransformerConfig`."""


class TableTransformerDecoder(Decoder):
    """DETR's, whose states are the normalised ones."""

    normed = True


class TableTransformerModel(DetectorModel):
    """Backbone, encoder and decoder, each layer normalised before it is added, and behind all."""

    config_class, decoder_class = TableTransformerConfig, TableTransformerDecoder
    rules = (rename("position_embedding.*", "backbone.position_embedding.*"), *ORIGINAL)

    def residual(self) -> Residual:
        """Before each."""
        return pre_norm

    def places(self) -> Module:
        """Under the backbone."""
        return self.backbone

    def encoder_norm(self, size: int) -> Module:
        """There is one, other than in DETR."""
        return LayerNorm(size)


class TableTransformerForObjectDetection(ObjectDetection):
    """Labels and boxes of tables, or of a table's rows, columns, headers and spans."""

    config_class, base_class = TableTransformerConfig, TableTransformerModel
