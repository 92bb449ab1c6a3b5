"""Model families: one file each, on shared bricks; `load` makes a model from a reference."""

from tallow.models.base import Model
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.loading import build, load
from tallow.models.table import FAMILIES

__all__ = ["FAMILIES", "CausalLM", "DecoderConfig", "Model", "build", "load"]
