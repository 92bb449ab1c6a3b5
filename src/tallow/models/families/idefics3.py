"""Idefics 3 and SmolVLM: pictures cut into frames, whose squares of patches are one vector each.

Sources: arXiv 2408.12637 and 2504.05299.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import _native
from tallow.dtype import f32, i64
from tallow.errors import ModelError, expect
from tallow.factories import arange, tensor
from tallow.models.base import Model
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.towers import Tower, TowerConfig
from tallow.models.blocks.vision import patches
from tallow.models.configs import Config, activation, layers, size
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.models.parts import section
from tallow.models.pictures import Picture
from tallow.models.states import State
from tallow.models.vision_configs import text_part
from tallow.models.vision_language import Pictures, VisionLanguage
from tallow.nn import Conv2d, LayerNorm, Linear, Module, tie
from tallow.tensor import Tensor

FAKE = "<fake_token_around_image>"
MOST = 1 - 1e-6  # the largest place within a picture, as a share of it


class VisionConfig(TowerConfig):
    """Of Hugging Face's `Idefics3VisionConfig` and `SmolVLMVisionConfig`."""

    hidden_size: int = size(1152)
    intermediate_size: int = size(3072)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(16)
    num_channels: int = size(3)
    image_size: int = size(224)
    patch_size: int = size(32)
    hidden_act: str = activation("gelu_pytorch_tanh")
    layer_norm_eps: float = 1e-6

    without_effect = frozenset({"size", "max_image_size", "vision_use_head"})


