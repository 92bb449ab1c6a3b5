"""timm's FastViT: convolutions that fuse, and attention in the last stage (arXiv 2303.14189)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import LayerNorm2d, divisible
from tallow.models.blocks.heads import attend
from tallow.models.blocks.reparam import Reparam, RepBlock, Term, folded
from tallow.models.blocks.timm_conv import ConvNormAct, LayerScale2d, SEModule
from tallow.models.configs import choice, custom, size, sizes
from tallow.models.fields import Fields
from tallow.models.timm import ClassifierHead, TimmConfig, TimmModel
from tallow.nn import BatchNorm2d, Conv2d, Linear, Module, Sequential
from tallow.tensor import Tensor

_KINDS = {  # depths, width of the first stage, ratio of the MLP
    "t8": ((2, 2, 4, 2), 48, 3), "t12": ((2, 2, 6, 2), 64, 3), "s12": ((2, 2, 6, 2), 64, 4),
    "sa12": ((2, 2, 6, 2), 64, 4), "sa24": ((4, 4, 12, 4), 64, 4), "sa36": ((6, 6, 18, 6), 64, 4),
    "ma36": ((6, 6, 18, 6), 76, 4), "mci0": ((2, 6, 10, 2), 64, 3),
    "mci1": ((4, 12, 20, 4), 64, 3), "mci2": ((4, 12, 24, 4), 80, 3),
    "mci3": ((2, 12, 24, 4, 2), 96, 4), "mci4": ((2, 12, 24, 4, 4), 128, 4),
}  # fmt: skip


def _mixers(fields: Fields, name: str, default: Any) -> tuple[str, ...]:
    value = fields.get(name)
    good = isinstance(value, list) and all(v in ("repmixer", "attention") for v in value)
    if not good:
        raise fields.error(name, "a list of repmixer and attention", value)
    return tuple(value)


class TimmFastVitConfig(TimmConfig):
    """Arguments of timm's `FastVit`; `pos_embs` are kernels of positions, 0 for none."""

    layers: tuple[int, ...] = sizes(2, 2, 6, 2, high=256)
    embed_dims: tuple[int, ...] = sizes(64, 128, 256, 512)
    mlp_ratios: tuple[int, ...] = sizes(4, 4, 4, 4, high=16)
    token_mixers: tuple[str, ...] = custom((), _mixers)
    pos_embs: tuple[int, ...] = sizes(0, 0, 0, 0, low=0, high=31)
    se_downsamples: tuple[int, ...] = sizes(0, 0, 0, 0, low=0, high=1)
    lkc_use_act: bool = False
    cls_ratio: int = size(2, high=16)
    stem_use_scale_branch: bool = True
    norm_layer: str = choice("batchnorm2d", "layernorm2d")  # before attention

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        found = re.fullmatch(r"fastvit_(\w+)", name)
        row = _KINDS.get(found[1]) if found is not None else None
        if found is None or row is None:
            return None
        depths, width, ratio = row
        attention, apple = "a" in found[1], found[1].startswith("mci")
        last = "attention" if attention or apple else "repmixer"
        late = len(depths) - 3
        made = {
            "layers": list(depths), "embed_dims": [width << i for i in range(len(depths))],
            "mlp_ratios": [ratio] * len(depths), "token_mixers": ["repmixer"] * 3 + [last] * late,
            "pos_embs": [0] * 3 + [7 if last == "attention" else 0] * late,
            "se_downsamples": [0, 0, 1, 1] if apple else [0] * 4, "lkc_use_act": apple,
            "num_classes": 512 if apple else 1000,  # Apple's are CLIP's projections
        }  # fmt: skip
        if late > 1:
            made |= {
                "se_downsamples": [0] * 5, "num_classes": 768, "norm_layer": "layernorm2d",
                "stem_use_scale_branch": False,
            }  # fmt: skip
        return made

    def check(self, fields: Fields) -> None:
        """Each stage needs every number, and attention whole heads."""
        for name in ("layers", "mlp_ratios", "token_mixers", "pos_embs", "se_downsamples"):
            if len(getattr(self, name)) != len(self.embed_dims) or not self.embed_dims:
                wanted = f"one value for each of {len(self.embed_dims)} stages"
                raise fields.error(name, wanted, list(getattr(self, name)))
        pairs = zip(self.embed_dims, self.token_mixers, strict=True)
        if any(width % 32 for width, mixer in pairs if mixer == "attention"):
            wanted = "multiples of 32 where attention mixes"
            raise fields.error("embed_dims", wanted, list(self.embed_dims))


