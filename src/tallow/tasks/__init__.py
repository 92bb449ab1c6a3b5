"""Tasks: a model with what stands before and after it, behind one object."""

from tallow.tasks.llm import LLM, Stream

__all__ = ["LLM", "Stream"]
