"""Rows of ops on images and signals: convolution, pooling, padding, resampling."""

from __future__ import annotations

from typing import Any

from tallow.onnx.exporter.elementwise import operand
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Size, Value
from tallow.onnx.exporter.table import row


def several(value: Any, n: int) -> list[int]:
    """A number for each spatial axis."""
    return list(value) if isinstance(value, tuple | list) else [value] * n


def _convolution(n: int) -> Any:
    def write(
        g: Emitter, out: Value, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
        dilation: Any, groups: int,
    ) -> Any:  # fmt: skip
        single = input.ndim == n + 1
        x = g.node("Unsqueeze", input, [0]) if single else input
        auto = (
            {"same": "SAME_UPPER", "valid": "VALID"}.get(padding)
            if isinstance(padding, str)
            else None
        )
        pads = None if auto else several(padding, n) * 2
        kind = out.dtype
        made = g.node(
            "Conv", x, g.cast(weight, kind), None if bias is None else g.cast(bias, kind),
            kernel_shape=list(weight.shape[2:]), strides=several(stride, n), pads=pads,
            auto_pad=auto, dilations=several(dilation, n), group=groups,
        )  # fmt: skip
        return g.node("Squeeze", made, [0]) if single else made

    return write


for _n in (1, 2, 3):
    row(f"conv{_n}d", when=lambda input, **how: input.dtype.kind == "f")(_convolution(_n))


def _transposed(n: int) -> Any:
    def write(
        g: Emitter, out: Value, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
        output_padding: Any, groups: int, dilation: Any,
    ) -> Any:  # fmt: skip
        kind = out.dtype
        return g.node(
            "ConvTranspose", input, g.cast(weight, kind),
            None if bias is None else g.cast(bias, kind), kernel_shape=list(weight.shape[2:]),
            strides=several(stride, n), pads=several(padding, n) * 2,
            dilations=several(dilation, n), group=groups,
            output_padding=several(output_padding, n),
        )  # fmt: skip

    return write


for _n in (1, 2, 3):
    row(
        f"conv_transpose{_n}d",
        when=lambda input, weight, **how: input.ndim == weight.ndim and input.dtype.kind == "f",
    )(_transposed(_n))


# --- pooling --------------------------------------------------------------------------------------


def _pooled(
    g: Emitter, op_type: str, x: Any, n: int, kernel: Any, stride: Any, padding: Any, **more: Any
) -> Any:
    single = x.ndim == n + 1
    given = g.node("Unsqueeze", x, [0]) if single else x
    made = g.node(
        op_type, given, kernel_shape=several(kernel, n),
        strides=several(kernel if stride in (None, ()) else stride, n),
        pads=several(padding, n) * 2, **more,
    )  # fmt: skip
    return g.node("Squeeze", made, [0]) if single else made


def _max_pool(n: int) -> Any:
    def write(
        g: Emitter, out: Value, input: Any, kernel_size: Any, stride: Any, padding: Any,
        dilation: Any, ceil_mode: bool, return_indices: bool,
    ) -> Any:  # fmt: skip
        return _pooled(
            g, "MaxPool", input, n, kernel_size, stride, padding,
            dilations=several(dilation, n), ceil_mode=int(ceil_mode),
        )  # fmt: skip

    return write


def _average_pool(n: int) -> Any:
    def write(
        g: Emitter, out: Value, input: Any, kernel_size: Any, stride: Any, padding: Any,
        ceil_mode: bool, count_include_pad: bool, divisor_override: Any = None,
    ) -> Any:  # fmt: skip
        return _pooled(
            g, "AveragePool", input, n, kernel_size, stride, padding, ceil_mode=int(ceil_mode),
            count_include_pad=int(count_include_pad),
        )  # fmt: skip

    return write


def _is_plain(
    input: Any, padding: Any, ceil_mode: bool, divisor_override: Any = None, **how: Any
) -> bool:
    """What ONNX means by the same words: windows beyond the end count otherwise there."""
    return input.dtype.kind == "f" and not divisor_override


for _n in (1, 2, 3):
    row(
        f"max_pool{_n}d",
        when=lambda input, return_indices, **how: not return_indices and input.dtype.kind == "f",
    )(_max_pool(_n))
    row(f"avg_pool{_n}d", when=_is_plain)(_average_pool(_n))