class Unit(RepBlock):
    """A convolution in branches, squeeze-and-excitation where asked, and GELU."""

    def __init__(
        self, size: int, out: int, kernel: int, stride: int = 1, groups: int = 1, *,
        excited: bool = False, scale: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(size, out, kernel, stride, groups, scale=scale)
        self.se = SEModule(out, divisible(out / 16, 1, limit=0.0)) if excited else None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        out = super().forward(x)
        return ACTIVATIONS["gelu"](out if self.se is None else self.se(out))


class LargeKernel(Reparam):
    """A large depthwise kernel and a small one in its middle, summed."""

    branches = ("large_conv", "small_conv")

    def __init__(self, size: int, out: int, act: str, *, excited: bool) -> None:
        super().__init__(size, out, 7, 2, size)
        self.large_conv = ConvNormAct(size, out, 7, 2, groups=size)
        self.small_conv = ConvNormAct(size, out, 3, 2, groups=size)
        self.se = SEModule(out, divisible(out / 4, limit=0.0)) if excited else None
        self.act = ACTIVATIONS[act]

    def terms(self) -> Iterable[Term]:
        """Of both kernels."""
        both = self.large_conv, self.small_conv
        return (folded(each.conv.weight, each.bn) for each in both)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / 2, width / 2)`."""
        if self.reparam_conv is not None:
            out = self.reparam_conv(x)
        else:
            out = self.large_conv(x) + self.small_conv(x)
        return self.act(out if self.se is None else self.se(out))


class RepMixer(Reparam):
    """The input, and a scale for each channel of what two convolutions differ by."""

    branches = ("norm", "mixer", "layer_scale")

    def __init__(self, size: int) -> None:
        super().__init__(size, size, 3, 1, size)
        self.norm = RepBlock(size, size, 3, 1, size, count=0, scale=False)
        self.mixer = RepBlock(size, size, 3, 1, size)
        self.layer_scale = LayerScale2d(size, flat=False)

    def terms(self) -> Iterable[Term]:
        """Of both, scaled, and the input itself."""
        scale = self.layer_scale.gamma.reshape(-1, 1, 1, 1)
        flat = scale.reshape(-1)
        (a, b), (c, d) = self.mixer.total(), self.norm.total()
        yield self.identity_kernel(), flat * 0
        yield a * scale, b * flat
        yield c * -scale, d * -flat

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        if self.reparam_conv is not None:
            return self.reparam_conv(x)
        return x + self.layer_scale(self.mixer(x) - self.norm(x))


class PositionEncoding(Reparam):
    """A depthwise convolution added to its input (arXiv 2102.10882)."""

    branches = ("pos_enc",)

    def __init__(self, size: int, kernel: int) -> None:
        super().__init__(size, size, kernel, 1, size)
        self.pos_enc = Conv2d(size, size, kernel, 1, kernel // 2, groups=size)

    def terms(self) -> Iterable[Term]:
        """Of the convolution, and the input itself."""
        assert self.pos_enc.bias is not None
        yield self.pos_enc.weight, self.pos_enc.bias
        yield self.identity_kernel(), self.pos_enc.bias * 0

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        if self.reparam_conv is not None:
            return self.reparam_conv(x)
        return self.pos_enc(x) + x


class ConvMlp(Module):
    """A depthwise convolution, and an MLP of pointwise ones."""

    def __init__(self, size: int, hidden: int) -> None:
        self.conv = ConvNormAct(size, size, 7, groups=size)
        self.fc1 = Conv2d(size, hidden, 1)
        self.fc2 = Conv2d(hidden, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return self.fc2(ACTIVATIONS["gelu"](self.fc1(self.conv(x))))


class Attention2d(Module):
    """Attention over the places of an image, in heads of 32."""

    def __init__(self, size: int) -> None:
        self.heads = size // 32
        self.qkv = Linear(size, 3 * size, bias=False)
        self.proj = Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        q, k, v = self.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return self.proj(attend(q, k, v, self.heads)).transpose(1, 2).reshape(*x.shape)


class MixerBlock(Module):
    """Fusing convolutions, then the MLP."""

    def __init__(self, size: int, ratio: int) -> None:
        self.token_mixer = RepMixer(size)
        self.mlp = ConvMlp(size, size * ratio)
        self.layer_scale = LayerScale2d(size, flat=False)

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        x = self.token_mixer(x)
        return x + self.layer_scale(self.mlp(x))


class AttentionBlock(Module):
    """Attention behind a norm, then the MLP."""

    def __init__(self, size: int, ratio: int, norm: Module) -> None:
        self.norm = norm
        self.token_mixer = Attention2d(size)
        self.layer_scale_1 = LayerScale2d(size, flat=False)
        self.mlp = ConvMlp(size, size * ratio)
        self.layer_scale_2 = LayerScale2d(size, flat=False)

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        x = x + self.layer_scale_1(self.token_mixer(self.norm(x)))
        return x + self.layer_scale_2(self.mlp(x))


class PatchEmbed(Module):
    """Half the image, with more channels."""

    def __init__(self, size: int, out: int, act: str, *, excited: bool) -> None:
        self.proj = Sequential(LargeKernel(size, out, act, excited=excited), Unit(out, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / 2, width / 2)`."""
        return self.proj(x)


class Stage(Module):
    """Blocks of one width, behind what leads to it and positions."""

    def __init__(self, cfg: TimmFastVitConfig, index: int) -> None:
        widths, kernel = cfg.embed_dims, cfg.pos_embs[index]
        size, out, ratio = widths[max(index - 1, 0)], widths[index], cfg.mlp_ratios[index]
        act = "gelu" if cfg.lkc_use_act else "linear"
        excited = bool(cfg.se_downsamples[index])
        self.downsample = PatchEmbed(size, out, act, excited=excited) if index else None
        self.pos_emb = PositionEncoding(out, kernel) if kernel else None
        attention = cfg.token_mixers[index] == "attention"
        norm = BatchNorm2d if cfg.norm_layer == "batchnorm2d" else LayerNorm2d
        made = (
            AttentionBlock(out, ratio, norm(out, 1e-5)) if attention else MixerBlock(out, ratio)
            for _ in range(cfg.layers[index])
        )
        self.blocks = Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / 2, width / 2)`."""
        for part in self.children():
            x = part(x)
        return x


class TimmFastVit(TimmModel):
    """A stem, stages, and a convolution that is excited before pooling."""

    config_class = TimmFastVitConfig
    classifier_name = "head.fc"

    def __init__(self, cfg: TimmFastVitConfig) -> None:
        self.config = cfg
        width, last = cfg.embed_dims[0], cfg.embed_dims[-1]
        scale = cfg.stem_use_scale_branch
        self.stem = Sequential(
            Unit(cfg.in_chans, width, 3, 2, scale=scale),
            Unit(width, width, 3, 2, width, scale=scale),
            Unit(width, width, 1),
        )
        self.stages = Sequential(*[Stage(cfg, i) for i in range(len(cfg.embed_dims))])
        out = last * cfg.cls_ratio
        self.final_conv = Unit(last, out, 3, groups=last, excited=True)
        self.head = ClassifierHead(self.classifier_layer(cfg.pooled(out)))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each stage gives."""
        x = self.stem(x)
        return [x := stage(x) for stage in self.stages]

    def finish(self, x: Tensor) -> Tensor:
        """Through the last convolution."""
        return self.final_conv(x)
