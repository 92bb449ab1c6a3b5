"""Decoders some of whose layers carry a state of fixed size along the sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from tallow.dtype import DType, f32, i64
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import Mask, SeenKeys
from tallow.models.blocks.positions import last_positions
from tallow.models.blocks.rope import Rope
from tallow.models.causal_lm import CausalLM
from tallow.models.decoder_model import DecoderModel
from tallow.models.states import State
from tallow.nn import Linear, Module, ModuleList, tie
from tallow.tensor import Tensor


class Sizes(Protocol):
    """What such a model asks of its config."""

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""

    @property
    def hidden_size(self) -> int:
        """The width."""

    @property
    def tie_word_embeddings(self) -> bool:
        """Whether the head scores by the words themselves."""


class RecurrentModel(DecoderModel):
    """Token ids to hidden states, through layers of any kinds.

    `names` are the attributes of the words and of the last norm; `keeps_results` says that the
    hidden states that are returned are what layers give, and not what goes into them. A layer is
    called with `positions`, `mask` and `state`, and has `make_state()`. `padding` is the id whose
    word learns nothing; `rope` makes the positions of layers that have `turns`, others are given
    integers.
    """

    names: ClassVar[tuple[str, str]] = ("embed_tokens", "norm")
    keeps_results: ClassVar[bool] = False
    config: Any

    def __init__(
        self,
        cfg: Sizes,
        layers: Sequence[Module],
        norm: Module,
        *,
        padding: int | None = None,
        rope: Rope | None = None,
    ) -> None:
        self.config = cfg
        words, last = self.names
        setattr(self, words, Embedding(cfg.vocab_size, cfg.hidden_size, padding))
        self.layers = ModuleList(layers)
        setattr(self, last, norm)
        self.turning = rope

    @property
    def words(self) -> Module:
        """The embeddings of token ids."""
        found: Module = getattr(self, self.names[0])
        return found

    def scaled(self, x: Tensor) -> Tensor:
        """What goes into the first layer, of embeddings `(batch, length, size)`."""
        return x

    def handed(self) -> dict[str, Any]:
        """What each layer of a pass is called with besides."""
        return {}

    def forward_static(
        self,
        ids: Tensor | None,
        *,
        embeds: Tensor | None = None,
        positions: Tensor | None = None,
        mask: Mask | None = None,
        states: Sequence[Any] | None = None,
        seen: list[Tensor] | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, length)` of token ids, or their `embeds`, → `(batch, length, size)`.

        As of `Decoder`.
        """
        x: Tensor = self.words(ids) if embeds is None else embeds
        x = self.scaled(x if x.dtype is f32 else x.to(f32))
        assert not isinstance(mask, SeenKeys), "recurrent layers read in order"
        mask = None if mask is None else last_positions(mask, x.shape[1])
        if positions is None:
            positions = arange(x.shape[1], dtype=i64).unsqueeze(0)
        table = None if self.turning is None else self.turning.table(positions)
        handed = self.handed()
        for layer, state in zip(self.layers, states or [None] * len(self.layers), strict=True):
            if seen is not None and not self.keeps_results:
                seen.append(x)
            places = table if getattr(layer, "turns", False) else positions
            x = layer(x, positions=places, mask=mask, state=state, **handed)
            if seen is not None and self.keeps_results:
                seen.append(x)
        x = getattr(self, self.names[1])(last_positions(x, last))
        if seen is not None:
            seen.append(x)
        return x

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state for `batch` rows that holds nothing yet: what each layer makes.

        `capacity` is for how many positions memory is taken first, `dtype` that of keys and values:
        f32, f16, bf16 or q8_0. Other tensors are of f32.
        """
        made = [layer.make_state() for layer in self.layers]
        context = self.config.context
        return State(made, batch, context=context, capacity=capacity, dtype=dtype)


class RecurrentLM(CausalLM):
    """Such a decoder with a head that predicts the next token; families are its sub-classes."""

    config: Any

    def __init__(self, cfg: Sizes, model: RecurrentModel) -> None:
        self.config = cfg
        setattr(self, self.base_model_prefix, model)
        self.lm_head = Linear(cfg.hidden_size, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", model.words, "weight")

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)` in float32 of hidden states `(…, size)`."""
        found: Tensor = self.lm_head(hidden)
        return found


def under(name: str) -> Any:
    """The property `model` of a class whose checkpoints call the decoder otherwise."""

    def model(self: Model) -> Any:
        return getattr(self, name)

    return property(model)
