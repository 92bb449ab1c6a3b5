"""Models that generate: `generate` with transformers' arguments, on `tallow.generate.search`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, f32
from tallow.errors import ArgumentError, expect
from tallow.factories import full, ones_like
from tallow.lazy_dataclasses import field_names
from tallow.models.base import Model
from tallow.models.states import State
from tallow.ops import cat
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate import GenerationConfig


def check_kept(logits_to_keep: int) -> None:
    """Refuse what is no number of positions by an ArgumentError."""
    good = type(logits_to_keep) is int and logits_to_keep >= 0
    wanted = "an integer of at least 0"
    expect(good, "logits_to_keep", wanted, repr(logits_to_keep), ArgumentError)


class GenerativeModel(Model):
    """A model with what `tallow.generate.Generative` lists: a decoder of token ids.

    `generation_config` is the checkpoint's own; another may be assigned.
    """

    @property
    def context(self) -> int:
        """The largest number of positions."""
        raise NotImplementedError

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        raise NotImplementedError

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state for `batch` rows that holds nothing yet.

        `capacity` is for how many positions memory is taken first, `dtype` f32, f16, bf16 or q8_0.
        """
        raise NotImplementedError

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)` in float32 of hidden states `(…, size)`, by `lm_head`."""
        return self.lm_head(hidden)

    @cached_property
    def generation_config(self) -> GenerationConfig:
        """How the checkpoint wants texts to be generated."""
        from tallow.generate import GenerationConfig

        if self.folder is not None:
            return GenerationConfig.read(self.folder)
        ends = self.tokenizer.eos_ids if self.has_tokenizer else self.end_ids
        return GenerationConfig(eos_token_id=sorted(ends) or None)

    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *,
        seed: int | None = None,
        on_step: Callable[[int, int], None] | None = None,
        **given: Any,
    ) -> Tensor:
        """Ids `(rows * num_return_sequences, length)`, prompt included, as transformers gives them.

        Keywords are fields of `GenerationConfig`, which stand in the place of the config's, or
        inputs of the model: of a decoder `input_ids`, `attention_mask` and `inputs_embeds`; of an
        encoder and a decoder those of the encoder, and `decoder_input_ids` with
        `decoder_attention_mask`. `inputs` is the first of them. See `tallow.generate.search` for
        scores of beams.

        Raises:
            ArgumentError: a keyword that is neither, or a value out of range.
            ContextError: there is no room for another token.
        """
        from tallow.generate import GenerationConfig, search

        names = field_names(GenerationConfig)
        config = (generation_config or self.generation_config).with_options(
            **{name: value for name, value in given.items() if name in names}
        )
        others = {n: v for n, v in given.items() if n not in names and v is not None}
        given = self._inputs(inputs, others, config)
        found = search(self.generator(), config=config, seed=seed, on_step=on_step, **given)
        return found.sequences

    def generator(self) -> Self:
        """The model as `generate` runs it."""
        return self

    def _inputs(
        self, first: Tensor | None, given: Mapping[str, Any], config: GenerationConfig
    ) -> dict[str, Any]:
        """What `search` takes, from what `generate` was given."""
        known = {"input_ids", "attention_mask", "inputs_embeds"}
        unknown = sorted(given.keys() - known)
        wanted = "fields of GenerationConfig and inputs of the model"
        expect(not unknown, "generate", wanted, unknown, ArgumentError)
        return dict(given) if first is None else {"input_ids": first, **given}


class EncoderDecoderModel(GenerativeModel):
    """A decoder that attends to what `encode` makes of other inputs.

    `main_input` is the name of the encoder's first one. Prompts get the `decoder_start_token_id`
    before them where they do not begin with it, unless `prompts_begin_themselves`.
    """

    main_input: ClassVar[str] = "input_ids"
    prompts_begin_themselves: bool = False

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """The context `(batch, m, size)` that the decoder attends to, and its mask `(batch, m)`."""
        raise NotImplementedError

    def attend_to(self, state: State, context: Tensor, mask: Tensor | None = None) -> None:
        """Let the layers' `Cross` states hold keys and values of `context`, and its mask."""
        raise NotImplementedError

    def _inputs(
        self, first: Tensor | None, given: Mapping[str, Any], config: GenerationConfig
    ) -> dict[str, Any]:
        inputs = dict(given) if first is None else {self.main_input: first, **given}
        ids, mask = (
            inputs.pop("decoder_input_ids", None),
            inputs.pop("decoder_attention_mask", None),
        )
        from inspect import signature

        try:
            signature(self.encode).bind(**inputs)
        except TypeError as error:
            wanted = "fields of GenerationConfig and inputs of the model"
            raise ArgumentError(f"generate: expected {wanted}, got: {error}") from None
        with inference_mode():
            context, context_mask = self.encode(**inputs)
        start = config.decoder_start_token_id
        start = config.bos_token_id if start is None else start
        begins = ids is None or start is None or self.prompts_begin_themselves
        if not begins and bool(ids[:, 0].ne(start).all().item()):
            ids = cat([full((ids.shape[0], 1), start, dtype=ids.dtype), ids], 1)
            mask = None if mask is None else cat([ones_like(mask[:, :1]), mask], 1)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "context": context,
            "context_mask": context_mask,
        }
