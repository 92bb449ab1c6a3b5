"""DecoderConfig: the sizes of a decoder-only model, read from config.json or GGUF metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tallow.errors import ModelError

MAX_LAYERS = 4096  # module objects are made before the file is asked, so their number is bounded
MAX_SIZE = 2**31 - 1


class Fields:
    """Values by name, read with a check; every error names the source, the key and the value."""

    def __init__(
        self, values: Mapping[str, Any], source: object, keys: Mapping[str, str] | None = None
    ) -> None:
        self._values = values
        self._source = source
        self._keys = keys or {}

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def has(self, name: str) -> bool:
        """Whether the name is there, be it as null."""
        return name in self._values

    def with_default(self, name: str, value: Any) -> Fields:
        """The same fields, with `value` in the place of an absent one."""
        if self.get(name) is not None:
            return self
        return Fields({**self._values, name: value}, self._source, self._keys)

    def get(self, name: str) -> Any:
        """The raw value, None when absent."""
        return self._values.get(name)

    def scope(self, name: str) -> Fields:
        """The object that stands under `name`; an empty one when absent."""
        value = self.get(name)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.misfit(name, "an object", value)
        return Fields(value, f"{self._source}: {name}")

    def integer(
        self, name: str, default: int | None = None, *, low: int = 1, high: int = MAX_SIZE
    ) -> int:
        """An integer in `[low, high]`; `default` None makes the field required."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.misfit(name, f"an integer from {low} to {high}", value)
        return value

    def number(self, name: str, default: float | None = None, *, low: float = 0.0) -> float:
        """A finite number above `low`; `default` None makes the field required."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not math.isfinite(value) or value <= low:
            raise self.misfit(name, f"a number above {low:g}", value)
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.misfit(name, "true or false", value)
        return value

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.misfit(name, "a string", value)
        return value

    def misfit(self, name: str, wanted: str, value: object) -> ModelError:
        """The error for a field with an unusable value."""
        shown = "nothing" if value is None else repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "…"
        return ModelError(
            f"{self._source}: {self._keys.get(name, name)}: expected {wanted}, found {shown}"
        )


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the trained context.

    `kind` is one of linear, llama3 (Llama 3.1's bands) and yarn (arXiv 2309.00071); the others are
    that kind's parameters, as Hugging Face names them.
    """

    kind: str
    factor: float
    original_context: int = 0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 0.0  # of yarn; 0: 1 + 0.1 ln(factor)
    truncate: bool = True


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and constants of a decoder-only transformer, under Hugging Face's names.

    `sliding_windows` holds one entry a layer: how many keys a query sees, itself included; 0 is
    all of them. `rope_interleaved` says that rotated pairs are neighbours (GGUF files of the llama
    architecture) and not half a head apart.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    rope_interleaved: bool = False
    tie_word_embeddings: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    sliding_windows: tuple[int, ...] = ()

    @property
    def context(self) -> int:
        """The largest number of positions."""
        return self.max_position_embeddings

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read and check the fields that every decoder has; families adapt the rest.

        Raises:
            ModelError: a field is missing, out of range or of a kind that is not supported.
        """
        heads = fields.integer("num_attention_heads", high=65536)
        hidden = fields.integer("hidden_size")
        kv_heads = fields.integer("num_key_value_heads", heads, high=65536)
        if heads % kv_heads:
            wanted = f"a divisor of the {heads} attention heads"
            raise fields.misfit("num_key_value_heads", wanted, kv_heads)
        if "head_dim" not in fields and hidden % heads:
            raise fields.misfit("hidden_size", f"a multiple of the {heads} heads", hidden)
        head_dim = fields.integer("head_dim", hidden // heads, high=65536)
        if head_dim % 2:
            raise fields.misfit("head_dim", "an even number", head_dim)
        if fields.integer("rope_dimension", head_dim) != head_dim:
            wanted = f"the head size {head_dim} (partial rotation is not supported)"
            raise fields.misfit("rope_dimension", wanted, fields.get("rope_dimension"))
        if fields.text("hidden_act", "silu") not in ("silu", "swish"):
            raise fields.misfit("hidden_act", "silu", fields.get("hidden_act"))
        for name, wanted in _UNSUPPORTED.items():
            if fields.get(name):
                raise fields.misfit(name, wanted, fields.get(name))
        theta, scaling = _read_rope(fields)
        return cls(
            vocab_size=fields.integer("vocab_size"),
            hidden_size=hidden,
            intermediate_size=fields.integer("intermediate_size"),
            num_hidden_layers=fields.integer("num_hidden_layers", high=MAX_LAYERS),
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            head_dim=head_dim,
            max_position_embeddings=fields.integer("max_position_embeddings", 2048),
            rms_norm_eps=fields.number("rms_norm_eps", 1e-6),
            rope_theta=theta,
            rope_scaling=scaling,
            rope_interleaved=fields.flag("rope_interleaved"),
            tie_word_embeddings=fields.flag("tie_word_embeddings"),
            qkv_bias=fields.flag("qkv_bias"),
            output_bias=fields.flag("output_bias"),
            mlp_bias=fields.flag("mlp_bias"),
        )

    def window(self, layer: int) -> int:
        """How many keys a query of this layer sees; 0 is all."""
        return self.sliding_windows[layer] if self.sliding_windows else 0


def read_windows(fields: Fields, layers: int, default: int, first: int = 0) -> tuple[int, ...]:
    """The window of each layer: from `layer_types` when given, else of layers from `first` on."""
    size = default
    if fields.get("sliding_window") is not None:
        size = fields.integer("sliding_window")
    if not size:
        return ()
    kinds = fields.get("layer_types")
    if kinds is None:
        kinds = ["full_attention"] * first + ["sliding_attention"] * max(layers - first, 0)
    if (
        not isinstance(kinds, list)
        or len(kinds) < layers
        or not all(kind in ("full_attention", "sliding_attention") for kind in kinds)
    ):
        wanted = f"{layers} of full_attention or sliding_attention"
        raise fields.misfit("layer_types", wanted, kinds)
    windows = tuple(size if kind == "sliding_attention" else 0 for kind in kinds[:layers])
    return windows if any(windows) else ()


def _read_rope(fields: Fields) -> tuple[float, RopeScaling | None]:
    # `rope_parameters` since transformers 5; before, `rope_theta` beside `rope_scaling`.
    name = "rope_parameters" if "rope_parameters" in fields else "rope_scaling"
    rope = fields.scope(name)
    theta = rope.number("rope_theta", fields.number("rope_theta", 10000.0), low=1.0)
    if rope.number("partial_rotary_factor", 1.0) != 1.0:
        raise rope.misfit("partial_rotary_factor", "1", rope.get("partial_rotary_factor"))
    key = "rope_type" if "rope_type" in rope else "type"
    kind = rope.text(key, "default")
    if kind in ("default", "none"):
        return theta, None
    reader = _SCALINGS.get(kind)
    if reader is None:
        raise rope.misfit(key, "default, " + ", ".join(sorted(_SCALINGS)), kind)
    return theta, reader(rope, fields)


def _linear(rope: Fields, _: Fields) -> RopeScaling:
    return RopeScaling("linear", rope.number("factor"))


def _original_context(rope: Fields, fields: Fields) -> int:
    context = fields.integer("max_position_embeddings", 2048)
    return rope.integer("original_max_position_embeddings", context)


def _llama3(rope: Fields, fields: Fields) -> RopeScaling:
    low = rope.number("low_freq_factor")
    return RopeScaling(
        "llama3",
        rope.number("factor"),
        original_context=_original_context(rope, fields),
        low_freq_factor=low,
        high_freq_factor=rope.number("high_freq_factor", low=low),
    )


def _yarn(rope: Fields, fields: Fields) -> RopeScaling:
    factor = rope.number("factor")
    growth = 0.1 * math.log(max(factor, 1.0))
    attention = 1 + growth
    if "attention_factor" in rope:
        attention = rope.number("attention_factor")
    elif rope.get("mscale") and rope.get("mscale_all_dim"):
        above, below = rope.number("mscale"), rope.number("mscale_all_dim")
        attention = (1 + above * growth) / (1 + below * growth)
    return RopeScaling(
        "yarn",
        factor,
        original_context=_original_context(rope, fields),
        beta_fast=rope.number("beta_fast", 32.0),
        beta_slow=rope.number("beta_slow", 1.0),
        attention_factor=attention,
        truncate=rope.flag("truncate", True),
    )


_UNSUPPORTED = {
    "quantization_config": "none, or gptq, awq, fp8, compressed-tensors (convert others to GGUF)",
    "expert_count": "no experts (mixture-of-experts models are not supported)",
}
_SCALINGS = {"linear": _linear, "llama3": _llama3, "yarn": _yarn}
