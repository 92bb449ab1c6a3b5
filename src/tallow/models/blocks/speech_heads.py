"""Heads on speech models: symbols of frames (CTC), classes of sounds or frames, x-vectors."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.dtype import i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.speech_encoder import SpeechOutput, kept_frames
from tallow.models.outputs import HiddenStates, LogitsOutput, Output
from tallow.nn import Linear, Module, ModuleList, param
from tallow.nn import functional as F
from tallow.nn.init import normal
from tallow.ops import cat, conv1d, stack
from tallow.tensor import Tensor

_LEAST = 1e-30  # of a variance


class SpeechHead(Model):
    """A head on `base_class`, which stands under `base_model_prefix`."""

    base_class: ClassVar[Any]
    adapted: ClassVar[bool] = True  # whether it stands behind an adapter, too

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        good = self.adapted or not cfg.add_adapter
        expect(good, f"{type(self).__name__}: add_adapter", "false", cfg.add_adapter, ModelError)
        base = self.base_class(cfg)
        setattr(self, self.base_model_prefix, base)
        self.rows_alone = base.rows_alone

    def encode(self, samples: Tensor, mask: Tensor | None, hidden: bool) -> SpeechOutput:
        """What the base model gives."""
        base = getattr(self, self.base_model_prefix)
        return base(samples, mask, output_hidden_states=hidden)


class WeighedHead(SpeechHead):
    """A head on the last hidden state, or on a learned mean of all of them."""

    adapted = False

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        count = cfg.num_hidden_layers + 1
        self.layer_weights = param(count) if cfg.use_weighted_layer_sum else None

    def seen(self, samples: Tensor, mask: Tensor | None, hidden: bool) -> tuple[Tensor, Any]:
        """`(batch, frames, size)`, and the hidden states where they were asked for."""
        weights = self.layer_weights
        found = self.encode(samples, mask, hidden or weights is not None)
        if weights is None:
            return found.last_hidden_state, found.hidden_states
        states = found.hidden_states
        assert states is not None, "asked for above"
        shares = weights.softmax(-1).reshape(-1, 1, 1)
        return (stack(list(states), 1) * shares).sum(1), states if hidden else None


class CTC(SpeechHead):
    """Scores of each symbol at each frame, `(batch, frames, vocab_size)`."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.lm_head = Linear(cfg.width, cfg.vocab_size)

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Samples `(batch, length)` → scores; the CTC loss where labels are given.

        Labels `(batch, symbols)` are -100 or the blank symbol where a row has none.
        """
        found = self.encode(input_values, attention_mask, output_hidden_states)
        logits = self.lm_head(found.last_hidden_state)
        loss = None
        if labels is not None:
            loss = self.loss(logits, labels, input_values, attention_mask)
        return LogitsOutput(logits, loss, found.hidden_states)

    def loss(self, logits: Tensor, labels: Tensor, samples: Tensor, mask: Tensor | None) -> Tensor:
        """The CTC loss of the labels, reduced as the config says."""
        cfg = self.config
        good = labels.amax().item() < cfg.vocab_size
        expect(good, "labels", f"symbols below {cfg.vocab_size}", "others", ArgumentError)
        blank = cfg.pad_token_id
        expect(blank is not None, "labels", "a pad_token_id, the blank", None, ModelError)
        batch, length = samples.shape
        counts = [length] * batch if mask is None else mask.to(i64).sum(-1).tolist()
        kept = labels.ne(-100).logical_and(labels.ne(blank))
        return F.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1),
            labels.masked_select(kept),
            [cfg.frames(each) for each in counts],
            kept.to(i64).sum(-1).tolist(),
            blank=blank,
            reduction=cfg.ctc_loss_reduction,
            zero_infinity=cfg.ctc_zero_infinity,
        )


class SequenceClassification(WeighedHead):
    """Scores of a whole sound, `(batch, labels)`, from the mean of its frames."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.projector = Linear(cfg.hidden_size, cfg.classifier_proj_size)
        self.classifier = Linear(cfg.classifier_proj_size, cfg.num_labels)

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Samples `(batch, length)` → scores; the loss where labels `(batch,)` are given."""
        x, states = self.seen(input_values, attention_mask, output_hidden_states)
        x = self.projector(x)
        if attention_mask is None:
            x = x.mean(1)
        else:
            lengths = self.config.frames(attention_mask.to(i64).sum(-1))
            kept = kept_frames(lengths, x.shape[1]).to(x.dtype)
            x = (x * kept.unsqueeze(-1)).sum(1) / kept.sum(1, keepdim=True)
        logits = self.classifier(x)
        loss = None if labels is None else losses.classes(logits, labels)
        return LogitsOutput(logits, loss, states)


class AudioFrameClassification(WeighedHead):
    """Scores of each frame, `(batch, frames, labels)`."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.classifier = Linear(cfg.hidden_size, cfg.num_labels)

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Samples `(batch, length)` → scores; labels `(batch, frames, labels)` are one-hot."""
        x, states = self.seen(input_values, attention_mask, output_hidden_states)
        logits = self.classifier(x)
        loss = None if labels is None else losses.classes(logits, labels.argmax(-1))
        return LogitsOutput(logits, loss, states)


class DelayLayer(Module):
    """A dilated convolution over frames, kept as the matrix that it is, and a relu (TDNN)."""

    def __init__(self, size: int, out: int, kernel: int, dilation: int) -> None:
        self.kernel = Linear(size * kernel, out)
        self.size, self.width, self.dilation = size, kernel, dilation

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)` → `(batch, n - (kernel - 1) * dilation, out)`."""
        weight = self.kernel.weight.to(x.dtype).reshape(-1, self.width, self.size).transpose(1, 2)
        made = conv1d(x.transpose(1, 2), weight, self.kernel.bias, dilation=self.dilation)
        return F.relu(made.transpose(1, 2))


