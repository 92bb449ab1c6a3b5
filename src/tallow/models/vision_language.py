"""Models that read pictures beside text: their vectors stand in the places of some tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from tallow import _native
from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, f32, i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import tensor, zeros, zeros_like
from tallow.models import losses
from tallow.models.blocks.embedding import text_inputs
from tallow.models.blocks.positions import last_positions
from tallow.models.decoder_model import DecoderModel
from tallow.models.generation import GenerativeModel, check_kept
from tallow.models.outputs import LogitsOutput
from tallow.models.pictures import Picture, expanded, keys_of, spans_of
from tallow.models.placed_states import PlacedState
from tallow.models.states import State
from tallow.ops import cat, where
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate import GenerationConfig
    from tallow.generate.prompts import MixedPrompt
    from tallow.vision import ImageProcessor

Pictures = Mapping[str, Any]


class VisionLanguage(GenerativeModel):
    """A decoder of text, in which vectors of pictures stand where the ids are `image_token`.

    Families say `decoder`, `features` and `picture`, and `places` where positions are no numbers.
    `picture_inputs` are the inputs of `forward` that tell of pictures, the pixels first.
    """

    picture_inputs: ClassVar[tuple[str, ...]] = ("pixel_values",)

    @property
    def decoder(self) -> DecoderModel:
        """The decoder without a head."""
        raise NotImplementedError

    def features(self, pictures: Pictures) -> Tensor:
        """The vectors of all pictures, one after the other, `(places, size)`."""
        raise NotImplementedError

    def picture(self, image: Any) -> Picture:
        """What the model is given of one picture (what `load_image` takes)."""
        raise NotImplementedError

    def places(self, ids: Tensor, mask: Tensor | None, pictures: Pictures) -> Tensor | None:
        """Positions `(3, batch, length)` of ids; None where they are numbers."""
        return None

    @property
    def image_token(self) -> int:
        """The id in whose places vectors of pictures stand."""
        return int(self.config.image_token_id)

    @property
    def place_token(self) -> int:
        """The id that is a picture's place in prompts, before `with_places`."""
        return self.image_token

    @property
    def embed_size(self) -> int:
        """The width of what stands for an id: the decoder's, or more where layers get some, too."""
        return self.decoder.config.hidden_size

    @property
    def context(self) -> int:
        """The largest number of positions."""
        return self.decoder.config.context

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        return self.decoder.config.vocab_size

    @cached_property
    def image_processor(self) -> ImageProcessor:
        """How pictures are prepared, by the files beside the weights.

        Raises:
            MissingFileError: there are none.
        """
        from tallow.vision import ImageProcessor

        if self.processor_values is not None:
            return ImageProcessor.from_config(self.processor_values, source="projector")
        if self.folder is None:
            wanted = "a model from a folder with preprocessor_config.json"
            raise ModelError(f"image_processor: expected {wanted}, found one without files")
        return ImageProcessor.from_folder(self.folder)

    def processor_by(self, patch_size: int) -> ImageProcessor:
        """The same with patches of another size."""
        from tallow.lazy_dataclasses import replace
        from tallow.vision import ImageProcessor

        settings = self.image_processor.settings
        return ImageProcessor(replace(settings, patch_size=patch_size))

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state for `batch` rows that holds nothing yet: keys and values of each layer."""
        return self.decoder.make_state(batch, capacity, dtype)

    def decode(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        """Hidden states `(batch, n, size)` of ids or embeds that come after what `state` holds."""
        return self.decoder.decode(ids, state, embeds=embeds)

    def decode_last(
        self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None
    ) -> Tensor:
        """The last position of `decode`, `(batch, 1, size)`."""
        return last_positions(self.decoder.decode(ids, state, embeds=embeds, last=1), 1)

    def with_places(self, ids: list[int], count: int) -> list[int]:
        """The ids of a prompt with the places of `count` pictures, where templates have none."""
        return ids

    def words(self, ids: Tensor) -> Tensor:
        """Vectors of ids `(batch, length)`; of the first one where a picture's stand."""
        x = self.decoder.words(where(ids.eq(self.image_token), zeros_like(ids), ids))
        more = self.embed_size - x.shape[-1]
        return x if not more else cat([x, zeros(*ids.shape, more)], -1)

    def merged(self, ids: Tensor, features: Tensor) -> Tensor:
        """Vectors of ids `(batch, length)`, with those of pictures in their places, in order.

        Raises:
            ArgumentError: there are more vectors than places, or fewer (not told to plans).
        """
        here = ids.eq(self.image_token)
        if not _native.capturing():
            count = int(here.sum().item())
            wanted = f"{len(features)} ids {self.image_token}, as many as vectors of pictures"
            expect(count == len(features), "input_ids", wanted, count, ArgumentError)
        order = (here.reshape(-1).to(i64).cumsum(0) - 1).clamp(0, len(features) - 1)
        chosen = features.index_select(0, order).reshape(*ids.shape, features.shape[1])
        return where(here.unsqueeze(-1), chosen, self.words(ids))

    def answer(
        self,
        input_ids: Tensor | None,
        pictures: Mapping[str, Any],
        mask: Tensor | None,
        position_ids: Tensor | None,
        state: State | None,
        embeds: Tensor | None,
        labels: Tensor | None,
        *,
        keep: int = 0,
        hidden: bool = False,
    ) -> LogitsOutput:
        """What `forward` gives, for its inputs in any family's order.

        Raises:
            ArgumentError: pictures without ids, or of another number of places than ids have.
            ContextError, ShapeError: as of `CausalLM`.
        """
        check_kept(keep)
        given = {name: value for name, value in pictures.items() if value is not None}
        if given.keys() & set(self.picture_inputs[:1]):
            alone = input_ids is not None and embeds is None
            wanted = "input_ids, and no inputs_embeds, beside pictures"
            expect(alone, "forward", wanted, "others", ArgumentError)
            text_inputs(input_ids, None)
            assert input_ids is not None
            with inference_mode(state is not None):
                embeds = self.merged(input_ids, self.features(given))
            if position_ids is None:
                position_ids = self.places(input_ids, mask, given)
            if isinstance(state, PlacedState) and position_ids is not None:
                for row, places in enumerate(_by_row(position_ids, mask)):
                    state.place_next(row, places)
                position_ids = None
            input_ids = None
        found = self.decoder(
            input_ids, mask, position_ids, state, embeds, output_hidden_states=hidden
        )
        logits = self.head(last_positions(found.last_hidden_state, keep))
        loss = None if labels is None else losses.next_token(logits, labels)
        return LogitsOutput(logits, loss, found.hidden_states)

    def mixed(self, ids: Sequence[int], pictures: Sequence[Picture]) -> MixedPrompt:
        """A prompt in whose places, one id `image_token` for each, the pictures stand.

        A picture goes through the model when a part of it is first needed, alone.

        Raises:
            ArgumentError: another number of places than of pictures.
        """
        from tallow.generate.prompts import MixedPrompt

        whole = expanded(ids, pictures, self.image_token)
        spans = spans_of(whole, pictures, self.image_token)
        held: dict[int, Tensor] = {}

        def vectors(index: int) -> Tensor:
            if index not in held:
                found = self.features(pictures[index].inputs)
                wanted = (
                    f"{len(spans[index])} vectors of picture {index}, as its places in the text"
                )
                expect(len(found) == len(spans[index]), "features", wanted, len(found), ModelError)
                held[index] = found
            return held[index]

        @inference_mode()
        def embeds(first: int, count: int) -> Tensor:
            parts = [self.words(tensor([whole[first : first + count]], dtype=i64))[0]]
            order, size = list(range(count)), count
            for index, span in enumerate(spans):
                inside = [(n, at - first) for n, at in enumerate(span) if 0 <= at - first < count]
                if inside:
                    parts.append(vectors(index))
                    for n, at in inside:
                        order[at] = size + n
                    size += len(span)
            return cat(parts).index_select(0, tensor(order, dtype=i64)).unsqueeze(0)

        names = pictures[0].inputs if pictures else ()
        inputs = {name: [each.inputs[name] for each in pictures] for name in names}
        places = self.places(tensor([whole], dtype=i64), None, inputs) if pictures else None
        rows = None if places is None else _by_row(places, None)[0]
        return MixedPrompt(whole, keys_of(whole, spans, pictures), embeds, _placing(rows))

    def _inputs(
        self, first: Tensor | None, given: Mapping[str, Any], config: GenerationConfig
    ) -> dict[str, Any]:
        names = self.picture_inputs
        pictures = {name: given[name] for name in names if given.get(name) is not None}
        rest = {name: value for name, value in given.items() if name not in names}
        made = super()._inputs(first, rest, config)
        if names[0] not in pictures:
            return made
        ids, mask = made.get("input_ids"), made.get("attention_mask")
        good = isinstance(ids, Tensor) and "inputs_embeds" not in made
        expect(good, "generate", "input_ids as a tensor beside pictures", "others", ArgumentError)
        return {**made, "mixed": self._rows(made["input_ids"], mask, pictures)}

    @inference_mode()
    def _rows(self, ids: Tensor, mask: Tensor | None, pictures: Pictures) -> list[MixedPrompt]:
        """The rows of a batch, whose pictures have gone through the model together."""
        from tallow.generate.prompts import MixedPrompt

        whole = self.merged(ids, self.features(pictures))
        places = self.places(ids, mask, pictures)
        rows = None if places is None else _by_row(places, mask)
        found = []
        for row, listed in enumerate(ids.tolist()):
            kept = list(range(len(listed)))
            if mask is not None:
                kept = [at for at, keep in enumerate(mask[row].tolist()) if keep]
            vectors = whole[row].index_select(0, tensor(kept, dtype=i64)).unsqueeze(0)
            here = [listed[at] for at in kept]

            def embeds(first: int, count: int, vectors: Tensor = vectors) -> Tensor:
                return vectors.narrow(1, first, count)

            place = _placing(None if rows is None else rows[row])
            found.append(MixedPrompt(here, here, embeds, place))
        return found


def _placing(places: list[tuple[int, int, int]] | None) -> Any:
    if places is None:
        return None

    def place(state: State, row: int) -> None:
        assert isinstance(state, PlacedState), "a model with places makes such states"
        state.place(row, places)

    return place


def _by_row(places: Tensor, mask: Tensor | None) -> list[list[tuple[int, int, int]]]:
    """Positions `(3, batch, length)` of each row's tokens without the padding."""
    rows = []
    for row in range(places.shape[1]):
        triples = [(t, h, w) for t, h, w in places[:, row].transpose(0, 1).tolist()]
        if mask is not None:
            kept = mask[row].narrow(0, mask.shape[1] - len(triples), len(triples)).tolist()
            triples = [triple for triple, keep in zip(triples, kept, strict=True) if keep]
        rows.append(triples)
    return rows
