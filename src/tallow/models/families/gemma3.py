"""Gemma 3: SigLIP, whose patches are pooled, before Gemma 3's decoder (arXiv 2503.19786)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import i64
from tallow.errors import ModelError, expect
from tallow.factories import zeros
from tallow.models.block_states import Block, blocks_of
from tallow.models.blocks.norms import OffsetNorm
from tallow.models.configs import size
from tallow.models.fields import Fields
from tallow.models.pictures import Picture
from tallow.models.projected import ProjectedConfig
from tallow.models.seeing import SeeingBlocks
from tallow.models.vision_configs import text_part, vision_part
from tallow.models.vision_language import Pictures
from tallow.nn import Module, param
from tallow.nn.functional import avg_pool2d
from tallow.ops import cat
from tallow.tensor import Tensor


class Gemma3Config(ProjectedConfig):
    """Of Hugging Face's `Gemma3Config`."""

    text_config: Any = text_part("gemma3_text", tied=True)
    vision_config: Any = vision_part("siglip_vision_model")
    image_token_index: int = size(262144, "image_token_id", low=0, high=2**31 - 1)
    boi_token_index: int = size(255999, "boi_token_id", low=0, high=2**31 - 1)
    eoi_token_index: int = size(256000, "eoi_token_id", low=0, high=2**31 - 1)
    mm_tokens_per_image: int = size(256)
    tie_word_embeddings: bool = True

    def check(self, fields: Fields) -> None:
        """Squares of patches become places of equal squares."""
        vision = self.vision_config.config
        across, side = vision.image_size // vision.patch_size, self.places_across
        good = side**2 == self.mm_tokens_per_image and side <= across and across % side == 0
        if not good:
            wanted = f"a square of a divisor of {across} patches"
            raise fields.error("mm_tokens_per_image", wanted, self.mm_tokens_per_image)

    @property
    def places_across(self) -> int:
        """Places of a picture beside each other."""
        return int(self.mm_tokens_per_image**0.5)


class Projector(Module):
    """Means of square patches, a norm, and a matrix."""

    def __init__(self, cfg: Gemma3Config) -> None:
        vision, text = cfg.vision_config.config, cfg.text_config.config
        self.mm_input_projection_weight = param(vision.hidden_size, text.hidden_size, init=zeros)
        self.mm_soft_emb_norm = OffsetNorm(vision.hidden_size, vision.layer_norm_eps)
        self.across = vision.image_size // vision.patch_size
        self.edge = self.across // cfg.places_across

    def forward(self, x: Tensor) -> Tensor:
        """`(pictures, patches, width)` → `(pictures, places, size)`."""
        count, _, width = x.shape
        planes = x.transpose(1, 2).reshape(count, width, self.across, self.across)
        places = avg_pool2d(planes, self.edge).flatten(2).transpose(1, 2)
        return self.mm_soft_emb_norm(places) @ self.mm_input_projection_weight.to(x.dtype)


class Gemma3ForConditionalGeneration(SeeingBlocks):
    """Text and pictures to text; the parts of a picture see each other."""

    config_class = Gemma3Config

    def __init__(self, cfg: Gemma3Config) -> None:
        super().__init__(cfg, Projector(cfg))

    @property
    def place_token(self) -> int:
        """The word that begins pictures, which is what templates have."""
        return int(self.config.boi_token_index)

    def features(self, pictures: Pictures) -> Tensor:
        """The places of all pictures."""
        x = self.vision_tower(pictures["pixel_values"]).last_hidden_state
        x = self.multi_modal_projector(x)
        return x.reshape(-1, x.shape[-1])

    def picture(self, image: Any) -> Picture:
        """Its pixels, and its places.

        Raises:
            ModelError: the folder's processor cuts pictures (`do_pan_and_scan`), or makes others
                than the tower takes.
        """
        processor = self.image_processor
        pixels = processor([image]).pixel_values
        side, shape = self.config.vision_config.config.image_size, tuple(pixels.shape[2:])
        wanted = f"pictures of {side} × {side} pixels, as the tower takes"
        expect(shape == (side, side), "preprocessor", wanted, shape, ModelError)
        tokens = [self.image_token] * self.config.mm_tokens_per_image
        return Picture({"pixel_values": pixels}, tokens)

    def with_places(self, ids: list[int], count: int) -> list[int]:
        """Places between their two words and empty lines, joined with lines that stand there.

        A place is the word that begins pictures, as templates have it, or the picture's token.
        """
        begin, end = self.config.boi_token_index, self.config.eoi_token_index
        lines = self._lines()
        found: list[int] = []
        pending = 0  # lines that the next tokens begin with
        for at, each in enumerate(ids):
            wrapped = each == self.image_token and found[-1:] == [begin]
            if wrapped or (each == begin and ids[at + 1 : at + 2] == [self.image_token]):
                found.append(each)
            elif each in (begin, self.image_token):
                while found and found[-1] in lines:
                    pending += lines[found.pop()]
                found += [*self._line(pending + 2), begin, self.image_token, end]
                pending = 2
            elif pending and each in lines:
                pending += lines[each]
            else:
                found += [*self._line(pending), each]
                pending = 0
        return found + self._line(pending)

    def _lines(self) -> dict[int, int]:
        """Tokens of line ends alone, and how many of these they are."""
        found: dict[int, int] = {}
        for count in range(1, 32):
            ids = self._line(count)
            if len(ids) == 1:
                found[ids[0]] = count
        return found

    def _line(self, count: int) -> list[int]:
        return self.tokenizer.encode("\n" * count, add_special=False) if count else []

    def blocks(self, ids: Sequence[int]) -> list[Block]:
        """Those of each picture."""
        return blocks_of(ids, self.image_token)

    def inside(self, types: Tensor) -> Tensor:
        """Runs of type 1 are a block each."""
        here = types.eq(1).to(i64)
        before = cat([here[:, :1] * 0, here[:, :-1]], 1)
        number = (here * (1 - before)).cumsum(1)
        return number * here - 1

    def types(self, ids: Tensor) -> Tensor:
        """1 where a picture's places are."""
        return ids.eq(self.image_token).to(i64)
