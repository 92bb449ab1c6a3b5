"""What DETR and its relatives give."""

from __future__ import annotations

from tallow.models.outputs import HiddenStates, Output
from tallow.tensor import Tensor


class DetectorModelOutput(Output):
    """Of queries `(batch, queries, size)` and of the flat map `(batch, n, size)`.

    `intermediate_hidden_states` `(layers, batch, queries, size)` are there with auxiliary losses.
    """

    last_hidden_state: Tensor
    decoder_hidden_states: HiddenStates | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: HiddenStates | None = None
    intermediate_hidden_states: Tensor | None = None


class DetectionOutput(Output):
    """`logits` `(batch, queries, labels)` and `pred_boxes` `(batch, queries, 4)`.

    Models that segment give `pred_masks` `(batch, queries, height, width)` before the sigmoid.
    Boxes are centre and size in parts of the picture; where a family has a label for none, it is
    the last.
    """

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    pred_masks: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    last_hidden_state: Tensor | None = None
    decoder_hidden_states: HiddenStates | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: HiddenStates | None = None
    hidden_states: HiddenStates | None = None  # of detectors that are one encoder
