"""One decode step as a plan: recorded at the first token, replayed for all others."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.autograd.mode import inference_mode
from tallow.dtype import i64
from tallow.factories import tensor, zeros
from tallow.generate.protocol import Generative
from tallow.models import checks
from tallow.models.states import State
from tallow.plan import Plan, capture
from tallow.plan.capturing import module_behind
from tallow.tensor import Tensor


class DecodeStep:
    """`step(tokens)` feeds one token of each row; the logits `(batch, vocab_size)` of the next.

    With a `width`, `run(tokens)` feeds so many of each row and commits none.

    The plan holds the addresses of the state's memory and the calls of the model's modules, so it
    is recorded anew when memory has been taken anew or modules compute something else (the model's
    `revision`). The logits are the same tensor until then.
    """

    def __init__(self, model: Generative, state: State, width: int = 1) -> None:
        self._model = model
        self._state = state
        self._width = width
        self._ids = zeros(state.batch, width, dtype=i64)
        self._eager = checks.wanted()  # a replay calls no module, so nothing looks at its output
        self._plan: Plan | None = None
        self._version = (-1, -1)
        self._logits: Tensor | None = None

    def __call__(self, tokens: Sequence[int]) -> Tensor:
        """Raises ContextError when the state cannot take another position."""
        logits = self.run(tokens)
        self._state.commit(1)
        return logits

    def run(self, tokens: Sequence[int]) -> Tensor:
        """A step that is not committed; `(batch, width, vocab_size)` for a width beyond 1."""
        state, width = self._state, self._width
        start = state.reserve(width)
        if len(tokens) != self._ids.numel():
            self._ids = zeros(len(tokens) // width, width, dtype=i64)
        if len(tokens) == 1:
            self._ids.fill_(tokens[0])
        else:
            self._ids.copy_(tensor(list(tokens), dtype=i64).view(-1, width))
        version = (state.version, getattr(self._model, "revision", 0))
        if self._eager:
            self._logits = self._run(self._ids, start)
        elif self._plan is None or self._version != version:
            self._version = version
            self._plan = capture(
                self._run, self._ids, start,
                weights=module_behind(self._model), states=state.memory(),
                rewrites=["linear_several"],
            )  # fmt: skip
            self._logits = self._plan.outputs
        else:
            self._plan.run()
        assert self._logits is not None
        return self._logits

    @inference_mode()
    def _run(self, ids: Tensor, _: Tensor) -> Tensor:
        hidden = self._model.decode(ids, self._state)
        return self._model.head(hidden).squeeze(1)
