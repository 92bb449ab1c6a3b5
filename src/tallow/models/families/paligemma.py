"""PaliGemma 1 and 2: SigLIP before Gemma; a prompt sees itself whole (arXiv 2407.07726)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow.dtype import DType, f32, i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import arange, tensor
from tallow.lazy_dataclasses import replace
from tallow.models import losses
from tallow.models.blocks.embedding import text_inputs
from tallow.models.blocks.gemma import GemmaConfig
from tallow.models.blocks.positions import last_positions
from tallow.models.configs import size
from tallow.models.fields import Fields
from tallow.models.generation import check_kept
from tallow.models.outputs import LogitsOutput
from tallow.models.pictures import Picture
from tallow.models.projected import Projected, ProjectedConfig
from tallow.models.states import KeyValue, State
from tallow.models.vision_configs import text_part, vision_part
from tallow.models.vision_language import Pictures
from tallow.nn import Linear, Module
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate import GenerationConfig
    from tallow.generate.prompts import MixedPrompt


class PaliGemmaConfig(ProjectedConfig):
    """Of Hugging Face's `PaliGemmaConfig`."""

    # Said of the picture and its prompt, as the model's own masks do it.
    text_config: Any = text_part(
        "gemma", tied=True, values={"use_bidirectional_attention": False, "num_image_tokens": None}
    )
    vision_config: Any = vision_part("siglip_vision_model", "projection_dim", "num_image_tokens")
    image_token_index: int = size(256000, "image_token_id", low=0, high=2**31 - 1)
    vocab_size: int | None = None
    projection_dim: int = size(2048)
    hidden_size: int | None = None

    def check(self, fields: Fields) -> None:
        """The decoder is of Gemma's kin, whose layers differ in their windows alone."""
        if not isinstance(self.text_config.config, GemmaConfig):
            wanted = "a decoder of Gemma's kin"
            raise fields.error("text_config", wanted, self.text_config.model.__name__)


class CountedState(State):
    """A state that knows how many positions of each row the pass at hand has."""

    coming: Sequence[int] = ()

    def reserve(self, count: int | Sequence[int], width: int = 0) -> Tensor:
        """As of `State`."""
        self.coming = self._by_row(State.reserve, count)
        return super().reserve(count, width)