class MarginLoss(Module):
    """Softmax of cosines with a margin (AM-softmax, arXiv 1801.05599)."""

    def __init__(self, size: int, labels: int) -> None:
        self.weight = param(size, labels, init=normal(1.0))

    scale, margin = 30.0, 0.4

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """`(batch, size)` against classes `(batch,)`."""
        cosines = F.normalize(x, dim=1) @ F.normalize(self.weight.to(x.dtype), dim=0)
        hit = F.one_hot(labels.flatten(), cosines.shape[1]).to(x.dtype)
        return losses.classes(self.scale * (cosines - self.margin * hit), labels)


class XVectorOutput(Output):
    """`logits` and `embeddings` of each sound, `(batch, xvector_output_dim)` both."""

    logits: Tensor
    embeddings: Tensor
    loss: Tensor | None = None
    hidden_states: HiddenStates | None = None


class XVector(WeighedHead):
    """A vector of each speaker: mean and deviation of delay layers over all frames."""

    adapted = True

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.rows_alone = self.rows_alone or any(each > 1 for each in cfg.tdnn_dilation)
        widths = cfg.tdnn_dim
        self.projector = Linear(cfg.hidden_size, widths[0])
        self.tdnn = ModuleList(
            DelayLayer(widths[max(i - 1, 0)], out, cfg.tdnn_kernel[i], cfg.tdnn_dilation[i])
            for i, out in enumerate(widths)
        )
        self.feature_extractor = Linear(widths[-1] * 2, cfg.xvector_output_dim)
        self.classifier = Linear(cfg.xvector_output_dim, cfg.xvector_output_dim)
        self.objective = MarginLoss(cfg.xvector_output_dim, cfg.num_labels)

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> XVectorOutput:
        """Samples `(batch, length)` → vectors; the loss where speakers `(batch,)` are given."""
        x, states = self.seen(input_values, attention_mask, output_hidden_states)
        x = self.projector(x)
        for layer in self.tdnn:
            x = layer(x)
        pooled = self.pooled(x, attention_mask)
        embeddings = self.feature_extractor(pooled)
        logits = self.classifier(embeddings)
        loss = None if labels is None else self.objective(logits, labels)
        return XVectorOutput(logits, embeddings, loss, states)

    def pooled(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Mean and deviation of each row's frames, `(batch, 2 * size)`.

        What a row has behind a mask is told by kernels alone, whatever their dilation, as in
        transformers.
        """
        if mask is None:
            return cat([x.mean(1), x.std(1)], -1)
        lengths = self.config.frames(mask.to(i64).sum(-1))
        for kernel in self.config.tdnn_kernel:
            lengths = lengths - (kernel - 1)
        kept = kept_frames(lengths, x.shape[1]).to(x.dtype).unsqueeze(-1)
        count = kept.sum(1)
        mean = (x * kept).sum(1) / count
        away = (x - mean.unsqueeze(1)) * kept
        variance = away.square().sum(1) / (count - 1)
        # Above 0, as a root has no gradient there: the relu of a delay layer may be 0 throughout.
        return cat([mean, variance.clamp(min=_LEAST).sqrt()], -1)
