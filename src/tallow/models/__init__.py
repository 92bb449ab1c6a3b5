"""Model families: one file each, on shared bricks; `load` makes a model from a reference."""

from tallow.models import llama, mistral, qwen2, qwen3
from tallow.models.blocks import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.family import FAMILIES
from tallow.models.loading import build, load

__all__ = [
    "FAMILIES",
    "CausalLM",
    "DecoderConfig",
    "build",
    "llama",
    "load",
    "mistral",
    "qwen2",
    "qwen3",
]
