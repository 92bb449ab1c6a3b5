"""What Qwen's models of pictures share: towers over patches of any grids, and their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.models.base import Model
from tallow.models.blocks.patch_grids import (
    Grid,
    PatchBlock,
    PatchLinear,
    PatchMerger,
    axial_table,
    grids_of,
    patch_places,
    text_places,
)
from tallow.models.fields import Fields
from tallow.models.outputs import LogitsOutput
from tallow.models.pictures import Picture
from tallow.models.states import State
from tallow.models.vision_language import Pictures, VisionLanguage
from tallow.nn import GELU, Module, ModuleList
from tallow.tensor import Tensor


def check_heads(fields: Fields, name: str, width: int, heads: int) -> None:
    """Half of a head turns by rows and half by columns, in pairs."""
    if width % (4 * heads):
        raise fields.error(name, f"a multiple of 4 times the {heads} heads", width)


class Vision(Model):
    """Patches through layers, each picture for itself; squares of them become one vector."""

    merger: Module

    def __init__(self, cfg: Any, width: int) -> None:
        self.config, self.width = cfg, width
        shape = (cfg.in_channels, cfg.temporal_patch_size, cfg.patch_size, cfg.patch_size)
        self.patch_embed = PatchLinear(width, shape, bias=False)
        self.blocks = ModuleList([self.block() for _ in range(cfg.depth)])

    def block(self) -> PatchBlock:
        """A layer."""
        raise NotImplementedError

    def merger_of(self, norm: Module, out: int) -> PatchMerger:
        """What makes one vector of a square of patches."""
        return PatchMerger(norm, self.width, self.config.spatial_merge_size**2, out, GELU())

    def table(self, grids: Sequence[Grid]) -> Tensor:
        """Cosines and sines by which patches turn."""
        cfg = self.config
        places = patch_places(grids, cfg.spatial_merge_size)
        return axial_table(places, self.width // cfg.num_heads, cfg.theta)


class GridVision(VisionLanguage):
    """Pictures and text to text: `visual` gives vectors of merged patches of any grids."""

    picture_inputs = ("pixel_values", "image_grid_thw", "mm_token_type_ids")

    def vectors(self, pixels: Tensor, grids: Sequence[Grid]) -> Tensor:
        """What stands for patches `(patches, values)` in the text, `(merged patches, size)`."""
        raise NotImplementedError

    def features(self, pictures: Pictures) -> Tensor:
        """The merged vectors of all pictures."""
        pixels = pictures["pixel_values"]
        merge = self.config.vision_config.spatial_merge_size
        grids = grids_of(pictures.get("image_grid_thw"), pixels.shape[0], merge)
        return self.vectors(pixels, grids)

    def places(self, ids: Tensor, mask: Tensor | None, pictures: Pictures) -> Tensor:
        """Of three axes within pictures."""
        merge = self.config.vision_config.spatial_merge_size
        grids = grids_of(pictures.get("image_grid_thw"), None, merge)
        merged = [(times, rows // merge, columns // merge) for times, rows, columns in grids]
        return text_places(ids, self.image_token, mask, merged)

    def picture(self, image: Any) -> Picture:
        """Its patches, and as many places as squares of them."""
        batch = self.image_processor([image])
        grid, merge = batch["image_grid_thw"], self.config.vision_config.spatial_merge_size
        ((times, rows, columns),) = grid.tolist()
        count = times * (rows // merge) * (columns // merge)
        inputs = {"pixel_values": batch.pixel_values, "image_grid_thw": grid}
        return Picture(inputs, [self.image_token] * count)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Any = None,
        mm_token_type_ids: Tensor | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` and pictures → logits `(batch, length, vocab_size)`.

        `pixel_values` `(patches, values)` are the patches of all pictures, as `image_grid_thw`
        `(pictures, 3)` says; their places are the ids `image_token_id`, so that
        `mm_token_type_ids` tell nothing new. The others are as of `CausalLM`.

        Raises:
            ArgumentError: ids, patches and grids do not belong together.
            ContextError, ShapeError: as of `CausalLM`.
        """
        return self.answer(
            input_ids,
            {"pixel_values": pixel_values, "image_grid_thw": image_grid_thw},
            attention_mask,
            position_ids,
            state,
            inputs_embeds,
            labels,
            keep=logits_to_keep,
            hidden=output_hidden_states,
        )
