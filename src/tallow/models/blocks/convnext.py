"""ConvNeXt's parts, of which its two versions are made: 7×7 depthwise convolutions in stages."""

from __future__ import annotations

from typing import Any

from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.conv import LayerNorm2d
from tallow.models.blocks.image_heads import Backbone, BackboneConfig, ImageClassification
from tallow.models.configs import activation, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import Conv2d, LayerNorm, Linear, Module, ModuleDict, ModuleList, param
from tallow.nn.init import ones, zeros
from tallow.ops.linalg_norm import vector_norm
from tallow.tensor import Tensor


class ConvNextFields(BackboneConfig):
    """What both versions have, as in Hugging Face's configs."""

    num_channels: int = size(3)
    patch_size: tuple[int, ...] = sizes(4, 4, length=2)
    num_stages: int = size(4, "num_hidden_layers", high=64)
    hidden_sizes: tuple[int, ...] = sizes(96, 192, 384, 768)
    depths: tuple[int, ...] = sizes(3, 3, 9, 3)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-12

    without_effect = frozenset({"image_size"})

    layer_scale_init_value = 0.0
    global_response = False

    def check(self, fields: Fields) -> None:
        """Each stage needs a width and a depth."""
        for name in ("hidden_sizes", "depths"):
            if len(getattr(self, name)) != self.num_stages:
                wanted = f"one number for each of {self.num_stages} stages"
                raise fields.error(name, wanted, list(getattr(self, name)))


class ResponseNorm(Module):
    """Global response normalisation of `(batch, height, width, channels)` (arXiv 2301.00808)."""

    def __init__(self, size: int, *, flat: bool = False) -> None:
        shape = (size,) if flat else (1, 1, 1, size)  # in files
        self.weight = param(*shape, init=zeros)
        self.bias = param(*shape, init=zeros)

    def forward(self, x: Tensor) -> Tensor:
        """Kept: each channel by its norm over the image, compared with the mean of all."""
        norm = vector_norm(x, dim=(1, 2), keepdim=True)
        relative = norm / (norm.mean(-1, keepdim=True) + 1e-6)
        return x * (self.weight * relative + 1) + self.bias


class Layer(Module):
    """Depthwise 7×7, layer norm, and an MLP over the channels."""

    def __init__(self, size: int, act: str, *, scale: bool, response: bool) -> None:
        self.dwconv = Conv2d(size, size, 7, padding=3, groups=size)
        self.layernorm = LayerNorm(size, eps=1e-6)
        self.pwconv1 = Linear(size, 4 * size)
        self.act = ACTIVATIONS[act]
        self.grn = ResponseNorm(4 * size) if response else None
        self.pwconv2 = Linear(4 * size, size)
        self.layer_scale_parameter = param(size, init=ones) if scale else None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        inner = linear_then(
            self.pwconv1, self.layernorm(self.dwconv(x).permute(0, 2, 3, 1)), self.act
        )
        if self.grn is not None:
            inner = self.grn(inner)
        out: Tensor = self.pwconv2(inner)
        if self.layer_scale_parameter is not None:
            out = out * self.layer_scale_parameter
        return x + out.permute(0, 3, 1, 2)


class Stage(Module):
    """Layers of one width, behind a norm and convolution that lead to it."""

    def __init__(self, cfg: Any, size: int, out: int, stride: int, depth: int) -> None:
        change = size != out or stride > 1
        lead = [LayerNorm2d(size, eps=1e-6), Conv2d(size, out, 2, stride)] if change else []
        self.downsampling_layer = ModuleList(lead)
        scale, response = cfg.layer_scale_init_value > 0, cfg.global_response
        self.layers = ModuleList(
            [Layer(out, cfg.hidden_act, scale=scale, response=response) for _ in range(depth)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        for part in (*self.downsampling_layer, *self.layers):
            x = part(x)
        return x


class Embeddings(Module):
    """Patches and their norm."""

    def __init__(self, cfg: Any) -> None:
        patch, width = cfg.patch_size, cfg.hidden_sizes[0]
        self.patch_embeddings = Conv2d(cfg.num_channels, width, patch, patch)
        self.layernorm = LayerNorm2d(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, size, height / patch, width / patch)`."""
        return self.layernorm(self.patch_embeddings(x))


class Encoder(Module):
    """The stages."""

    def __init__(self, cfg: Any) -> None:
        widths = (cfg.hidden_sizes[0], *cfg.hidden_sizes)
        self.stages = ModuleList(
            [
                Stage(cfg, widths[i], widths[i + 1], 2 if i else 1, depth)
                for i, depth in enumerate(cfg.depths)
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """What goes in, and what each stage gives."""
        states = [x]
        for stage in self.stages:
            states.append(stage(states[-1]))
        return states


class ConvNext(Model):
    """Patches and stages; the pooled output is the mean over the image, normed."""

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = Encoder(cfg)
        self.layernorm = LayerNorm(cfg.hidden_sizes[-1], eps=cfg.layer_norm_eps)

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, 3, height, width)` → features `(batch, size, height / 32, width / 32)`."""
        states = self.encoder(self.embeddings(pixel_values))
        kept = tuple(states) if output_hidden_states else None
        return BaseOutput(states[-1], self.layernorm(states[-1].mean((2, 3))), kept)


class ConvNextClassification(ImageClassification):
    """Scores from the pooled features."""

    def make_classifier(self, cfg: Any) -> Module:
        """The pooled features through a linear layer."""
        return Linear(cfg.hidden_sizes[-1], cfg.num_labels)


class ConvNextMaps(Backbone):
    """The stages' features, each chosen one normed."""

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = Encoder(cfg)
        widths = self.widths = (cfg.hidden_sizes[0], *cfg.hidden_sizes)
        names = cfg.stage_names or ("stem", *(f"stage{i}" for i in range(1, len(widths))))
        self.hidden_states_norms = ModuleDict(
            {names[i]: LayerNorm2d(widths[i], eps=1e-6) for i in cfg.chosen(len(widths))}
        )

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The patches' and each stage's features."""
        return self.encoder(self.embeddings(pixel_values))

    def maps(self, states: list[Tensor]) -> tuple[Tensor, ...]:
        """The chosen stages' features, normed."""
        norms = self.hidden_states_norms.values()
        return tuple(norm(x) for norm, x in zip(norms, super().maps(states), strict=True))
