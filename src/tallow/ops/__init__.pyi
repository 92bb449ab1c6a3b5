"""The ops as functions; tools/make_stubs.py writes this file."""

from collections.abc import Sequence
from typing import Any

from ..dtype import DType
from ..random import Generator
from ..tensor import Tensor
from .extreme import MinMax, ValuesIndices
from .reduce import Dim

__all__ = [
    "where",
    "lerp",
    "addcmul",
    "addcdiv",
    "clamp",
    "clamp_min",
    "clamp_max",
    "matmul",
    "linear",
    "mm",
    "bmm",
    "mv",
    "dot",
    "vdot",
    "inner",
    "outer",
    "ger",
    "addmm",
    "addmv",
    "addbmm",
    "baddbmm",
    "addr",
    "chain_matmul",
    "relu_grad",
    "sigmoid_grad",
    "silu_grad",
    "gelu_grad",
    "relu",
    "sigmoid",
    "logsigmoid",
    "silu",
    "silu_mul",
    "gelu_tanh",
    "quick_gelu",
    "gelu",
    "mish",
    "hardsigmoid",
    "hardswish",
    "softsign",
    "tanhshrink",
    "linear_act",
    "reshape",
    "view",
    "flatten",
    "squeeze",
    "unsqueeze",
    "reshape_as",
    "view_as",
    "ravel",
    "unflatten",
    "transpose",
    "permute",
    "swapaxes",
    "swapdims",
    "t",
    "adjoint",
    "movedim",
    "moveaxis",
    "expand",
    "expand_as",
    "broadcast_to",
    "broadcast_tensors",
    "narrow",
    "select",
    "cat",
    "concat",
    "concatenate",
    "stack",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "hstack",
    "vstack",
    "row_stack",
    "dstack",
    "column_stack",
    "block_diag",
    "meshgrid",
    "cartesian_prod",
    "combinations",
    "repeat",
    "tile",
    "repeat_interleave",
    "embedding",
    "rope_table",
    "rope",
    "kv_write",
    "attention",
    "view_as_real",
    "view_as_complex",
    "real",
    "imag",
    "conj",
    "conj_physical",
    "resolve_conj",
    "resolve_neg",
    "angle",
    "complex",
    "polar",
    "is_complex",
    "isreal",
    "cast",
    "clone",
    "neg",
    "abs",
    "square",
    "floor",
    "ceil",
    "trunc",
    "frac",
    "reciprocal",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "tanh_grad",
    "sign",
    "round",
    "positive",
    "sgn",
    "isnan",
    "isposinf",
    "isneginf",
    "isinf",
    "isfinite",
    "nan_to_num",
    "mul",
    "pow",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "floor_divide",
    "remainder",
    "fmod",
    "atan2",
    "hypot",
    "copysign",
    "logaddexp2",
    "nextafter",
    "gcd",
    "lcm",
    "add",
    "sub",
    "rsub",
    "div",
    "true_divide",
    "logaddexp",
    "logical_not",
    "signbit",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "bitwise_not",
    "sum",
    "mean",
    "prod",
    "any",
    "all",
    "count_nonzero",
    "sum_to_size",
    "logsumexp",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "max",
    "min",
    "aminmax",
    "rms_norm",
    "layer_norm",
    "absolute",
    "negative",
    "arcsin",
    "arccos",
    "arctan",
    "arcsinh",
    "arccosh",
    "arctanh",
    "arctan2",
    "fix",
    "multiply",
    "subtract",
    "divide",
    "clip",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "not_equal",
    "sample",
    "softmax",
    "log_softmax",
    "p_norm",
    "norm",
    "renorm",
    "cdist",
    "cross",
    "cov",
    "corrcoef",
    "matrix_exp",
    "matrix_power",
    "leaky_relu",
    "scaled_elu",
    "elu",
    "selu",
    "celu",
    "softplus",
    "hardshrink",
    "softshrink",
    "threshold",
    "hardtanh",
    "relu6",
    "prelu",
    "glu",
    "rrelu",
    "attention_per_head",
    "isclose",
    "allclose",
    "equal",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "arange",
    "linspace",
    "logspace",
    "eye",
    "scalar_tensor",
    "empty_strided",
    "new_empty",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_tensor",
    "new_empty_strided",
    "hann_window",
    "hamming_window",
    "blackman_window",
    "bartlett_window",
    "kaiser_window",
    "diagonal",
    "unfold",
    "as_strided",
    "strided_view",
    "tril",
    "triu",
    "tril_indices",
    "triu_indices",
    "diag_embed",
    "diag",
    "diagflat",
    "trace",
    "one_hot",
    "vander",
    "dist",
    "pairwise_distance",
    "cosine_similarity",
    "pdist",
    "bilinear",
    "rand",
    "randn",
    "randint",
    "randperm",
    "rand_like",
    "randn_like",
    "randint_like",
    "uniform_",
    "normal_",
    "bernoulli_",
    "random_",
    "exponential_",
    "geometric_",
    "cauchy_",
    "log_normal_",
    "bernoulli",
    "poisson",
    "multinomial",
    "normal",
    "native_dropout",
    "dropout",
    "einsum",
    "tensordot",
    "kron",
    "deg2rad",
    "rad2deg",
    "float_power",
    "heaviside",
    "ldexp",
    "frexp",
    "expert_linear",
    "expert_outer",
    "constant_pad_nd",
    "pad",
    "complex_transform",
    "real_transform",
    "hermitian_transform",
    "paired_transform",
    "flip",
    "fliplr",
    "flipud",
    "roll",
    "rot90",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "grid_sample",
    "affine_grid",
    "take_positions",
    "put_positions",
    "index_put",
    "take",
    "put",
    "embedding_weight_grad",
    "gather",
    "scatter_values",
    "scatter",
    "scatter_add",
    "scatter_combine",
    "scatter_reduce",
    "index_select",
    "index_add",
    "index_copy",
    "index_fill",
    "index_reduce",
    "take_along_dim",
    "interpolate",
    "upsample",
    "upsample_nearest",
    "upsample_bilinear",
    "svd_factors",
    "svd",
    "eigh_factors",
    "eig_factors",
    "inverse",
    "lower_cholesky",
    "cholesky",
    "qr_factors",
    "qr",
    "ldl_parts",
    "ldl_solutions",
    "det",
    "slogdet_parts",
    "slogdet",
    "logdet",
    "pseudo_inverse",
    "pinverse",
    "solve_matrices",
    "solve_triangles",
    "triangular_solve",
    "cholesky_solve",
    "cholesky_inverse",
    "least_squares",
    "lu_rows",
    "lu_unpack",
    "lu_solve",
    "qr_reflectors",
    "geqrf",
    "orgqr",
    "ormqr",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "poisson_nll_loss",
    "gaussian_nll_loss",
    "soft_margin_loss",
    "nll_loss",
    "cross_entropy",
    "ctc_loss",
    "cosine_embedding_loss",
    "margin_ranking_loss",
    "hinge_embedding_loss",
    "triplet_margin_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nonzero",
    "argwhere",
    "masked_fill",
    "masked_select",
    "masked_scatter",
    "batch_norm",
    "group_norm",
    "instance_norm",
    "local_response_norm",
    "normalize",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "quantize",
    "dequantize",
    "diagonal_scatter",
    "select_scatter",
    "slice_scatter",
    "as_strided_scatter",
    "cumsum",
    "cumprod",
    "linear_scan",
    "cummax",
    "cummin",
    "logcumsumexp",
    "diff",
    "trapezoid",
    "cumulative_trapezoid",
    "sort",
    "argsort",
    "msort",
    "topk",
    "kthvalue",
    "median_of",
    "median",
    "nanmedian",
    "mode",
    "quantile",
    "nanquantile",
    "unique",
    "unique_consecutive",
    "searchsorted",
    "bucketize",
    "isin",
    "bincount",
    "histc",
    "histogram",
    "squeeze_",
    "unsqueeze_",
    "transpose_",
    "swapaxes_",
    "swapdims_",
    "t_",
    "as_strided_",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "erf",
    "erfc",
    "erfinv",
    "lgamma",
    "digamma",
    "i0",
    "igamma",
    "igammac",
    "xlogy",
    "polygamma",
    "logit",
    "sinc",
    "mvlgamma",
    "unbind",
    "split",
    "split_with_sizes",
    "chunk",
    "tensor_split",
    "hsplit",
    "vsplit",
    "dsplit",
    "var",
    "std",
    "var_mean",
    "std_mean",
    "nansum",
    "nanmean",
    "stft",
    "istft",
]

