"""Tallow: a small machine-learning framework with its own kernels and PyTorch's manner."""

from __future__ import annotations

import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from . import _importing  # isort: skip
from . import _native, errors
from ._version import __version__
from .borrowing import from_buffer, from_dlpack, from_numpy, frombuffer
from .device import CPU, Device, get_default_device, set_default_device
from .dtype import (
    TORCH_NAMES,
    DType,
    bf16,
    bfloat16,
    bool_,
    cfloat,
    complex64,
    double,
    f8e4m3,
    f8e4m3_128,
    f8e5m2,
    f16,
    f32,
    f64,
    float8_e4m3fn,
    float8_e5m2,
    float16,
    float32,
    float64,
    half,
    i8,
    i16,
    i32,
    i64,
    int8,
    int16,
    int32,
    int64,
    int_,
    iq1_m,
    iq1_s,
    iq2_s,
    iq2_xs,
    iq2_xxs,
    iq3_s,
    iq3_xxs,
    iq4_nl,
    iq4_xs,
    long,
    mxfp4,
    nvfp4,
    q1_0,
    q2_0,
    q2_k,
    q3_k,
    q4_0,
    q4_1,
    q4_k,
    q5_0,
    q5_1,
    q5_k,
    q6_k,
    q8_0,
    q8_1,
    q8_k,
    short,
    tq1_0,
    tq2_0,
    u8,
    u16,
    u32,
    u64,
    uint8,
    uint16,
    uint32,
    uint64,
)  # fmt: skip
from .errors import TallowError
from .factories import (
    as_tensor,
    asarray,
    empty,
    empty_like,
    full,
    full_like,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    preserve_format,
    strided,
)
from .numeric import (
    can_cast,
    finfo,
    get_default_dtype,
    iinfo,
    is_complex,
    is_floating_point,
    is_tensor,
    numel,
    promote_types,
    result_type,
)
from .packages import module_by_name
from .tensor import Size, Tensor

# After `tensor`, whose class the rows complete.
from . import ops  # isort: skip
from .registry import op, primitive  # isort: skip
from .einops_backend import watch as _watch  # isort: skip

if TYPE_CHECKING:
    from . import (
        adapters,
        audio,
        conversion,
        documents,
        formats,
        generate,
        hub,
        models,
        nn,
        onnx,
        plan,
        quantization,
        safetensors,
        tasks,
        text,
        vision,
        weights,
    )
    from .compiled import compile
    from .documents import OCR, TableReader
    from .ops import *  # noqa: F403
    from .persistence import load, save
    from .plan import Plan, capture
    from .tasks import (
        LLM,
        AudioCodec,
        Detector,
        Embedder,
        ImageClassifier,
        ImageEmbedder,
        LineReader,
        Reranker,
        Segmenter,
        SpeakerEmbedder,
        SpeechSynthesizer,
        Summarizer,
        TextClassifier,
        TokenClassifier,
        Transcriber,
        Transcription,
        Translator,
        VoiceActivity,
        ZeroShotImageClassifier,
    )

# PyTorch's names of the classes; the modules are reached by `from tallow.dtype import …`.
device, dtype = Device, DType
inf, nan, pi, e = float("inf"), float("nan"), 3.141592653589793, 2.718281828459045

if _native.ENVIRONMENT_ERROR:
    _error = errors.ArgumentError(_native.ENVIRONMENT_ERROR)
    errors.show_in_one_line(_error)
    raise _error

_watch()
_importing.end()

# Loaded when first used, so that `import tallow` stays in the tens of milliseconds.
_SUBMODULES = (
    "adapters", "amp", "audio", "autograd", "conversion", "data", "documents", "fft", "formats",
    "generate", "hub", "linalg", "models", "nn", "onnx", "optim", "plan", "quantization", "random",
    "special", "tasks", "text", "safetensors", "training", "vision", "weights",
)  # fmt: skip
_MODULES = {
    ".tasks": (
        "LLM", "Embedder", "Reranker", "TextClassifier",
        "TokenClassifier", "Translator", "Summarizer",
        "ImageClassifier", "ImageEmbedder", "Detector",
        "Segmenter", "ZeroShotImageClassifier", "LineReader", "VoiceActivity",
        "AudioCodec", "SpeakerEmbedder", "SpeechSynthesizer", "Transcriber", "Transcription",
    ),
    ".documents": ("OCR", "TableReader"),
    ".plan": ("capture", "Plan"),
    ".compiled": ("compile",),
    ".autograd": (
        "checkpoint", "enable_grad", "gradcheck", "gradgradcheck", "inference_mode",
        "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_grad_enabled",
    ),
    ".autograd.transforms": ("grad", "hessian", "jacobian", "jvp", "value_and_grad", "vjp"),
    ".persistence": ("load", "save"),
    ".training": ("load_checkpoint", "save_checkpoint"),
    ".amp": ("autocast",),
    ".random": (
        "Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed",
        "set_rng_state",
    ),
}  # fmt: skip
_LAZY: dict[str, tuple[str, str | None]] = {name: (f".{name}", None) for name in _SUBMODULES} | {
    name: (module, name) for name, module in module_by_name(_MODULES).items()
}


def __getattr__(name: str) -> Any:
    """A module or a name of one, or an op, when it is first asked for."""
    if name in _LAZY:
        module, attribute = _LAZY[name]
        found: Any = _import_module(module, __name__)
        found = found if attribute is None else getattr(found, attribute)
    elif name in TORCH_NAMES:  # tl.float, tl.int, tl.bool: not names of this file's own code
        found = TORCH_NAMES[name]
    elif name.startswith("__"):
        raise AttributeError(f"module 'tallow' has no attribute {name!r}")
    else:
        try:
            found = getattr(ops, name)
        except AttributeError:
            raise AttributeError(f"module 'tallow' has no attribute {name!r}") from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *ops.__all__})


def num_threads() -> int:
    """How many threads kernels use: what affinity and cgroup quota grant, or TALLOW_NUM_THREADS."""
    return _native.num_threads()


def set_num_threads(n: int) -> None:
    """Use `n` threads from now on; 0 restores the default."""
    errors.expect(n >= 0, set_num_threads, "a number of threads, or 0", n, errors.ArgumentError)
    _native.set_num_threads(n)
