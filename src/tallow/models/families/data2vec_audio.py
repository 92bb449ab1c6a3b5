"""data2vec for speech: wav2vec 2.0 with several convolutions for positions (arXiv 2202.03555)."""

from __future__ import annotations

from tallow.models.base import define_heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.speech_encoder import SpeechConfig, SpeechModel
from tallow.models.blocks.speech_heads import (
    CTC,
    AudioFrameClassification,
    SequenceClassification,
    XVector,
)
from tallow.models.configs import choice, layers, size
from tallow.nn import Conv1d, Module, ModuleList
from tallow.nn import functional as F
from tallow.tensor import Tensor


class Data2VecAudioConfig(SpeechConfig):
    """Of Hugging Face's `Data2VecAudioConfig`; `num_conv_pos_embeddings` are convolutions."""

    feat_extract_norm: str = choice("layer")
    do_stable_layer_norm: bool = choice(False)
    num_conv_pos_embeddings: int = layers(5)
    conv_pos_kernel_size: int = size(19)


class PositionLayer(Module):
    """A grouped convolution that keeps the length, a norm without weights, an activation."""

    def __init__(self, size: int, kernel: int, groups: int, act: str) -> None:
        self.conv = Conv1d(size, size, kernel, padding=kernel // 2, groups=groups)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, n)`, kept."""
        x = self.conv(x)[:, :, : x.shape[2]].transpose(1, 2)
        return self.act(F.layer_norm(x, x.shape[-1:])).transpose(1, 2)


class Positions(Module):
    """Several of them."""

    def __init__(self, size: int, kernel: int, groups: int, act: str, count: int) -> None:
        self.layers = ModuleList(PositionLayer(size, kernel, groups, act) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return x.transpose(1, 2)


class Data2VecAudioModel(SpeechModel):
    """Frames, layers, adapter."""

    config_class, base_model_prefix = Data2VecAudioConfig, "data2vec_audio"

    def __init__(self, cfg: Data2VecAudioConfig) -> None:
        super().__init__(cfg)
        # What the first convolution makes of the padding, the second sees.
        self.rows_alone = cfg.num_conv_pos_embeddings > 1

    def positions(self) -> Module:
        """Several convolutions."""
        cfg = self.config
        return Positions(
            cfg.hidden_size, cfg.conv_pos_kernel_size, cfg.num_conv_pos_embedding_groups,
            cfg.feat_extract_activation, cfg.num_conv_pos_embeddings,
        )  # fmt: skip


define_heads(
    globals(), "Data2VecAudio", CTC, SequenceClassification, AudioFrameClassification, XVector,
    config_class=Data2VecAudioConfig, base_class=Data2VecAudioModel,
    base_model_prefix="data2vec_audio",
)  # fmt: skip
