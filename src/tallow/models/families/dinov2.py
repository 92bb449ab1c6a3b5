"""DINOv2: a vision transformer with scaled residuals (arXiv 2304.07193), with registers or not."""

from __future__ import annotations

from typing import ClassVar

from tallow.dtype import f32
from tallow.models.base import Model
from tallow.models.blocks.bert import Layers
from tallow.models.blocks.image_heads import (
    Backbone,
    BackboneConfig,
    BackboneOutput,
    ImageClassification,
)
from tallow.models.blocks.vision import (
    LayerScale,
    Mlp,
    PackedSwiGLU,
    PatchEmbeddings,
    ViTAttention,
    as_maps,
    resized,
)
from tallow.models.configs import activation, layers, ratio, size, sizes
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Linear, Module, param
from tallow.nn.init import zeros
from tallow.ops import cat, where
from tallow.tensor import Tensor
from tallow.weights.arrange import cat as join
from tallow.weights.arrange import rename

_LAYER = "encoder.layer.{}."
# From the names that modules have in memory since transformers 5 to those of checkpoints.
RULES = (
    rename(_LAYER + "attention.q_proj.*", _LAYER + "attention.attention.query.*"),
    rename(_LAYER + "attention.k_proj.*", _LAYER + "attention.attention.key.*"),
    rename(_LAYER + "attention.v_proj.*", _LAYER + "attention.attention.value.*"),
    rename(_LAYER + "attention.o_proj.*", _LAYER + "attention.output.dense.*"),
    rename(_LAYER + "mlp.down_proj.*", _LAYER + "mlp.weights_out.*"),
    *(
        join(
            _LAYER + f"mlp.gate_proj.{kind}",
            _LAYER + f"mlp.up_proj.{kind}",
            to=_LAYER + f"mlp.weights_in.{kind}",
        )
        for kind in ("weight", "bias")
    ),
)


