"""Quantise whole models as llama.cpp does: file types, their mixes, importance matrices."""

from tallow.conversion.file_types import FILE_TYPES, FileType, file_type
from tallow.quantization.collect import collect
from tallow.quantization.mix_rules import Choice, Facts, Options, Subject
from tallow.quantization.mixes import plan
from tallow.quantization.model import TARGET_DTYPES, ModelPlan, plan_model, quantize_model

__all__ = [
    "FILE_TYPES",
    "TARGET_DTYPES",
    "Choice",
    "Facts",
    "FileType",
    "ModelPlan",
    "Options",
    "Subject",
    "collect",
    "file_type",
    "plan",
    "plan_model",
    "quantize_model",
]
