"""Generators of random numbers: seeds, states, the default generator.

Numbers come from Philox 4x32-10, which makes any block of its sequence on its own: what is drawn
depends on seed and offset only, never on the number of threads. The drawing ops stand in
`tallow.ops` and are reached as `tl.rand`, `tl.random.rand`, …
"""

from __future__ import annotations

import os
from typing import Any

from . import _native
from .borrowing import from_buffer
from .device import BY_CODE, META, Device, as_device, code_of
from .dtype import i64, u8
from .errors import ArgumentError, DeviceError, expect
from .tensor import Tensor
from .tensor_methods import Ops

_LOW, _HIGH = -(1 << 63), (1 << 64) - 1


class Generator:
    """A stream of random numbers, seeded from the system until `manual_seed`; safe for threads.

    Its state, seed and offset, lives in an array that kernels read and advance in one step, so a
    replayed plan draws new numbers.
    """

    __slots__ = ("_state", "device")

    def __init__(self, device: Device | str = "cpu") -> None:
        self.device = as_device(device)
        wanted = "a device that draws, as cpu"
        expect(self.device.type != "meta", "Generator", wanted, self.device, ArgumentError)
        # With a version of its own it may be changed outside inference mode, wherever it was made.
        state = _native.Array.empty((2,), i64.code, code_of(self.device))
        self._state = state.with_own_version()
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from `seed`, any number of 64 bits, signed or not."""
        value = int(seed)
        expect(_LOW <= value <= _HIGH, "manual_seed", "a seed of 64 bits", value, ArgumentError)
        self._set(value & _HIGH, 0)
        return self

    def seed(self) -> int:
        """Start anew from a seed of the operating system, which is returned."""
        value = int.from_bytes(os.urandom(8), "little") >> 1
        self._set(value, 0)
        return value

    def initial_seed(self) -> int:
        """The seed that the generator was started from."""
        found: int = self._state.basic_index(0).item()
        return found & _HIGH

    def get_state(self) -> Tensor:
        """Seed and offset, as 16 bytes (u8)."""
        return from_buffer(bytes(self._state.moved(0).raw_bytes()), u8, (16,)).clone()

    def set_state(self, new_state: Any) -> Generator:
        """Go on from a state (a tensor) that `get_state` gave."""
        good = isinstance(new_state, Tensor) and new_state.dtype is u8 and new_state.shape == (16,)
        got = (
            (new_state.shape, new_state.dtype.name) if isinstance(new_state, Tensor) else new_state
        )
        expect(good, "set_state", "16 bytes (u8) of get_state", got, ArgumentError)
        data = bytes(new_state.tolist())
        self._set(int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little"))
        return self

    def clone_state(self) -> Generator:
        """Another generator that goes on as this one does."""
        return Generator(self.device).set_state(self.get_state())

    def _set(self, seed: int, offset: int) -> None:
        values = [v - (1 << 64) if v >> 63 else v for v in (seed, offset)]
        self._state.copy_(_native.Array.from_list(values, i64.code))

    def __repr__(self) -> str:
        return f"<Generator seed={self.initial_seed()}>"


default_generator = Generator()
_elsewhere: dict[int, Generator] = {}  # those of other devices by their codes, made when drawn from


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew from `seed`, on every device."""
    for each in _elsewhere.values():
        each.manual_seed(seed)
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default generator anew from a seed of the operating system, which is returned."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as 16 bytes (u8)."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Let the default generator go on from a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


class fork_rng:  # noqa: N801  (as in PyTorch)
    """`with fork_rng():` the default generator is as before when the block is left."""

    def __init__(self, devices: Any = None, enabled: bool = True) -> None:
        self.enabled = enabled
        self._state: Tensor | None = None

    def __enter__(self) -> None:
        self._state = get_rng_state() if self.enabled else None

    def __exit__(self, *_: object) -> None:
        if self._state is not None:
            set_rng_state(self._state)


def generator_of(generator: Generator | None, where: object) -> Generator:
    """The generator given, checked, or the default one."""
    if generator is None:
        return default_generator
    known = isinstance(generator, Generator)
    expect(known, where, "a tallow Generator", type(generator).__name__, ArgumentError)
    return generator


def state_of(generator: Generator) -> _native.Array:
    """What kernels read and advance.

    Where nothing is drawn (on `meta`), it is an array there, and no generator goes on. Another
    device has a default generator of its own, from the same seed.
    """
    place, state = _native.default_device(), generator._state
    if place == state.device:
        return state
    if BY_CODE[place] is META:
        return _native.Array.empty_like(state, -1, place)
    fits = generator is default_generator
    expect(fits, "Generator", f"one on {BY_CODE[place]}", generator.device, DeviceError)
    if place not in _elsewhere:
        _elsewhere[place] = Generator(BY_CODE[place]).manual_seed(generator.initial_seed())
    return _elsewhere[place]._state


_DRAWING = frozenset((
    "bernoulli", "multinomial", "normal", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm",
))  # fmt: skip


def __getattr__(name: str) -> Any:
    """The ops that draw."""
    if name not in _DRAWING:
        raise AttributeError(f"module 'tallow.random' has no attribute {name!r}")
    return Ops.named(name)
