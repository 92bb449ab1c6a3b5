"""DecoderConfig: the sizes of a decoder-only model, and how config.json says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.rope import RopeScaling
from tallow.models.fields import Fields
from tallow.models.rope_fields import Rotation, read_rope, read_rotary_dim

MAX_LAYERS = 4096  # module objects are made before the file is asked, so their number is bounded
MAX_HEADS = 65536
ATTENTIONS = ("full_attention", "sliding_attention")  # kinds of layers, by transformers' names


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and constants of a decoder-only transformer, under Hugging Face's names.

    What holds one entry a layer is the same for all layers where it is empty. `sliding_windows` is
    how many keys a query sees, itself included (0: all of them), `chunks` into how long pieces of
    the text layers cut it, which do not see each other (0: none), `rope_layers` whether queries and
    keys are rotated.

    `rotary_dim` is how many elements of a head are rotated (0: all). `rope_interleaved` says that
    rotated pairs are neighbours (GGUF files of the llama architecture) and not half of them apart;
    `rope_factors` divide the frequencies (GGUF files); `rope_axes` are those of `Rope`; and
    `local_rope` is base and scaling of layers with a window where these are others.

    `query_scale` multiplies scores of attention (None: the root of the head's size divides them),
    and `attention_softcap` bounds them, as `logit_softcap` does logits (0: no bound).
    """

    # Defaults of the family, which read() takes.
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    act: ClassVar[str] = "silu"
    theta: ClassVar[float] = 10000.0
    scalings: ClassVar[tuple[str, ...]] = ()  # all where none is named
    rotary_share: ClassVar[float | None] = None  # of a head's elements; None where it is not read

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
    rope_axes: tuple[int, ...] = ()
    rotary_dim: int = 0
    local_rope: Rotation | None = None
    rope_layers: tuple[bool, ...] = ()
    hidden_act: str = "silu"
    tie_word_embeddings: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    sliding_windows: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()
    query_scale: float | None = None
    attention_softcap: float = 0.0
    logit_softcap: float = 0.0
    logit_scale: float = 1.0
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    head_bias: bool = False
    pad_token_id: int | None = None  # whose word learns nothing

    @property
    def context(self) -> int:
        """The largest number of positions."""
        return self.max_position_embeddings

    def turned(self, local: bool = False) -> int:
        """How many elements of a head are rotated; `local` ones are of layers with a window."""
        return self.rotary_dim or self.head_dim

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read and check the keys of config.json that every decoder has; families read the rest.

        Only keys that Hugging Face's own config of the family knows may be read: what a field is
        called here must mean nothing in a file.

        Raises:
            ModelError: a field is missing, out of range or of a kind that is not supported.
        """
        fields = fields.with_defaults(**cls.defaults)
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
        act = fields.text("hidden_act", cls.act)
        if act not in ACTIVATIONS:
            raise fields.error("hidden_act", "one of " + ", ".join(sorted(ACTIVATIONS)), act)
        if fields.get("quantization_config"):
            found = fields.get("quantization_config")
            raise fields.error("quantization_config", _QUANTIZATIONS, found)
        place: dict[str, Any] = {"head": head_dim, "share": cls.rotary_share}
        theta, scaling = read_rope(fields, cls.theta, kinds=cls.scalings, **place)
        rotary_dim = read_rotary_dim(fields, **place)
        context = fields.integer("max_position_embeddings", 2048)
        if scaling is not None and scaling.kind == "dynamic":
            context = int(context * scaling.factor)  # beyond the first one it is for
        return cls(
            vocab_size=fields.integer("vocab_size"),
            hidden_size=hidden,
            intermediate_size=fields.integer("intermediate_size"),
            num_hidden_layers=fields.integer("num_hidden_layers", high=MAX_LAYERS),
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            head_dim=head_dim,
            max_position_embeddings=context,
            rms_norm_eps=fields.number("rms_norm_eps", 1e-6),
            rope_theta=theta,
            rope_scaling=scaling,
            rotary_dim=0 if rotary_dim == head_dim else rotary_dim,
            hidden_act=act,
            tie_word_embeddings=fields.flag("tie_word_embeddings"),
            pad_token_id=_padding(fields),
        )

    def window(self, layer: int) -> int:
        """How many keys a query of this layer sees; 0 is all."""
        return self.sliding_windows[layer] if self.sliding_windows else 0

    def chunk(self, layer: int) -> int:
        """How long the pieces are that this layer cuts a text into; 0 is none."""
        return self.chunks[layer] if self.chunks else 0

    def rotates(self, layer: int) -> bool:
        """Whether queries and keys of this layer are rotated by their positions."""
        return self.rope_layers[layer] if self.rope_layers else True


def _padding(fields: Fields) -> int | None:
    # What is no word is none, as its gradient alone would depend on it.
    value, words = fields.get("pad_token_id"), fields.integer("vocab_size")
    return value if type(value) is int and 0 <= value < words else None


def read_kinds(
    fields: Fields, default: Sequence[str], known: Sequence[str] = ATTENTIONS
) -> tuple[str, ...]:
    """`layer_types`: what kind each layer is of, `default` unless given."""
    kinds, layers = fields.get("layer_types"), len(default)
    if kinds is None:
        return tuple(default)
    good = isinstance(kinds, list) and len(kinds) >= layers and all(k in known for k in kinds)
    if not good:
        raise fields.error("layer_types", f"{layers} of {' or '.join(known)}", kinds)
    return tuple(kinds[:layers])


def every(period: int, layers: int, others: str = ATTENTIONS[1]) -> list[str]:
    """Kinds of layers of which each `period`-th attends to all keys, and `others` are between."""
    return [others if (i + 1) % period else ATTENTIONS[0] for i in range(layers)]


def read_windows(
    fields: Fields,
    layers: int,
    default: int,
    first: int = 0,
    kinds: Sequence[str] = (),
) -> tuple[int, ...]:
    """The window of each layer: from `layer_types` when given, else `kinds` or from `first` on."""
    size = default
    if fields.get("sliding_window") is not None:
        size = fields.integer("sliding_window")
    if not size:
        return ()
    full, sliding = ATTENTIONS
    kinds = kinds or [full] * first + [sliding] * max(layers - first, 0)
    kinds = read_kinds(fields, kinds[:layers])
    windows = tuple(size if kind == sliding else 0 for kind in kinds)
    return windows if any(windows) else ()


def read_flagged_windows(fields: Fields, layers: int) -> tuple[int, ...]:
    """Windows of Qwen's layers: of those from `max_window_layers` on, if `use_sliding_window`."""
    if not fields.flag("use_sliding_window"):
        return ()
    first = fields.integer("max_window_layers", 28, low=0)
    return read_windows(fields, layers, 4096, first)


_QUANTIZATIONS = "none, or gptq, awq, fp8, compressed-tensors (convert others to GGUF)"
