"""Mixed precision: inside `autocast` products and convolutions run in bf16, the rest in f32.

Nothing is looked up while no `autocast` is active: entering one puts casting functions into the
callers of the rows listed here, and leaving the last one takes them out again.

The recipe for training with less memory still is bf16 parameters with f32 copies in the optimiser:
`model.to(tl.bf16)` and `AdamW(model.parameters(), master_weights=True)`. bf16 has the exponents of
f32, so no gradient scaling is needed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Self, TypeVar

from tallow.autograd.mode import MODE
from tallow.dtype import DType, as_dtype, bf16, f16, f32
from tallow.errors import ArgumentError, expect
from tallow.registry import ROWS
from tallow.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

# Rows whose f32 arguments become bf16 (or f16): where the arithmetic is.
LOW = (
    "matmul", "mm", "bmm", "mv", "addmm", "addmv", "addbmm", "baddbmm", "linear", "bilinear",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "scaled_dot_product_attention", "attention",
)  # fmt: skip

# Rows whose 16-bit arguments become f32: sums and exponentials whose results would be too coarse.
FULL = (
    "softmax", "log_softmax", "logsumexp", "cross_entropy", "nll_loss", "mse_loss", "l1_loss",
    "smooth_l1_loss", "huber_loss", "kl_div", "binary_cross_entropy", "ctc_loss",
    "binary_cross_entropy_with_logits", "cosine_similarity", "cosine_embedding_loss", "prod", "std",
    "var", "norm", "cumsum", "cumprod", "dist", "cdist",
)  # fmt: skip


class _State(threading.local):
    dtype: DType | None = None  # what the calling thread casts to; None: it is not in an autocast
    cache: dict[int, tuple[Tensor, int, Tensor]] | None = None


_state = _State()
_lock = threading.Lock()
_active = 0
_codes: dict[str, tuple[FunctionType, CodeType, CodeType]] = {}  # caller, its code, casting code


def _low(value: Any) -> Any:
    """An f32 or 16-bit argument in the wanted dtype; leaves that take gradients only once."""
    wanted = _state.dtype
    if (
        not isinstance(value, Tensor)
        or value.dtype is wanted
        or value.dtype not in (f32, f16, bf16)
    ):
        return [_low(v) for v in value] if isinstance(value, (list, tuple)) else value
    assert wanted is not None
    cache = _state.cache
    if cache is None or not (value.requires_grad and value.is_leaf and MODE.enabled):
        return value.to(wanted)
    found = cache.get(id(value))
    version = value._array.version
    if found is None or found[1] != version:
        found = cache[id(value)] = (value, version, value.to(wanted))
    return found[2]


def _full(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (f16, bf16):
        return value.to(f32)
    return value


def _install() -> None:
    """Let the callers of the listed rows cast first.

    A caller has been bound under many names by now (`tl.conv2d`, `F.conv2d`, a method), so it stays
    the same function and gets other code, which calls the former code with cast arguments.
    """
    for names, cast in ((LOW, _low), (FULL, _full)):
        for name in names:
            row = ROWS.get(name)
            caller: Any = None if row is None else row.caller()
            if not isinstance(caller, FunctionType) or caller.__closure__:
                continue
            known = _codes.get(name)
            if known is None or known[0] is not caller:
                known = _codes[name] = (caller, caller.__code__, _cast_code(row, caller, cast))
            caller.__code__ = known[2]


def _cast_code(row: Any, caller: FunctionType, cast: Callable[[Any], Any]) -> CodeType:
    """Code of the caller's signature that goes by way of `_casting`."""
    former = FunctionType(caller.__code__, caller.__globals__, caller.__name__, caller.__defaults__)
    former.__kwdefaults__ = caller.__kwdefaults__
    heads: list[str] = []
    given: list[str] = []
    for parameter, keyword_only, _ in row.parameters:
        if keyword_only and "*" not in heads:
            heads.append("*")
        heads.append(parameter)
        given.append(f"{parameter}={parameter}" if keyword_only else parameter)
    hidden = f"__autocast_{row.__name__.replace('.', '_')}"
    scope: dict[str, Any] = {}
    exec(f"def caller({', '.join(heads)}): return {hidden}({', '.join(given)})", scope)
    caller.__globals__[hidden] = _casting(former, cast)
    made: CodeType = scope["caller"].__code__
    return made


def _casting(former: Callable[..., Any], cast: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        if _state.dtype is None:
            return former(*args, **options)
        return former(*map(cast, args), **{name: cast(value) for name, value in options.items()})

    return call


def _uninstall() -> None:
    for caller, code, _ in _codes.values():
        caller.__code__ = code


class autocast:  # noqa: N801  (PyTorch's name)
    """`with autocast("cpu"):` products, linear layers, convolutions and attention in bf16.

    Their f32 arguments are cast, parameters once per block; losses, softmax and norms get f32.
    f64 stays as it is. Gradients come back in the parameters' own dtype. Run the backward pass
    outside of the block. Also a decorator; blocks nest, and hold for the calling thread.
    """

    def __init__(
        self,
        device_type: str = "cpu",
        dtype: DType | str | None = None,
        enabled: bool = True,
        cache_enabled: bool = True,
    ) -> None:
        chosen = bf16 if dtype is None else as_dtype(dtype)
        known = ("cpu", "cuda")
        expect(device_type in known, autocast, "cpu or cuda", device_type, ArgumentError)
        expect(chosen in (bf16, f16), autocast, "bf16 or f16", chosen.name, ArgumentError)
        self.dtype, self.enabled, self.cache_enabled = chosen, enabled, cache_enabled
        self._before: list[tuple[DType | None, Any]] = []

    def __enter__(self) -> Self:
        global _active
        with _lock:
            if _active == 0:
                _install()
            _active += 1
        self._before.append((_state.dtype, _state.cache))
        if not self.enabled:
            _state.dtype, _state.cache = None, None
        else:
            same = _state.dtype is self.dtype and _state.cache is not None
            if not same:
                _state.cache = {} if self.cache_enabled else None
            _state.dtype = self.dtype
        return self

    def __exit__(self, *_: object) -> None:
        global _active
        _state.dtype, _state.cache = self._before.pop()
        with _lock:
            _active -= 1
            if _active == 0:
                _uninstall()

    def __call__(self, function: F) -> F:
        """Run `function` in such a block."""

        @functools.wraps(function)
        def within(*args: Any, **options: Any) -> Any:
            # A block of its own: the function may recurse, or run on several threads.
            with autocast("cpu", self.dtype, self.enabled, self.cache_enabled):
                return function(*args, **options)

        return within  # type: ignore[return-value]


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether the calling thread is in an `autocast`."""
    return _state.dtype is not None


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """What the current `autocast` casts to (bf16 outside of one)."""
    return _state.dtype or bf16
