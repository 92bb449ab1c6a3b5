"""The parts of torch.nn.functional that only PyTorch names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.nn import functional as F
from tallow.tensor import Tensor


def _with_indices(name: str) -> Callable[..., Any]:
    pool = getattr(F, name)

    def call(input: Tensor, *args: Any, **options: Any) -> Any:
        options["return_indices"] = True
        return pool(input, *args, **options)

    call.__name__ = f"{name}_with_indices"
    return call


max_pool1d_with_indices = _with_indices("max_pool1d")
max_pool2d_with_indices = _with_indices("max_pool2d")
max_pool3d_with_indices = _with_indices("max_pool3d")
adaptive_max_pool1d_with_indices = _with_indices("adaptive_max_pool1d")
adaptive_max_pool2d_with_indices = _with_indices("adaptive_max_pool2d")
adaptive_max_pool3d_with_indices = _with_indices("adaptive_max_pool3d")
fractional_max_pool2d_with_indices = _with_indices("fractional_max_pool2d")
fractional_max_pool3d_with_indices = _with_indices("fractional_max_pool3d")


def rrelu_(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Tensor:
    """`rrelu`, written into `input`."""
    return F.rrelu(input, lower, upper, training, inplace=True)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """A convolution of (time, batch, channels) by a weight (width, channels, out)."""
    out: Tensor = ops.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle`."""
    return ops.channel_shuffle(input, groups)


def has_torch_function(relevant_args: Any) -> bool:
    """Whether an argument overrides PyTorch's functions: none here."""
    return False


has_torch_function_unary = has_torch_function


def has_torch_function_variadic(*args: Any) -> bool:
    """Whether an argument overrides PyTorch's functions: none here."""
    return False


def boolean_dispatch(
    arg_name: str, arg_index: int, default: bool, if_true: Any, if_false: Any, *_: Any, **__: Any
) -> Callable[..., Any]:
    """One function of two, by an argument that is a truth value."""

    def call(*args: Any, **options: Any) -> Any:
        chosen = options.get(arg_name, args[arg_index] if arg_index < len(args) else default)
        return (if_true if chosen else if_false)(*args, **options)

    return call


def _get_activation_fn(activation: str) -> Callable[[Tensor], Tensor]:
    known: dict[str, Callable[..., Tensor]] = {"relu": F.relu, "gelu": F.gelu}
    if activation not in known:
        raise RuntimeError(f"activation: expected relu or gelu, got {activation}")
    return known[activation]


def _get_clones(module: Any, N: int) -> Any:
    import copy

    from tallow.nn import ModuleList

    return ModuleList([copy.deepcopy(module) for _ in range(N)])