def where(
    condition: Tensor, input: Tensor | float | None = None, other: Tensor | float | None = None
) -> Tensor: ...
def lerp(x: Tensor, end: Tensor, weight: Tensor | float) -> Tensor: ...
def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor: ...
def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor: ...
def clamp(
    x: Tensor, min: Tensor | float | None = None, max: Tensor | float | None = None
) -> Tensor: ...
def clamp_min(x: Tensor, min: Tensor | float) -> Tensor: ...
def clamp_max(x: Tensor, max: Tensor | float) -> Tensor: ...
def matmul(a: Tensor, b: Tensor) -> Tensor: ...
def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, exact: bool = False
) -> Tensor: ...
def mm(x: Tensor, mat2: Tensor) -> Tensor: ...
def bmm(x: Tensor, mat2: Tensor) -> Tensor: ...
def mv(x: Tensor, vec: Tensor) -> Tensor: ...
def dot(x: Tensor, tensor: Tensor) -> Tensor: ...
def vdot(x: Tensor, other: Tensor) -> Tensor: ...
def inner(x: Tensor, other: Tensor) -> Tensor: ...
def outer(x: Tensor, vec2: Tensor) -> Tensor: ...
def ger(x: Tensor, vec2: Tensor) -> Tensor: ...
def addmm(x: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor: ...
def addmv(x: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor: ...
def addbmm(
    x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor: ...
def baddbmm(
    x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor: ...
def addr(x: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor: ...
def chain_matmul(*matrices: Any) -> Tensor: ...
def relu_grad(g: Tensor, out: Tensor) -> Tensor: ...
def sigmoid_grad(g: Tensor, out: Tensor) -> Tensor: ...
def silu_grad(g: Tensor, x: Tensor) -> Tensor: ...
def gelu_grad(g: Tensor, x: Tensor) -> Tensor: ...
def relu(x: Tensor) -> Tensor: ...
def sigmoid(x: Tensor) -> Tensor: ...
def logsigmoid(x: Tensor) -> Tensor: ...
def silu(x: Tensor) -> Tensor: ...
def silu_mul(gate: Tensor, up: Tensor) -> Tensor: ...
def gelu_tanh(x: Tensor) -> Tensor: ...
def quick_gelu(x: Tensor) -> Tensor: ...
def gelu(x: Tensor, *, approximate: str = 'none') -> Tensor: ...
def mish(x: Tensor) -> Tensor: ...
def hardsigmoid(x: Tensor) -> Tensor: ...
def hardswish(x: Tensor) -> Tensor: ...
def softsign(x: Tensor) -> Tensor: ...
def tanhshrink(x: Tensor) -> Tensor: ...
def linear_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    *,
    act: str = '',
    exact: bool = False,
) -> Tensor: ...
def reshape(x: Tensor, *sizes: Any, shape: Any = None) -> Tensor: ...
def view(x: Tensor, *shape: Any) -> Tensor: ...
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor: ...
def squeeze(x: Tensor, dim: Any = None) -> Tensor: ...
def unsqueeze(x: Tensor, dim: int) -> Tensor: ...
def reshape_as(x: Tensor, other: Tensor) -> Tensor: ...
def view_as(x: Tensor, other: Tensor) -> Tensor: ...
def ravel(x: Tensor) -> Tensor: ...
def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor: ...
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor: ...
def permute(x: Tensor, *axes: Any, dims: Any = None) -> Tensor: ...
def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor: ...
def swapdims(x: Tensor, dim0: int, dim1: int) -> Tensor: ...
def t(x: Tensor) -> Tensor: ...
def adjoint(x: Tensor) -> Tensor: ...
def movedim(x: Tensor, source: Any, destination: Any) -> Tensor: ...
def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor: ...
def expand(x: Tensor, *sizes: Any, size: Any = None) -> Tensor: ...
def expand_as(x: Tensor, other: Tensor) -> Tensor: ...
def broadcast_to(x: Tensor, size: Sequence[int]) -> Tensor: ...
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]: ...
def narrow(x: Tensor, dim: int, start: Any, length: int) -> Tensor: ...
def select(x: Tensor, dim: int, index: Any) -> Tensor: ...
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor: ...
def concat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor: ...
def concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Tensor: ...
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor: ...
def atleast_1d(*tensors: Any) -> Any: ...
def atleast_2d(*tensors: Any) -> Any: ...
def atleast_3d(*tensors: Any) -> Any: ...
def hstack(tensors: Sequence[Tensor]) -> Tensor: ...
def vstack(tensors: Sequence[Tensor]) -> Tensor: ...
def row_stack(tensors: Sequence[Tensor]) -> Tensor: ...
def dstack(tensors: Sequence[Tensor]) -> Tensor: ...
def column_stack(tensors: Sequence[Tensor]) -> Tensor: ...
def block_diag(*tensors: Any) -> Tensor: ...
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]: ...
def cartesian_prod(*tensors: Any) -> Tensor: ...
def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor: ...
def repeat(x: Tensor, *counts_: Any, repeats: Any = None) -> Tensor: ...
def tile(x: Tensor, *counts_: Any, dims: Any = None) -> Tensor: ...
def repeat_interleave(
    x: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor: ...
def embedding(ids: Tensor, weight: Tensor) -> Tensor: ...
def rope_table(positions: Tensor, freqs: Tensor, scale: float = 1.0) -> Tensor: ...
def rope(x: Tensor, table: Tensor, interleaved: bool = False) -> Tensor: ...
def kv_write(cache_k: Tensor, cache_v: Tensor, k: Tensor, v: Tensor, start: Tensor) -> None: ...
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    start: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    causal: bool = False,
    window: int = 0,
    softcap: float = 0.0,
) -> Tensor: ...
def view_as_real(x: Tensor) -> Tensor: ...
def view_as_complex(x: Tensor) -> Tensor: ...
def real(x: Tensor) -> Tensor: ...
def imag(x: Tensor) -> Tensor: ...
def conj(x: Tensor) -> Tensor: ...
def conj_physical(x: Tensor) -> Tensor: ...
def resolve_conj(x: Tensor) -> Tensor: ...
def resolve_neg(x: Tensor) -> Tensor: ...
def angle(x: Tensor) -> Tensor: ...
def complex(real: Tensor, imag: Tensor) -> Tensor: ...
def polar(abs: Tensor, angle: Tensor) -> Tensor: ...
def is_complex(x: Tensor) -> bool: ...
def isreal(x: Tensor) -> Tensor: ...
def cast(x: Tensor, dtype: DType | str) -> Tensor: ...
def clone(x: Tensor, memory_format: object = None) -> Tensor: ...
def neg(x: Tensor) -> Tensor: ...
def abs(x: Tensor) -> Tensor: ...
def square(x: Tensor) -> Tensor: ...
def floor(x: Tensor) -> Tensor: ...
def ceil(x: Tensor) -> Tensor: ...
def trunc(x: Tensor) -> Tensor: ...
def frac(x: Tensor) -> Tensor: ...
def reciprocal(x: Tensor) -> Tensor: ...
def exp(x: Tensor) -> Tensor: ...
def exp2(x: Tensor) -> Tensor: ...
def expm1(x: Tensor) -> Tensor: ...
def log(x: Tensor) -> Tensor: ...
def log2(x: Tensor) -> Tensor: ...
def log10(x: Tensor) -> Tensor: ...
def log1p(x: Tensor) -> Tensor: ...
def sqrt(x: Tensor) -> Tensor: ...
def rsqrt(x: Tensor) -> Tensor: ...
def sin(x: Tensor) -> Tensor: ...
def cos(x: Tensor) -> Tensor: ...
def tan(x: Tensor) -> Tensor: ...
def asin(x: Tensor) -> Tensor: ...
def acos(x: Tensor) -> Tensor: ...
def atan(x: Tensor) -> Tensor: ...
def sinh(x: Tensor) -> Tensor: ...
def cosh(x: Tensor) -> Tensor: ...
def tanh(x: Tensor) -> Tensor: ...
def asinh(x: Tensor) -> Tensor: ...
def acosh(x: Tensor) -> Tensor: ...
def atanh(x: Tensor) -> Tensor: ...
def tanh_grad(g: Tensor, out: Tensor) -> Tensor: ...
def sign(x: Tensor) -> Tensor: ...
def round(x: Tensor, *, decimals: int = 0) -> Tensor: ...
def positive(x: Tensor) -> Tensor: ...
def sgn(x: Tensor) -> Tensor: ...
def isnan(x: Tensor) -> Tensor: ...
def isposinf(x: Tensor) -> Tensor: ...
def isneginf(x: Tensor) -> Tensor: ...
def isinf(x: Tensor) -> Tensor: ...
def isfinite(x: Tensor) -> Tensor: ...
def nan_to_num(
    x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor: ...
def mul(a: Tensor, b: Tensor | float) -> Tensor: ...
def pow(a: Tensor, b: Tensor | float) -> Tensor: ...
def maximum(a: Tensor, b: Tensor | float) -> Tensor: ...
def minimum(a: Tensor, b: Tensor | float) -> Tensor: ...
def fmax(a: Tensor, b: Tensor | float) -> Tensor: ...
def fmin(a: Tensor, b: Tensor | float) -> Tensor: ...
def floor_divide(a: Tensor, b: Tensor | float) -> Tensor: ...
def remainder(a: Tensor, b: Tensor | float) -> Tensor: ...
def fmod(a: Tensor, b: Tensor | float) -> Tensor: ...
def atan2(a: Tensor, b: Tensor | float) -> Tensor: ...
def hypot(a: Tensor, b: Tensor | float) -> Tensor: ...
def copysign(a: Tensor, b: Tensor | float) -> Tensor: ...
def logaddexp2(a: Tensor, b: Tensor | float) -> Tensor: ...
def nextafter(a: Tensor, b: Tensor | float) -> Tensor: ...
def gcd(a: Tensor, b: Tensor | float) -> Tensor: ...
def lcm(a: Tensor, b: Tensor | float) -> Tensor: ...
def add(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor: ...
def sub(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor: ...
def rsub(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor: ...
def div(x: Tensor, other: Tensor | float, *, rounding_mode: str | None = None) -> Tensor: ...
def true_divide(x: Tensor, other: Tensor | float) -> Tensor: ...
def logaddexp(x: Tensor, other: Tensor) -> Tensor: ...
def logical_not(x: Tensor) -> Tensor: ...
def signbit(x: Tensor) -> Tensor: ...
def eq(a: Tensor, b: Tensor | float) -> Tensor: ...
def ne(a: Tensor, b: Tensor | float) -> Tensor: ...
def lt(a: Tensor, b: Tensor | float) -> Tensor: ...
def le(a: Tensor, b: Tensor | float) -> Tensor: ...
def gt(a: Tensor, b: Tensor | float) -> Tensor: ...
def ge(a: Tensor, b: Tensor | float) -> Tensor: ...
def logical_and(a: Tensor, b: Tensor | float) -> Tensor: ...
def logical_or(a: Tensor, b: Tensor | float) -> Tensor: ...
def logical_xor(a: Tensor, b: Tensor | float) -> Tensor: ...
def bitwise_and(a: Tensor, b: Tensor | float) -> Tensor: ...
def bitwise_or(a: Tensor, b: Tensor | float) -> Tensor: ...
def bitwise_xor(a: Tensor, b: Tensor | float) -> Tensor: ...
def bitwise_left_shift(a: Tensor, b: Tensor | float) -> Tensor: ...
def bitwise_right_shift(a: Tensor, b: Tensor | float) -> Tensor: ...
def bitwise_not(x: Tensor) -> Tensor: ...
def sum(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor: ...
def mean(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor: ...
def prod(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor: ...
def any(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor: ...
def all(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor: ...
def count_nonzero(x: Tensor, dim: Dim = None) -> Tensor: ...
def sum_to_size(x: Tensor, *size: Any) -> Tensor: ...
def logsumexp(x: Tensor, dim: Dim, keepdim: bool = False) -> Tensor: ...
def amax(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor: ...
def amin(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor: ...
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor: ...
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor: ...
def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any: ...
def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any: ...
def aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax: ...
def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-06) -> Tensor: ...
def layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05
) -> Tensor: ...
def absolute(x: Tensor) -> Tensor: ...
def negative(x: Tensor) -> Tensor: ...
def arcsin(x: Tensor) -> Tensor: ...
def arccos(x: Tensor) -> Tensor: ...
def arctan(x: Tensor) -> Tensor: ...
def arcsinh(x: Tensor) -> Tensor: ...
def arccosh(x: Tensor) -> Tensor: ...
def arctanh(x: Tensor) -> Tensor: ...
def arctan2(a: Tensor, b: Tensor | float) -> Tensor: ...
def fix(x: Tensor) -> Tensor: ...
def multiply(a: Tensor, b: Tensor | float) -> Tensor: ...
def subtract(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor: ...
def divide(x: Tensor, other: Tensor | float, *, rounding_mode: str | None = None) -> Tensor: ...
def clip(
    x: Tensor, min: Tensor | float | None = None, max: Tensor | float | None = None
) -> Tensor: ...
def greater(a: Tensor, b: Tensor | float) -> Tensor: ...
def greater_equal(a: Tensor, b: Tensor | float) -> Tensor: ...
def less(a: Tensor, b: Tensor | float) -> Tensor: ...
def less_equal(a: Tensor, b: Tensor | float) -> Tensor: ...
def not_equal(a: Tensor, b: Tensor | float) -> Tensor: ...
def sample(
    logits: Tensor,
    history: Tensor,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition: float = 1.0,
    frequency: float = 0.0,
    presence: float = 0.0,
    random: float = 0.0,
) -> Tensor: ...
def softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor: ...
def log_softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor: ...
def p_norm(input: Tensor, p: float, dims: Sequence[int], keepdim: bool) -> Tensor: ...
def norm(
    x: Tensor,
    p: Any = 'fro',
    dim: Any = None,
    keepdim: bool = False,
    dtype: DType | str | None = None,
) -> Tensor: ...
def renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor: ...
def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str | None = 'use_mm_for_euclid_dist_if_necessary',
) -> Tensor: ...
def cross(x: Tensor, other: Tensor, dim: int | None = None) -> Tensor: ...
def cov(
    x: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor: ...
def corrcoef(x: Tensor) -> Tensor: ...
def matrix_exp(x: Tensor) -> Tensor: ...
def matrix_power(x: Tensor, n: int) -> Tensor: ...
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor: ...
def scaled_elu(x: Tensor, low: float, slope: float, high: float) -> Tensor: ...
def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor: ...
def selu(x: Tensor) -> Tensor: ...
def celu(x: Tensor, alpha: float = 1.0) -> Tensor: ...
def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor: ...
def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor: ...
def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor: ...
def threshold(x: Tensor, threshold: float, value: float) -> Tensor: ...
def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor: ...
def relu6(x: Tensor) -> Tensor: ...
def prelu(x: Tensor, weight: Tensor) -> Tensor: ...
def glu(x: Tensor, dim: int = -1) -> Tensor: ...
def rrelu(
    x: Tensor, lower: float = 0.125, upper: float = 0.3333333333333333, training: bool = False
) -> Tensor: ...
def attention_per_head(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    start: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    causal: bool = False,
    window: int = 0,
    softcap: float = 0.0,
    sinks: Tensor | None = None,
    slopes: Tensor | None = None,
    chunk: int = 0,
) -> Tensor: ...
def isclose(
    x: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor: ...
def allclose(
    x: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool: ...
def equal(x: Tensor, other: Tensor) -> bool: ...
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor: ...
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor: ...
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor: ...
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor: ...
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor: ...
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor: ...
def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor: ...
def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def new_empty(
    x: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor: ...
def new_zeros(
    x: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor: ...
def new_ones(
    x: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor: ...
def new_full(
    x: Tensor,
    size: Sequence[int],
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def new_tensor(
    x: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor: ...
def new_empty_strided(
    x: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor: ...
def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor: ...
def as_strided(
    x: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor: ...
def strided_view(
    input: Tensor, size: Sequence[int], stride: Sequence[int], shift: int, strides: Sequence[int]
) -> Tensor: ...
def tril(x: Tensor, diagonal: int = 0) -> Tensor: ...
def triu(x: Tensor, diagonal: int = 0) -> Tensor: ...
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | str = ..., device: Any = None
) -> Tensor: ...
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | str = ..., device: Any = None
) -> Tensor: ...
def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor: ...
def diag(x: Tensor, diagonal: int = 0) -> Tensor: ...
def diagflat(x: Tensor, offset: int = 0) -> Tensor: ...
def trace(x: Tensor) -> Tensor: ...
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor: ...
def vander(input: Tensor, N: int | None = None, increasing: bool = False) -> Tensor: ...
def dist(x: Tensor, other: Tensor, p: Any = 2) -> Tensor: ...
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False
) -> Tensor: ...
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08) -> Tensor: ...
def pdist(input: Tensor, p: float = 2.0) -> Tensor: ...
def bilinear(
    input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor: ...
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def rand_like(
    input: Tensor,
    *,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor: ...
def randn_like(
    input: Tensor,
    *,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor: ...
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor: ...
def uniform_(
    x: Tensor,
    from_: float = 0.0,
    to: float = 1.0,
    *,
    generator: Generator | None = None,
    named: Any,
) -> Tensor: ...
def normal_(
    x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor: ...
def bernoulli_(
    x: Tensor, p: Tensor | float = 0.5, *, generator: Generator | None = None
) -> Tensor: ...
def random_(
    x: Tensor,
    from_: int | None = None,
    to: int | None = None,
    *,
    generator: Generator | None = None,
    named: Any,
) -> Tensor: ...
def exponential_(
    x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None
) -> Tensor: ...
def geometric_(x: Tensor, p: float, *, generator: Generator | None = None) -> Tensor: ...
def cauchy_(
    x: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor: ...
def log_normal_(
    x: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor: ...
def bernoulli(
    x: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor: ...
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor: ...
def multinomial(
    x: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor: ...
def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor: ...
def native_dropout(
    input: Tensor, p: float, train: bool | None = True, generator: Generator | None = None
) -> tuple[Tensor, Tensor]: ...
def dropout(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor: ...
def einsum(equation: str | Tensor, *operands: Any) -> Tensor: ...
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor: ...
def kron(x: Tensor, other: Tensor) -> Tensor: ...
def deg2rad(x: Tensor) -> Tensor: ...
def rad2deg(x: Tensor) -> Tensor: ...
def float_power(x: Tensor | float, exponent: Tensor | float) -> Tensor: ...
def heaviside(x: Tensor, values: Tensor) -> Tensor: ...
def ldexp(x: Tensor, other: Tensor) -> Tensor: ...
def frexp(x: Tensor) -> tuple[Tensor, Tensor]: ...
def expert_linear(
    x: Tensor, weight: Tensor, ids: Tensor, bias: Tensor | None = None, *, exact: bool = False
) -> Tensor: ...
def expert_outer(g: Tensor, x: Tensor, ids: Tensor, experts: int) -> Tensor: ...
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor: ...
def pad(input: Tensor, pad: Sequence[int], mode: str = 'constant', value: Any = None) -> Tensor: ...
def complex_transform(
    input: Tensor, dims: Sequence[int], forward: bool, scale: float
) -> Tensor: ...
def real_transform(input: Tensor, dim: int, scale: float, inside: float = 1.0) -> Tensor: ...
def hermitian_transform(
    input: Tensor, n: int, dim: int, scale: float, inside: float = 1.0
) -> Tensor: ...
def paired_transform(input: Tensor, dim: int, forward: bool, scale: float) -> Tensor: ...
def flip(x: Tensor, *axes: Any, dims: Any = None) -> Tensor: ...
def fliplr(x: Tensor) -> Tensor: ...
def flipud(x: Tensor) -> Tensor: ...
def roll(x: Tensor, shifts: Any, dims: Any = None) -> Tensor: ...
def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = ...) -> Tensor: ...
def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any: ...
def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any: ...
def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any: ...
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor: ...
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor: ...
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor: ...
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = 'bilinear',
    padding_mode: str = 'zeros',
    align_corners: bool | None = None,
) -> Tensor: ...
def affine_grid(
    theta: Tensor, size: Sequence[int], align_corners: bool | None = None
) -> Tensor: ...
def take_positions(input: Tensor, indices: Tensor, axis: int = 0) -> Tensor: ...
def put_positions(
    input: Tensor, indices: Tensor, values: Tensor, accumulate: bool = False, axis: int = 0
) -> Tensor: ...
def index_put(
    x: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False
) -> Tensor: ...
def take(x: Tensor, index: Tensor) -> Tensor: ...
def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor: ...
def embedding_weight_grad(
    g: Tensor, ids: Tensor, num_rows: int, padding_idx: int | None = None
) -> Tensor: ...
def gather(x: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor: ...
def scatter_values(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor: ...
def scatter(
    x: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | float | None = None,
    *,
    value: float | None = None,
    reduce: str | None = None,
) -> Tensor: ...
def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor: ...
def scatter_combine(input: Tensor, dim: int, index: Tensor, src: Tensor, mode: int) -> Tensor: ...
def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor: ...
def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor: ...
def index_add(
    x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor: ...
def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor: ...
def index_fill(x: Tensor, dim: int, index: Tensor, value: Tensor | float) -> Tensor: ...
def index_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor: ...
def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor: ...
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = 'nearest',
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor: ...
def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = 'nearest',
    align_corners: bool | None = None,
) -> Tensor: ...
def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor: ...
def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor: ...
def svd_factors(input: Tensor, full_matrices: bool) -> Any: ...
def svd(x: Tensor, some: bool = True, compute_uv: bool = True) -> Any: ...
def eigh_factors(input: Tensor, UPLO: str) -> Any: ...
def eig_factors(input: Tensor) -> Any: ...
def inverse(x: Tensor) -> Tensor: ...
def lower_cholesky(input: Tensor) -> Tensor: ...
def cholesky(x: Tensor, upper: bool = False) -> Tensor: ...
def qr_factors(input: Tensor, complete: bool) -> Any: ...
def qr(x: Tensor, some: bool = True) -> Any: ...
def ldl_parts(input: Tensor, hermitian: bool) -> Any: ...
def ldl_solutions(LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool) -> Tensor: ...
def det(x: Tensor) -> Tensor: ...
def slogdet_parts(input: Tensor) -> Any: ...
def slogdet(x: Tensor) -> Any: ...
def logdet(x: Tensor) -> Tensor: ...
def pseudo_inverse(input: Tensor, atol: Any, rtol: Any, hermitian: bool) -> Tensor: ...
def pinverse(x: Tensor, rcond: float = 1e-15) -> Tensor: ...
def solve_matrices(A: Tensor, B: Tensor) -> Tensor: ...
def solve_triangles(A: Tensor, B: Tensor, upper: bool, unitriangular: bool) -> Tensor: ...
def triangular_solve(
    x: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any: ...
def cholesky_solve(x: Tensor, L: Tensor, upper: bool = False) -> Tensor: ...
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor: ...
def least_squares(A: Tensor, B: Tensor, rcond: float) -> Any: ...
def lu_rows(input: Tensor, pivot: bool) -> Any: ...
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any: ...
def lu_solve(x: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor: ...
def qr_reflectors(input: Tensor) -> Any: ...
def geqrf(x: Tensor) -> Any: ...
def orgqr(x: Tensor, input2: Tensor) -> Tensor: ...
def ormqr(
    x: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor: ...
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
    weight: Tensor | None = None,
) -> Tensor: ...
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
    weight: Tensor | None = None,
) -> Tensor: ...
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
    beta: float = 1.0,
) -> Tensor: ...
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = 'mean',
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor: ...
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
    pos_weight: Tensor | None = None,
) -> Tensor: ...
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
    log_target: bool = False,
) -> Tensor: ...
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-08,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = 'mean',
) -> Tensor: ...
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = 'mean',
    label_smoothing: float = 0.0,
) -> Tensor: ...
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = 'mean',
    zero_infinity: bool = False,
) -> Tensor: ...
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-06,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = 'mean',
) -> Tensor: ...
def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any: ...
def argwhere(x: Tensor) -> Tensor: ...
def masked_fill(x: Tensor, mask: Tensor, value: Tensor | float) -> Tensor: ...
def masked_select(x: Tensor, mask: Tensor) -> Tensor: ...
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor: ...
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor: ...
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor: ...
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor: ...
def local_response_norm(
    input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0
) -> Tensor: ...
def normalize(
    input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12
) -> Tensor: ...
def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor: ...
def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor: ...
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor: ...
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor: ...
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor: ...
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor: ...
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any: ...
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any: ...
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any: ...
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor: ...
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor: ...
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor: ...
def quantize(x: Tensor, dtype: DType | str, importance: Tensor | None = None) -> Tensor: ...
def dequantize(x: Tensor, dtype: DType | str = ...) -> Tensor: ...
def diagonal_scatter(
    x: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor: ...
def select_scatter(x: Tensor, src: Tensor, dim: int, index: int) -> Tensor: ...
def slice_scatter(
    x: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor: ...
def as_strided_scatter(
    x: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor: ...
def cumsum(x: Tensor, dim: int, dtype: DType | str | None = None) -> Tensor: ...
def cumprod(x: Tensor, dim: int, dtype: DType | str | None = None) -> Tensor: ...
def linear_scan(decay: Tensor, input: Tensor, dim: int = -1) -> Tensor: ...
def cummax(x: Tensor, dim: int) -> ValuesIndices: ...
def cummin(x: Tensor, dim: int) -> ValuesIndices: ...
def logcumsumexp(x: Tensor, dim: int) -> Tensor: ...
def diff(
    x: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor: ...
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor: ...
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1
) -> Tensor: ...
def sort(
    x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> ValuesIndices: ...
def argsort(
    x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor: ...
def msort(x: Tensor) -> Tensor: ...
def topk(
    x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices: ...
def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices: ...
def median_of(input: Tensor, which: int, dim: int, keepdim: bool) -> ValuesIndices: ...
def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any: ...
def nanmedian(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any: ...
def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices: ...
def quantile(
    x: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = 'linear',
) -> Tensor: ...
def nanquantile(
    x: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = 'linear',
) -> Tensor: ...
def unique(
    x: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any: ...
def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any: ...
def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor: ...
def bucketize(
    input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor: ...
def isin(
    elements: Tensor | float,
    test_elements: Tensor | float,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor: ...
def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor: ...
def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor: ...
def histogram(
    x: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any: ...
def squeeze_(x: Tensor, dim: Any = None) -> Tensor: ...
def unsqueeze_(x: Tensor, dim: int) -> Tensor: ...
def transpose_(x: Tensor, dim0: int, dim1: int) -> Tensor: ...
def swapaxes_(x: Tensor, axis0: int, axis1: int) -> Tensor: ...
def swapdims_(x: Tensor, dim0: int, dim1: int) -> Tensor: ...
def t_(x: Tensor) -> Tensor: ...
def as_strided_(
    x: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor: ...
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor: ...
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor: ...
def channel_shuffle(input: Tensor, groups: int) -> Tensor: ...
def erf(x: Tensor) -> Tensor: ...
def erfc(x: Tensor) -> Tensor: ...
def erfinv(x: Tensor) -> Tensor: ...
def lgamma(x: Tensor) -> Tensor: ...
def digamma(x: Tensor) -> Tensor: ...
def i0(x: Tensor) -> Tensor: ...
def igamma(a: Tensor, b: Tensor | float) -> Tensor: ...
def igammac(a: Tensor, b: Tensor | float) -> Tensor: ...
def xlogy(a: Tensor, b: Tensor | float) -> Tensor: ...
def polygamma(n: int, x: Tensor) -> Tensor: ...
def logit(x: Tensor, eps: float | None = None) -> Tensor: ...
def sinc(x: Tensor) -> Tensor: ...
def mvlgamma(x: Tensor, p: int) -> Tensor: ...
def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]: ...
def split(x: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]: ...
def split_with_sizes(x: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]: ...
def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]: ...
def tensor_split(x: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]: ...
def hsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]: ...
def vsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]: ...
def dsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]: ...
def var(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor: ...
def std(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor: ...
def var_mean(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]: ...
def std_mean(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]: ...
def nansum(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor: ...
def nanmean(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor: ...
def stft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = 'reflect',
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Tensor: ...
def istft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor: ...
