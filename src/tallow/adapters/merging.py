"""Weights of a model with what adapters add to their products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from tallow.adapters.parts import LowRank, is_table
from tallow.adapters.sites import Selection, Site
from tallow.autograd.mode import no_grad
from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.ops import quantize
from tallow.tensor import Tensor

Quantized = Literal["refuse", "float", "requantize"]


@no_grad()
def merged_weights(
    sites: Mapping[str, Site], selection: Selection, quantized: Quantized
) -> dict[str, Tensor]:
    """The new weights by path, as their modules keep them.

    Raises:
        ArgumentError: a selected adapter brings more than products of low rank, or a weight is
            block-quantised and `quantized` says to refuse it.
    """
    kinds = get_args(Quantized)
    expect(quantized in kinds, "merge", f"quantized of {kinds}", repr(quantized), ArgumentError)
    for path, site in sites.items():
        _check(path, site, selection, quantized)
    found = ((path, _merged(site, selection, quantized)) for path, site in sites.items())
    return {path: weight for path, weight in found if weight is not None}


def _check(path: str, site: Site, selection: Selection, quantized: Quantized) -> None:
    parts = [(name, part) for name, _ in selection for part in site.parts.get(name, ())]
    for name, part in parts:
        plain = isinstance(part, LowRank) and part.bias is None
        kind = type(part).__name__
        expect(plain, "merge", "products of low rank alone", f"{kind} of {name} at {path}",
               ArgumentError)  # fmt: skip
    dora = any(getattr(part, "magnitude", None) is not None for _, part in parts)
    several = len(parts) > 1 and dora
    expect(not several, "merge", f"one adapter with magnitudes for {path}", "several",
           ArgumentError)  # fmt: skip
    dtype = site.module.weight.dtype
    allowed = not parts or dtype.kind == "f" or quantized != "refuse"
    wanted = 'float weights, or quantized="float" or "requantize"'
    expect(allowed, "merge", wanted, f"{path} of {dtype.name}", ArgumentError)


def _merged(site: Site, selection: Selection, quantized: Quantized) -> Tensor | None:
    module = site.module
    parts = [(part, weight) for name, weight in selection for part in site.parts.get(name, ())]
    if not parts:
        return None
    own: Tensor = module.weight.detach()
    whole: Tensor = own.to(f32)
    turned = is_table(module) or getattr(module, "fan_in_fan_out", False)
    for part, weight in parts:
        assert isinstance(part, LowRank), "checked before"
        if is_table(module):
            whole = whole + (part.lora_A.detach() @ part.lora_B.detach().t()) * part.scale * weight
        elif part.magnitude is not None:
            merged = part.merged(module, weight)
            whole = merged.transpose(0, 1) if turned else merged
        else:
            product = part.product(weight)
            whole = whole + (product.transpose(0, 1) if turned else product)
    if own.dtype.kind == "f":
        return whole.to(own.dtype)
    return whole if quantized == "float" else quantize(whole.contiguous(), own.dtype)