class Projector(Module):
    """A linear layer, `linear`."""

    def __init__(self, width: int, out: int) -> None:
        self.linear = Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(…, width)` → `(…, out)`."""
        return self.linear(x)


class PaliGemmaForConditionalGeneration(Projected):
    """A picture and a prompt, all of which all of it sees, to text."""

    config_class = PaliGemmaConfig
    picture_inputs = ("pixel_values", "token_type_ids")

    def __init__(self, cfg: PaliGemmaConfig) -> None:
        vision, text = cfg.vision_config.config, cfg.text_config.config
        super().__init__(cfg, Projector(vision.hidden_size, text.hidden_size))
        for layer in self.decoder.layers:
            layer.self_attn.causal, layer.self_attn.window = False, 0  # masks say what is seen

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """As of `VisionLanguage`; prompts see each other whole, so that all keys are kept."""
        cfg = self.decoder.config
        parts = [
            KeyValue(cfg.num_key_value_heads, cfg.head_dim) for _ in range(cfg.num_hidden_layers)
        ]
        return CountedState(parts, batch, context=cfg.context, capacity=capacity, dtype=dtype)

    def features(self, pictures: Pictures) -> Tensor:
        """What the projector makes of all patches."""
        x = self.vision_tower(pictures["pixel_values"]).last_hidden_state
        x = self.multi_modal_projector(x)
        return x.reshape(-1, x.shape[-1])

    def picture(self, image: Any) -> Picture:
        """Its pixels, and a place for each patch."""
        pixels = self.image_processor([image]).pixel_values
        tower, shape = self.config.vision_config.config, tuple(pixels.shape[2:])
        side = tower.image_size
        wanted = f"pictures of {side} × {side} pixels, as the tower takes"
        expect(shape == (side, side), "preprocessor", wanted, shape, ModelError)
        count = (side // tower.patch_size) ** 2
        return Picture({"pixel_values": pixels}, [self.image_token] * count)

    def with_places(self, ids: list[int], count: int) -> list[int]:
        """Pictures first unless the prompt has places; a start behind them, a line's end last."""
        start = self.tokenizer.bos_id
        begin = [] if start is None else [start]
        if begin and ids[:1] == begin:
            ids = ids[1:]
        if self.image_token not in ids:
            ids = [self.image_token] * count + ids
        last = len(ids) - ids[::-1].index(self.image_token) if self.image_token in ids else 0
        line = self.tokenizer.encode("\n", add_special=False)
        return [*ids[:last], *begin, *ids[last:], *line]

    def mixed(self, ids: Sequence[int], pictures: Sequence[Picture]) -> MixedPrompt:
        """As of `VisionLanguage`; the prompt goes in whole, and is shared as a whole alone.

        Raises:
            ArgumentError: there is no picture, so that it would be read in order.
        """
        wanted = "pictures for all prompts of a batch, or for none"
        expect(len(pictures) > 0, "prompt", wanted, "one without", ArgumentError)
        return _whole(super().mixed(ids, pictures))

    def _inputs(
        self, first: Tensor | None, given: Mapping[str, Any], config: GenerationConfig
    ) -> dict[str, Any]:
        made = super()._inputs(first, given, config)
        if "mixed" not in made:
            return made
        types = given.get("token_type_ids")
        good = types is not None and not bool(types.ne(0).any().item())
        wanted = "token_type_ids of 0 beside pixel_values, as the processor gives them"
        expect(good, "generate", wanted, "others", ArgumentError)
        return {**made, "mixed": [_whole(prompt) for prompt in made["mixed"]]}

    def decode(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        """Hidden states; `embeds`, a prompt with pictures, see each other whole, ids in order."""
        given = ids if embeds is None else embeds
        assert given is not None
        count = given.shape[1]
        keys, positions = arange(state.capacity, dtype=i64), state.positions(count)
        whole: Tensor | None = None
        if embeds is not None and count > 1:
            assert isinstance(state, CountedState), "make_state gives such"
            ends = state.starts + tensor(list(state.coming), dtype=i64)
            whole = keys.lt(ends.reshape(-1, 1, 1, 1))

        def seen(window: int) -> Tensor | None:
            if whole is not None:
                return whole
            return _before(keys, positions, window) if window or count > 1 else None

        return self.decoder.forward_masked(
            ids, embeds=embeds, positions=positions, masks=self._of_layers(seen),
            states=state.layers,
        )  # fmt: skip

    def _of_layers(self, make: Callable[[int], Tensor | None]) -> list[Tensor | None]:
        """The mask of each layer, made once of each window (0: none)."""
        cfg = self.decoder.config
        windows = [cfg.window(i) for i in range(cfg.num_hidden_layers)]
        made = {window: make(window) for window in dict.fromkeys(windows)}
        return [made[window] for window in windows]

    def decode_last(
        self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None
    ) -> Tensor:
        """The last position of `decode`, `(batch, 1, size)`."""
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

        `pixel_values` `(pictures, channels, height, width)` stand where ids are
        `image_token_index`. Positions whose `token_type_ids` are 0 see each other, all others what
        is before them (all, without these). A state is for `generate` alone.

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
        seen: list[Tensor] | None = [] if output_hidden_states else None
        masks = self._of_layers(partial(_seen, x.shape[1], attention_mask, token_type_ids))
        x = self.decoder.forward_masked(
            None, embeds=x, positions=position_ids, masks=masks, seen=seen
        )
        logits = self.head(last_positions(x, logits_to_keep))
        loss = None if labels is None else losses.next_token(logits, labels)
        return LogitsOutput(logits, loss, None if seen is None else tuple(seen))


def _before(keys: Tensor, positions: Tensor, window: int) -> Tensor:
    """Which keys are not behind `positions`, and in their window, `(batch or 1, 1, n, keys)`."""
    at = positions.unsqueeze(-1)
    seen = keys.le(at)
    return (seen.bitwise_and(keys.gt(at - window)) if window else seen).unsqueeze(1)


def _seen(count: int, mask: Tensor | None, types: Tensor | None, window: int) -> Tensor:
    """Which keys each query sees, `(batch or 1, 1, n, n)`."""
    at = arange(count, dtype=i64)
    seen = _before(at, at.unsqueeze(0), window)
    if types is not None:
        first = types.eq(0)
        both = first.unsqueeze(1).bitwise_and(first.unsqueeze(2)).unsqueeze(1)
        seen = seen.bitwise_or(both)
    return seen if mask is None else seen.bitwise_and(mask.ne(0).unsqueeze(1).unsqueeze(1))


def _whole(prompt: MixedPrompt) -> MixedPrompt:
    """The prompt in one pass, with keys that tell all of it."""
    told = hashlib.sha256(repr(list(prompt.keys)).encode()).digest()
    first = int.from_bytes(told[:8]) >> 2
    keys = [-1 - (first + i) % (1 << 62) for i in range(len(prompt.ids))]
    return replace(prompt, keys=keys, whole=len(prompt.ids))
