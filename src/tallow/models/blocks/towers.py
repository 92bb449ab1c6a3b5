"""What models of pictures beside texts share: CLIP's layers and embeddings, and both scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tallow.errors import ContextError, expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.vision import Mlp, patches, resized
from tallow.models.configs import Config, activation, layers, size
from tallow.models.outputs import BaseOutput, HiddenStates, Output
from tallow.nn import Conv2d, LayerNorm, Linear, Module, ModuleList, param
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.ops import cat
from tallow.tensor import Tensor


class TowerConfig(Config):
    """Of the layers of one side."""

    hidden_size: int = size(768)
    intermediate_size: int = size(3072)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    hidden_act: str = activation("quick_gelu")
    layer_norm_eps: float = 1e-5


class TowerLayer(Module):
    """Attention and feed-forward, each normalised before."""

    def __init__(
        self, size: int, heads: int, hidden: int, act: str, eps: float, *, causal: bool = False
    ) -> None:
        self.layer_norm1 = LayerNorm(size, eps)
        self.self_attn = Attention(size, heads, bias=True, causal=causal, out_name="out_proj")
        self.layer_norm2 = LayerNorm(size, eps)
        self.mlp = Mlp(size, hidden, act)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = x + self.self_attn(self.layer_norm1(x), mask=mask)
        return x + self.mlp(self.layer_norm2(x))


class Tower(Module):
    """Layers under the name `layers`."""

    def __init__(self, made: list[TowerLayer]) -> None:
        self.layers = ModuleList(made)

    @classmethod
    def of(cls, cfg: TowerConfig, *, causal: bool = False) -> Tower:
        """As many equal layers as a config says."""
        return cls(
            [
                TowerLayer(
                    cfg.hidden_size,
                    cfg.num_attention_heads,
                    cfg.intermediate_size,
                    cfg.hidden_act,
                    cfg.layer_norm_eps,
                    causal=causal,
                )
                for _ in range(cfg.num_hidden_layers)
            ]
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """What goes in and what each layer gives, `(batch, length, size)` each."""
        states = [x]
        mask = None if mask is None else as_mask(mask)
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        return states


class TextEmbeddings(Module):
    """Words and positions."""

    def __init__(self, vocabulary: int, positions: int, size: int) -> None:
        self.token_embedding = Embedding(vocabulary, size)
        self.position_embedding = Embedding(positions, size)

    def forward(self, ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """`(batch, length)` → `(batch, length, size)`.

        Raises:
            ContextError: more positions than there are.
        """
        n, most = text_inputs(ids, None).shape[1], self.position_embedding.num_embeddings
        expect(n <= most, "input_ids", f"at most {most} positions", n, ContextError)
        places = arange(n).reshape(1, n) if position_ids is None else position_ids
        return self.token_embedding(ids) + self.position_embedding(places)


class TextTower(Model):
    """Words through layers and a norm; sub-classes say what stands for the whole text."""

    base_model_prefix = "text_model"
    causal: ClassVar[bool] = False

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        width = cfg.hidden_size
        self.embeddings = TextEmbeddings(cfg.vocab_size, cfg.max_position_embeddings, width)
        self.encoder = Tower.of(cfg, causal=self.causal)
        self.final_layer_norm = LayerNorm(width, cfg.layer_norm_eps)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Token ids `(batch, length)` → hidden states `(batch, length, size)`, and pooled ones."""
        states = self.encoder(self.embeddings(input_ids, position_ids), attention_mask)
        x = self.final_layer_norm(states[-1])
        kept = tuple(states) if output_hidden_states else None
        return BaseOutput(x, self.pool(x, input_ids), kept)

    def pool(self, x: Tensor, ids: Tensor) -> Tensor:
        """`(batch, length, size)` of the ids → `(batch, size)`."""
        raise NotImplementedError


