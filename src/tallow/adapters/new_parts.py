"""Parts of a new adapter, with PEFT's first values: A at random, B zero."""

from __future__ import annotations

from typing import Any

from tallow.adapters.config import LoraConfig
from tallow.adapters.parts import (
    LowRank,
    OtherBias,
    Part,
    Whole,
    is_table,
    matrix_shape,
    plain_weight,
)
from tallow.adapters.targets import target_paths, whole_paths
from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import empty, zeros
from tallow.nn import Module
from tallow.nn.init import normal_, uniform_


def new_parts(model: Any, config: LoraConfig) -> dict[str, list[Part]]:
    """What a new adapter adds to modules of a model, by path; its parameters are trained."""
    modules = dict(model.named_modules())
    made: dict[str, list[Part]] = {}
    targets = target_paths(model, config)
    for path in targets:
        made[path] = [_low_rank(path, modules[path], config)]
    for path in whole_paths(model, config):
        made.setdefault(path, []).append(Whole(modules[path], trainable=True))
    if config.bias != "none":
        places = targets if config.bias == "lora_only" else list(modules)
        for path in places:
            bias = modules[path]._parameters.get("bias")
            if bias is not None:
                other = OtherBias(bias.detach().to(f32).clone(), trainable=True)
                made.setdefault(path, []).append(other)
    return made


def _low_rank(path: str, module: Module, config: LoraConfig) -> LowRank:
    shape = matrix_shape(module)
    assert shape is not None, "target_paths names no others"
    out, size = shape
    rank = config.rank(path)
    table = is_table(module)
    a = empty(size, rank) if table else empty(rank, size)
    b = empty(out, rank)
    if table:
        a.fill_(0.0)
        normal_(b)
    else:
        if config.init_lora_weights == "gaussian":
            normal_(a, 0.0, 1 / rank)
        else:
            uniform_(a, -(size**-0.5), size**-0.5)
        b.fill_(0.0)
    dora = config.use_dora
    fits = not (table and dora)
    expect(fits, "LoraConfig.use_dora", "linear layers", f"the table {path}", ArgumentError)
    return LowRank(
        a,
        b,
        config.scale(path, rank),
        bias=zeros(out) if config.lora_bias and not table else None,
        magnitude=plain_weight(module).square().sum(1).sqrt() if dora else None,
        dropout=config.lora_dropout,
        trainable=True,
    )
