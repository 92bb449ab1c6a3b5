"""Which modules of a model an adapter changes, by the rules of PEFT."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tallow.adapters.config import ALL_LINEAR, LoraConfig
from tallow.adapters.parts import is_table, matrix_shape
from tallow.errors import ModelError
from tallow.nn import Module

_HEADS = frozenset({"lm_head", "score", "classifier", "qa_outputs"})


def target_paths(model: Module, config: LoraConfig) -> list[str]:
    """Paths of the modules that get low-rank products.

    Raises:
        ModelError: no module is meant, or one that a low-rank product cannot change.
    """
    found = []
    for path, module in model.named_modules():
        if path and _is_meant(path, module, config):
            if matrix_shape(module) is None:
                wanted = "linear layers and tables of vectors"
                kind = type(module).__name__
                raise ModelError(f"LoraConfig.target_modules: expected {wanted}, {path} is {kind}")
            found.append(path)
    if not found:
        shown = str(config.target_modules)[:80]
        raise ModelError(f"LoraConfig.target_modules: expected modules of the model, got {shown}")
    return found


def whole_paths(model: Module, config: LoraConfig) -> list[str]:
    """Paths of the modules that are trained as a whole."""
    return [path for path, _ in model.named_modules() if _names(path, config.modules_to_save)]


def _is_meant(path: str, module: Module, config: LoraConfig) -> bool:
    if _matches(path, config.exclude_modules) or _names(path, config.modules_to_save):
        return False
    if config.target_modules == ALL_LINEAR:
        meant = matrix_shape(module) is not None and not is_table(module)
        meant = meant and path.rpartition(".")[2] not in _HEADS
    else:
        meant = _matches(path, config.target_modules)
    return meant and _in_layers(path, config)


def _matches(path: str, wanted: str | Sequence[str]) -> bool:
    if isinstance(wanted, str):
        return bool(wanted) and re.fullmatch(wanted, path) is not None
    return _names(path, wanted)


def _names(path: str, wanted: Sequence[str]) -> bool:
    return any(path == name or path.endswith(f".{name}") for name in wanted)


def _in_layers(path: str, config: LoraConfig) -> bool:
    if not config.layers_to_transform:
        return True
    names = "|".join(map(re.escape, config.layers_pattern)) or r"[^.]+"
    found = re.match(rf".*?\.(?:{names})\.(\d+)\.", f".{path}.")
    return found is not None and int(found[1]) in config.layers_to_transform
