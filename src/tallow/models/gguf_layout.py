"""How families stand in GGUF files: one table of tensors and keys, read and written.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; for what its text leaves open,
what llama.cpp's converter writes and llama.cpp reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from tallow.lazy_dataclasses import dataclass, replace
from tallow.weights import NameMap
from tallow.weights.arrange import TensorMap, mapped

if TYPE_CHECKING:
    from tallow.models.fields import Fields
    from tallow.weights import WeightSource
    from tallow.weights.arrange import WeightConverter

Kind = Literal["u32", "f32", "bool", "str", "arr[u32]", "arr[i32]", "arr[bool]", "arr[f32]"]


@dataclass(frozen=True)
class Key:
    """A key of metadata, below the architecture's name, and the key of config.json that it is.

    `kind` is the type that is written, from the attribute of the config of that name, or
    `attribute`; None is not written. `default` is what llama.cpp takes where the key is absent
    (None: what the config does). `layers` says that a list, one value a layer, stays one; else a
    list has to hold one value.
    """

    name: str
    field: str
    kind: Kind = "u32"
    attribute: str = ""
    default: Any = None
    layers: bool = False

    def value(self, cfg: Any) -> Any:
        """What a config says of it."""
        return getattr(cfg, self.attribute or self.field, None)


@dataclass(frozen=True)
class GGUFLayout:
    """How a family stands in GGUF files.

    `names` are stems of tensors (file → model), `keys` the metadata below the architecture's name.
    `architecture` is what files are written as (empty: the family's name), `architecture_of(cfg)`
    the same where a family is several. `rules(cfg)` are
    converters from the file's names to the model's, for what is joined, split or computed there;
    they come before `names` and are inverted for writing. `constants` are values of config.json
    that the format leaves no choice of; `read(fields, source)` gives further ones, and
    `write(cfg)` further keys by name and `(kind, value)`. `attributes` are those of the config that
    no file says, as a model of a GGUF file has them.

    `interleaved` says that the rotated pairs of queries and keys are neighbours in files, as ggml's
    plain rope wants them; `partial` that heads may be rotated in part; `qkv_bias` that queries,
    keys and values have biases whatever the file holds. `latent` that the keys of sizes of heads
    are those of latents, and that `yarn_log_multiplier` is where yarn's growth counts. `biases` are
    the roles of tensors of a block that may have one (None: any), `required` tensors that llama.cpp
    does not do without, and `copies(cfg)` those that it wants and does not use, with whose content
    they are written where a folder has none. `untyped` says that the factors of longrope need no
    type beside them.
    """

    names: NameMap
    keys: tuple[Key, ...] = ()
    architecture: str = ""
    architecture_of: Callable[[Any], str] | None = None
    rules: Callable[[Any], tuple[WeightConverter, ...]] | None = None
    constants: Mapping[str, Any] | None = None
    read: Callable[[Fields, WeightSource], Mapping[str, Any]] | None = None
    write: Callable[[Any], Mapping[str, tuple[Kind, Any]]] | None = None
    attributes: Mapping[str, Any] | None = None
    interleaved: bool = False
    partial: bool = False
    qkv_bias: bool = False
    latent: bool = False
    biases: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    copies: Callable[[Any], Mapping[str, str]] | None = None
    untyped: bool = False

    def but(
        self, names: Mapping[str, str] | None = None, keys: tuple[Key, ...] = (), **changes: Any
    ) -> GGUFLayout:
        """The layout with further names and keys, which replace those of the same stem or name."""
        given = {key.name for key in keys}
        kept = tuple(key for key in self.keys if key.name not in given)
        return replace(self, names=self.names.extended(names or {}), keys=(*kept, *keys), **changes)


def added(offset: float) -> TensorMap:
    """Values that files hold without an offset; the model's norms have `weight + 1` there."""
    return TensorMap(lambda x: x + offset, lambda x: x - offset, values=True)


DECODER_KEYS = (
    Key("block_count", "num_hidden_layers"),
    Key("context_length", "max_position_embeddings", default=2048),
    Key("embedding_length", "hidden_size"),
    Key("feed_forward_length", "intermediate_size"),
    Key("attention.head_count", "num_attention_heads"),
    Key("attention.head_count_kv", "num_key_value_heads"),
    Key("attention.key_length", "head_dim"),
    Key("attention.layer_norm_rms_epsilon", "rms_norm_eps", "f32", default=1e-6),
    Key("rope.freq_base", "rope_theta", "f32", default=10000.0),
)


def decoder_keys(epsilon: str) -> tuple[Key, ...]:
    """Those of decoders with LayerNorm, whose `epsilon` is what config.json calls it."""
    eps = Key("attention.layer_norm_epsilon", epsilon, "f32", attribute="rms_norm_eps")
    return (*(key for key in DECODER_KEYS if key.field != "rms_norm_eps"), eps)


_LAYER = "model.layers.{}."
GGUF_DECODER = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "model.embed_tokens",
            "output_norm": "model.norm",
            "output": "lm_head",
            "blk.{}.attn_norm": _LAYER + "input_layernorm",
            "blk.{}.attn_q": _LAYER + "self_attn.q_proj",
            "blk.{}.attn_k": _LAYER + "self_attn.k_proj",
            "blk.{}.attn_v": _LAYER + "self_attn.v_proj",
            "blk.{}.attn_output": _LAYER + "self_attn.o_proj",
            "blk.{}.attn_q_norm": _LAYER + "self_attn.q_norm",
            "blk.{}.attn_k_norm": _LAYER + "self_attn.k_norm",
            "blk.{}.ffn_norm": _LAYER + "post_attention_layernorm",
            "blk.{}.ffn_gate": _LAYER + "mlp.gate_proj",
            "blk.{}.ffn_up": _LAYER + "mlp.up_proj",
            "blk.{}.ffn_down": _LAYER + "mlp.down_proj",
        }
    ),
    keys=DECODER_KEYS,
)
# llama.cpp's converter reorders the rows of q_proj and k_proj for rotated neighbours.
GGUF_LLAMA = replace(
    GGUF_DECODER,
    architecture="llama",
    interleaved=True,
    biases=("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"),
)


