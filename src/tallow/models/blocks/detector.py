"""DETR's whole: config, encoder, decoder, model and head, from which its relatives are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tallow.errors import ArgumentError, expect
from tallow.factories import arange, zeros
from tallow.models.base import Model
from tallow.models.blocks.detector_outputs import DetectionOutput, DetectorModelOutput
from tallow.models.blocks.detr import (
    POSITIONS,
    BoxHead,
    ConvModel,
    DecoderLayer,
    EncoderLayer,
    Residual,
)
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.image_heads import Backbone
from tallow.models.detection_losses import SOFTMAX, Labels, LossVariant, detection
from tallow.models.outputs import BaseOutput, HiddenStates
from tallow.nn import Conv2d, LayerNorm, Linear, Module, ModuleList
from tallow.ops import stack
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename


class Encoder(Module):
    """Layers over a flat map; `norm` stands behind them where the family has one."""

    def __init__(self, layers: Sequence[Module], norm: Module | None) -> None:
        self.layers = ModuleList(layers)
        self.layernorm = norm

    def forward(
        self, x: Tensor, positions: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, HiddenStates]:
        """`(batch, n, size)` → the same shape, and what goes in and comes out of each layer."""
        states = [x]
        for layer in self.layers:
            states.append(layer(states[-1], positions, mask))
        last = states[-1] if self.layernorm is None else self.layernorm(states[-1])
        return last, tuple(states)


class Decoder(Module):
    """Layers over queries, then a norm; with `each` it normalises what every layer gives, too.

    A model that is trained with losses at every layer does so. Its states are what layers give
    before that norm, or, where `normed`, behind it.
    """

    normed: ClassVar[bool] = False

    def __init__(self, layers: Sequence[Module], size: int, *, each: bool = False) -> None:
        self.layers = ModuleList(layers)
        self.layernorm = LayerNorm(size)
        self.each = each

    def forward(
        self, x: Tensor, queries: Tensor, context: Tensor, positions: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, HiddenStates, Tensor | None]:
        """`(batch, queries, size)` → the same shape, states, and what each layer gives, stacked."""
        states, between = [x], []
        for layer in self.layers:
            found = layer(x, queries, context, positions, context_mask=mask)
            x = self.layernorm(found) if self.each else found
            if self.each:
                between.append(x)
            states.append(x if self.normed else found)
        x = self.layernorm(x)
        return x, (*states[:-1], x), stack(between) if between else None


class DetectorModel(Model):
    """Backbone, encoder and decoder; families say where their layers normalise."""

    base_model_prefix = "model"
    ignorable = (r"backbone\..*num_batches_tracked", r"(class|bbox)_embed\..*")
    decoder_class: ClassVar[type[Decoder]] = Decoder

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        width, act, residual = cfg.d_model, cfg.activation_function, self.residual()
        backbone: Backbone = cfg.backbone_config.make().bare
        self.backbone = ConvModel(backbone)
        self.places().position_embedding = POSITIONS[cfg.position_embedding_type](width // 2)
        self.input_projection = Conv2d(backbone.channels[-1], width, 1)
        self.query_position_embeddings = Embedding(cfg.num_queries, width)
        heads, hidden = cfg.encoder_attention_heads, cfg.encoder_ffn_dim
        self.encoder = Encoder(
            [EncoderLayer(width, heads, hidden, act, residual) for _ in range(cfg.encoder_layers)],
            self.encoder_norm(width),
        )
        self.decoder = self.make_decoder(cfg)

    def make_decoder(self, cfg: Any) -> Module:
        """The module of `Decoder`'s call."""
        width, heads, hidden = cfg.d_model, cfg.decoder_attention_heads, cfg.decoder_ffn_dim
        act, residual = cfg.activation_function, self.residual()
        return self.decoder_class(
            [DecoderLayer(width, heads, hidden, act, residual) for _ in range(cfg.decoder_layers)],
            width,
            each=cfg.auxiliary_loss,
        )

    def queries(self) -> Tensor:
        """The places of the queries, `(1, queries, size)`."""
        table = self.query_position_embeddings
        return table(arange(table.num_embeddings)).unsqueeze(0)

    def residual(self) -> Residual:
        """Where layers normalise."""
        raise NotImplementedError

    def places(self) -> Module:
        """The module under which the positions of pictures stand."""
        return self

    def encoder_norm(self, size: int) -> Module | None:
        """The norm behind the encoder."""
        return None

    def see(
        self, pixel_values: Tensor, pixel_mask: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor, Tensor, Tensor | None]:
        """Maps of the stages, the last projected, its positions, and its mask for attention."""
        maps, mask = self.backbone(pixel_values, pixel_mask)
        positions = self.places().position_embedding(maps[-1].shape[2:], mask)
        kept = None if mask is None else mask.flatten(1).unsqueeze(1).unsqueeze(1)
        return maps, self.input_projection(maps[-1]), positions, kept

    def decode(
        self, encoded: Tensor, positions: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, HiddenStates, Tensor | None]:
        """What `Decoder` gives for the model's own queries."""
        queries = self.queries()
        start = zeros(encoded.shape[0], *queries.shape[1:])
        return self.decoder(start, queries, encoded, positions, mask)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> DetectorModelOutput:
        """Pixels `(batch, channels, height, width)`, 1 in the mask where the picture is.

        `encoder_outputs` spare the encoder. Queries are the model's own: masks and embeddings for
        them are refused.
        """
        return self.run(
            pixel_values, pixel_mask, decoder_attention_mask, encoder_outputs, inputs_embeds,
            decoder_inputs_embeds, states=output_hidden_states,
        )[0]  # fmt: skip

    def run(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None,
        decoder_attention_mask: Tensor | None,
        encoder_outputs: Any,
        inputs_embeds: Tensor | None,
        decoder_inputs_embeds: Tensor | None,
        *,
        states: bool,
    ) -> tuple[DetectorModelOutput, tuple[Tensor, ...], Tensor, Tensor | None]:
        """The results of a call; the maps of the stages, the last projected, and its mask."""
        for name, given in (
            ("decoder_attention_mask", decoder_attention_mask),
            ("inputs_embeds", inputs_embeds),
            ("decoder_inputs_embeds", decoder_inputs_embeds),
        ):
            expect(given is None, type(self), f"{name} to be None", "a tensor", ArgumentError)
        maps, projected, positions, mask = self.see(pixel_values, pixel_mask)
        if encoder_outputs is None:
            encoded, seen = self.encoder(projected.flatten(2).transpose(1, 2), positions, mask)
        else:
            encoded, seen = encoder_outputs[0], None
        last, decoded, between = self.decode(encoded, positions, mask)
        both = (decoded, seen) if states else (None, None)
        return DetectorModelOutput(last, both[0], encoded, both[1], between), maps, projected, mask


