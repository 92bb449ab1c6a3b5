"""Adapters: LoRA and DoRA beside the weights of a loaded model, float or block-quantised.

`adapters_of(model)` has them: `load` reads PEFT's folders and GGUF files, `add` makes new ones to
be trained, `set` says which are used, `merge` writes them into the weights, `save` writes a folder
that PEFT reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.adapters.adapters import Adapters, adapters_of
    from tallow.adapters.config import LoraConfig
    from tallow.adapters.generation import adapted

__all__ = ["Adapters", "LoraConfig", "adapted", "adapters_of"]

_HOMES = {
    "Adapters": "adapters",
    "adapters_of": "adapters",
    "LoraConfig": "config",
    "adapted": "generation",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