_OFFSET_NORMS = {
    "output_norm": "model.norm",
    "blk.{}.attn_norm": _LAYER + "input_layernorm",
    "blk.{}.attn_q_norm": _LAYER + "self_attn.q_norm",
    "blk.{}.attn_k_norm": _LAYER + "self_attn.k_norm",
    "blk.{}.post_attention_norm": _LAYER + "post_attention_layernorm",
    "blk.{}.ffn_norm": _LAYER + "pre_feedforward_layernorm",
    "blk.{}.post_ffw_norm": _LAYER + "post_feedforward_layernorm",
}
# Norms behind both parts of a layer.
POST_NORM_NAMES = {
    "blk.{}.post_attention_norm": _LAYER + "post_attention_layernorm",
    "blk.{}.post_ffw_norm": _LAYER + "post_feedforward_layernorm",
}


def offset_norms(cfg: Any) -> tuple[WeightConverter, ...]:
    """Norms of Gemma 2 and 3, of which files hold what they multiply by, `1 + weight`."""
    return tuple(
        mapped(f"{stored}.weight", f"{own}.weight", added(-1.0))
        for stored, own in _OFFSET_NORMS.items()
    )


def layer_norm_keys(field: str) -> tuple[Key, ...]:
    """`DECODER_KEYS` for layer norms, whose `field` in config.json is another."""
    own = Key("attention.layer_norm_epsilon", field, "f32", attribute="rms_norm_eps")
    return (*(key for key in DECODER_KEYS if key.field != "rms_norm_eps"), own)


_WINDOW = "attention.sliding_window"


def write_windows(cfg: Any) -> dict[str, tuple[Kind, Any]]:
    """The window of a decoder, and which layers have it."""
    if not cfg.sliding_windows:
        return {}
    which = [bool(window) for window in cfg.sliding_windows]
    return {
        _WINDOW: ("u32", max(cfg.sliding_windows)),
        f"{_WINDOW}_pattern": ("arr[bool]", which),
    }


def windows_every(period: int) -> Callable[[Fields, WeightSource], dict[str, Any]]:
    """A reader of windows that all layers but each `period`-th have where no pattern stands."""

    def read(fields: Fields, source: WeightSource) -> dict[str, Any]:
        layers, which = fields.integer("block_count"), fields.get(f"{_WINDOW}_pattern")
        if which is None or type(which) is int:
            every = which or period
            which = [bool((i + 1) % every) for i in range(layers)]
        kinds = ("full_attention", "sliding_attention")
        if isinstance(which, str) or len(which) < layers:
            raise fields.error(f"{_WINDOW}_pattern", f"{layers} flags", which)
        found = fields.integer(_WINDOW, 0, low=0) or None
        return {
            "sliding_window": found,
            "layer_types": [kinds[bool(each and found)] for each in which[:layers]],
        }

    return read
