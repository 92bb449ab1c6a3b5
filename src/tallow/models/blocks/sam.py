"""What SAM and MobileSAM share: a picture's side, prompts and masks in one model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, ones_like
from tallow.models.base import Model
from tallow.models.blocks.conv import LayerNorm2d
from tallow.models.blocks.sam_masks import (
    MaskDecoder,
    Positions,
    PromptEncoder,
    SamMaskDecoderConfig,
    SamPromptEncoderConfig,
)
from tallow.models.blocks.vision import pictures
from tallow.models.configs import Config
from tallow.models.fields import Fields
from tallow.models.outputs import HiddenStates, Output
from tallow.models.parts import section
from tallow.nn import Conv2d, Module
from tallow.ops import stack
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename


class SamParts(Config):
    """The configs of the parts; families say that of the picture's side."""

    vision_config: Any  # by the family
    prompt_encoder_config: Any = section(SamPromptEncoderConfig)
    mask_decoder_config: Any = section(SamMaskDecoderConfig)

    without_effect = frozenset({"tie_word_embeddings"})

    def check(self, fields: Fields) -> None:
        """The three parts meet in one width and one size."""
        vision, prompt, masks = (
            self.vision_config,
            self.prompt_encoder_config,
            self.mask_decoder_config,
        )
        widths = vision.output_channels, prompt.hidden_size, masks.hidden_size
        if len({*widths, 2 * vision.num_pos_feats}) > 1:
            wanted = f"one width, 2 * num_pos_feats = {2 * vision.num_pos_feats}"
            raise fields.error("vision_config", wanted, widths)
        if vision.side != prompt.image_size // prompt.patch_size:
            wanted = f"{vision.side} patches a side, as vision_config has"
            raise fields.error("prompt_encoder_config", wanted, prompt.image_size)


class MasksOutput(Output):
    """`iou_scores` (batch, prompts, masks) and `pred_masks` (…, height, width) as logits."""

    iou_scores: Tensor
    pred_masks: Tensor
    vision_hidden_states: HiddenStates | None = None


