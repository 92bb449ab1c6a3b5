"""One decode step as a plan: recorded at the first token, replayed for all others."""

from __future__ import annotations

from tallow.autograd.mode import inference_mode
from tallow.dtype import i64
from tallow.factories import tensor
from tallow.generate.cache import KVCache
from tallow.models import CausalLM, checks
from tallow.models.states import KeyValue
from tallow.plan import Plan, capture
from tallow.tensor import Tensor


class DecodeStep:
    """`step(token)` feeds one token to the model and gives the logits `(vocab_size,)` of the next.

    The plan holds the addresses of the cache's memory, so it is recorded anew when the cache has
    grown. The logits are the same tensor at every step.
    """

    def __init__(self, model: CausalLM, cache: KVCache) -> None:
        self._model = model
        self._cache = cache
        self._ids = tensor([[0]], dtype=i64)
        self._eager = checks.wanted()  # a replay calls no module, so nothing looks at its output
        self._plan: Plan | None = None
        self._slots: list[KeyValue] = []
        self._logits: Tensor | None = None

    def __call__(self, token: int) -> Tensor:
        """Raises ContextError when the cache cannot take another position."""
        cache = self._cache
        start = cache.begin(1, 1)
        self._ids.fill_(token)
        if self._eager:
            self._slots = cache.slots
            self._logits = self._run(self._ids, start)
        elif self._plan is None or self._slots is not cache.slots:
            self._slots = cache.slots
            self._plan = capture(self._run, self._ids, start)
            self._logits = self._plan.outputs
        else:
            self._plan.run()
        cache.advance(1)
        assert self._logits is not None
        return self._logits

    @inference_mode()
    def _run(self, ids: Tensor, start: Tensor) -> Tensor:
        return self._model.step(ids, start, self._slots).view(self._model.config.vocab_size)
