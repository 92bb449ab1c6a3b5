"""Which tiny model stands for a family: its class and config, inputs, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Inputs = Callable[[Any, torch.Generator], dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Spec:
    """One golden: `model` and `config` are names of classes of transformers.

    `timm:NAME` is a model of timm, `timm_wrapper:NAME` transformers' wrapper of it; `values` are
    then the arguments of timm's class. A function in the place of the config makes both of the
    values, for models that are restated in the spec's file.

    `inputs(config, generator)` makes a batch of at least 2; `outputs` are the names that are
    compared, the first also by gradients (a name such as `hidden_states` is every tensor of it).
    `given` names inputs that go in as lists of numbers, since their values decide about shapes.
    `stds` are the standard deviations of parameters whose names match a pattern, where 0.5 for
    matrices would saturate what comes behind. `singles` says whether a row alone, without its
    padding, gives what it gives within the batch. `generate` holds options of calls of `generate`,
    where None takes an input away.
    """

    model: str
    config: str | Callable[[Mapping[str, Any]], tuple[Any, torch.nn.Module]]
    values: Mapping[str, Any]
    inputs: Inputs
    outputs: tuple[str, ...]
    stds: Mapping[str, float] = field(default_factory=dict)
    singles: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)  # of the call, beside the inputs
    generate: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    attention: str = "eager"  # transformers' implementation of it
    given: tuple[str, ...] = ()


def texts(
    *,
    length: int = 12,
    batch: int = 2,
    pad: int | None = 0,
    types: int = 0,
    low: int = 3,
    left: bool = False,
) -> Inputs:
    """Token ids; with a `pad` id the rows are of different lengths, padded right or left."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        ids = torch.randint(low, config.vocab_size, (batch, length), generator=source)
        found = {"input_ids": ids}
        if pad is not None:
            mask = torch.ones_like(ids)
            for row in range(1, batch):
                padding = slice(3 * row) if left else slice(length - 3 * row, None)
                ids[row, padding] = pad
                mask[row, padding] = 0
            found["attention_mask"] = mask
        if types:
            found["token_type_ids"] = torch.randint(0, types, ids.shape, generator=source)
        return found

    return make


def choices(inputs: Inputs, count: int = 2) -> Inputs:
    """Each of the inputs with an axis of `count` choices behind the batch."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        every = [inputs(config, source) for _ in range(count)]
        return {name: torch.stack([each[name] for each in every], 1) for name in every[0]}

    return make


def embedded(inputs: Inputs, positions: int = 0) -> Inputs:
    """The same with embeddings in the place of ids, and with `positions` any of so many."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        found = inputs(config, source)
        shape = found.pop("input_ids").shape
        width = getattr(config, "embedding_size", config.hidden_size)
        found["inputs_embeds"] = torch.randn(*shape, width, generator=source)
        if positions:
            found["position_ids"] = torch.randint(0, positions, shape, generator=source)
        return found

    return make


def images(size: int | tuple[int, int] = 32, *, batch: int = 2, channels: int = 3) -> Inputs:
    """Pixels of a normal distribution, (batch, channels, height, width)."""
    height, width = (size, size) if isinstance(size, int) else size

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.randn(batch, channels, height, width, generator=source)}

    return make
