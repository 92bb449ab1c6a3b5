"""Task: what models behind a task share, loading, closing and batches of items."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, Self, TypeVar

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType
from tallow.errors import ArgumentError, ModelError
from tallow.models import load
from tallow.models.base import Model
from tallow.models.loading import Activations, tokenizer_of
from tallow.tasks.batches import Outcome, collect, stream
from tallow.text import Tokenizer

Item = TypeVar("Item")
Made = TypeVar("Made")


class Task(Generic[Item, Made]):
    """A model and what stands before and after it; `ref` and options as of `tallow.models.load`.

    `tokenizer` is the reference of a tokenizer.json, or of its folder, that stands elsewhere.
    Sub-classes say which task the model is loaded for, how an item is prepared and what a batch of
    prepared items gives.

    Raises:
        HubError, FormatError, ModelError: as `tallow.models.load`; the checkpoint is of a model
            that cannot do the task.
    """

    task: ClassVar[str]
    batch_size: ClassVar[int] = 32

    def __init__(
        self,
        ref: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        dtype: DType | str | None = None,
        activations: Activations = "fast",
        allow_extra: bool = False,
    ) -> None:
        self.model: Model = load(
            ref,
            task=self.task,
            config=config,
            device=device,
            dtype=dtype,
            activations=activations,
            allow_extra=allow_extra,
        )
        if tokenizer is not None:
            self.model.tokenizer_source = partial(tokenizer_of, tokenizer)

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, made when first asked for."""
        return self.model.tokenizer

    def stream(
        self, items: Iterable[Item], *, batch_size: int | None = None
    ) -> Iterator[Outcome[Item, Made]]:
        """Outcomes in the order of `items`, which may be without end; failures are told by item."""
        size = self.batch_size if batch_size is None else batch_size
        size = min(size, 1) if self.model.rows_alone else size
        return stream(items, self.prepare, self._infer, batch_size=size, weigh=self.weigh)

    def all(self, items: Iterable[Item], batch_size: int | None = None) -> list[Made]:
        """The results of all items.

        Raises:
            BatchError: items failed; the others' results are kept in it.
        """
        return collect(self.stream(items, batch_size=batch_size))

    weigh: Callable[[Any], int] | None = None

    def prepare(self, item: Item) -> Any:
        """What the model takes of one item."""
        raise NotImplementedError

    def compute(self, prepared: Sequence[Any]) -> Sequence[Made]:
        """The results of a batch of prepared items."""
        raise NotImplementedError

    def _infer(self, prepared: Sequence[Any]) -> Sequence[Made]:
        with inference_mode():
            return self.compute(prepared)

    def close(self) -> None:
        """Let go of the weights."""
        del self.model

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        held = self.__dict__.get("model")
        return f"{type(self).__name__}({type(held).__name__ if held is not None else 'closed'})"


def as_text(item: object, where: str) -> str:
    """`item`, which has to be a text.

    Raises:
        ArgumentError: it is something else.
    """
    if not isinstance(item, str):
        raise ArgumentError(f"{where}: expected a text, got {type(item).__name__}")
    return item


def longest(tokenizer: Tokenizer, config: Any) -> int | None:
    """How many tokens a text may have: the tokenizer's limit or the positions of the model."""
    positions = getattr(config, "max_position_embeddings", None)
    first = getattr(config, "position_offset", 0)
    limits = [tokenizer.model_max_length, None if positions is None else positions - first]
    return min((limit for limit in limits if limit), default=None)


def label_names(model: Model) -> list[str]:
    """The names of a classifier's labels, by number."""
    labels = getattr(model.config, "id2label", None)
    if not labels:
        raise ModelError(f"{type(model).__name__}: id2label: expected labels, found none")
    return [labels[index] for index in range(len(labels))]
