"""What ViT and its descendants share: patches, tokens before them, positions, pre-norm layers.

Source: arXiv 2010.11929; names of Hugging Face's checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.models.base import Model
from tallow.models.blocks.bert import Dense, Layers, Pooler
from tallow.models.blocks.image_heads import ResizedClassification
from tallow.models.blocks.vision import PatchEmbeddings, ViTAttention, resized
from tallow.models.configs import Config, activation, layers, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Module, param
from tallow.nn.init import ones, zeros
from tallow.ops import cat
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

# From the names that modules have in memory since transformers 5 to those of checkpoints.
VIT_RULES = (
    rename("layers.{}.attention.q_proj.*", "encoder.layer.{}.attention.attention.query.*"),
    rename("layers.{}.attention.k_proj.*", "encoder.layer.{}.attention.attention.key.*"),
    rename("layers.{}.attention.v_proj.*", "encoder.layer.{}.attention.attention.value.*"),
    rename("layers.{}.attention.o_proj.*", "encoder.layer.{}.attention.output.dense.*"),
    rename("layers.{}.mlp.fc1.*", "encoder.layer.{}.intermediate.dense.*"),
    rename("layers.{}.mlp.fc2.*", "encoder.layer.{}.output.dense.*"),
    rename("layers.{}.*", "encoder.layer.{}.*"),
)


class VitConfig(Config):
    """What the configs of ViT, DeiT and BEiT have in common."""

    hidden_size: int = size(768)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    intermediate_size: int = size(3072)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-12
    image_size: tuple[int, ...] = sizes(224, 224, length=2)
    patch_size: tuple[int, ...] = sizes(16, 16, length=2)
    num_channels: int = size(3)
    qkv_bias: bool = True
    pooler_output_size: int | None = None
    pooler_act: str = activation("tanh")

    without_effect = frozenset({"encoder_stride"})

    def check(self, fields: Fields) -> None:
        """An image holds a patch."""
        if not all(self.grid):
            raise fields.error("image_size", f"at least {self.patch_size}", self.image_size)
        pooled = self.pooler_output_size
        if pooled is not None and not 1 <= pooled <= 1 << 20:
            raise fields.error("pooler_output_size", "an integer from 1 to 1048576", pooled)

    @property
    def grid(self) -> tuple[int, int]:
        """Patches over the height and the width of an image."""
        (h, w), (p, q) = self.image_size, self.patch_size
        return h // p, w // q


class VitEmbeddings(Module):
    """Learned tokens and the patches behind them, with learned positions where there are any.

    `tokens` are their names; `masked` adds the token that stands for hidden patches.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        image: Sequence[int],
        patch: Sequence[int],
        tokens: Sequence[str] = ("cls_token",),
        *,
        masked: bool = False,
        positions: bool = True,
    ) -> None:
        self.tokens, self.image, self.patch = tuple(tokens), tuple(image), tuple(patch)
        for name in self.tokens:
            setattr(self, name, param(1, 1, size, init=zeros))
        self.mask_token = param(1, 1, size, init=zeros) if masked else None
        self.patch_embeddings = PatchEmbeddings(channels, size, patch[0], patch[1])
        count = (image[0] // patch[0]) * (image[1] // patch[1]) + len(self.tokens)
        self.position_embeddings = param(1, count, size, init=zeros) if positions else None

    def forward(
        self, pixel_values: Tensor, masked: Tensor | None = None, *, resize: bool = False
    ) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, tokens + patches, size)`.

        `masked` `(batch, patches)` is true where a patch is hidden. Images of another size need
        `resize`, which interpolates the positions.
        """
        x, grid = self.patch_embeddings(pixel_values)
        b, n, _ = x.shape
        if masked is not None:
            known = self.mask_token is not None and masked.shape == (b, n)
            expect(known, "bool_masked_pos", f"a mask token, and shape {(b, n)}", masked.shape)
            assert self.mask_token is not None
            hidden = masked.to(f32).unsqueeze(-1)
            x = x * (1 - hidden) + self.mask_token * hidden
        x = cat([*(getattr(self, name).expand(b, -1, -1) for name in self.tokens), x], 1)
        if self.position_embeddings is None:
            return x
        table, first = self.position_embeddings, len(self.tokens)
        height, width = pixel_values.shape[2:]
        alike = n + first == table.shape[1] and height == width  # as in the reference
        if (height, width) == self.image or (resize and alike):
            return x + table
        wanted = f"{self.image[0]}×{self.image[1]} pixels, or interpolate_pos_encoding=True"
        expect(resize, "pixel_values", wanted, f"{height}×{width}", ArgumentError)
        return x + cat([table[:, :first], resized(table[:, first:], grid)], 1)


class VitLayer(Module):
    """Attention and feed-forward, each normalised before, scaled where `scale` is not 0."""

    def __init__(
        self,
        size: int,
        heads: int,
        hidden: int,
        act: str,
        eps: float,
        *,
        bias: bool = True,
        key_bias: bool | None = None,
        scale: float = 0,
    ) -> None:
        self.attention = ViTAttention(size, heads, bias=bias, key_bias=key_bias)
        self.intermediate = Dense(size, hidden, act)
        self.output = Dense(hidden, size)
        self.layernorm_before = LayerNorm(size, eps)
        self.layernorm_after = LayerNorm(size, eps)
        self.lambda_1 = param(size, init=ones) if scale > 0 else None
        self.lambda_2 = param(size, init=ones) if scale > 0 else None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        found = self.attention(self.layernorm_before(x), mask)
        x = x + (found if self.lambda_1 is None else found * self.lambda_1)
        found = self.output(self.intermediate(self.layernorm_after(x)))
        return x + (found if self.lambda_2 is None else found * self.lambda_2)


class VitModel(Model):
    """Embeddings, layers, a last norm, and a pooler where the file has one."""

    tokens: ClassVar[tuple[str, ...]] = ("cls_token",)
    optional_parts = ("pooler",)
    ignorable = (r"pooler\..*", r"embeddings\.mask_token")
    rules = VIT_RULES

    def __init__(self, cfg: VitConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        self.embeddings = VitEmbeddings(
            width, cfg.num_channels, cfg.image_size, cfg.patch_size, self.tokens
        )
        self.encoder = Layers(
            [
                VitLayer(
                    width,
                    cfg.num_attention_heads,
                    cfg.intermediate_size,
                    cfg.hidden_act,
                    eps,
                    bias=cfg.qkv_bias,
                )
                for _ in range(cfg.num_hidden_layers)
            ]
        )
        self.layernorm = LayerNorm(width, eps)
        self.pooler = Pooler(width, cfg.pooler_output_size, cfg.pooler_act) if pooled else None

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """`(batch, channels, height, width)` → `(batch, tokens + patches, size)`, and pooled."""
        x = self.embeddings(pixel_values, bool_masked_pos, resize=interpolate_pos_encoding)
        states = self.encoder(x)
        last = self.layernorm(states[-1])
        pooled = None if self.pooler is None else self.pooler(last)
        return BaseOutput(last, pooled, tuple(states) if output_hidden_states else None)


class VitClassification(ResizedClassification):
    """Scores from the first token; images of other sizes on request."""

    def make_base(self, cfg: Any) -> Module:
        """The model without a pooler."""
        return self.base_class(cfg, pooled=False)

    def pool(self, found: BaseOutput) -> Tensor:
        """The first token."""
        return found.last_hidden_state[:, 0]
