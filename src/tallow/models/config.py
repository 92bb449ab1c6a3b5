"""DecoderConfig: the sizes of a decoder-only model, and how config.json says them."""

from __future__ import annotations

import math
from typing import ClassVar, Self

from tallow.lazy_dataclasses import dataclass
from tallow.models.blocks.rope import RopeScaling
from tallow.models.fields import Fields

MAX_LAYERS = 4096  # module objects are made before the file is asked, so their number is bounded
MAX_HEADS = 65536


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and constants of a decoder-only transformer, under Hugging Face's names.

    `sliding_windows` holds one entry a layer: how many keys a query sees, itself included; 0 is
    all of them. `rope_interleaved` says that rotated pairs are neighbours (GGUF files of the llama
    architecture) and not half a head apart; `rope_factors` divide the frequencies (GGUF files).
    """

    # Read only where a flag beside them says that they count.
    without_effect: ClassVar[frozenset[str]] = frozenset(
        {
            "layer_types",
            "max_window_layers",
            "rope_parameters",
            "rope_scaling",
            "sliding_window",
            "use_sliding_window",
        }
    )

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
    rope_factors: tuple[float, ...] = ()
    tie_word_embeddings: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    sliding_windows: tuple[int, ...] = ()
    pad_token_id: int | None = None  # whose word learns nothing

    @property
    def context(self) -> int:
        """The largest number of positions."""
        return self.max_position_embeddings

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read and check the keys of config.json that every decoder has; families read the rest.

        Only keys that Hugging Face's own config of the family knows may be read: what a field is
        called here must mean nothing in a file.

        Raises:
            ModelError: a field is missing, out of range or of a kind that is not supported.
        """
        heads = fields.integer("num_attention_heads", high=MAX_HEADS)
        hidden = fields.integer("hidden_size")
        kv_heads = fields.integer("num_key_value_heads", heads, high=MAX_HEADS)
        if heads % kv_heads:
            wanted = f"a divisor of the {heads} attention heads"
            raise fields.error("num_key_value_heads", wanted, kv_heads)
        if "head_dim" not in fields and hidden % heads:
            raise fields.error("hidden_size", f"a multiple of the {heads} heads", hidden)
        head_dim = fields.integer("head_dim", hidden // heads, high=65536)
        if head_dim % 2:
            raise fields.error("head_dim", "an even number", head_dim)
        if fields.text("hidden_act", "silu") not in ("silu", "swish"):
            raise fields.error("hidden_act", "silu", fields.get("hidden_act"))
        if fields.get("quantization_config"):
            found = fields.get("quantization_config")
            raise fields.error("quantization_config", _QUANTIZATIONS, found)
        theta, scaling = read_rope(fields)
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
            tie_word_embeddings=fields.flag("tie_word_embeddings"),
            pad_token_id=_padding(fields),
        )

    def window(self, layer: int) -> int:
        """How many keys a query of this layer sees; 0 is all."""
        return self.sliding_windows[layer] if self.sliding_windows else 0


def _padding(fields: Fields) -> int | None:
    # What is no word is none, as its gradient alone would depend on it.
    value, words = fields.get("pad_token_id"), fields.integer("vocab_size")
    return value if type(value) is int and 0 <= value < words else None


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
        raise fields.error("layer_types", wanted, kinds)
    windows = tuple(size if kind == "sliding_attention" else 0 for kind in kinds[:layers])
    return windows if any(windows) else ()


def read_flagged_windows(fields: Fields, layers: int) -> tuple[int, ...]:
    """Windows of Qwen's layers: of those from `max_window_layers` on, if `use_sliding_window`."""
    if not fields.flag("use_sliding_window"):
        return ()
    first = fields.integer("max_window_layers", 28, low=0)
    return read_windows(fields, layers, 4096, first)


def read_rope(fields: Fields, theta: float = 10000.0) -> tuple[float, RopeScaling | None]:
    """The base of rotary frequencies, `theta` unless given, and how they are stretched."""
    # `rope_parameters` since transformers 5; before, `rope_theta` beside `rope_scaling`, which goes
    # first where both stand.
    name = "rope_scaling" if fields.get("rope_scaling") else "rope_parameters"
    rope = fields.scope(name)
    theta = rope.number("rope_theta", fields.number("rope_theta", theta), low=1.0)
    rotated = rope if "partial_rotary_factor" in rope else fields
    if rotated.number("partial_rotary_factor", 1.0) != 1.0:
        found = rotated.get("partial_rotary_factor")
        raise rotated.error("partial_rotary_factor", "1 (partial rotation is not supported)", found)
    key = "rope_type" if "rope_type" in rope else "type"
    kind = rope.text(key, "default")
    if kind in ("default", "none"):
        return theta, None
    reader = _SCALINGS.get(kind)
    if reader is None:
        raise rope.error(key, "default, " + ", ".join(sorted(_SCALINGS)), kind)
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
    original = _original_context(rope, fields)
    factor = rope.number("factor", fields.integer("max_position_embeddings", 2048) / original)
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
        original_context=original,
        beta_fast=rope.number("beta_fast", 32.0),
        beta_slow=rope.number("beta_slow", 1.0),
        attention_factor=attention,
        truncate=rope.flag("truncate", True),
    )


_QUANTIZATIONS = "none, or gptq, awq, fp8, compressed-tensors (convert others to GGUF)"
_SCALINGS = {"linear": _linear, "llama3": _llama3, "yarn": _yarn}