class Neck(Module):
    """Two convolutions, each normalised."""

    def __init__(self, size: int, out: int) -> None:
        self.conv1 = Conv2d(size, out, 1, bias=False)
        self.layer_norm1 = LayerNorm2d(out, 1e-6)
        self.conv2 = Conv2d(out, out, 3, padding=1, bias=False)
        self.layer_norm2 = LayerNorm2d(out, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, rows, columns)` → `(batch, out, rows, columns)`."""
        return self.layer_norm2(self.conv2(self.layer_norm1(self.conv1(x))))


def square(x: Tensor, channels: int, side: int) -> Tensor:
    """`x`, which must be `(batch, channels, side, side)`.

    Raises:
        ShapeError: it is of other axes, channels or size.
    """
    fits = pictures(x, channels).shape[2:] == (side, side)
    expect(fits, "pixel_values", f"pictures of {side} × {side}", tuple(x.shape))
    return x


class Sam(Model):
    """Picture, prompts and masks; the picture's map may be computed once for many prompts."""

    base_model_prefix = "sam"
    vision_class: ClassVar[Any]
    vision_rules: ClassVar[
        tuple[WeightConverter, ...]
    ]  # from the authors' names, of the picture's side

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.shared_image_embedding = Positions(cfg.vision_config.num_pos_feats)
        self.vision_encoder = self.vision_class(cfg.vision_config)
        self.prompt_encoder = PromptEncoder(cfg.prompt_encoder_config, self.shared_image_embedding)
        self.mask_decoder = MaskDecoder(cfg.mask_decoder_config)

    def arrangement(self, names: Collection[str]) -> tuple[WeightConverter, ...]:
        """Beside transformers' names those of the authors' files, which have an `image_encoder`."""
        theirs: tuple[WeightConverter, ...] = ()
        if any(name.startswith("image_encoder.") for name in names):
            depth = self.config.mask_decoder_config.iou_head_depth
            theirs = (*self.vision_rules, *_authors_names(depth))
        return (*theirs, *super().arrangement(names))

    def get_image_embeddings(self, pixel_values: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → the map that `image_embeddings` takes."""
        return self.vision_encoder(pixel_values)[0]

    def get_prompt_embeddings(
        self,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Vectors of points and boxes, if any, and the map of masks."""
        if input_points is not None and input_labels is None:
            input_labels = ones_like(input_points[..., 0])
        return self.prompt_encoder(input_points, input_labels, input_boxes, input_masks)

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Of the middle of each patch, `(1, size, rows, columns)`."""
        side = self.prompt_encoder.side
        line = (arange(side).to(f32) + 0.5) / side
        places = stack([line.expand(side, side), line.unsqueeze(1).expand(side, side)], -1)
        return self.shared_image_embedding(places).permute(2, 0, 1).unsqueeze(0)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: Tensor | None = None,
        multimask_output: bool = True,
        *,
        output_hidden_states: bool = False,
    ) -> MasksOutput:
        """Masks of each prompt: three, or with `multimask_output` false one.

        `input_points` `(batch, prompts, n, 2)` and `input_boxes` `(batch, prompts, 4)` are in
        pixels of the picture as the model takes it; labels `(batch, prompts, n)` are 1 for a point
        of the thing, 0 beside it; `input_masks` are `(batch, 1, 4 * rows, 4 * columns)`.

        Raises:
            ArgumentError: not just one of `pixel_values` and `image_embeddings` is given.
            ShapeError: prompts of other axes, or not as many boxes or rows as points.
        """
        one = (pixel_values is None) != (image_embeddings is None)
        expect(one, "SamModel", "pixel_values or image_embeddings", "both or none", ArgumentError)
        states: list[Tensor] = []
        if pixel_values is not None:
            image_embeddings, states = self.vision_encoder(pixel_values)
        assert image_embeddings is not None
        _check(image_embeddings.shape[0], input_points, input_boxes)
        sparse, dense = self.get_prompt_embeddings(
            input_points, input_labels, input_boxes, input_masks
        )
        places = self.get_image_wide_positional_embeddings().flatten(2).transpose(1, 2)
        masks, scores = self.mask_decoder(image_embeddings, places, sparse, dense)
        kept = slice(1, None) if multimask_output else slice(0, 1)
        hidden = tuple(states) if output_hidden_states and states else None
        return MasksOutput(scores[:, :, kept], masks[:, :, kept], hidden)


def _authors_names(iou_depth: int) -> tuple[WeightConverter, ...]:
    """From the authors' names to transformers', but for the inside of the picture's side."""
    prompt, mask, side = "prompt_encoder.", "mask_decoder.", "image_encoder.neck."
    pairs = [
        (f"{prompt}pe_layer.positional_encoding_gaussian_matrix",
         "shared_image_embedding.positional_embedding"),
        (f"{prompt}point_embeddings.*", f"{prompt}point_embed.*"),
        (f"{mask}transformer.layers.{{}}.norm{{}}.*",
         f"{mask}transformer.layers.{{}}.layer_norm{{}}.*"),
        (f"{mask}transformer.norm_final_attn.*", f"{mask}transformer.layer_norm_final_attn.*"),
    ]  # fmt: skip
    sequences = (
        (
            f"{prompt}mask_downscaling.",
            f"{prompt}mask_embed.",
            "conv1 layer_norm1 - conv2 layer_norm2 - conv3",
        ),
        (f"{mask}output_upscaling.", f"{mask}upscale_", "conv1 layer_norm - conv2"),
        (side, "vision_encoder.neck.", "conv1 layer_norm1 conv2 layer_norm2"),
    )
    for old, new, parts in sequences:
        numbered = enumerate(parts.split())
        pairs += [(f"{old}{i}.*", f"{new}{part}.*") for i, part in numbered if part != "-"]
    mlps = (("output_hypernetworks_mlps.{}", 3), ("iou_prediction_head", iou_depth))
    for name, depth in mlps:
        stem, last = f"{mask}{name}", depth - 1
        order = [
            (0, "proj_in"),
            (last, "proj_out"),
            *((i, f"layers.{i - 1}") for i in range(1, last)),
        ]
        pairs += [(f"{stem}.layers.{i}.*", f"{stem}.{part}.*") for i, part in order]
    return tuple(rename(old, new) for old, new in (*pairs, ("image_encoder.*", "vision_encoder.*")))


def _check(batch: int, points: Tensor | None, boxes: Tensor | None) -> None:
    if points is not None:
        good = points.ndim == 4 and points.shape[0] == batch and points.shape[3] == 2
        expect(good, "input_points", f"({batch}, prompts, points, 2)", tuple(points.shape))
    if boxes is not None:
        good = boxes.ndim == 3 and boxes.shape[0] == batch and boxes.shape[2] == 4
        expect(good, "input_boxes", f"({batch}, prompts, 4)", tuple(boxes.shape))
        if points is not None:
            count = points.shape[1]
            expect(boxes.shape[1] == count, "input_boxes", f"{count} a picture", boxes.shape[1])
