"""How Gemma 3n stands in GGUF files.

Source: llama.cpp's `conversion/gemma.py` and, for what it takes for granted, `models/gemma3n.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.lending_gguf import LENDING_KEYS, LENDING_NAMES, read_kinds_of, write_kinds_of
from tallow.ops import cat
from tallow.weights.arrange import TensorMap, WeightConverter, mapped, rename, split

if TYPE_CHECKING:
    from tallow.models.fields import Fields
    from tallow.weights import WeightSource

PERIOD = 5  # each so many layers one attends to all
SPARSE_LAYERS, SPARSITY = 10, 0.95  # the first layers, and the share of gates that they drop
_LENDERS = 20  # layers with keys of their own, which llama.cpp has in its code
_BOUND = 30.0  # of logits, as fixed
_ROWS = "vocab_size_per_layer_input"


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    found = read_kinds_of(fields, source, PERIOD)
    bounds = fields.get("activation_sparsity_scale")
    if bounds is not None:
        good = isinstance(bounds, Sequence) and not isinstance(bounds, str)
        if not good or not all(isinstance(each, float) for each in bounds):
            raise fields.error("activation_sparsity_scale", "numbers", bounds)
        shares = [round(NormalDist().cdf(each), 6) for each in bounds]
        found["activation_sparsity_pattern"] = shares
    for field, name in (("laurel_rank", "blk.0.laurel_l"), (_ROWS, "per_layer_token_embd")):
        if f"{name}.weight" in source:
            found[field] = source.info(f"{name}.weight").shape[0]
    return found


def _to_file(cfg: Any) -> dict[str, tuple[Kind, Any]]:
    layers = cfg.num_hidden_layers
    sparse = min(SPARSE_LAYERS, layers)
    usual = (cfg.altup_num_inputs, cfg.altup_active_idx, cfg.altup_correct_scale) == (4, 0, True)
    usual = usual and cfg.sparsity == (SPARSITY,) * sparse + (0.0,) * (layers - sparse)
    if not usual or cfg.lenders != min(_LENDERS, layers) or cfg.logit_softcap != _BOUND:
        wanted = f"4 streams, {SPARSE_LAYERS} sparse layers, {_LENDERS} that make keys and logits"
        raise ModelError(f"config: expected {wanted} below {_BOUND}, as llama.cpp has, for GGUF")
    bound = NormalDist().inv_cdf(SPARSITY)
    bounds = [bound] * sparse + [-math.inf] * (layers - sparse)
    return {**write_kinds_of(cfg), "activation_sparsity_scale": ("arr[f32]", bounds)}


def _borrowed(cfg: Any) -> dict[str, str]:
    """Tensors of layers that borrow, which llama.cpp wants although it reads none of them."""
    return {
        f"blk.{i}.{role}.weight": f"blk.{cfg.lender(i)}.{role}.weight"
        for i in range(cfg.lenders, cfg.num_hidden_layers)
        for role in ("attn_k", "attn_v", "attn_k_norm")
    }


def _rules(cfg: Any) -> tuple[WeightConverter, ...]:
    """Projections of streams are stacked, and each word has a row for each layer."""
    size, others, rows = cfg.hidden_size, cfg.altup_num_inputs - 1, cfg.vocab_size_per_layer_input
    flat = TensorMap(
        lambda x: x.reshape(-1, size),
        lambda x: x.reshape(others, size, size),
        lambda shape: (shape[0] * shape[1], shape[2]),
        lambda shape: (others, size, size),
    )
    words, missing = "model.embed_tokens_per_layer.weight", cfg.vocab_size - rows if rows else 0
    filled = TensorMap(
        lambda x: x,
        lambda x: cat([x, *[x.narrow(0, 0, 1)] * missing]),
        None,
        lambda shape: (shape[0] + missing, shape[1]),
    )
    found = [mapped("per_layer_token_embd.weight", words, filled)] if missing else []
    for theirs, own in (("proj", "projections"), ("unembd_proj", "unembed_projections")):
        every = (f"model.altup_{own}.{i}.weight" for i in range(others))
        found += [
            mapped(f"altup_{theirs}.weight", f"altup_{theirs}.rows", flat),
            split(f"altup_{theirs}.rows", *every),
        ]
    return (*found, rename("blk.{}.altup_correct_scale.weight", _ALTUP + "correct_output_scale"))


_LAYER = "model.layers.{}."
_ALTUP, _LAUREL = _LAYER + "altup.", _LAYER + "laurel."
LAYOUT = GGUF_DECODER.but(
    names={
        **LENDING_NAMES,
        "blk.{}.altup_correct_coef": _ALTUP + "correction_coefs",
        "blk.{}.altup_predict_coef": _ALTUP + "prediction_coefs",
        "blk.{}.altup_router": _ALTUP + "modality_router",
        "blk.{}.altup_router_norm": _ALTUP + "router_norm",
        "blk.{}.laurel_l": _LAUREL + "linear_left",
        "blk.{}.laurel_r": _LAUREL + "linear_right",
        "blk.{}.laurel_post_norm": _LAUREL + "post_laurel_norm",
    },
    keys=(
        *LENDING_KEYS,
        Key("altup.num_inputs", "altup_num_inputs", default=4),
        Key("altup.active_idx", "altup_active_idx", default=0),
    ),
    architecture="gemma3n",
    rules=_rules,
    read=_of_file,
    write=_to_file,
    attributes={_ROWS: 0},
    copies=_borrowed,
    biases=(),
)
