"""LLaVA: a tower for pictures, two linear layers, and a decoder (arXiv 2304.08485, 2310.03744)."""

from __future__ import annotations

from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.line_places import lines_of
from tallow.models.configs import activation, choice, custom, size
from tallow.models.fields import Fields
from tallow.models.outputs import LogitsOutput
from tallow.models.pictures import Picture
from tallow.models.projected import Projected, ProjectedConfig, chosen_states, read_layers
from tallow.models.states import State
from tallow.models.vision_configs import text_part, vision_part
from tallow.models.vision_language import Pictures
from tallow.nn import Linear, Module
from tallow.tensor import Tensor


class LlavaConfig(ProjectedConfig):
    """Of Hugging Face's `LlavaConfig`."""

    text_config: Any = text_part("llama")
    vision_config: Any = vision_part("clip_vision_model")
    image_token_index: int = size(32000, "image_token_id", low=0, high=2**31 - 1)
    projector_hidden_act: str = activation("gelu")
    vision_feature_select_strategy: str = choice("default", "full")
    vision_feature_layer: Any = custom(-2, read_layers)
    multimodal_projector_bias: bool = True

    def check(self, fields: Fields) -> None:
        """The tower has the layers, and each picture one size or its own."""
        self.check_layers(fields, self.vision_feature_layer)


class Projector(Module):
    """`linear_2(act(linear_1(x)))`."""

    def __init__(self, width: int, out: int, act: str, *, bias: bool) -> None:
        self.linear_1 = Linear(width, out, bias=bias)
        self.linear_2 = Linear(out, out, bias=bias)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(…, width)` → `(…, out)`."""
        return self.linear_2(self.act(self.linear_1(x)))


class LlavaForConditionalGeneration(Projected):
    """Pictures and text to text."""

    config_class = LlavaConfig
    picture_inputs = ("pixel_values", "image_sizes")
    optional_parts = ("vision_tower.post_layernorm",)  # which GGUF files do without

    def __init__(self, cfg: LlavaConfig) -> None:
        vision, text, chosen = cfg.vision_config.config, cfg.text_config.config, cfg
        layers = chosen.vision_feature_layer
        count = 1 if isinstance(layers, int) else len(layers)
        projector = Projector(
            vision.hidden_size * count, text.hidden_size, cfg.projector_hidden_act,
            bias=cfg.multimodal_projector_bias,
        )  # fmt: skip
        super().__init__(cfg, projector)

    @property
    def _first(self) -> int:
        """How many positions of the tower are left out: its class vector."""
        return int(self.config.vision_feature_select_strategy == "default")

    def features(self, pictures: Pictures) -> Tensor:
        """What the projector makes of a layer of the tower."""
        sizes = pictures.get("image_sizes")
        given = (pictures["pixel_values"],) if sizes is None else (pictures["pixel_values"], sizes)
        found = self.vision_tower(*given, output_hidden_states=True)
        x = chosen_states(found.hidden_states, self.config.vision_feature_layer, self._first)
        x = self.multi_modal_projector(x)
        return x.reshape(-1, x.shape[-1])

    def picture(self, image: Any) -> Picture:
        """Its pixels, and as many places as the tower gives vectors."""
        batch = self.image_processor([image])
        inputs = {"pixel_values": batch.pixel_values, "image_sizes": batch.image_sizes}
        if batch.image_sizes is not None:
            ((height, width),) = batch.image_sizes.tolist()
            edge = self.vision_tower.config.patch_size
            places = lines_of(self.tokenizer, self.image_token, height // edge, width // edge)
            return Picture(inputs, places)
        tower, (height, width) = self.vision_tower, batch.pixel_values.shape[2:]
        side = tower.embeddings.side
        wanted = f"{side} × {side} pixels, as the tower takes"
        good = (height, width) == (side, side)
        expect(good, "preprocessor", wanted, f"{height} × {width}", ArgumentError)
        classed = tower.embeddings.class_embedding is not None
        count = (side // tower.config.patch_size) ** 2 + classed - self._first
        return Picture(inputs, [self.image_token] * count)

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
        `image_token_index`; `image_sizes` `(pictures, 2)` are heights and widths without padding,
        for a tower that takes any. The others are as of `CausalLM`.

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