def _is_global(input: Any, output_size: Any) -> bool:
    return all(
        n == 1 for n in (output_size if isinstance(output_size, tuple | list) else (output_size,))
    )


@row("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", when=_is_global)
def adaptive_avg_pool(g: Emitter, out: Value, input: Any, output_size: Any) -> Any:
    """The mean of all positions."""
    return g.node("GlobalAveragePool", input)


# --- padding and resampling -----------------------------------------------------------------------


@row("constant_pad_nd")
def constant_pad_nd(g: Emitter, out: Value, input: Any, pad: Any, value: Any) -> Any:
    """The tensor with a number around it."""
    n, given = input.ndim, list(pad)
    if not any(isinstance(p, Size) or p for p in given):
        return g.name(input)
    before: list[Any] = [0] * n
    after: list[Any] = [0] * n
    for i in range(len(given) // 2):
        before[n - 1 - i], after[n - 1 - i] = given[2 * i], given[2 * i + 1]
    filling = None if value == 0 else operand(g, value, input.dtype)
    if input.dtype.name == "bool":  # runtimes pad numbers
        from tallow.dtype import bool_, i32

        made = g.node(
            "Pad", g.cast(input, i32), g.sizes([*before, *after]), operand(g, int(value), i32)
        )
        return g.cast(made, bool_, i32)
    return g.node("Pad", input, g.sizes([*before, *after]), filling)


_MODES = {"reflect": "reflect", "replicate": "edge"}


@row("pad", when=lambda input, pad, mode, value: mode in _MODES and all(p >= 0 for p in pad))
def pad_(g: Emitter, out: Value, input: Any, pad: Any, mode: str, value: Any) -> Any:
    """The tensor with its own edge or mirror around it."""
    n = input.ndim
    before, after = [0] * n, [0] * n
    for i in range(len(pad) // 2):
        before[n - 1 - i], after[n - 1 - i] = pad[2 * i], pad[2 * i + 1]
    return g.node("Pad", input, g.sizes([*before, *after]), mode=_MODES[mode])


_RESIZE = {
    "nearest": ("nearest", "asymmetric", "floor"),
    "nearest-exact": ("nearest", "half_pixel", "round_prefer_ceil"),
    "linear": ("linear", "half_pixel", None), "bilinear": ("linear", "half_pixel", None),
    "trilinear": ("linear", "half_pixel", None), "bicubic": ("cubic", "half_pixel", None),
}  # fmt: skip


def _has_mode(input: Any, mode: str, antialias: bool, **how: Any) -> bool:
    return mode in _RESIZE and not antialias and input.dtype.kind == "f"


@row("interpolate", when=_has_mode)
def interpolate(
    g: Emitter, out: Value, input: Any, size: Any, scale_factor: Any, mode: str,
    align_corners: Any, recompute_scale_factor: Any, antialias: bool,
) -> Any:  # fmt: skip
    """The spatial axes resampled."""
    kind, place, nearest = _RESIZE[mode]
    if align_corners:
        place = "align_corners"
    options: dict[str, Any] = {
        "mode": kind,
        "coordinate_transformation_mode": place,
        "nearest_mode": nearest,
    }
    if kind == "cubic":
        options["cubic_coeff_a"] = -0.75
    spatial = out.ndim - 2
    if scale_factor is not None and size is None and not recompute_scale_factor:
        factors = [1.0, 1.0, *(float(f) for f in several(scale_factor, spatial))]
        from tallow.dtype import f32

        return g.node("Resize", input, None, g.constant(factors, f32), **options)
    return g.node(
        "Resize", input, None, None, g.sizes((*input.shape[:2], *out.shape[2:])), **options
    )


@row("grid_sample", when=lambda input, mode, **how: input.ndim == 4 and input.dtype.kind == "f")
def grid_sample(
    g: Emitter, out: Value, input: Any, grid: Any, mode: str, padding_mode: str, align_corners: Any
) -> Any:
    """The input interpolated at points."""
    modes = {"bilinear": "linear", "bicubic": "cubic"} if g.opset >= 20 else {}
    return g.node(
        "GridSample", input, grid, mode=modes.get(mode, mode), padding_mode=padding_mode,
        align_corners=int(bool(align_corners)),
    )  # fmt: skip


__all__ = ["several"]