class VisionTower(Model):
    """Pictures of one size, of others on request; sub-classes say embeddings and `encode`."""

    base_model_prefix = "vision_model"
    embeddings: Module

    def forward(
        self,
        pixel_values: Tensor,
        interpolate_pos_encoding: bool | None = False,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """`(batch, channels, height, width)` → `(batch, length, size)`, and pooled."""
        x = self.embeddings(pixel_values, bool(interpolate_pos_encoding))
        return self.encode(x, None, output_hidden_states=output_hidden_states)

    def encode(self, x: Tensor, mask: Tensor | None, *, output_hidden_states: bool) -> BaseOutput:
        """What the layers make of `(batch, length, size)`."""
        raise NotImplementedError


class VisionEmbeddings(Module):
    """Patches with positions, behind a class vector where `classed`; `side` is a picture's."""

    def __init__(self, channels: int, size: int, side: int, patch: int, *, classed: bool) -> None:
        self.class_embedding = param(size, init=zeros) if classed else None
        self.patch_embedding = Conv2d(channels, size, patch, patch, bias=not classed)
        self.position_embedding = Embedding((side // patch) ** 2 + classed, size)
        self.side = side

    def forward(self, x: Tensor, interpolate: bool = False) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, length, size)`.

        Raises:
            ShapeError: another size than the positions are for, without `interpolate`.
        """
        height, width = x.shape[-2:]
        fits = height == width == self.side
        wanted = f"pictures of {self.side} × {self.side}, or interpolate_pos_encoding=True"
        expect(fits or interpolate, "pixel_values", wanted, tuple(x.shape))
        x, grid = patches(self.patch_embedding, x)
        count = self.position_embedding.num_embeddings
        table = self.position_embedding(arange(count).reshape(1, count))
        if self.class_embedding is None:
            return x + (table if fits else resized(table, grid))
        positions = table[:, 1:] if fits else resized(table[:, 1:], grid)
        first = (self.class_embedding + table[:, :1]).expand(x.shape[0], 1, x.shape[2])
        return cat([first, x + positions], 1)


class PairOutput(Output):
    """Scores `(pictures, texts)` and transposed, the vectors they are of, and both sides' all."""

    logits_per_image: Tensor
    logits_per_text: Tensor
    text_embeds: Tensor
    image_embeds: Tensor
    text_model_output: BaseOutput
    vision_model_output: BaseOutput
    loss: Tensor | None = None


class TextEmbedsOutput(Output):
    """`text_embeds` (batch, size), and the hidden states."""

    text_embeds: Tensor
    last_hidden_state: Tensor
    hidden_states: HiddenStates | None = None


class ImageEmbedsOutput(Output):
    """`image_embeds` (batch, size), and the hidden states."""

    image_embeds: Tensor
    last_hidden_state: Tensor
    hidden_states: HiddenStates | None = None


def paired(
    texts: BaseOutput,
    pictures: BaseOutput,
    scale: Tensor,
    bias: Tensor | None,
    loss: Callable[[Tensor], Tensor] | None,
) -> PairOutput:
    """Cosines of pooled outputs, times `exp(scale)`, plus `bias`; `loss` is of scores by text."""
    sides = [each.pooler_output for each in (texts, pictures)]
    text, image = (x / x.norm(dim=-1, keepdim=True) for x in sides if x is not None)
    scores = (text @ image.transpose(0, 1)) * scale.exp()
    scores = scores if bias is None else scores + bias
    found = None if loss is None else loss(scores)
    return PairOutput(scores.transpose(0, 1), scores, text, image, texts, pictures, found)


class TextTowerModel(Model):
    """A model with a text's side, `text_model`."""

    text_model: Module

    def get_text_features(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> BaseOutput:
        """Texts `(batch, length)`; the pooled output is their vector."""
        return self.text_vector(self.text_model(input_ids, attention_mask, position_ids))

    def text_vector(self, found: BaseOutput) -> BaseOutput:
        """What the side gave, the pooled output as the vector that is compared."""
        return found


class DualEncoder(TextTowerModel):
    """The same beside pictures of a size, of others on request; families say `compare`."""

    vision_model: Module

    def get_image_features(
        self, pixel_values: Tensor, interpolate_pos_encoding: bool = False
    ) -> BaseOutput:
        """Pictures; the pooled output is their vector."""
        return self.vision_model(pixel_values, interpolate_pos_encoding)

    def compare(
        self, texts: BaseOutput, pictures: BaseOutput, return_loss: bool | None
    ) -> PairOutput:
        """Scores of all pairs; the loss on request."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> PairOutput:
        """Texts `(texts, length)` and pictures → scores of all pairs; the loss on request."""
        return self.compare(
            self.get_text_features(input_ids, attention_mask, position_ids),
            self.get_image_features(pixel_values, interpolate_pos_encoding),
            return_loss,
        )


class Clip(Model):
    """Both sides, `text_model` and `vision_model`, their projections, and their scores."""

    def __init__(self, cfg: Any, text: Module, vision: Module) -> None:
        self.config = cfg
        self.text_model, self.vision_model, width = text, vision, cfg.projection_dim
        self.visual_projection = Linear(cfg.vision_config.hidden_size, width, bias=False)
        self.text_projection = Linear(cfg.text_config.hidden_size, width, bias=False)
        self.logit_scale = param(init=zeros)

    def get_image_features(
        self, pixel_values: Tensor, interpolate_pos_encoding: bool = False
    ) -> BaseOutput:
        """Pictures; the pooled output is projected, `(batch, projection_dim)`."""
        found = self.vision_model(pixel_values, interpolate_pos_encoding)
        return projected(found, self.visual_projection)

    def compare(
        self, texts: BaseOutput, pictures: BaseOutput, return_loss: bool | None
    ) -> PairOutput:
        """Scores of all pairs; the loss on request."""
        loss = contrastive if return_loss else None
        return paired(texts, pictures, self.logit_scale, None, loss)


def contrastive(scores: Tensor) -> Tensor:
    """Mean cross-entropy of each text against its picture, and each picture against its text."""
    both = [F.log_softmax(scores, dim).diagonal().mean() for dim in (0, 1)]
    return -(both[0] + both[1]) / 2


def projected(found: BaseOutput, projection: Any, x: Tensor | None = None) -> BaseOutput:
    """What a model gave, its pooled output (or `x`) projected."""
    pooled = found.pooler_output if x is None else x
    return BaseOutput(found.last_hidden_state, projection(pooled), found.hidden_states)