class Idefics3Config(Config):
    """Of Hugging Face's `Idefics3Config`."""

    text_config: Any = text_part("llama", task="embedding")
    vision_config: Any = section(VisionConfig)
    image_token_id: int = size(128257, low=0, high=2**31 - 1)
    scale_factor: int = size(2)
    tie_word_embeddings: bool = False

    without_effect = frozenset({"vocab_size", "_pad_token_id"})

    @property
    def num_hidden_layers(self) -> int:
        """The layers of the decoder."""
        return int(self.text_config.config.num_hidden_layers)

    def check(self, fields: Fields) -> None:
        """A frame is squares of patches."""
        vision = self.vision_config
        if not self.side or self.side % self.scale_factor:
            wanted = f"a divisor of {self.side}, the patches of {vision.image_size} pixels"
            raise fields.error("scale_factor", wanted, self.scale_factor)

    @property
    def side(self) -> int:
        """Patches of a side of a frame."""
        return int(self.vision_config.image_size // self.vision_config.patch_size)


class SmolVLMConfig(Idefics3Config):
    """Of Hugging Face's `SmolVLMConfig`."""


class FrameEmbeddings(Module):
    """Patches with positions of a square table, at the same shares of height and width."""

    def __init__(self, cfg: VisionConfig) -> None:
        edge = cfg.patch_size
        self.side = cfg.image_size // edge
        self.patch_embedding = Conv2d(cfg.num_channels, cfg.hidden_size, edge, edge)
        self.position_embedding = Embedding(self.side**2, cfg.hidden_size)

    def forward(self, x: Tensor, kept: Tensor | None) -> Tensor:
        """`(frames, channels, height, width)` → `(frames, patches, size)`.

        `kept` `(frames, rows, columns)` is 1 on patches of the picture, 0 on padding.
        """
        x, (rows, columns) = patches(self.patch_embedding, x)
        if kept is None:
            down, across = (
                self._shares(arange(n).to(f32) * tensor(1.0 / n, dtype=f32))
                for n in (rows, columns)
            )
            places = (down.unsqueeze(1) * self.side + across).reshape(1, -1)
        else:
            counts = kept[:, :, 0].sum(1, keepdim=True), kept[:, 0].sum(1, keepdim=True)
            down, across = (
                self._shares(arange(n).to(f32).unsqueeze(0) * (1.0 / count.to(f32)))
                for n, count in zip((rows, columns), counts, strict=True)
            )
            places = down.unsqueeze(2) * self.side + across.unsqueeze(1)
            places = (places * kept.to(i64)).flatten(1)
        return x + self.position_embedding(places)

    def _shares(self, at: Tensor) -> Tensor:
        """Which of `side` equal shares each place is in, by the reference's roundings."""
        step = 1 / self.side
        bounds = tensor([step + i * step for i in range(math.ceil((1 - step) / step))], dtype=f32)
        return at.clamp(max=MOST).unsqueeze(-1).ge(bounds).to(i64).sum(-1)


class FrameTower(Model):
    """Frames through layers and a norm."""

    config_class = VisionConfig

    def __init__(self, cfg: VisionConfig) -> None:
        self.config = cfg
        self.embeddings = FrameEmbeddings(cfg)
        self.encoder = Tower.of(cfg)
        self.post_layernorm = LayerNorm(cfg.hidden_size, cfg.layer_norm_eps)

    def forward(self, pixel_values: Tensor, kept: Tensor | None = None) -> BaseOutput:
        """`(frames, channels, height, width)` → `(frames, patches, size)`."""
        mask = None if kept is None else kept.flatten(1)
        states = self.encoder(self.embeddings(pixel_values, kept), mask)
        return BaseOutput(self.post_layernorm(states[-1]))


class Shuffled(Module):
    """A linear layer, `proj`, under the name that checkpoints have."""

    def __init__(self, width: int, out: int) -> None:
        self.proj = Linear(width, out, bias=False)


class Connector(Module):
    """Squares of patches as one vector each."""

    def __init__(self, width: int, out: int, scale: int) -> None:
        self.scale = scale
        self.modality_projection = Shuffled(width * scale**2, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(frames, side², size)` → `(frames, side² / scale², size of the decoder)`."""
        frames, count, width = x.shape
        side, scale = math.isqrt(count), self.scale
        x = x.reshape(frames, side // scale, scale, side // scale, scale * width)
        x = x.transpose(2, 3).reshape(frames, count // scale**2, width * scale**2)
        return self.modality_projection.proj(x)


class Parts(Module):
    """Both sides and what joins them, under `model`."""

    def __init__(self, cfg: Idefics3Config) -> None:
        width, text = cfg.vision_config.hidden_size, cfg.text_config
        self.vision_model = FrameTower(cfg.vision_config)
        self.connector = Connector(width, text.config.hidden_size, cfg.scale_factor)
        self.text_model = text.make()


class Idefics3ForConditionalGeneration(VisionLanguage):
    """Pictures and text to text."""

    config_class: ClassVar[Any] = Idefics3Config
    picture_inputs = ("pixel_values", "pixel_attention_mask")

    def __init__(self, cfg: Idefics3Config) -> None:
        self.config, text = cfg, cfg.text_config.config
        self.model = Parts(cfg)
        self.lm_head = Linear(text.hidden_size, text.vocab_size, bias=False)
        if cfg.tie_word_embeddings or text.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.text_model.embed_tokens, "weight")

    @property
    def decoder(self) -> DecoderModel:
        """The decoder without a head."""
        return self.model.text_model

    def features(self, pictures: Pictures) -> Tensor:
        """The vectors of all frames; frames of zeros are padding."""
        pixels, mask = pictures["pixel_values"], pictures.get("pixel_attention_mask")
        wanted = "(batch, frames, channels, height, width)"
        expect(pixels.ndim == 5, "pixel_values", wanted, tuple(pixels.shape))
        frames = pixels.flatten(0, 1)
        kept = None if mask is None else self._kept(mask.flatten(0, 1))
        if not _native.capturing():
            real = [at for at, some in enumerate(frames.ne(0).any((1, 2, 3)).tolist()) if some]
            if len(real) < frames.shape[0]:
                chosen = tensor(real, dtype=i64)
                frames = frames.index_select(0, chosen)
                kept = None if kept is None else kept.index_select(0, chosen)
        x = self.model.connector(self.model.vision_model(frames, kept).last_hidden_state)
        return x.flatten(0, 1)

    def _kept(self, mask: Tensor) -> Tensor:
        """1 on patches that have a pixel of the picture, `(frames, rows, columns)`."""
        expect(mask.ndim == 3, "pixel_attention_mask", "(batch, frames, height, width)", mask.shape)
        edge = self.config.vision_config.patch_size
        rows, columns = mask.shape[1] // edge, mask.shape[2] // edge
        mask = mask[:, : rows * edge, : columns * edge].ne(0).to(i64)
        return mask.reshape(-1, rows, edge, columns, edge).amax((2, 4))

    def picture(self, image: Any) -> Picture:
        """Its frames, and places for each, told apart by tokens."""
        batch = self.image_processor([image])
        pixels, edge = batch.pixel_values, self.config.vision_config.image_size
        fits = tuple(pixels.shape[3:]) == (edge, edge)
        wanted = f"frames of {edge} × {edge} pixels, as the tower takes"
        expect(fits, "preprocessor", wanted, tuple(pixels.shape[3:]), ModelError)
        inputs = {"pixel_values": pixels, "pixel_attention_mask": None}
        text = self._text(batch["rows"].item(), batch["cols"].item())
        return Picture(inputs, self.tokenizer.encode(text, False, parse_special=True))

    def _text(self, rows: int, columns: int) -> str:
        """What stands for a picture of so many frames."""
        count = (self.config.side // self.config.scale_factor) ** 2
        places = self.tokenizer.id_to_token(self.image_token) * count
        lines = [
            "".join(f"{FAKE}<row_{row + 1}_col_{column + 1}>{places}" for column in range(columns))
            for row in range(rows)
        ]
        split = "\n".join([*lines, "\n"]) if lines else ""
        return f"{split}{FAKE}<global-img>{places}{FAKE}"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` and pictures → logits `(batch, length, vocab_size)`.

        `pixel_values` `(batch, frames, channels, height, width)` stand where ids are
        `image_token_id`; `pixel_attention_mask` `(batch, frames, height, width)` is 0 on padding.
        The others are as of `CausalLM`.

        Raises:
            ArgumentError: places and pictures do not belong together.
            ContextError, ShapeError: as of `CausalLM`.
        """
        return self.answer(
            input_ids,
            {"pixel_values": pixel_values, "pixel_attention_mask": pixel_attention_mask},
            attention_mask,
            position_ids,
            state,
            inputs_embeds,
            labels,
            keep=logits_to_keep,
            hidden=output_hidden_states,
        )


class SmolVLMForConditionalGeneration(Idefics3ForConditionalGeneration):
    """The same with smaller frames."""

    config_class = SmolVLMConfig
