"""What an adapter's file holds, by the modules of a model: all that does not fit, in one error."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tallow.adapters.config import LoraConfig
from tallow.adapters.parts import LowRank, OtherBias, Part, Whole, is_table, matrix_shape
from tallow.dtype import f32
from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, field
from tallow.nn import Module
from tallow.tensor import Tensor
from tallow.weights.patterns import pattern

_MOST_TOLD = 20
_ALIKE = 0.05  # of the length of a table, which rounding to blocks stays below


@dataclass
class Contents:
    """Tensors of an adapter by the path of their module, in the order of its file.

    `low` has what belongs to low-rank products by its name (`A` `(r, in)`, `B` `(out, r)`, `bias`,
    `magnitude`), `biases` those that stand in the place of others, `wholes` the tensors of whole
    modules by name, `bases` weights of the base model, which some files repeat.
    """

    where: str
    config: LoraConfig
    low: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    biases: dict[str, Tensor] = field(default_factory=dict)
    wholes: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    bases: dict[str, Tensor] = field(default_factory=dict)

    def renamed(self, place: Callable[[str], str | None], problems: list[str]) -> Contents:
        """The same by the paths that `place` finds for them; the others are told."""
        made = Contents(self.where, self.config)
        for kind in ("low", "biases", "wholes", "bases"):
            for path, value in getattr(self, kind).items():
                found = place(path)
                if found is None:
                    problems.append(f"{path}: expected a module of the model, found none")
                else:
                    getattr(made, kind)[found] = value
        return made


def place_in(model: Any) -> Callable[[str], str | None]:
    """A function from the path of a module in transformers to its path in a model.

    Paths may have the prefix of the model without a head or lack it, and may be those that the
    model's files use where they differ from its own.
    """
    known = {path for path, _ in model.named_modules() if path}
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    arrangement = getattr(model, "arrangement", None)
    rules = [] if arrangement is None else [r for r in arrangement(()) if r.way == "same"]

    def place(path: str) -> str | None:
        names = [path, f"{prefix}{path}", path.removeprefix(prefix)]
        for rule in rules:
            match = pattern(rule.stored[0]).match(f"{path}.weight")
            if match is not None:
                names.append(pattern(rule.visible[0]).fill(match[0]).removesuffix(".weight"))
        return next((name for name in names if name in known), None)

    return place


def parts_of(contents: Contents, model: Any, *, trainable: bool = False) -> dict[str, list[Part]]:
    """The parts that an adapter adds to modules of the model, by their paths.

    Raises:
        ModelError: names or shapes that do not fit, all of them in one.
    """
    problems: list[str] = []
    placed = contents.renamed(place_in(model), problems)
    modules = dict(model.named_modules())
    made: dict[str, list[Part]] = {}
    for path, whole in placed.wholes.items():
        part = _whole(path, whole, modules[path], problems, trainable)
        made.setdefault(path, []).append(part)
    for path, tensors in placed.low.items():
        low = _low_rank(path, tensors, modules[path], placed.config, problems, trainable)
        if low is not None:
            made.setdefault(path, []).append(low)
    for path, bias in placed.biases.items():
        _check_bias(path, bias, modules[path], problems)
        made.setdefault(path, []).append(OtherBias(bias.to(f32), trainable=trainable))
    for path, base in placed.bases.items():
        _check_base(path, base, modules[path], problems)
    if problems:
        told = "\n  ".join(problems[:_MOST_TOLD])
        rest = len(problems) - _MOST_TOLD
        more = f"\n  and {rest} more" if rest > 0 else ""
        raise ModelError(f"{contents.where}: the adapter does not fit the model:\n  {told}{more}")
    if not made:
        raise ModelError(f"{contents.where}: expected tensors of an adapter, found none")
    return made


def _low_rank(
    path: str,
    tensors: Mapping[str, Tensor],
    module: Module,
    config: LoraConfig,
    problems: list[str],
    trainable: bool,
) -> LowRank | None:
    shape = matrix_shape(module)
    if shape is None:
        kind = type(module).__name__
        problems.append(f"{path}: expected a linear layer or a table of vectors, found {kind}")
        return None
    if "A" not in tensors or "B" not in tensors:
        missing = "A" if "B" in tensors else "B"
        problems.append(f"{path}: lora_{missing}: expected a tensor, found nothing")
        return None
    rank = config.rank(path)
    bad = _misfits(path, tensors, module, shape, config)
    problems += bad
    if bad:
        return None
    a = tensors["A"]
    return LowRank(
        _own(a.transpose(0, 1) if is_table(module) else a),
        _own(tensors["B"]),
        config.scale(path, rank),
        bias=_own(tensors.get("bias")),
        magnitude=_own(tensors.get("magnitude")),
        dropout=config.lora_dropout,
        trainable=trainable,
    )


def _misfits(
    path: str,
    tensors: Mapping[str, Tensor],
    module: Module,
    shape: tuple[int, int],
    config: LoraConfig,
) -> list[str]:
    """What is wrong with the tensors of a product."""
    (out, size), rank = shape, config.rank(path)
    wanted = {"A": (rank, size), "B": (out, rank), "bias": (out,), "magnitude": (out,)}
    bad = [
        f"{path}: lora_{name}: expected shape {wanted[name]}, found {tuple(value.shape)}"
        for name, value in tensors.items()
        if tuple(value.shape) != wanted[name]
    ]
    if is_table(module) and "magnitude" in tensors:
        bad.append(f"{path}: expected no magnitude for a table of vectors, found one")
    if config.use_dora != ("magnitude" in tensors):
        bad.append(f"{path}: use_dora: expected {not config.use_dora}, as the tensors say")
    return bad


def _own(value: Any) -> Any:
    """The tensor in f32 and memory of its own: a file may be replaced while it is in use."""
    return None if value is None else value.to(f32).contiguous().clone()


def _whole(
    path: str, tensors: Mapping[str, Tensor], module: Module, problems: list[str], trainable: bool
) -> Whole:
    made = Whole(module, trainable=trainable)
    held = dict(made.module.named_parameters())
    for name in held.keys() | tensors.keys():
        found, own = tensors.get(name), held.get(name)
        if found is None or own is None:
            wanted, got = ("no such tensor", "one") if own is None else ("a tensor", "nothing")
            problems.append(f"{path}.{name}: expected {wanted}, found {got}")
        elif found.shape != own.shape:
            wanted = f"shape {tuple(own.shape)}"
            problems.append(f"{path}.{name}: expected {wanted}, found {tuple(found.shape)}")
        else:
            own.data = _own(found)
    return made


def _check_bias(path: str, bias: Tensor, module: Module, problems: list[str]) -> None:
    shape = matrix_shape(module)
    own = getattr(module, "bias", None)
    wanted = tuple(own.shape) if own is not None else shape[:1] if shape is not None else None
    if tuple(bias.shape) != wanted:
        found = tuple(bias.shape)
        problems.append(f"{path}.bias: expected shape {wanted}, found {found}")


def _check_base(path: str, base: Tensor, module: Module, problems: list[str]) -> None:
    """What PEFT repeats of the base model must be like it: here the base stays as it is."""
    own = getattr(module, "weight", None)
    if own is None or own.shape != base.shape:
        wanted = None if own is None else tuple(own.shape)
        problems.append(f"{path}.base_layer: expected shape {wanted}, found {tuple(base.shape)}")
        return
    plain, other = own.detach().to(f32), base.to(f32)
    gap = (plain - other).square().sum().sqrt().item()
    if not gap <= _ALIKE * plain.square().sum().sqrt().item():
        problems.append(f"{path}.base_layer: expected the base model's weight, found another")


def names_of(paths: Collection[str]) -> str:
    """A few paths, for a message."""
    shown = ", ".join(sorted(paths)[:4])
    return shown + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
