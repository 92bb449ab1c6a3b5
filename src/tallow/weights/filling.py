"""Fill a model's parameters and buffers from a source, or say all that does not fit at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tallow.device import Device, as_device
from tallow.dtype import DType, by_name, f32
from tallow.errors import ArgumentError, ModelError, TallowError
from tallow.lazy_dataclasses import dataclass
from tallow.nn import Module, Param
from tallow.nn.state import shape_mismatch, targets
from tallow.tensor import Tensor
from tallow.weights.source import MAX_LISTED, WeightSource

TOGETHER: Final = 1 << 28  # bytes that are fetched ahead of filling, from a source far away


def fill(
    model: Module,
    source: WeightSource,
    *,
    dtype: DType | None = None,
    blocks: DType | None = None,
    ignore: Iterable[str] = (),
    device: Device | str | None = None,
) -> None:
    """Fill every parameter and persistent buffer of `model` with the tensor of its path.

    Matrices borrow the file. `dtype` converts the float matrices (block-quantised ones stay);
    vectors take the dtype that their layer declared, buffers the one they have. `blocks` is the
    block dtype that float weights of linear layers and experts are rounded to, where it divides
    their rows; the others stay. `ignore` holds
    regular expressions of names that may stand unused in the source. A parameter shared by two
    modules needs a tensor under one of its paths. On `device="meta"` no tensor is read.

    Raises:
        ModelError: one line for every tensor that is missing, misshapen, of a dtype that the
            layer cannot use, that cannot be given in that dtype, or that no parameter asked for.
            The model is left unfilled then. Or no linear layer has float weights whose rows
            `blocks` divide.
    """
    place = as_device(device or "cpu")
    found = fit(model, source, dtype=dtype, ignore=ignore)
    mismatches = [
        *found.problems,
        *(
            f"{source.where(name)}: expected no such tensor, found {_found(source, name)}"
            for name in found.surplus
        ),
    ]
    if mismatches:
        raise ModelError(_report(model, source, mismatches))
    rounded: set[str] = set() if blocks is None else _rounded(model, source, found.chosen, blocks)
    for batch in _batches(source, found.chosen):
        if place.type != "meta":
            source.prefetch(name for _, name in batch)
        for param, name in batch:
            if blocks is not None and name in rounded:
                param.fill(_in_blocks(source, name, blocks, place))
            else:
                param.fill(source.take(name, _target(param, source.info(name).dtype, dtype), place))


@dataclass(frozen=True)
class FillPlan:
    """Which tensor fills each parameter, what is amiss in words, and what nothing asks for."""

    chosen: list[tuple[Param, str]]
    problems: list[str]
    surplus: list[str]


def fit(
    model: Module,
    source: WeightSource,
    *,
    dtype: DType | None = None,
    ignore: Iterable[str] = (),
) -> FillPlan:
    """Hold what a model asks for against what a source has, without reading a tensor.

    Arguments as of `load`.
    """
    paths: dict[int, list[str]] = {}
    declared: dict[int, Param] = {}
    for path, param in targets(model):
        paths.setdefault(id(param), []).append(path)
        declared[id(param)] = param
    chosen: list[tuple[Param, str]] = []
    mismatches: list[str] = list(source.problems)
    used: set[str] = set()
    for key, param in declared.items():
        used.update(paths[key])
        name = next((path for path in paths[key] if path in source), None)
        if name is None and param.optional:
            continue
        if name is None:
            mismatches.append(
                f"{source.where(paths[key][0])}: expected {_wanted(param)}, found nothing"
            )
            continue
        mismatch = _mismatch(param, source, name, dtype)
        if mismatch is None:
            chosen.append((param, name))
        else:
            mismatches.append(mismatch)
    skip = [re.compile(pattern) for pattern in ignore]
    surplus = [
        name
        for name in source.names()
        if name not in used and not any(pattern.fullmatch(name) for pattern in skip)
    ]
    return FillPlan(chosen, mismatches, surplus)


def _in_blocks(source: WeightSource, name: str, blocks: DType, place: Device) -> Tensor:
    try:
        return source.take(name, f32, place).to(blocks)
    except ArgumentError as error:
        raise ModelError(f"{source.where(name)}: {error}") from None


def _rounded(
    model: Module, source: WeightSource, chosen: list[tuple[Param, str]], blocks: DType
) -> set[str]:
    """Names of the float tensors that become blocks."""
    layers = (each for each in model.modules() if getattr(each, "quantizable", False))
    weights = {id(layer.weight) for layer in layers}
    names = {
        name
        for param, name in chosen
        if id(param.parameter) in weights
        and param.shape[-1] % blocks.block == 0
        and by_name(source.info(name).dtype).kind == "f"
    }
    if not names:
        wanted = f"float weights of linear layers with rows of blocks of {blocks.block}"
        raise ModelError(f"{source.label}: {blocks.name}: expected {wanted}, found none")
    return names


def _batches(
    source: WeightSource, chosen: list[tuple[Param, str]]
) -> Iterator[list[tuple[Param, str]]]:
    """`chosen` in the order of the file, in runs of at most `TOGETHER` bytes."""
    batch: list[tuple[Param, str]] = []
    size = 0
    for param, name in sorted(chosen, key=lambda pair: source.info(pair[1]).offset):
        nbytes = source.info(name).nbytes
        if batch and size + nbytes > TOGETHER:
            yield batch
            batch, size = [], 0
        batch.append((param, name))
        size += nbytes
    if batch:
        yield batch


_KINDS: Final = {
    "f": "a float tensor",
    "fc": "a float tensor",
    "fq": "a float or block-quantised tensor",
    "fcq": "a float or block-quantised tensor",
    "iu": "an integer tensor",
    "b": "a bool tensor",
}


def _mismatch(param: Param, source: WeightSource, name: str, dtype: DType | None) -> str | None:
    info = source.info(name)
    try:
        kind = by_name(info.dtype).kind
    except TallowError:
        kind = "unknown"
    if shape_mismatch(param, info.shape) or kind not in param.kinds or info.stored is not None:
        return f"{source.where(name)}: expected {_wanted(param)}, found {_found(source, name)}"
    problem = source.problem(name, _target(param, info.dtype, dtype))
    return None if problem is None else f"{source.where(name)}: {problem}"


def _target(param: Param, stored: str, wanted: DType | None) -> DType | None:
    if by_name(stored).kind not in "fc":
        return None if "f" in param.kinds else param.dtype
    return param.dtype or wanted


def _wanted(param: Param) -> str:
    return f"{_KINDS.get(param.kinds, param.kinds)} of shape {param.shape}"


def _found(source: WeightSource, name: str) -> str:
    info = source.info(name)
    if info.stored is not None:
        return f"{info.stored.dtype} of shape {info.stored.shape}, kept as bytes"
    part = source.part_of(name)
    return f"{info.dtype} of shape {tuple(info.shape)}{part}"


def _report(model: Module, source: WeightSource, mismatches: list[str]) -> str:
    lines = mismatches[:MAX_LISTED]
    if len(mismatches) > MAX_LISTED:
        lines.append(f"… and {len(mismatches) - MAX_LISTED} more")
    head = f"{source.label}: {len(mismatches)} tensors do not fit {type(model).__name__}:"
    return "\n  ".join([head, *lines])
