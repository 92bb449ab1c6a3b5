"""The version of Tallow: this literal is the one place that states it."""

__version__ = "0.1.0"
