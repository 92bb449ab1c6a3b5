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
from tallow.tasks.accepting import accepted
from tallow.tasks.batches import Outcome, collect, stream
from tallow.tensor import Tensor
from tallow.text import Encodings, Tokenizer

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
    takes: ClassVar[tuple[str, ...]] = ("input_ids",)  # what the model is called with
    batch_size: ClassVar[int] = 32

    def __init__(
        self,
        ref: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        dtype: DType | str | None = None,
        activations: Activations = "int8",
        allow_extra: bool = False,
    ) -> None:
        self._model: Model | None = load(
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
        lacking = [name for name in self.takes if name not in accepted(type(self.model).forward)]
        if lacking:
            wanted, found = f"a model that takes {' and '.join(self.takes)}", type(self.model)
            raise ModelError(
                f"{ref}: {type(self).__name__}: expected {wanted}, found {found.__name__}"
            )

    @property
    def model(self) -> Model:
        """The model.

        Raises:
            ModelError: `close` was called.
        """
        if self._model is None:
            raise ModelError(
                f"{type(self).__name__}: expected an open model, got one that was closed"
            )
        return self._model

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, made when first asked for."""
        return self.model.tokenizer

    def stream(
        self, items: Iterable[Item], *, batch_size: int | None = None
    ) -> Iterator[Outcome[Item, Made]]:
        """Outcomes in the order of `items`, which may be without end; failures are told by item.

        What would make every item fail, such as a folder without a tokenizer, is raised at once.
        """
        self.check()
        size = self.batch_size if batch_size is None else batch_size
        alone = self._model is not None and self._model.rows_alone
        size = min(size, 1) if alone else size
        return stream(items, self.prepare, self._infer, batch_size=size, weigh=self.weigh)

    def each(
        self,
        items: Any,
        batch_size: int | None = None,
        finish: Callable[[Any, Made], Any] = lambda item, made: made,
    ) -> Any:
        """What `finish` makes of each item and its result; of a single item its own.

        Raises:
            BatchError: items failed; what came of the others is kept in it.
        """
        single = self.is_one(items)
        listed = [items] if single else items
        found = collect(self.stream(listed, batch_size=batch_size), finish)
        return found[0] if single else found

    @staticmethod
    def is_one(items: Any) -> bool:
        """Whether a call was given a single item, or what cannot be several."""
        return isinstance(items, str | bytes | bytearray | Mapping) or not isinstance(
            items, Iterable
        )

    def check(self) -> None:
        """Raise what would make every item fail."""
        _ = self.tokenizer

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
        """Let go of the weights; may be called again."""
        self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        held = self._model
        return f"{type(self).__name__}({'closed' if held is None else type(held).__name__})"


def as_text(item: object, where: str) -> str:
    """`item`, which has to be a text.

    Raises:
        ArgumentError: it is something else.
    """
    if not isinstance(item, str):
        raise ArgumentError(f"{where}: expected a text, got {type(item).__name__}")
    return item


def inputs_of(model: Model, batch: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """What a model takes of a batch; tokenizers and processors give some models more."""
    names = accepted(type(model).forward)
    return {name: x for name, x in batch.items() if x is not None and name in names}


def pads(tokenizer: Tokenizer, texts: Sequence[Any]) -> bool:
    """Whether rows are padded: one alone needs no token for it."""
    return len(texts) > 1 or tokenizer.pad_id is not None


def text_inputs(batch: Encodings) -> dict[str, Tensor | None]:
    """What tokenizers give for encoders."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: getattr(batch, name) for name in names}


def longest(tokenizer: Tokenizer, config: Any) -> int | None:
    """How many tokens a text may have: the tokenizer's limit or the positions of the model."""
    config = getattr(config, "text_config", config)
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
