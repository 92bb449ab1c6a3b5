"""PaliGemma: SigLIP before Gemma; picture and prompt see each other whole (arXiv 2407.07726)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.dtype import i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import zeros_like
from tallow.lazy_dataclasses import replace
from tallow.models.block_states import Block
from tallow.models.blocks.gemma import GemmaConfig
from tallow.models.configs import size
from tallow.models.fields import Fields
from tallow.models.pictures import Picture
from tallow.models.projected import ProjectedConfig
from tallow.models.seeing import SeeingBlocks
from tallow.models.vision_configs import text_part, vision_part
from tallow.models.vision_language import Pictures
from tallow.nn import Linear, Module
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate.prompts import MixedPrompt


class PaliGemmaConfig(ProjectedConfig):
    """Of Hugging Face's `PaliGemmaConfig`."""

    # Said of the picture and its prompt, as the model's own masks do it.
    text_config: Any = text_part(
        "gemma", tied=True, values={"use_bidirectional_attention": False, "num_image_tokens": None}
    )
    vision_config: Any = vision_part("siglip_vision_model", "projection_dim", "num_image_tokens")
    image_token_index: int = size(256000, "image_token_id", low=0, high=2**31 - 1)
    vocab_size: int | None = None
    projection_dim: int = size(2048)
    hidden_size: int | None = None

    def check(self, fields: Fields) -> None:
        """The decoder is of Gemma's kin, whose layers differ in their windows alone."""
        if not isinstance(self.text_config.config, GemmaConfig):
            wanted = "a decoder of Gemma's kin"
            raise fields.error("text_config", wanted, self.text_config.model.__name__)


class Projector(Module):
    """A linear layer, `linear`."""

    def __init__(self, width: int, out: int) -> None:
        self.linear = Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(…, width)` → `(…, out)`."""
        return self.linear(x)


class PaliGemmaForConditionalGeneration(SeeingBlocks):
    """A picture and a prompt, all of which all of it sees, to text."""

    config_class = PaliGemmaConfig
    far = True

    def __init__(self, cfg: PaliGemmaConfig) -> None:
        vision, text = cfg.vision_config.config, cfg.text_config.config
        super().__init__(cfg, Projector(vision.hidden_size, text.hidden_size))

    def features(self, pictures: Pictures) -> Tensor:
        """What the projector makes of all patches."""
        x = self.vision_tower(pictures["pixel_values"]).last_hidden_state
        x = self.multi_modal_projector(x)
        return x.reshape(-1, x.shape[-1])

    def picture(self, image: Any) -> Picture:
        """Its pixels, and a place for each patch."""
        pixels = self.image_processor([image]).pixel_values
        tower, shape = self.config.vision_config.config, tuple(pixels.shape[2:])
        side = tower.image_size
        wanted = f"pictures of {side} × {side} pixels, as the tower takes"
        expect(shape == (side, side), "preprocessor", wanted, shape, ModelError)
        count = (side // tower.patch_size) ** 2
        return Picture({"pixel_values": pixels}, [self.image_token] * count)

    def with_places(self, ids: list[int], count: int) -> list[int]:
        """Pictures first unless the prompt has places; a start behind them, a line's end last."""
        start = self.tokenizer.bos_id
        begin = [] if start is None else [start]
        if begin and ids[:1] == begin:
            ids = ids[1:]
        if self.image_token not in ids:
            ids = [self.image_token] * count + ids
        last = len(ids) - ids[::-1].index(self.image_token) if self.image_token in ids else 0
        line = self.tokenizer.encode("\n", add_special=False)
        return [*ids[:last], *begin, *ids[last:], *line]

    def mixed(self, ids: Sequence[int], pictures: Sequence[Picture]) -> MixedPrompt:
        """As of `VisionLanguage`; the prompt goes in whole, and is shared as a whole alone.

        Raises:
            ArgumentError: there is no picture, so that it would be read in order.
        """
        wanted = "pictures for all prompts of a batch, or for none"
        expect(len(pictures) > 0, "prompt", wanted, "one without", ArgumentError)
        return super().mixed(ids, pictures)

    def blocks(self, ids: Sequence[int]) -> list[Block]:
        """All of them."""
        return [(0, len(ids))]

    def inside(self, types: Tensor) -> Tensor:
        """Those of type 0 are one block."""
        return types.eq(0).to(i64) - 1

    def types(self, ids: Tensor) -> Tensor:
        """All are of the prompt."""
        return zeros_like(ids)

    def told(self, prompt: MixedPrompt) -> MixedPrompt:
        """With keys that tell all of it, as it is shared as a whole alone."""
        told = hashlib.sha256(repr(list(prompt.keys)).encode()).digest()
        first = int.from_bytes(told[:8]) >> 2
        keys = [-1 - (first + i) % (1 << 62) for i in range(len(prompt.ids))]
        return replace(super().told(prompt), keys=keys)
