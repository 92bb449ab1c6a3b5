"""What files have or lack: a base model's prefix (`bert.`), whole parts, and tied tensors twice."""

from __future__ import annotations

import re

from tallow.models.base import Model
from tallow.nn import deferred, param
from tallow.nn.state import targets
from tallow.weights import WeightSource


def with_prefix(model: Model, source: WeightSource) -> tuple[WeightSource, tuple[str, ...]]:
    """The source under names as `model` has them, and patterns of names that it has no use for.

    A model with a head finds the tensors of a file without the prefix; a model without a head those
    of a file with it, and leaves the head's.
    """
    source = _without_wrapper(model, source)
    prefix = model.base_model_prefix
    head = f"{prefix}."
    inside = [name for name in source.names() if name.startswith(head)]
    if not prefix or not source.names():
        return source, ()
    if isinstance(getattr(model, prefix, None), Model):
        if inside:
            return source, ()
        tops = {path.split(".")[0] for path, _ in targets(model)} - {prefix}
        moved = {n: head + n for n in source.names() if n.split(".")[0] not in tops}
        return source.rename(moved), ()
    if not inside:
        return source, ()
    others = [name for name in source.names() if not name.startswith(head)]
    return source.rename({n: n.removeprefix(head) for n in inside}), tuple(map(re.escape, others))


def adopt(model: Model, source: WeightSource) -> None:
    """Let modules that files hold in two forms (branches, or fused) become that of the source."""
    names = source.names()
    for path, part in list(model.named_modules()):
        become = getattr(part, "adopt", None)
        if become is not None:
            head = f"{path}."
            become(n.removeprefix(head) for n in names if n.startswith(head))


def _without_wrapper(model: Model, source: WeightSource) -> WeightSource:
    """The source without the `module.` that a model wrapped for several devices was saved with."""
    names, wrapper = source.names(), "module."
    if not names or hasattr(model, "module") or not all(n.startswith(wrapper) for n in names):
        return source
    return source.rename({name: name.removeprefix(wrapper) for name in names})


def leave_out(model: Model, source: WeightSource) -> None:
    """Take the optional parts out of `model` of which the source has no tensor.

    A head on a base model has asked for the parts that the base has, so that they must be there.
    """
    names = source.names()
    for path, part in list(model.named_modules()):
        asked = bool(path) and path == model.base_model_prefix
        for name in part.optional_parts if isinstance(part, Model) and not asked else ():
            head = f"{path}.{name}." if path else f"{name}."
            place, _, leaf = name.rpartition(".")
            owner = part.get_submodule(place) if place else part
            inner = getattr(owner, leaf, None)
            empty = inner is None or not list(targets(inner))
            if not empty and not any(n.startswith(head) for n in names):
                setattr(owner, leaf, None)


def untie(model: Model, source: WeightSource, *, by_shape: bool = False) -> None:
    """Part tied parameters that the source has twice, with different values.

    The file is then right and the config wrong, as in transformers. `by_shape` reads no values:
    what is of one shape and dtype stays tied.
    """
    held: dict[int, str] = {}
    for path, each in list(targets(model)):
        if path not in source:
            continue
        first = held.setdefault(id(each), path)
        if first == path or _alike(source, first, path, by_shape):
            continue
        owner, _, name = path.rpartition(".")
        with deferred():
            setattr(model.get_submodule(owner), name, param(*each.shape))


def _alike(source: WeightSource, one: str, other: str, by_shape: bool) -> bool:
    infos = source.info(one), source.info(other)
    if infos[0].dtype != infos[1].dtype or infos[0].shape != infos[1].shape:
        return False
    if by_shape:
        return True
    from tallow.formats.writing import same_bytes

    return same_bytes(source.take(one), source.take(other))
