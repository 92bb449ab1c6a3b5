"""Mistral 3: Pixtral's tower, squares of patches merged, and a decoder (Mistral Small 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.line_places import lines_of
from tallow.models.configs import activation, custom, size
from tallow.models.fields import Fields
from tallow.models.outputs import LogitsOutput
from tallow.models.pictures import Picture
from tallow.models.projected import Projected, ProjectedConfig, chosen_states, read_layers
from tallow.models.states import State
from tallow.models.vision_configs import text_part, vision_part
from tallow.models.vision_language import Pictures
from tallow.nn import Linear, Module, RMSNorm
from tallow.ops import cat
from tallow.tensor import Tensor


class Mistral3Config(ProjectedConfig):
    """Of Hugging Face's `Mistral3Config`."""

    text_config: Any = text_part("mistral", tied=True)
    vision_config: Any = vision_part("pixtral")
    image_token_index: int = size(10, "image_token_id", low=0, high=2**31 - 1)
    projector_hidden_act: str = activation("gelu")
    vision_feature_layer: Any = custom(-1, read_layers)
    multimodal_projector_bias: bool = False
    spatial_merge_size: int = size(2)
    tie_word_embeddings: bool = True

    def check(self, fields: Fields) -> None:
        """One layer, which the norm of the projector is as wide as."""
        self.check_layers(fields, self.vision_feature_layer)
        if not isinstance(self.vision_feature_layer, int):
            found = list(self.vision_feature_layer)
            raise fields.error("vision_feature_layer", "an integer", found)


class Merger(Module):
    """Squares of patches as one vector each."""

    def __init__(self, width: int, side: int) -> None:
        self.merging_layer = Linear(width * side**2, width, bias=False)
        self.side = side

    def forward(self, x: Tensor, grids: Sequence[tuple[int, int]]) -> Tensor:
        """`(patches, size)` → `(patches / side², size)`; what fills no square is left out."""
        side, parts, at = self.side, [], 0
        for rows, columns in grids:
            down, across = rows // side, columns // side
            each = x.narrow(0, at, rows * columns).reshape(rows, columns, -1)
            each = each[: down * side, : across * side].reshape(down, side, across, side, -1)
            # A square's values of one channel stand together, as of torch's `unfold`.
            parts.append(each.permute(0, 2, 4, 1, 3).reshape(down * across, -1))
            at += rows * columns
        return self.merging_layer(cat(parts))


class Projector(Module):
    """A norm, merged squares, and two linear layers."""

    def __init__(self, cfg: Mistral3Config) -> None:
        vision, text, bias = (
            cfg.vision_config.config,
            cfg.text_config.config,
            cfg.multimodal_projector_bias,
        )
        self.norm = RMSNorm(vision.hidden_size, text.rms_norm_eps)
        self.patch_merger = Merger(vision.hidden_size, cfg.spatial_merge_size)
        self.linear_1 = Linear(vision.hidden_size, text.hidden_size, bias=bias)
        self.linear_2 = Linear(text.hidden_size, text.hidden_size, bias=bias)
        self.act = ACTIVATIONS[cfg.projector_hidden_act]

    def forward(self, x: Tensor, grids: Sequence[tuple[int, int]]) -> Tensor:
        """`(patches, size)` → `(squares, size of the decoder)`."""
        x = self.patch_merger(self.norm(x), grids)
        return self.linear_2(self.act(self.linear_1(x)))


class Mistral3ForConditionalGeneration(Projected):
    """Pictures and text to text."""

    config_class = Mistral3Config
    picture_inputs = ("pixel_values", "image_sizes")

    def __init__(self, cfg: Mistral3Config) -> None:
        super().__init__(cfg, Projector(cfg))

    def features(self, pictures: Pictures) -> Tensor:
        """What the projector makes of a layer of the tower."""
        pixels, sizes = pictures["pixel_values"], pictures.get("image_sizes")
        found = self.vision_tower(pixels, sizes, output_hidden_states=True)
        x = chosen_states(found.hidden_states, self.config.vision_feature_layer)
        return self.multi_modal_projector(x[0], self.vision_tower.grids(pixels, sizes))

    def picture(self, image: Any) -> Picture:
        """Its pixels, and a place for each square, with a token after each line."""
        vision, side = self.config.vision_config.config, self.config.spatial_merge_size
        batch = self.processor_by(vision.patch_size * side)([image])
        inputs = {"pixel_values": batch.pixel_values, "image_sizes": batch.image_sizes}
        ((height, width),) = batch["image_sizes"].tolist()
        step = vision.patch_size * side
        places = lines_of(self.tokenizer, self.image_token, height // step, width // step)
        return Picture(inputs, places)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        image_sizes: Any = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` and pictures → logits `(batch, length, vocab_size)`.

        `pixel_values` `(pictures, channels, height, width)` stand where ids are
        `image_token_index`; `image_sizes` `(pictures, 2)` are heights and widths without padding.
        The others are as of `CausalLM`.

        Raises:
            ArgumentError: places and pictures do not belong together.
            ContextError, ShapeError: as of `CausalLM`.
        """
        return self.answer(
            input_ids,
            {"pixel_values": pixel_values, "image_sizes": image_sizes},
            attention_mask,
            position_ids,
            state,
            inputs_embeds,
            labels,
            keep=logits_to_keep,
            hidden=output_hidden_states,
        )
