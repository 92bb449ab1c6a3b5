"""Heads on vision models: classification, and backbones that give the features of their stages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

from tallow.errors import ModelError
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.configs import Config, custom
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, HiddenStates, LogitsOutput, Output
from tallow.nn import Linear, Module
from tallow.tensor import Tensor


def _names(fields: Fields, name: str, default: Any) -> tuple[str, ...]:
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise fields.error(name, "a list of names", value)
    return tuple(value)


def read_places(fields: Fields, name: str, default: Any) -> tuple[int, ...]:
    """A list of integers, or none."""
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise fields.error(name, "a list of integers", value)
    return tuple(value)


class BackboneConfig(Config):
    """A vision config that says which stages a backbone gives; the last where it says nothing."""

    out_features: tuple[str, ...] = custom((), _names)
    out_indices: tuple[int, ...] = custom((), read_places)
    stage_names: tuple[str, ...] = custom((), _names)
    source: str = custom("", lambda fields, name, default: f"{fields.source}: ")  # for errors

    def chosen(self, count: int) -> tuple[int, ...]:
        """The numbers of the stages, 0 being the stem's, of `count` in all.

        Raises:
            ModelError: one is named that is not there, twice or in another order, or names and
                numbers are of different stages.
        """
        names = self.stage_names or ("stem", *(f"stage{i}" for i in range(1, count)))
        absent = {name for name in self.out_features if name not in names}
        absent |= {str(i) for i in self.out_indices if not -count <= i < count}
        if absent:
            found = f"{', '.join(sorted(absent))}, which is not there"
            raise self._error("out_features", f"some of {', '.join(names)}", found)
        named = tuple(names.index(each) for each in self.out_features)
        numbered = tuple(i % count for i in self.out_indices)
        for key, stages in (("out_features", named), ("out_indices", numbered)):
            if any(a >= b for a, b in itertools.pairwise(stages)):
                raise self._error(key, "stages in their order, each once", getattr(self, key))
        if named and numbered and named != numbered:
            raise self._error("out_indices", f"{named}, as out_features has", self.out_indices)
        return named or numbered or (count - 1,)

    def _error(self, key: str, wanted: str, found: object) -> ModelError:
        return ModelError(f"{self.source}{key}: expected {wanted}, found {found}")


class ImageHead(Model):
    """A head with pictures as inputs, and labels."""

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """`(batch, channels, height, width)` → scores, and their loss with labels."""
        return self.answer(pixel_values, labels, output_hidden_states)

    def answer(self, pixel_values: Tensor, labels: Tensor | None, hidden: bool) -> LogitsOutput:
        """The scores, the loss where labels are given, and the hidden states on request."""
        raise NotImplementedError


class SemanticSegmentation(ImageHead):
    """Scores of each pixel, `(batch, labels, rows, columns)`, in a smaller picture."""

    def scores(self, pixel_values: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """The scores, and the features that they are of."""
        raise NotImplementedError

    def answer(self, pixel_values: Tensor, labels: Tensor | None, hidden: bool) -> LogitsOutput:
        """The loss is of the scores in the size of the labels `(batch, height, width)`."""
        logits, states = self.scores(pixel_values)
        loss = None
        if labels is not None:
            loss = losses.pixels(logits, labels, self.config.semantic_loss_ignore_index)
        return LogitsOutput(logits, loss, tuple(states) if hidden else None)


class ImageClassification(ImageHead):
    """A classifier on `base_class`, which stands under `base_model_prefix`."""

    base_class: ClassVar[Any]

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        setattr(self, self.base_model_prefix, self.make_base(cfg))
        self.classifier: Module = self.make_classifier(cfg)

    def make_base(self, cfg: Any) -> Module:
        """The model without a head."""
        return self.base_class(cfg)

    def make_classifier(self, cfg: Any) -> Module:
        """The module from the pooled output to scores."""
        return Linear(cfg.hidden_size, cfg.num_labels)

    def pool(self, found: BaseOutput) -> Tensor:
        """What is classified of the base model's results."""
        assert found.pooler_output is not None, "families whose base has no pooler say another"
        return found.pooler_output

    def answer(self, pixel_values: Tensor, labels: Tensor | None, hidden: bool) -> LogitsOutput:
        """Scores `(batch, labels)`."""
        base = getattr(self, self.base_model_prefix)
        return self.finish(base(pixel_values, output_hidden_states=hidden), labels)

    def finish(
        self, found: BaseOutput, labels: Tensor | None, pooled: Tensor | None = None
    ) -> LogitsOutput:
        """The scores, and the loss with labels, of the base model's results (or of `pooled`)."""
        logits = self.classifier(self.pool(found) if pooled is None else pooled)
        loss = None if labels is None else losses.sequence(logits, labels, self.config)
        return LogitsOutput(logits=logits, loss=loss, hidden_states=found.hidden_states)


class ResizedClassification(ImageClassification):
    """The same of models that take images of other sizes on request."""

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """`(batch, channels, height, width)` → scores `(batch, labels)`; the loss with labels."""
        base = getattr(self, self.base_model_prefix)
        found = base(
            pixel_values,
            interpolate_pos_encoding=interpolate_pos_encoding,
            output_hidden_states=output_hidden_states,
        )
        return self.finish(found, labels)


class BackboneOutput(Output):
    """`feature_maps` of the chosen stages, `(batch, channels, height, width)` each."""

    feature_maps: tuple[Tensor, ...]
    hidden_states: HiddenStates | None = None


class Backbone(Model):
    """A vision model that gives the features of the stages that its config names."""

    config: Any
    widths: Sequence[int]  # channels of the stem's and each stage's features

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels of each feature map that it gives."""
        return tuple(self.widths[i] for i in self.config.chosen(len(self.widths)))

    @property
    def bare(self) -> Backbone:
        """What detectors' files hold of it."""
        return self

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features."""
        raise NotImplementedError

    def maps(self, states: list[Tensor]) -> tuple[Tensor, ...]:
        """The features of the chosen stages of all."""
        return tuple(states[i] for i in self.config.chosen(len(states)))

    def forward(
        self, pixel_values: Tensor, *, output_hidden_states: bool = False
    ) -> BackboneOutput:
        """`(batch, channels, height, width)` → the chosen stages' features."""
        states = self.states(pixel_values)
        hidden = tuple(states) if output_hidden_states else None
        return BackboneOutput(self.maps(states), hidden)
