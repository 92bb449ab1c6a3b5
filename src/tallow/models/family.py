"""The table of model families, and how each is read from a Hugging Face folder or a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from tallow.errors import ModelError
from tallow.formats.mapping import same_bytes
from tallow.models.blocks import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.gguf_config import read_gguf
from tallow.weights import Names, WeightSource

Model = TypeVar("Model", bound=Callable[[DecoderConfig], CausalLM])


@dataclass(frozen=True)
class GGUFForm:
    """How a family stands in GGUF files: the names of its tensors, and what is fixed.

    `interleaved` says that the rotated pairs of queries and keys are neighbours, as ggml's plain
    rope wants them; `qkv_bias` that queries, keys and values have biases whatever the file holds.
    """

    names: Names
    interleaved: bool = False
    qkv_bias: bool = False


@dataclass(frozen=True)
class Family:
    """A row of the table: `name` is Hugging Face's `model_type`."""

    name: str
    model: Callable[[DecoderConfig], CausalLM]
    config: type[DecoderConfig]
    gguf: GGUFForm | None


FAMILIES: dict[str, Family] = {}

# Tensors that files carry although a model computes them, or ties them to others.
IGNORABLE = (
    r".*rotary_emb\.inv_freq",
    r"rope_freqs\.weight",
    r".*\.attn_rot_embd\.weight",
    r".*\.attention\.masked_bias",
)

_LAYER = "model.layers.{}."
GGUF_DECODER = GGUFForm(
    names=Names(
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
)


def family(
    name: str, *, config: type[DecoderConfig], gguf: GGUFForm | None = None
) -> Callable[[Model], Model]:
    """Enter a model class into `FAMILIES` under its Hugging Face `model_type`."""

    def enter(model: Model) -> Model:
        FAMILIES[name] = Family(name, model, config, gguf)
        return model

    return enter


def identify(source: WeightSource) -> tuple[Family, DecoderConfig, WeightSource]:
    """The family of the weights, their config, and the source under the family's names.

    Raises:
        ModelError: the architecture is unknown, or a field of the config is unusable.
    """
    if source.config is not None:  # first, for its safetensors may carry GGUF metadata as text
        return _from_folder(source)
    if "general.architecture" in source.metadata:
        return _from_gguf(source)
    wanted = "a Hugging Face folder with config.json, or a GGUF file"
    raise ModelError(f"{source.path}: config: expected {wanted}, found weights without a config")


def _find(name: object, known: Mapping[str, Family], where: str) -> Family:
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        families = ", ".join(sorted(known))
        raise ModelError(
            f"{where}: expected one of the known families ({families}), found {name!r}"
        )
    return found


def _from_folder(source: WeightSource) -> tuple[Family, DecoderConfig, WeightSource]:
    values = source.config or {}
    where = source.path / "config.json"
    row = _find(values.get("model_type"), FAMILIES, f"{where}: model_type")
    return row, _as_tied(row.config.read(Fields(values, where)), source), source


def _as_tied(cfg: DecoderConfig, source: WeightSource) -> DecoderConfig:
    """`cfg`, untied where the file holds a head and an embedding with different values.

    The file is then right and the config wrong, as in transformers.
    """
    head, table = "lm_head.weight", "model.embed_tokens.weight"
    if not cfg.tie_word_embeddings or head not in source or table not in source:
        return cfg
    infos = source.info(head), source.info(table)
    alike = infos[0].dtype == infos[1].dtype and infos[0].shape == infos[1].shape
    if alike and same_bytes(source.take(head), source.take(table)):
        return cfg
    return replace(cfg, tie_word_embeddings=False)


def _from_gguf(source: WeightSource) -> tuple[Family, DecoderConfig, WeightSource]:
    metadata, where = source.metadata, f"{source.path}: general.architecture"
    known = {row.name: row for row in FAMILIES.values() if row.gguf is not None}
    row = _find(metadata["general.architecture"], known, where)
    form = row.gguf
    assert form is not None
    cfg = read_gguf(source, row.name)
    bias = cfg.qkv_bias or form.qkv_bias
    cfg = replace(cfg, rope_interleaved=form.interleaved, qkv_bias=bias)
    return row, cfg, source.rename(form.names)
