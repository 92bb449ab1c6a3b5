"""Speaker encoders trained by GE2E: an LSTM over mel spectra (arXiv 1710.10467; resemblyzer)."""

from __future__ import annotations

from tallow.models.base import Model
from tallow.models.configs import Config, layers, size
from tallow.models.outputs import Output
from tallow.nn import LSTM, Linear
from tallow.tensor import Tensor
from tallow.weights.arrange import rename


class Ge2eConfig(Config):
    """Sizes by the names of resemblyzer's hyperparameters."""

    mel_n_channels: int = size(40)
    model_hidden_size: int = size(256)
    model_embedding_size: int = size(256)
    model_num_layers: int = layers(3)


class Ge2eOutput(Output):
    """`embeddings` `(batch, size)`, none below 0, of length 1."""

    embeddings: Tensor


class Ge2eModel(Model):
    """The last state of an LSTM, projected."""

    config_class = Ge2eConfig
    rules = (rename("model_state.*", "*"),)
    # How training scaled cosines, and what its optimiser held.
    ignorable = (r"similarity_(weight|bias)", r"optimizer_state\..*")

    def __init__(self, cfg: Ge2eConfig) -> None:
        self.config = cfg
        self.lstm = LSTM(
            cfg.mel_n_channels, cfg.model_hidden_size, cfg.model_num_layers, batch_first=True
        )
        self.linear = Linear(cfg.model_hidden_size, cfg.model_embedding_size)

    def forward(self, input_features: Tensor) -> Ge2eOutput:
        """Mel spectra `(batch, frames, mels)` of one length → embeddings."""
        _, (hidden, _) = self.lstm(input_features)
        x = self.linear(hidden[-1]).relu()
        return Ge2eOutput(x / x.square().sum(1, keepdim=True).sqrt())