class ObjectDetection(Model):
    """Labels and boxes of queries; `base_class` stands under `model`.

    `nothing` is how many labels stand for none beside those of the config.
    """

    base_model_prefix = "model"
    base_class: ClassVar[Any]
    nothing: ClassVar[int] = 1
    kind: ClassVar[LossVariant] = SOFTMAX
    rules: ClassVar[tuple[WeightConverter, ...]] = (
        rename("model.class_embed.*", "class_labels_classifier.*"),
        rename("model.bbox_embed.*", "bbox_predictor.*"),
    )

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.model = self.base_class(cfg)
        self.class_labels_classifier = Linear(cfg.d_model, cfg.num_labels + self.nothing)
        self.bbox_predictor = BoxHead(cfg.d_model)

    def boxes(self, x: Tensor) -> Tensor:
        """Of queries' states, `(..., queries, size)` → `(..., queries, 4)`."""
        return self.bbox_predictor(x)

    def labels_and_boxes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of queries' states, `(batch, queries, size)`."""
        return self.class_labels_classifier(x), self.boxes(x)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | Sequence[Tensor] | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Labels | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> DetectionOutput:
        """As of the base model; with labels, as `detection_losses.detection` has them, the loss."""
        found: DetectorModelOutput = self.model(
            pixel_values, pixel_mask, decoder_attention_mask, encoder_outputs, inputs_embeds,
            decoder_inputs_embeds, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        return self.finish(found, labels)

    def finish(
        self, found: DetectorModelOutput, labels: Labels | None, masks: Tensor | None = None
    ) -> DetectionOutput:
        """Labels, boxes and, with labels, the loss, of the base model's results and of `masks`."""
        layers = [self.labels_and_boxes(found.last_hidden_state)]
        loss, losses, more = None, None, None
        if labels is not None:
            between = found.intermediate_hidden_states
            if between is not None:
                layers += [self.labels_and_boxes(x) for x in between[:-1].unbind(0)]
                more = [{"logits": x, "pred_boxes": boxes} for x, boxes in layers[1:]]
            loss, losses = detection(layers, labels, self.config, self.kind, masks)
        return DetectionOutput(
            loss=loss,
            loss_dict=losses,
            logits=layers[0][0],
            pred_boxes=layers[0][1],
            pred_masks=masks,
            auxiliary_outputs=more,
            last_hidden_state=found.last_hidden_state,
            decoder_hidden_states=found.decoder_hidden_states,
            encoder_last_hidden_state=found.encoder_last_hidden_state,
            encoder_hidden_states=found.encoder_hidden_states,
        )
