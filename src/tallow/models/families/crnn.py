"""easyocr's CRNN: lines of text by convolutions, recurrent layers and CTC (arXiv 1507.05717)."""

from __future__ import annotations

import string

from tallow.models.base import Model
from tallow.models.configs import Config, custom, size
from tallow.models.fields import Fields
from tallow.models.outputs import LogitsOutput
from tallow.nn import LSTM, BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential
from tallow.tensor import Tensor

# Of english_g2, by number from 1; 0 is the blank.
_ENGLISH = string.digits + string.punctuation + " €" + string.ascii_uppercase
_ENGLISH += string.ascii_lowercase


def _characters(fields: Fields, name: str, default: str) -> str:
    value = fields.text(name, default)
    if not value or len(set(value)) != len(value):
        raise fields.error(name, "characters, each of them once", value)
    return value


class CrnnConfig(Config):
    """Sizes by easyocr's names, and the characters that are read."""

    input_channel: int = size(1)
    output_channel: int = size(256, low=8)
    hidden_size: int = size(256)
    characters: str = custom(_ENGLISH, _characters)

    def check(self, fields: Fields) -> None:
        """The first convolutions have an eighth of the channels."""
        if self.output_channel % 8:
            raise fields.error("output_channel", "a multiple of 8", self.output_channel)


class Features(Module):
    """The convolutions."""

    def __init__(self, cfg: CrnnConfig) -> None:
        a, b, c, d = (cfg.output_channel // n for n in (8, 4, 2, 1))
        self.ConvNet = Sequential(
            Conv2d(cfg.input_channel, a, 3, 1, 1), ReLU(), MaxPool2d(2),
            Conv2d(a, b, 3, 1, 1), ReLU(), MaxPool2d(2),
            Conv2d(b, c, 3, 1, 1), ReLU(), Conv2d(c, c, 3, 1, 1), ReLU(), MaxPool2d((2, 1)),
            Conv2d(c, d, 3, 1, 1, bias=False), BatchNorm2d(d), ReLU(),
            Conv2d(d, d, 3, 1, 1, bias=False), BatchNorm2d(d), ReLU(), MaxPool2d((2, 1)),
            Conv2d(d, d, 2), ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, 1, height, width)` → `(batch, channels, height / 16 - 1, width / 4 - 1)`."""
        return self.ConvNet(x)


class Recurrent(Module):
    """An LSTM in both directions, and a linear layer."""

    def __init__(self, size: int, out: int) -> None:
        self.rnn = LSTM(size, out, bidirectional=True, batch_first=True)
        self.linear = Linear(2 * out, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, length, out)`."""
        return self.linear(self.rnn(x)[0])


class CrnnForTextRecognition(Model):
    """Scores of characters for each step of a line; pictures are grey, from -1 to 1, 64 high."""

    config_class = CrnnConfig

    def __init__(self, cfg: CrnnConfig) -> None:
        self.config = cfg
        self.FeatureExtraction = Features(cfg)
        hidden = cfg.hidden_size
        self.SequenceModeling = Sequential(
            Recurrent(cfg.output_channel, hidden), Recurrent(hidden, hidden)
        )
        self.Prediction = Linear(hidden, 1 + len(cfg.characters))

    def forward(self, pixel_values: Tensor) -> LogitsOutput:
        """`(batch, 1, height, width)` → `(batch, width / 4 - 1, 1 + characters)`."""
        steps = self.FeatureExtraction(pixel_values).mean(2).permute(0, 2, 1)
        return LogitsOutput(self.Prediction(self.SequenceModeling(steps)))

    def decode(self, logits: Tensor) -> list[str]:
        """The texts of `(batch, steps, 1 + characters)`: of each step the best, of repeats one."""
        texts = []
        for row in logits.argmax(2).tolist():
            kept = [now for before, now in zip([0, *row], row, strict=False) if now != before]
            texts.append("".join(self.config.characters[i - 1] for i in kept if i))
        return texts
