"""Decoder-only language models: a stack of layers by a config, and the head on top of it."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.dtype import DType, f32
from tallow.models import losses
from tallow.models.base import Model, define_heads
from tallow.models.blocks.decoder_heads import HeadConfig
from tallow.models.blocks.positions import last_positions
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, Layers
from tallow.models.generation import GenerativeModel, check_kept
from tallow.models.outputs import LogitsOutput
from tallow.models.states import State
from tallow.nn import Linear, tie
from tallow.nn.hooks import is_watched
from tallow.tensor import Tensor


class CausalLM(GenerativeModel):
    """A decoder with a head that predicts the next token; families are its subclasses.

    `config` holds the sizes, `model_class` is the decoder, which checkpoints call
    `base_model_prefix`, as the head `head_name`; `layer(cfg, i, rope)` makes the i-th layer where
    `model_class` does not.
    """

    base_model_prefix = "model"
    model_class: ClassVar[type[DecoderModel]] = DecoderModel
    head_name: ClassVar[str] = "lm_head"
    config: DecoderConfig
    model: DecoderModel  # where it is called so

    def __init__(self, cfg: DecoderConfig, layer: Layers | None = None) -> None:
        self.config = cfg
        decoder = self.model_class(cfg) if layer is None else self.model_class(cfg, layer)
        head = Linear(cfg.hidden_size, cfg.vocab_size, bias=cfg.head_bias)
        setattr(self, self.base_model_prefix, decoder)
        setattr(self, self.head_name, head)
        if cfg.tie_word_embeddings:
            tie(head, "weight", decoder.embedding, "weight")

    @property
    def decoder(self) -> DecoderModel:
        """The decoder."""
        return self._modules[self.base_model_prefix]  # type: ignore[return-value]

    @property
    def context(self) -> int:
        """The largest number of positions."""
        return self.config.context

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        return self.config.vocab_size

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)` in float32 of hidden states `(…, size)`, scaled and bounded."""
        logits: Tensor = self._modules[self.head_name](hidden)  # type: ignore[misc]
        scale, cap = self.config.logit_scale, self.config.logit_softcap
        if scale != 1.0:
            logits = logits * scale
        return (logits / cap).tanh() * cap if cap else logits

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)`, or their embeddings, → logits `(batch, length, vocab_size)`.

        `attention_mask` is 0 where a row is padded, left or right; `logits_to_keep` computes logits
        of the last positions alone (0: of all). `labels` `(batch, length)`, -100 where there is
        none, give the mean loss of predicting each after what stands before it.

        With a `state`, the input continues what it holds, it is advanced row by row without the
        padding, and nothing is recorded for gradients.

        Raises:
            ContextError: more positions than the model was made for.
            ShapeError: the inputs do not belong together.
        """
        check_kept(logits_to_keep)
        found = self.decoder(
            input_ids,
            attention_mask,
            position_ids,
            state,
            inputs_embeds,
            output_hidden_states=output_hidden_states,
            **self._part("forward", 0 if labels is not None else logits_to_keep),
        )
        logits = self.head(last_positions(found.last_hidden_state, logits_to_keep))
        loss = None if labels is None else losses.next_token(logits, labels)
        return LogitsOutput(logits, loss, found.hidden_states)

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state for `batch` rows that holds nothing yet: keys and values of each layer.

        `capacity` is for how many positions memory is taken first, `dtype` f32, f16, bf16 or q8_0.
        """
        return self.decoder.make_state(batch, capacity, dtype)

    def decode(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        """Hidden states `(batch, n, size)` of ids or embeds that come after what `state` holds."""
        return self.decoder.decode(ids, state, embeds=embeds)

    def decode_last(
        self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None
    ) -> Tensor:
        """The last position of `decode`, `(batch, 1, size)`; others cost less by a layer."""
        if type(self).decode is not CausalLM.decode or "decode" in vars(self):
            return self.decode(ids, state, embeds=embeds)[:, -1:]
        found = self.decoder.decode(ids, state, embeds=embeds, **self._part("decode", 1))
        return last_positions(found, 1)

    def _part(self, method: str, last: int) -> dict[str, Any]:
        """What asks the decoder for its last positions, where it is as it was made."""
        model = self.decoder
        own = getattr(type(model), method) is getattr(DecoderModel, method)
        own = own and method not in vars(model) and not (method == "forward" and is_watched(model))
        return {"last": last} if own and last else {}


def define_causal(
    module: dict[str, Any], prefix: str, model_class: type[DecoderModel], *heads: type[Model]
) -> None:
    """Define classes beside a decoder in its family's module.

    They are `prefix`, which scores the next token, and `{prefix}For{head}` for each of `heads`.
    """
    config = model_class.config_class
    made: dict[str, Any] = {"__module__": module["__name__"], "__doc__": "The decoder with a head."}
    module[prefix] = type(
        prefix, (CausalLM,), {**made, "config_class": config, "model_class": model_class}
    )
    if heads:
        made["__doc__"] = "The decoder's config with what heads ask for."
        headed = type(f"{prefix}HeadConfig", (HeadConfig, config), made)
        module[headed.__name__] = headed
        define_heads(module, prefix, *heads, config_class=headed, base_class=model_class)
