"""A place in a generation to which a state can go back, recurrent layers included."""

from __future__ import annotations

from tallow.autograd.mode import inference_mode
from tallow.models.states import State
from tallow.tensor import Tensor


class Mark:
    """Where a state stood when `take` was called last: lengths, ids, what recurrent layers held.

    Keys and values need no copy: those of positions up to a length stay until others are written
    there. A ring keeps what the positions behind the mark can see as long as no pass goes beyond
    its window.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._held: list[dict[str, Tensor]] = [{} for _ in state.recurrent()]
        self._lengths: list[int] = []
        self._tokens: list[int] = []

    @inference_mode()
    def take(self) -> None:
        """Remember how the state is now, in the memory of the time before."""
        self._lengths = list(self._state.lengths)
        self._tokens = [len(ids) for ids in self._state.tokens]
        for part, held in zip(self._state.recurrent(), self._held, strict=True):
            for name, now in part.tensors.items():
                before = held.get(name)
                if before is not None and before.shape == now.shape:
                    before.copy_(now)
                else:
                    held[name] = now.clone()

    @inference_mode()
    def rewind(self) -> None:
        """Let the state be as it was; the memory of its layers stays where it is."""
        state = self._state
        state.restore(self._lengths, self._tokens)
        for part, held in zip(state.recurrent(), self._held, strict=True):
            for name, before in held.items():
                part.tensors[name].copy_(before)
