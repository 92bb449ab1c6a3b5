"""WaveFeatures: samples as models of raw sound take them, normed and padded to a batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, FormatError, ModelError, expect
from tallow.factories import full, zeros
from tallow.lazy_dataclasses import dataclass
from tallow.tensor import Tensor

_LEAST = 1e-7  # that a variance is raised by


class WaveBatch(NamedTuple):
    """`input_values` `(batch, length)`, and where they are not padded, 1 or 0."""

    input_values: Tensor
    attention_mask: Tensor


@dataclass(frozen=True)
class WaveFeatures:
    """What transformers' `Wav2Vec2FeatureExtractor` and EnCodec's do, by its names."""

    sampling_rate: int = 16000
    padding_value: float = 0.0
    do_normalize: bool = True
    return_attention_mask: bool = False

    @classmethod
    def from_folder(cls, path: str | Path) -> WaveFeatures:
        """As preprocessor_config.json says; a folder without one has the defaults.

        Raises:
            FormatError: the file is damaged.
            ModelError: it says what cannot be done.
        """
        file = Path(path) / "preprocessor_config.json"
        if not file.is_file():
            file = Path(path) / "processor_config.json"
        if not file.is_file():
            return cls()
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise FormatError(file, "content", "JSON", error) from None
        if not isinstance(values, dict):
            raise FormatError(file, "content", "an object", type(values).__name__)
        inner = values.get("feature_extractor")
        return cls.of(inner if isinstance(inner, dict) else values, file)

    @classmethod
    def of(cls, values: dict[str, Any], source: object) -> WaveFeatures:
        """Of the values of such a file; `source` names it in errors."""
        made: dict[str, Any] = {}
        for name, kinds in _KINDS.items():
            value = values.get(name)
            if value is None:
                continue
            if not isinstance(value, kinds) or (isinstance(value, bool) != (kinds is bool)):
                raise FormatError(source, name, "a value of its kind", repr(value))
            made[name] = value
        rate = made.get("sampling_rate", cls.sampling_rate)
        if not 0 < rate < 1 << 20:
            raise FormatError(source, "sampling_rate", "a rate above 0", rate)
        for name, wanted in (("feature_size", 1), ("padding_side", "right")):
            found = values.get(name, wanted)
            if found != wanted:
                text = f"expected {wanted!r} (others are not supported), found {found!r}"
                raise ModelError(f"{source}: {name}: {text}")
        return cls(**made)

    def normed(self, samples: Tensor) -> Tensor:
        """Samples `(length,)` at mean 0 and variance 1, if the config wants it."""
        x = samples.to(f32)
        if not self.do_normalize or not x.shape[0]:
            return x
        return (x - x.mean()) / (x.var(correction=0) + _LEAST).sqrt()

    def batch(self, rows: Sequence[Tensor]) -> WaveBatch:
        """Samples `(length,)` each, at the rate, as one batch, padded behind.

        Raises:
            ArgumentError: there is no row.
        """
        expect(bool(rows), "batch", "one row of samples at least", 0, ArgumentError)
        longest = max(row.shape[0] for row in rows)
        values = full((len(rows), longest), self.padding_value, dtype=f32)
        mask = zeros(len(rows), longest, dtype=i64)
        for index, row in enumerate(rows):
            values[index, : row.shape[0]] = self.normed(row)
            mask[index, : row.shape[0]] = 1
        return WaveBatch(values, mask)


_KINDS: dict[str, Any] = {
    "sampling_rate": int,
    "padding_value": (int, float),
    "do_normalize": bool,
    "return_attention_mask": bool,
}