class Dinov2Config(BackboneConfig):
    """Of Hugging Face's `Dinov2Config`."""

    hidden_size: int = size(768)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    mlp_ratio: float = ratio(4.0)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-6
    image_size: tuple[int, ...] = sizes(224, 224, length=2)
    patch_size: tuple[int, ...] = sizes(14, 14, length=2)
    num_channels: int = size(3)
    qkv_bias: bool = True
    use_swiglu_ffn: bool = False
    apply_layernorm: bool = True
    reshape_hidden_states: bool = True
    use_mask_token: bool = True

    num_register_tokens: ClassVar[int] = 0
    without_effect = frozenset({"layerscale_value"})

    @property
    def patches(self) -> int:
        """The number of patches of a picture of `image_size`."""
        (height, width), (down, across) = self.image_size, self.patch_size
        return (height // down) * (width // across)


class Dinov2WithRegistersConfig(Dinov2Config):
    """Of Hugging Face's `Dinov2WithRegistersConfig`."""

    patch_size: tuple[int, ...] = sizes(16, 16, length=2)
    num_register_tokens: int = size(4, low=0)  # type: ignore[misc]  # a field here


class Embeddings(Module):
    """Patches behind a class token, with positions; registers between them, if any."""

    def __init__(self, cfg: Dinov2Config) -> None:
        width, registers = cfg.hidden_size, cfg.num_register_tokens
        self.cls_token = param(1, 1, width, init=zeros)
        self.mask_token = param(1, width, init=zeros, dtype=f32) if cfg.use_mask_token else None
        self.register_tokens = param(1, registers, width, init=zeros) if registers else None
        self.patch_embeddings = PatchEmbeddings(cfg.num_channels, width, *cfg.patch_size)
        self.position_embeddings = param(1, cfg.patches + 1, width, init=zeros)
        self.antialias = isinstance(cfg, Dinov2WithRegistersConfig)

    def forward(self, x: Tensor, masked: Tensor | None = None) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, 1 + registers + patches, size)`."""
        tall = x.shape[-2:]
        x, grid = self.patch_embeddings(x)
        if masked is not None and self.mask_token is not None:
            x = where(masked.ne(0).unsqueeze(-1), self.mask_token, x)
        table = self.position_embeddings
        positions = table[:, 1:]
        if x.shape[1] != positions.shape[1] or tall[0] != tall[1]:
            positions = resized(positions, grid, antialias=self.antialias)
        b, width = x.shape[0], x.shape[2]
        parts = [(self.cls_token + table[:, :1]).expand(b, 1, width), x + positions]
        if self.register_tokens is not None:
            parts.insert(1, self.register_tokens.expand(b, -1, -1))
        return cat(parts, 1)


class Layer(Module):
    """Attention and feed-forward, each normalised before and scaled behind."""

    def __init__(self, cfg: Dinov2Config) -> None:
        width, hidden = cfg.hidden_size, int(cfg.hidden_size * cfg.mlp_ratio)
        self.norm1 = LayerNorm(width, cfg.layer_norm_eps)
        self.attention = ViTAttention(width, cfg.num_attention_heads, bias=cfg.qkv_bias)
        self.layer_scale1 = LayerScale(width)
        self.norm2 = LayerNorm(width, cfg.layer_norm_eps)
        if cfg.use_swiglu_ffn:  # two thirds of the width, in whole eights
            self.mlp: Module = PackedSwiGLU(width, (int(hidden * 2 / 3) + 7) // 8 * 8)
        else:
            self.mlp = Mlp(width, hidden, cfg.hidden_act)
        self.layer_scale2 = LayerScale(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = x + self.layer_scale1(self.attention(self.norm1(x), mask))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


class Dinov2Model(Model):
    """Embeddings, layers and a last norm; the class token is the pooled output."""

    config_class = Dinov2Config
    base_model_prefix = "dinov2"
    rules = RULES
    ignorable = (r"embeddings\.mask_token",)

    def __init__(self, cfg: Dinov2Config) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = Layers([Layer(cfg) for _ in range(cfg.num_hidden_layers)])
        self.layernorm = LayerNorm(cfg.hidden_size, cfg.layer_norm_eps)

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """`(batch, channels, height, width)` → tokens `(batch, length, size)`."""
        x = self.embeddings(pixel_values, bool_masked_pos)
        states = self.encoder(x, attention_mask)
        x = self.layernorm(states[-1])
        return BaseOutput(x, x[:, 0], tuple(states) if output_hidden_states else None)


class Dinov2ForImageClassification(ImageClassification):
    """Scores from the class token and the mean of the patches."""

    config_class, base_class, base_model_prefix = Dinov2Config, Dinov2Model, "dinov2"

    def make_classifier(self, cfg: Dinov2Config) -> Module:
        """From both, side by side."""
        return Linear(2 * cfg.hidden_size, cfg.num_labels)

    def pool(self, found: BaseOutput) -> Tensor:
        """`(batch, 2 * size)`."""
        x, first = found.last_hidden_state, 1 + self.config.num_register_tokens
        return cat([x[:, 0], x[:, first:].mean(1)], -1)


class Dinov2Backbone(Backbone):
    """Tokens of the chosen layers as maps."""

    config_class = Dinov2Config
    rules = RULES

    def __init__(self, cfg: Dinov2Config) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = Layers([Layer(cfg) for _ in range(cfg.num_hidden_layers)])
        self.layernorm = LayerNorm(cfg.hidden_size, cfg.layer_norm_eps)
        self.widths = [cfg.hidden_size] * (cfg.num_hidden_layers + 1)
        self.chosen = cfg.chosen(len(self.widths))

    def forward(
        self, pixel_values: Tensor, *, output_hidden_states: bool = False
    ) -> BackboneOutput:
        """`(batch, channels, height, width)` → `(batch, size, rows, columns)` of each layer."""
        cfg = self.config
        states = self.encoder(self.embeddings(pixel_values))
        maps = [states[i] for i in self.chosen]
        if cfg.apply_layernorm:
            maps = [self.layernorm(x) for x in maps]
        if cfg.reshape_hidden_states:
            grid = tuple(
                n // p for n, p in zip(pixel_values.shape[2:], cfg.patch_size, strict=True)
            )
            maps = [as_maps(x[:, 1 + cfg.num_register_tokens :], grid) for x in maps]
        return BackboneOutput(tuple(maps), tuple(states) if output_hidden_states else None)


class Dinov2WithRegistersModel(Dinov2Model):
    """With registers, and positions that are interpolated smoothly."""

    config_class = Dinov2WithRegistersConfig
    base_model_prefix = "dinov2_with_registers"


class Dinov2WithRegistersForImageClassification(Dinov2ForImageClassification):
    """Scores from the class token and the mean of the patches."""

    config_class, base_class = Dinov2WithRegistersConfig, Dinov2WithRegistersModel
    base_model_prefix = "dinov2_with_registers"


class Dinov2WithRegistersBackbone(Dinov2Backbone):
    """Tokens of the chosen layers as maps."""

    config_class = Dinov2WithRegistersConfig
