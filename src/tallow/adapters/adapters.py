"""Adapters: the low-rank changes of a model: loaded, made, selected, merged and saved."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast
from weakref import ref

from tallow.adapters.config import LoraConfig
from tallow.adapters.contents import Contents, parts_of
from tallow.adapters.gguf_files import read_gguf_adapter
from tallow.adapters.merging import Quantized, merged_weights
from tallow.adapters.new_parts import new_parts
from tallow.adapters.parts import LowRank, Part
from tallow.adapters.peft_files import is_peft, read_peft, write_peft
from tallow.adapters.row_order import Order, order_of, reordered
from tallow.adapters.sites import Active, Selection, Site, refuse_rivals, selection_of
from tallow.errors import ArgumentError, ConfigWarning, ModelError, expect
from tallow.nn import Module, ModuleDict, ModuleList, Parameter
from tallow.tensor import Tensor

Selected = str | Sequence[str] | Mapping[str, float]


def adapters_of(model: Any) -> Adapters:
    """The adapters of a model, none at first; one object for the model's life."""
    found = model._modules.get("adapters")
    if found is None:
        found = Adapters(model)
        model.adapters = found
    good = isinstance(found, Adapters)
    expect(good, "adapters", "a model without a part of that name", type(model), ArgumentError)
    found._model = ref(model)  # of a copied model it was the other's
    return cast(Adapters, found)


