"""The models that `VoiceActivity` runs: Silero's ONNX graphs, and its weights by themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tallow.autograd.mode import inference_mode
from tallow.dtype import i64
from tallow.errors import ModelError
from tallow.factories import tensor
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.onnx import Model

_INPUTS = {"input", "state", "sr"}


class VoiceModel(Protocol):
    """A model of windows of 32 ms and a context of 4 ms before each."""

    rates: tuple[int, ...]  # samples a second that it takes, the best last

    def run(self, rows: Tensor, rate: int, state: list[Tensor]) -> Iterator[float]:
        """The probability of each of `rows` `(windows, context + window)`.

        `state` holds one tensor `(2, 1, 128)`, which is replaced as windows are done.
        """


class OnnxVoice:
    """A graph, called window by window."""

    def __init__(self, path: Path, ref: object) -> None:
        from tallow import onnx

        self.model: Model = onnx.load(path)
        found = {each.name for each in self.model.inputs}
        if found != _INPUTS:
            wanted = f"a voice activity model with the inputs {sorted(_INPUTS)}"
            raise ModelError(f"{ref}: expected {wanted}, found {sorted(found)}")
        self.rates: tuple[int, ...] = (16000,) if "16k" in path.name else (8000, 16000)

    def run(self, rows: Tensor, rate: int, state: list[Tensor]) -> Iterator[float]:
        """Window by window."""
        told = tensor(rate, dtype=i64)
        for row in range(rows.shape[0]):
            with inference_mode():
                # By name: the files have their inputs in several orders.
                given = {"input": rows[row : row + 1], "state": state[0], "sr": told}
                probability, state[0] = self.model(**given)
            yield probability.item()


class WeightsVoice:
    """The weights alone, in a safetensors file (of 16 kHz) or a .jit (of both rates)."""

    def __init__(self, path: Path) -> None:
        from tallow.weights import open_weights

        with open_weights(path) as source:
            names = source.names()
        self._path = path
        both = any(name.startswith("_model_8k.") for name in names)
        self.rates: tuple[int, ...] = (8000, 16000) if both else (16000,)
        _ = self._wide  # so that what is wrong with the file is told now

    @cached_property
    def _wide(self) -> Any:
        return self._load({})

    @cached_property
    def _narrow(self) -> Any:
        return self._load({"sampling_rate": 8000, "filter_length": 128, "hop_length": 64})

    def _load(self, values: dict[str, Any]) -> Any:
        from tallow.models import load

        return load(self._path, config={"model_type": "silero_vad", **values})

    def run(self, rows: Tensor, rate: int, state: list[Tensor]) -> Iterator[float]:
        """All windows at once, but for the step from one to the next."""
        model = self._wide if rate == 16000 else self._narrow
        with inference_mode():
            found = model(rows.unsqueeze(0), state[0])
        state[0] = found.state
        yield from found.probabilities[0].tolist()


def open_voice(ref: str | os.PathLike[str]) -> VoiceModel:
    """The model of a reference, by its kind of file.

    Raises:
        HubError, FormatError, ModelError: it is not there, or another model.
    """
    from tallow.hub import resolve

    path = resolve(ref)
    return OnnxVoice(path, ref) if path.suffix == ".onnx" else WeightsVoice(path)
