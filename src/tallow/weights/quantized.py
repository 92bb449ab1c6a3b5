"""GPTQ, AWQ, FP8 and BitNet checkpoints: their packed tensors presented as weights of block dtypes.

What `quantization_config` in a folder's config.json says is how the tensors are read:

| `quant_method` | tensors of a layer | its `weight` |
|---|---|---|
| `gptq` (v1, or `checkpoint_format: gptq_v2`; 4, 8 bits) | `qweight qzeros scales g_idx` | ints |
| `awq` (`version: gemm`; 4 bits) | `qweight qzeros scales` | ints |
| `compressed-tensors` (`pack-quantized`; 4, 8 bits) | `weight_packed weight_scale` … | ints |
| `mxfp4` | `…_blocks …_scales` of experts | `mxfp4` |
| `bitnet` | `weight weight_scale` | `tq2_0` |
| `fp8`, `fbgemm_fp8`, `compressed-tensors` of floats | `weight weight_scale(_inv)` | `f8e4m3_128` |

Integers with their zero point in the middle are `q4_0` or `q8_0`, exactly: w = s·(q - 8) or
s·(q - 128). Other zero points z of 4 bits make `q4_1`, w = d·q + m, with d = s and m = -s·z rounded
to f16, which moves a weight by at most 2⁻¹¹·s·z, less than 0.8% of a step s (or by 2⁻²⁵ where that
is more). Scales that are no f16 are rounded to it, by at most 2⁻¹¹ of their value.
A float dtype, `source.take(name, tl.f32)`, gives the values as they stand, without that rounding.

What no block dtype can hold is given in float dtypes only: `desc_act` whose order mixes groups
within a block, groups that are no multiple of 32 columns (of 128 for FP8), 8 bits with other zero
points.

Sources: AutoGPTQ (`qlinear_cuda`), GPTQModel and AutoAWQ (`packing_utils`), compressed-tensors,
transformers (`finegrained_fp8`), the DeepSeek-V3 checkpoints (`fp8_cast_bf16`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from tallow.dtype import DType, by_name
from tallow.errors import ModelError
from tallow.formats.mapping import TensorInfo
from tallow.weights.entry import ComputedFile
from tallow.weights.int_packing import find_awq, find_compressed, find_gptq
from tallow.weights.mxfp4 import find_mxfp4
from tallow.weights.scaled import find_fp8
from tallow.weights.source import MAX_LISTED, WeightSource
from tallow.weights.ternary import find_bitnet

if TYPE_CHECKING:
    from tallow.tensor import Tensor


class Layer(Protocol):
    """One weight that is spread over several tensors."""

    parts: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the weight."""

    def form(self) -> tuple[str, str | None]:
        """The block dtype that holds the weight; or `f32`, and why only floats can."""

    def blocks(self) -> Tensor:
        """The weight in that block dtype."""

    def floats(self) -> Tensor:
        """The weight in f32, computed from the stored numbers."""


# quant_method → what finds the layers of a source by its config.
_METHODS: Final = {
    "gptq": find_gptq,
    "awq": find_awq,
    "bitnet": find_bitnet,
    "compressed-tensors": find_compressed,
    "fp8": find_fp8,
    "fbgemm_fp8": find_fp8,
    "mxfp4": find_mxfp4,
}
# Methods by which activations are rounded, too, so that models read the config; no tensor of such a
# checkpoint need be packed.
_OF_ACTIVATIONS: Final = ("bitnet",)


def unpacked(source: WeightSource, config: Any) -> WeightSource:
    """`source` with the packed tensors of each layer replaced by its one weight.

    `config` is the `quantization_config`. A source of a method that is not known here is given back
    as it is, `config` and all.

    Raises:
        ModelError: the config or the shapes of packed tensors make no sense; all that do not are
            listed.
    """
    method = config.get("quant_method") if isinstance(config, dict) else None
    find = _METHODS.get(method) if isinstance(method, str) else None
    if find is None:
        return source
    mismatches: list[str] = []
    layers: dict[str, Layer] = find(source, config, mismatches)
    if not layers and not mismatches and method in _OF_ACTIVATIONS:
        return source
    if not layers and not mismatches:
        mismatches.append(f"expected tensors packed as {method!r} says, found none")
    if mismatches:
        more = (
            [f"… and {len(mismatches) - MAX_LISTED} more"] if len(mismatches) > MAX_LISTED else []
        )
        head = f"{source.label}: config.json: quantization_config:"
        raise ModelError("\n  ".join([head, *mismatches[:MAX_LISTED], *more]))
    packed = {part for layer in layers.values() for part in layer.parts}
    rest = source.select([name for name in source.names() if name not in packed])
    made = WeightSource(source.path, [LayerFile(source, layers)], label=source.label)
    merged = rest.merge(made)
    left = dict(source.config or {})
    if method not in _OF_ACTIVATIONS:
        left.pop("quantization_config", None)
    merged.config = left
    return merged


class _Infos(Mapping[str, TensorInfo]):
    """The infos of layers, each found out when it is first asked for: it takes a look at zeros."""

    def __init__(self, source: WeightSource, layers: Mapping[str, Layer]) -> None:
        self._source, self._layers = source, layers
        self._known: dict[str, TensorInfo] = {}

    def __getitem__(self, name: str) -> TensorInfo:
        if name not in self._known:
            layer = self._layers[name]
            form, shape = layer.form()[0], layer.shape
            row = by_name(form)
            size = math.prod(shape) // row.block * row.itemsize
            offset = self._source.info(layer.parts[0]).offset
            self._known[name] = TensorInfo(name, form, shape, offset, size)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


class LayerFile(ComputedFile):
    """The weights of layers under the interface of an open file."""

    def __init__(self, source: WeightSource, layers: Mapping[str, Layer]) -> None:
        self.path = source.label
        self._source, self._layers = source, layers
        self.tensors: Mapping[str, TensorInfo] = _Infos(source, layers)

    def tensor(self, name: str) -> Tensor:
        """The weight in its block dtype; `ModelError` when none can hold it."""
        problem = self.problem(name, None)
        if problem is not None:
            raise ModelError(f"{self.path}: {name}: {problem}")
        return self._layers[name].blocks()

    def tensor_as(self, name: str, dtype: DType) -> Tensor:
        """The weight in `dtype`, from the stored numbers."""
        layer = self._layers[name]
        if dtype.name == self.tensors[name].dtype and dtype.is_quantized:
            return layer.blocks()
        return layer.floats().to(dtype)

    def problem(self, name: str, dtype: DType | None) -> str | None:
        """Why the weight cannot be given in `dtype` (None: as blocks), or None."""
        reason = self._layers[name].form()[1]
        if reason is None or dtype is not None:
            return None
        wanted = "dtype f32, f16 or bf16 to be asked for (--dtype)"
        return f"expected {wanted}, as no block dtype holds {reason}"

    def close(self) -> None:
        """Let go of the file behind."""
        self._source.close()