class Adapters(Module):
    """The adapters of one model by name, and which of them are `active`.

    The model's matrices stay as they are, in whatever dtype, and what active adapters change is
    added to their products: `y = W x + weight * scale * B A x`. Each is a module of the model below
    `adapters`, so that optimizers find its parameters. What generates notices every change.
    """

    def __init__(self, model: Any) -> None:
        self.held = ModuleDict()
        self.configs: dict[str, LoraConfig] = {}
        self._model = ref(model)
        self._selection = Active()
        self._sites: dict[str, Site] = {}
        self._merged: dict[str, Parameter] = {}
        self._serials: dict[str, int] = {}
        self._loaded = 0

    @property
    def model(self) -> Any:
        """The model that they belong to."""
        found = self._model()
        if found is None:
            raise ModelError("adapters: expected a model that is in use, got one that is gone")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all adapters."""
        return tuple(self.configs)

    @property
    def active(self) -> dict[str, float]:
        """The weights of the adapters that calls use, or that are merged."""
        return dict(self.selection)

    @property
    def selection(self) -> Selection:
        """`active`, as what calls of this thread use now."""
        return self._selection.now

    def key(self, selection: Selection) -> tuple[object, ...]:
        """What tells whether keys and values were computed with the same weights.

        It changes when adapters are trained, too.
        """
        parameters = [p for name, _ in selection for p in self.held[name].parameters()]
        versions = sum(parameter._array.storage_version for parameter in parameters)
        named = tuple((self._serials[name], weight) for name, weight in selection)
        return named, versions, bool(self._merged)

    def load(
        self,
        ref: str | os.PathLike[str],
        name: str | None = None,
        *,
        trainable: bool = False,
    ) -> str:
        """Load an adapter under a name, its file's or folder's at first; it is not active yet.

        `ref` is a folder in PEFT's layout or a GGUF file, as a path or a reference of `tallow.hub`.

        Raises:
            HubError, FormatError: it cannot be fetched or read.
            ModelError: it is of another method, or does not fit the model; all misfits in one.
            ArgumentError: the name is taken.
        """
        from tallow.hub import resolve

        path, model = resolve(ref), self.model
        name = self._unused(path.stem.replace(".", "-")) if name is None else name
        self._check_name(name)
        order: Order = "hf"
        if is_peft(path):
            contents = read_peft(path)
        elif path.is_dir():
            raise ModelError(f"{path}: expected adapter_config.json in the folder, found none")
        else:
            contents, order = read_gguf_adapter(path, model)
        contents = reordered(contents, model, order, order_of(model))
        self._hold(name, contents.config, parts_of(contents, model, trainable=trainable))
        return name

    def add(self, config: LoraConfig | None = None, name: str = "default") -> str:
        """A new adapter, active and to be trained: all other parameters get no gradients.

        It changes nothing at first, for B is zero.

        Raises:
            ArgumentError: the name is taken.
            ModelError: the config names no module, or one that cannot be changed.
        """
        config = LoraConfig() if config is None else config
        self._check_name(name)
        model = self.model
        made = new_parts(model, config)
        model.requires_grad_(False)
        for parts in made.values():
            for part in parts:
                part.requires_grad_(True)
        self._hold(name, config, made)
        self.set({**self.active, name: 1.0})
        return name

    def set(self, selected: Selected) -> None:
        """Use these adapters, by names or by names with weights, and no others.

        Raises:
            ArgumentError: an unknown name, or several that bring something for one place.
            ModelError: some are merged.
        """
        self._refuse_merged("set")
        chosen = selection_of(selected, self.configs)
        refuse_rivals(chosen, self._sites)
        self._selection.default = chosen
        self._changed()

    @contextmanager
    def using(self, selected: Selected | Selection) -> Iterator[None]:
        """In this block, calls of this thread use these adapters and no others."""
        self._refuse_merged("using")
        given = dict(selected) if isinstance(selected, tuple) else selected
        chosen = selection_of(given, self.configs)
        refuse_rivals(chosen, self._sites)
        with self._selection.using(chosen):
            yield

    def remove(self, name: str) -> None:
        """Let go of an adapter."""
        self._refuse_merged("remove")
        self._check_known(name)
        del self.held[name]
        del self.configs[name]
        for path, site in list(self._sites.items()):
            site.parts.pop(name, None)
            if not site.parts:
                site.detach()
                del self._sites[path]
        self._selection.default = tuple(pair for pair in self.selection if pair[0] != name)
        self._changed()

    def merge(self, *, quantized: Quantized = "refuse") -> None:
        """Write what the active adapters add into the model's weights, which then cost no more.

        Block-quantised weights are refused; `quantized="float"` makes f32 of them, `"requantize"`
        rounds the sums to their dtype again, which loses some of what was learnt. `unmerge` brings
        the weights back, bit for bit.

        Raises:
            ArgumentError: an adapter brings whole modules or biases, or a weight is quantised.
            ModelError: some are merged already.
        """
        self._refuse_merged("merge")
        if quantized == "requantize":
            told = "merged weights are rounded to blocks again, which loses some of the adapter"
            warnings.warn(told, ConfigWarning, stacklevel=2)
        new = merged_weights(self._sites, self.selection, quantized)
        for path, weight in new.items():
            module = self._sites[path].module
            self._merged[path] = module.weight
            module.weight = Parameter(weight, False)
        for site in self._sites.values():
            site.detach()
        self._changed()

    def unmerge(self) -> None:
        """Give the model its own weights back; what was active is again."""
        for path, weight in self._merged.items():
            self._sites[path].module.weight = weight
        self._merged = {}
        for site in self._sites.values():
            site.attach()
        self._changed()

    def parts(self, name: str) -> dict[str, list[Part]]:
        """What an adapter adds, by the path of the module."""
        self._check_known(name)
        return {p: site.parts[name] for p, site in self._sites.items() if name in site.parts}

    def trainable(self) -> list[Parameter]:
        """The parameters of the active adapters that get gradients."""
        return [
            parameter
            for name, _ in self.selection
            for parameter in self.held[name].parameters()
            if parameter.requires_grad
        ]

    def save(self, folder: str | os.PathLike[str], name: str | None = None) -> None:
        """Write an adapter, the only active one at first, as a folder in PEFT's layout.

        Raises:
            ArgumentError: no such adapter, or several are active and none is named.
        """
        if name is None:
            alone = len(self.active) == 1
            expect(alone, "save", "the name of an adapter", [*self.active], ArgumentError)
            name = next(iter(self.active))
        parts, model = self.parts(name), self.model
        if order_of(model) == "gguf":
            parts = _in_hf_order(parts, model, self.configs[name])
        modules = {path: self._sites[path].module for path in parts}
        write_peft(folder, self.configs[name], parts, modules)

    def _hold(self, name: str, config: LoraConfig, made: Mapping[str, list[Part]]) -> None:
        model = self.model
        training = model.training
        modules = dict(model.named_modules())
        held = ModuleDict()
        for path, parts in made.items():
            site = self._sites.get(path)
            if site is None:
                site = self._sites[path] = Site(path, modules[path], self._selection)
                site.attach()
            site.parts[name] = parts
            held[path.replace(".", "/")] = ModuleList(parts)
        self._loaded += 1
        self._serials[name] = self._loaded
        self.configs[name] = config
        self.held[name] = held
        held.train(training)
        self._changed()

    def _changed(self) -> None:
        """Let plans and caches notice."""
        self.model.revision += 1

    def _unused(self, name: str) -> str:
        others = (f"{name}-{i}" for i in range(2, len(self.configs) + 3))
        return next(each for each in (name, *others) if each not in self.configs)

    def _check_name(self, name: str) -> None:
        good = name not in ("", *self.configs) and "." not in name
        expect(good, "adapters", "a name without a dot that is free", repr(name), ArgumentError)

    def _check_known(self, name: str) -> None:
        have = ", ".join(self.configs) or "none"
        known = name in self.configs
        expect(known, "adapters", f"a name of those loaded ({have})", repr(name), ArgumentError)

    def _refuse_merged(self, what: str) -> None:
        if self._merged:
            raise ModelError(f"adapters.{what}: expected weights without adapters: unmerge() first")

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name} ({self.active[name]:g})" if name in self.active else name
            for name in self.configs
        )
        return f"Adapters({shown})"


def _in_hf_order(
    parts: Mapping[str, list[Part]], model: Any, config: LoraConfig
) -> dict[str, list[Part]]:
    """Parts of a model with GGUF's order of rows, with rows as PEFT has them."""
    names = {"A": "lora_A", "B": "lora_B", "bias": "bias", "magnitude": "magnitude"}
    found: dict[str, list[Part]] = {}
    for path, held in parts.items():
        found[path] = [
            part if not isinstance(part, LowRank) else _moved(path, part, model, config, names)
            for part in held
        ]
    return found


def _moved(
    path: str, part: LowRank, model: Any, config: LoraConfig, names: Mapping[str, str]
) -> LowRank:
    tensors: dict[str, Tensor] = {
        kind: value.detach()
        for kind, name in names.items()
        if (value := getattr(part, name)) is not None
    }
    contents = reordered(Contents("", config, {path: tensors}), model, "gguf", "hf")
    low = contents.low[path]
    return LowRank(
        low["A"], low["B"], part.scale, bias=low.get("bias"), magnitude=low.get("magnitude")
    )
