"""Silero VAD 5 and 6: how likely each window of sound is speech (snakers4/silero-vad)."""

from __future__ import annotations

from collections.abc import Collection

from tallow.errors import ShapeError, expect
from tallow.factories import zeros
from tallow.models.base import Model
from tallow.models.configs import Config, choice, size, sizes
from tallow.models.outputs import Output
from tallow.nn import Conv1d, LSTMCell
from tallow.nn import functional as F
from tallow.nn.recurrent import Weights, lstm_step, run
from tallow.ops import stack
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename

_STRIDES = (1, 2, 2, 1)
_FRAMES = 4  # of a window, which the strides bring to one


class SileroVadConfig(Config):
    """Sizes of the model of 16 kHz; that of 8 kHz has half the filters and hops."""

    sampling_rate: int = choice(16000, 8000)
    filter_length: int = size(256, low=2)
    hop_length: int = size(128, low=2)
    channels: tuple[int, ...] = sizes(128, 64, 64, 128, length=4)

    @property
    def window(self) -> int:
        """How many samples one probability is of, the context before it included."""
        return (_FRAMES - 1) * self.hop_length + self.filter_length - self.hop_length // 2


class SileroVadOutput(Output):
    """Probabilities `(batch, windows)`, and the state behind them `(2, batch, size)`."""

    probabilities: Tensor
    state: Tensor


class SileroVadModel(Model):
    """A spectrum by a convolution, four convolutions, an LSTM from window to window."""

    config_class = SileroVadConfig

    def __init__(self, cfg: SileroVadConfig) -> None:
        self.config = cfg
        bins = cfg.filter_length // 2 + 1
        self.stft_conv = Conv1d(1, 2 * bins, cfg.filter_length, cfg.hop_length, bias=False)
        given = (bins, *cfg.channels[:-1])
        for index, (before, out) in enumerate(zip(given, cfg.channels, strict=True)):
            conv = Conv1d(before, out, 3, _STRIDES[index], padding=1)
            setattr(self, f"conv{index + 1}", conv)
        last = cfg.channels[-1]
        self.lstm_cell = LSTMCell(last, last)
        self.lstm_cell.computes_in_f32 = True
        self.final_conv = Conv1d(last, 1, 1)

    def arrangement(self, names: Collection[str]) -> tuple[WeightConverter, ...]:
        """The names of a .jit file, which holds the models of both rates."""
        head = "_model_8k" if self.config.sampling_rate == 8000 else "_model"
        convs = (
            rename(f"{head}.encoder.{index}.reparam_conv.*", f"conv{index + 1}.*")
            for index in range(len(_STRIDES))
        )
        return (
            rename(f"{head}.stft.forward_basis_buffer", "stft_conv.weight"),
            *convs,
            rename(f"{head}.decoder.rnn.*", "lstm_cell.*"),
            rename(f"{head}.decoder.decoder.2.*", "final_conv.*"),
        )

    def ignored(self) -> tuple[str, ...]:
        """The model of the other rate, and a state."""
        return (r"_model(_8k)?\..*", "_state", "_context")

    def forward(self, input_values: Tensor, state: Tensor | None = None) -> SileroVadOutput:
        """Windows `(batch, windows, samples)`, each with its context before it → probabilities.

        `state` is what came out before, None at the begin of a sound.

        Raises:
            ShapeError: windows are of another length, or there is none.
        """
        cfg, shape = self.config, input_values.shape
        good = len(shape) == 3 and shape[2] == cfg.window and shape[1] > 0
        expect(good, "input_values", f"(batch, windows, {cfg.window})", shape, ShapeError)
        batch, count, _ = shape
        x = F.pad(input_values.flatten(0, 1), [0, cfg.hop_length // 2], mode="reflect")
        real, imaginary = self.stft_conv(x.unsqueeze(1)).chunk(2, 1)
        x = (real.square() + imaginary.square()).sqrt()
        for index in range(len(_STRIDES)):
            x = getattr(self, f"conv{index + 1}")(x).relu()
        x = x.reshape(batch, count, -1).transpose(0, 1)
        held = zeros(2, batch, cfg.channels[-1]) if state is None else state
        weights = Weights(self.lstm_cell, "")
        x, after = run(x, (held[0], held[1]), weights, lstm_step, False, None)
        scores = self.final_conv(x.relu().permute(1, 2, 0)).squeeze(1)
        return SileroVadOutput(scores.sigmoid(), stack(list(after)))
