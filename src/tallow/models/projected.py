"""Models of a tower for pictures, a projector, and a decoder with its head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.models.configs import Config
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.vision_language import VisionLanguage
from tallow.nn import Module
from tallow.ops import cat
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

# Files since transformers 5 have all but the head under `model`, and CLIP's tower lost a level.
PROJECTED_RULES = (
    rename("model.language_model.*", "language_model.model.*"),
    rename("model.vision_tower.*", "vision_tower.*"),
    rename("model.multi_modal_projector.*", "multi_modal_projector.*"),
    rename("lm_head.*", "language_model.lm_head.*"),
    rename("vision_tower.vision_model.*", "vision_tower.*"),
)


class ProjectedConfig(Config):
    """What their configs have in common; families say the parts."""

    text_config: Any = None  # a field
    vision_config: Any = None
    tie_word_embeddings: bool = False

    without_effect = frozenset({"image_seq_length", "ignore_index"})

    @property
    def num_hidden_layers(self) -> int:
        """The layers of one part at most."""
        parts = self.text_config.config, self.vision_config.config
        return max(int(each.num_hidden_layers) for each in parts)

    def check_layers(self, fields: Fields, layers: int | Sequence[int]) -> None:
        """Refuse features of layers that the tower does not have."""
        depth = int(self.vision_config.config.num_hidden_layers)
        chosen = (layers,) if isinstance(layers, int) else layers
        if not chosen or not all(-depth - 1 <= layer <= depth for layer in chosen):
            wanted = f"layers from {-depth - 1} to {depth}"
            raise fields.error("vision_feature_layer", wanted, layers)


def read_layers(fields: Fields, name: str, default: Any) -> int | tuple[int, ...]:
    """The layer whose output stands for a picture, or several that are joined."""
    value = fields.get(name)
    value = default if value is None else value
    listed = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(listed) <= 64 or not all(type(each) is int for each in listed):
        raise fields.error(name, "an integer, or a list of them", value)
    return tuple(listed) if isinstance(value, list | tuple) else int(value)


def chosen_states(states: Sequence[Tensor], layers: int | Sequence[int], first: int = 0) -> Tensor:
    """The outputs of these layers side by side, without the `first` positions."""
    chosen = [states[layer] for layer in ((layers,) if isinstance(layers, int) else layers)]
    chosen = [each[:, first:] for each in chosen]
    return chosen[0] if len(chosen) == 1 else cat(chosen, -1)


class Projected(VisionLanguage):
    """`vision_tower`, `multi_modal_projector` and `language_model`, in checkpoints' names."""

    rules = PROJECTED_RULES
    language_model: Any

    def __init__(self, cfg: Any, projector: Module) -> None:
        self.config = cfg
        self.vision_tower = cfg.vision_config.make()
        self.multi_modal_projector = projector
        self.language_model = cfg.text_config.make()

    @property
    def decoder(self) -> DecoderModel:
        """The decoder without a head."""
        return self.language_model.model

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        return self.language_model.head(hidden)

    @property
    def image_token(self) -> int:
        """The id in whose places vectors of pictures stand."""
        return int(self.config.image_token_index)
