"""How state spaces stand in GGUF files: what llama.cpp's converter of Mamba writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, Kind
from tallow.weights import NameMap, WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, mapped, rename

# Files have -exp(A_log), and a convolution without the axis of length 1.
DECAY = TensorMap(lambda x: (-x).log(), lambda x: -x.exp(), values=True)

CONV = TensorMap(
    lambda x: x.unsqueeze(1),
    lambda x: x.squeeze(1),
    lambda shape: (shape[0], 1, *shape[1:]),
    lambda shape: (shape[0], *shape[2:]),
    values=True,  # so that files have f32, which llama.cpp wants here
)
# Of a number for each head, files make a column.
COLUMN = TensorMap(
    lambda x: x.flatten(),
    lambda x: x.unsqueeze(-1),
    lambda shape: (shape[0],),
    lambda shape: (*shape, 1),
    values=True,
)
DECAY_COLUMN = TensorMap(
    lambda x: (-x).log().flatten(),
    lambda x: -x.exp().unsqueeze(-1),
    lambda shape: (shape[0],),
    lambda shape: (*shape, 1),
    values=True,
)


def scan_rules(mixer: str) -> tuple[WeightConverter, ...]:
    """What is computed of a mixer of Mamba 1 under the name `mixer`."""
    return (
        mapped("blk.{}.ssm_a", f"{mixer}.A_log", DECAY),
        rename("blk.{}.ssm_d", f"{mixer}.D"),
        mapped("blk.{}.ssm_conv1d.weight", f"{mixer}.conv1d.weight", CONV),
    )


def head_rules(mixer: str, inner: int, groups: int) -> tuple[WeightConverter, ...]:
    """What is computed of a mixer of Mamba 2; its norm stands in rows of groups."""
    norm = TensorMap(
        lambda x: x.flatten(),
        lambda x: x.reshape(groups, inner // groups),
        lambda shape: (inner,),
        lambda shape: (groups, inner // groups),
        values=True,
    )
    return (
        mapped("blk.{}.ssm_a", f"{mixer}.A_log", DECAY_COLUMN),
        mapped("blk.{}.ssm_d", f"{mixer}.D", COLUMN),
        mapped("blk.{}.ssm_conv1d.weight", f"{mixer}.conv1d.weight", CONV),
        mapped("blk.{}.ssm_norm.weight", f"{mixer}.norm.weight", norm),
        rename("blk.{}.ssm_dt.bias", f"{mixer}.dt_bias"),
    )


def key_heads(fields: Fields) -> tuple[int, list[bool]]:
    """How many heads keys have, and which layers attend: those that have some.

    Raises:
        ModelError: the file does not say it for each layer, or numbers differ.
    """
    layers = fields.integer("block_count")
    heads = fields.get("attention.head_count_kv")
    heads = [heads] * layers if type(heads) is int else heads
    good = isinstance(heads, Sequence) and len(heads) == layers
    given = {count for count in heads if count} if good else set()
    if not good or len(given) > 1:
        wanted = f"{layers} numbers, 0 or another one"
        raise fields.error("attention.head_count_kv", wanted, heads)
    return max(*given, 1, 1), [bool(count) for count in heads]


def write_key_heads(heads: int, attends: Sequence[bool]) -> tuple[Kind, Any]:
    """The same for a file."""
    return "arr[i32]", [heads * each for each in attends]


MIXED_KEYS = (Key("attention.head_count_kv", "num_key_value_heads", layers=True),)
_LAYER = "backbone.layers.{}."
NAMES = {
    "token_embd": "backbone.embeddings",
    "output_norm": "backbone.norm_f",
    "output": "lm_head",
    "blk.{}.attn_norm": _LAYER + "norm",
    "blk.{}.ssm_in": _LAYER + "mixer.in_proj",
    "blk.{}.ssm_conv1d": _LAYER + "mixer.conv1d",
    "blk.{}.ssm_out": _LAYER + "mixer.out_proj",
}
KEYS = (
    Key("block_count", "num_hidden_layers"),
    Key("context_length", "max_position_embeddings"),
    Key("embedding_length", "hidden_size"),
    Key("ssm.conv_kernel", "conv_kernel"),
    Key("ssm.state_size", "state_size"),
    Key("attention.layer_norm_rms_epsilon", "layer_norm_epsilon", "f32", default=1e-5),
)


def read_mixers(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """What sizes and tensors tell: the factor of the width, and which biases there are."""
    width = fields.integer("embedding_length")
    inner = fields.integer("ssm.inner_size", high=64 * width)
    if inner / width * width != inner:
        raise fields.error("ssm.inner_size", f"a multiple of {width}", inner)
    return {
        "expand": inner / width,
        "use_bias": "blk.0.ssm_in.bias" in source,
        "use_conv_bias": "blk.0.ssm_conv1d.bias" in source,
    }


def write_sizes(cfg: Any) -> dict[str, tuple[Kind, Any]]:
    """Keys that llama.cpp asks for beside those that are read.

    Raises:
        ModelError: llama.cpp has no code for what the config says.
    """
    from tallow.errors import ModelError

    good = cfg.inner == 2 * cfg.hidden_size and cfg.use_conv_bias and not cfg.use_bias
    if not good:
        wanted = "expand 2, use_conv_bias and no use_bias in a Mamba for GGUF"
        found = f"expand {cfg.expand:g}, {cfg.use_conv_bias} and {cfg.use_bias}"
        raise ModelError(f"config: expected {wanted}, found {found}")
    return {
        "ssm.inner_size": ("u32", cfg.inner),
        "feed_forward_length": ("u32", 0),
        "attention.head_count": ("u32", 0),
    }


def _scan(_: Any) -> tuple[WeightConverter, ...]:
    return scan_rules(_LAYER + "mixer")


def _heads(cfg: Any) -> tuple[WeightConverter, ...]:
    return head_rules(_LAYER + "mixer", cfg.inner, cfg.n_groups)


GGUF_SCAN = GGUFLayout(
    names=NameMap(
        {
            **NAMES,
            "blk.{}.ssm_x": _LAYER + "mixer.x_proj",
            "blk.{}.ssm_dt": _LAYER + "mixer.dt_proj",
        }
    ),
    keys=(*KEYS, Key("ssm.time_step_rank", "time_step_rank", attribute="rank")),
    architecture="mamba",
    rules=_scan,
    read=read_mixers,
    write=write_sizes,
    biases=(),
)


def _read_heads(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    heads = fields.integer("ssm.time_step_rank")
    inner = fields.integer("ssm.inner_size")
    if inner % heads:
        raise fields.error("ssm.time_step_rank", f"a divisor of ssm.inner_size {inner}", heads)
    return {**read_mixers(fields, source), "head_dim": inner // heads}


GGUF_HEADS = GGUFLayout(
    names=NameMap(NAMES),
    keys=(
        *KEYS,
        Key("ssm.time_step_rank", "num_heads"),
        Key("ssm.group_count", "n_groups"),
    ),
    architecture="mamba2",
    rules=_heads,
    read=_read_heads,
    write=write_sizes,
    biases=(),
)
