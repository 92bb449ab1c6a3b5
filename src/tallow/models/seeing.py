"""Models of pictures and text in which blocks of a prompt see each other whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tallow.dtype import DType, f32
from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import replace
from tallow.models import losses
from tallow.models.block_states import Block, BlockState, seen_in_blocks
from tallow.models.blocks.embedding import text_inputs
from tallow.models.blocks.heads import SeenKeys
from tallow.models.blocks.positions import last_positions
from tallow.models.generation import check_kept
from tallow.models.outputs import LogitsOutput
from tallow.models.pictures import Picture
from tallow.models.projected import Projected
from tallow.models.states import KeyValue, State
from tallow.nn import Module
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate import GenerationConfig
    from tallow.generate.prompts import MixedPrompt


class SeeingBlocks(Projected):
    """Families say `blocks` of ids, `inside` by token types, and the `types` of ids.

    With `far`, blocks are seen beyond the windows of layers.
    """

    far: ClassVar[bool] = False
    picture_inputs: ClassVar[tuple[str, ...]] = ("pixel_values", "token_type_ids")

    def __init__(self, cfg: Any, projector: Module) -> None:
        super().__init__(cfg, projector)
        self.decoder.state_class = BlockState  # type: ignore[misc]  # of this one

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """As of `VisionLanguage`; where blocks are seen from far, all keys are kept."""
        if not self.far:
            return super().make_state(batch, capacity, dtype)
        cfg = self.decoder.config
        sizes, layers = (cfg.num_key_value_heads, cfg.head_dim), range(cfg.num_hidden_layers)
        parts = [KeyValue(*sizes) for _ in layers]
        return BlockState(parts, batch, context=cfg.context, capacity=capacity, dtype=dtype)

    def blocks(self, ids: Sequence[int]) -> list[Block]:
        """Which positions of a prompt with pictures see each other."""
        raise NotImplementedError

    def inside(self, types: Tensor) -> Tensor:
        """The block of each position by its type, `(batch, n)`; below 0: none."""
        raise NotImplementedError

    def types(self, ids: Tensor) -> Tensor:
        """The types that a processor gives ids of prompts, `(batch, n)`."""
        raise NotImplementedError

    def told(self, prompt: MixedPrompt) -> MixedPrompt:
        """The prompt that tells a state of its blocks, each of which goes in whole."""
        blocks = self.blocks(prompt.ids)

        def place(state: State, row: int) -> None:
            assert isinstance(state, BlockState), "make_state gives such"
            state.place(row, blocks)

        return replace(prompt, place=place, whole=max((end for _, end in blocks), default=0))

    def mixed(self, ids: Sequence[int], pictures: Sequence[Picture]) -> MixedPrompt:
        """As of `VisionLanguage`."""
        return self.told(super().mixed(ids, pictures))

    def _inputs(
        self, first: Tensor | None, given: Mapping[str, Any], config: GenerationConfig
    ) -> dict[str, Any]:
        made = super()._inputs(first, given, config)
        if "mixed" not in made:
            return made
        types = given.get("token_type_ids")
        good = types is not None and bool(types.eq(self.types(made["input_ids"])).all().item())
        wanted = "token_type_ids beside pixel_values, as the processor gives them"
        expect(good, "generate", wanted, "others", ArgumentError)
        return {**made, "mixed": [self.told(prompt) for prompt in made["mixed"]]}

    def _seen(self, embeds: Tensor | None, state: State) -> SeenKeys | None:
        if embeds is None:
            return None
        assert isinstance(state, BlockState), "make_state gives such"
        return state.seen(embeds.shape[1], self._windows(), far=self.far)

    def decode(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        """Hidden states; `embeds` of a prompt see their blocks whole, all else what is before."""
        seen = self._seen(embeds, state)
        if seen is None:
            return super().decode(ids, state, embeds=embeds)
        assert embeds is not None
        positions = state.positions(embeds.shape[1])
        return self.decoder.forward_static(
            None, embeds=embeds, positions=positions, mask=seen, states=state.layers
        )

    def decode_last(
        self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None
    ) -> Tensor:
        """The last position of `decode`, `(batch, 1, size)`."""
        if self._seen(embeds, state) is None:
            return super().decode_last(ids, state, embeds=embeds)
        return last_positions(self.decode(ids, state, embeds=embeds), 1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` and pictures → logits `(batch, length, vocab_size)`.

        `pixel_values` `(pictures, channels, height, width)` stand where ids are the picture's
        token. Positions see what is before them, and their block by `token_type_ids` whole. A state
        is for `generate` alone.

        Raises:
            ArgumentError: places and pictures do not belong together, or a state is given.
            ContextError, ShapeError: as of `CausalLM`.
        """
        check_kept(logits_to_keep)
        expect(state is None, "state", "none (generate keeps one)", "some", ArgumentError)
        text_inputs(input_ids, inputs_embeds)
        if pixel_values is not None:
            wanted = "input_ids beside pictures"
            expect(input_ids is not None, "forward", wanted, "none", ArgumentError)
            assert input_ids is not None
            inputs_embeds = self.merged(input_ids, self.features({"pixel_values": pixel_values}))
        x = self.words(input_ids) if inputs_embeds is None else inputs_embeds  # type: ignore[arg-type]
        found: list[Tensor] | None = [] if output_hidden_states else None
        mask: Tensor | SeenKeys | None = attention_mask
        if token_type_ids is not None:
            inside = self.inside(token_type_ids)
            mask = seen_in_blocks(inside, attention_mask, self._windows(), far=self.far)
        x = self.decoder.forward_static(
            None, embeds=x, positions=position_ids, mask=mask, seen=found
        )
        logits = self.head(last_positions(x, logits_to_keep))
        loss = None if labels is None else losses.next_token(logits, labels)
        return LogitsOutput(logits, loss, None if found is None else tuple(found))

    def _windows(self) -> set[int]:
        cfg = self.decoder.config
        return {cfg.window(layer) for layer in range(cfg.num_hidden_layers)}
