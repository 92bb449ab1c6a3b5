"""HuBERT: wav2vec 2.0's layers, trained on clusters of frames (arXiv 2106.07447)."""

from __future__ import annotations

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks.speech_encoder import SpeechConfig, SpeechModel, SpeechOutput
from tallow.models.blocks.speech_heads import CTC, SequenceClassification
from tallow.models.blocks.wav2vec2 import ConvPositions, FrameProjection
from tallow.models.configs import choice
from tallow.nn import Module
from tallow.tensor import Tensor


class HubertConfig(SpeechConfig):
    """Of Hugging Face's `HubertConfig`."""

    feat_proj_layer_norm: bool = True
    conv_pos_batch_norm: bool = False
    add_adapter: bool = choice(False)


class HubertModel(SpeechModel):
    """Frames and layers."""

    config_class, base_model_prefix = HubertConfig, "hubert"

    def __init__(self, cfg: HubertConfig) -> None:
        super().__init__(cfg)
        # A batch norm makes frames of the padding that the positions see.
        self.rows_alone = self.rows_alone or cfg.conv_pos_batch_norm

    def projection(self) -> FrameProjection:
        """With the norm where the config has it."""
        cfg = self.config
        return FrameProjection(
            cfg.conv_dim[-1], cfg.hidden_size, cfg.layer_norm_eps, norm=cfg.feat_proj_layer_norm
        )

    def positions(self) -> Module:
        """Of a normed weight, or of normed frames."""
        cfg = self.config
        return ConvPositions(
            cfg.hidden_size, cfg.num_conv_pos_embeddings, cfg.num_conv_pos_embedding_groups,
            cfg.feat_extract_activation, batch_norm=cfg.conv_pos_batch_norm,
        )  # fmt: skip

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> SpeechOutput:
        """As of `SpeechModel`, without the normed frames."""
        found = super().forward(
            input_values, attention_mask, mask_time_indices,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        return replace(found, extract_features=None)


define_heads(
    globals(), "Hubert", CTC, SequenceClassification,
    config_class=HubertConfig, base_class=HubertModel, base_model_prefix="hubert",
)  # fmt: skip
