"""Importance matrices: how strongly a text drives each column of each matrix of a model.

Source: llama.cpp's `tools/imatrix`: the sum over tokens of the squared inputs of every matrix in
the layers; a quantiser weighs the errors of a column by its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, ModelError, expect

if TYPE_CHECKING:
    import numpy as np

    from tallow.formats.imatrix import ImportanceMatrix
    from tallow.models import CausalLM
    from tallow.nn import Linear
    from tallow.tensor import Tensor


class Collector:
    """Adds up what flows into the linear layers of `model` while it stands in a `with`.

    `name_of` gives the name of a layer's weight in the result, or None for one that is left out.
    """

    def __init__(self, model: CausalLM, name_of: Callable[[str], str | None]) -> None:
        from tallow.nn import Linear

        self.squares: dict[str, np.ndarray[Any, Any]] = {}
        self.counts: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._layers: list[Linear] = []
        self._last: tuple[Tensor, np.ndarray[Any, Any]] | None = None
        for path, module in model.named_modules():
            name = name_of(f"{path}.weight") if isinstance(module, Linear) else None
            if name is not None and isinstance(module, Linear):
                self._names[id(module)] = name
                self._layers.append(module)

    def __enter__(self) -> Collector:
        self._stack = ExitStack()
        for layer in self._layers:
            self._stack.enter_context(layer.register_forward_pre_hook(self._record))
        return self

    def __exit__(self, *_: object) -> None:
        self._last = None
        self._stack.close()

    def _record(self, layer: Linear, arguments: tuple[Tensor, ...]) -> None:
        x, name = arguments[0], self._names[id(layer)]
        squares = self._squares(x)
        self.squares[name] = squares + self.squares.get(name, 0.0)
        self.counts[name] = self.counts.get(name, 0) + x.numel() // x.shape[-1]

    def _squares(self, x: Tensor) -> np.ndarray[Any, Any]:
        """Queries, keys and values read the same input: it is added up once."""
        if self._last is None or self._last[0] is not x:
            rows = x.reshape(-1, x.shape[-1])
            self._last = (x, (rows * rows).sum(0).numpy().astype("float64"))
        return self._last[1]


def collect(
    model: CausalLM,
    ids: Sequence[int],
    *,
    context: int = 512,
    chunks: int | None = None,
    bos: int | None = None,
    output: bool = False,
    on_chunk: Callable[[int, int], None] | None = None,
) -> ImportanceMatrix:
    """Run the first `chunks` pieces of `context` tokens through `model` and add up its inputs.

    `bos`, when given, stands in the place of each piece's first token, as in llama.cpp. `output`
    collects for the head too, unless it is the token embedding, which has no entry of its own.
    `on_chunk` is told how many pieces of how many are done. What does not fill a piece at the end
    is left out.

    Raises:
        ArgumentError: fewer tokens than one piece has, or a piece of fewer than two tokens.
        ContextError: a piece exceeds the model's context.
        ModelError: the sums are not finite.
    """
    from tallow.factories import tensor
    from tallow.formats.imatrix import ImportanceMatrix

    expect(context >= 2, collect, "a context of at least 2 tokens", context, ArgumentError)
    enough = len(ids) // context
    wanted = f"at least {context} tokens, one piece of text"
    expect(enough > 0, collect, wanted, len(ids), ArgumentError)
    output = output and not model.config.tie_word_embeddings
    count = enough if chunks is None else min(chunks, enough)
    form = tensor_names(model)
    with Collector(model, lambda name: _kept(form(name), output)) as collector:
        for index in range(count):
            part = list(ids[index * context : (index + 1) * context])
            if bos is not None:
                part[0] = bos
            _run(model, part, output)
            if on_chunk is not None:
                on_chunk(index + 1, count)
    found = ImportanceMatrix(chunk_count=count, chunk_size=context)
    for name, squares in collector.squares.items():
        if not bool((squares < float("inf")).all()):
            raise ModelError(f"{name}: expected finite inputs, got nan or inf")
        found.add(name, tensor(squares, "f32"), collector.counts[name])
    return found


def _run(model: CausalLM, ids: list[int], output: bool) -> None:
    from tallow.autograd.mode import inference_mode
    from tallow.dtype import i64
    from tallow.factories import tensor

    with inference_mode():
        batch = tensor([ids], dtype=i64)
        if output:
            model(batch)
        else:
            model.model(batch)


def tensor_names(model: CausalLM) -> Callable[[str], str]:
    """From the names of a model's parameters to those of its family in GGUF files."""
    from tallow.models.gguf_layout import GGUF_DECODER

    return GGUF_DECODER.names.stored


def _kept(name: str, output: bool) -> str | None:
    return name if name.startswith("blk.") or (output and name == "output.weight") else None
